"""Several write the wait of a sensor: no late write takes an answer away, nor the place of a later attempt."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from msgspec.structs import replace

from coordinator.commands.write_wait import write_wait
from coordinator.model.conditions import On
from coordinator.model.references import PipelineRef, Target, WaitRef
from coordinator.model.runstate import State
from coordinator.model.waits import Completion, Wait, WaitStatus, dump_wait, passed, read_wait
from coordinator.store.connection import EtcdStore
from coordinator.store.keys import Keys
from coordinator.store.port import Committed, KeyValue, Put, Store, Transaction

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
FIRST = Wait(WaitStatus.WAITING, Target(PipelineRef("default", "U"), "k"), On.SUCCESS, "one", 1, NOON)
SECOND = replace(FIRST, task_instance="two", try_number=2, since=NOON + timedelta(minutes=1))
REPLACED = replace(FIRST, task_instance="three", try_number=1, since=NOON + timedelta(minutes=2))
"""The first attempt in a run that was deleted and made again."""

COMPLETION = Completion(7, State.SUCCESS, "r")


class LateLine:
    """A line to etcd: before the first write arrives there, others have written."""

    def __init__(self, etcd: EtcdStore, key: str, *meanwhile: Wait) -> None:
        self._etcd = etcd
        self._key = key
        self._meanwhile = [*meanwhile]

    def get(self, key: str) -> KeyValue | None:
        return self._etcd.get(key)

    def commit(self, transaction: Transaction) -> Committed:
        while self._meanwhile:
            put(self._etcd, self._key, self._meanwhile.pop(0))
        return self._etcd.commit(transaction)


def put(etcd: EtcdStore, key: str, wait: Wait | bytes) -> None:
    etcd.commit(Transaction((), (Put(key, wait if isinstance(wait, bytes) else dump_wait(wait)),)))


@pytest.mark.promise("downtime")
@pytest.mark.parametrize("begins", [True, False])
@pytest.mark.parametrize(
    ("before", "meanwhile", "ours", "stands"),
    [
        (None, [], FIRST, FIRST),
        (None, [FIRST, passed(FIRST, COMPLETION, NOON)], FIRST, passed(FIRST, COMPLETION, NOON)),
        (passed(FIRST, COMPLETION, NOON), [], FIRST, passed(FIRST, COMPLETION, NOON)),
        (passed(FIRST, COMPLETION, NOON), [], SECOND, SECOND),
        (b"rubbish", [SECOND], FIRST, SECOND),
        (None, [passed(SECOND, COMPLETION, NOON)], FIRST, passed(SECOND, COMPLETION, NOON)),
        (None, [FIRST], SECOND, SECOND),
        (b"rubbish", [], FIRST, FIRST),
    ],
)
def test_what_stands_in_the_end(
    etcd: EtcdStore, keys: Keys, before: Any, meanwhile: list[Wait], ours: Wait, stands: Wait, begins: bool
) -> None:
    key = keys.wait(WaitRef(Target(PipelineRef("default", "D"), "k"), "r", "sensor", -1))
    if before is not None:
        put(etcd, key, before)
    told = write_wait(cast(Store, LateLine(etcd, key, *meanwhile)), key, ours, begins=begins)
    found = etcd.get(key)
    assert found is not None
    assert read_wait(found.value) == stands
    assert told == (stands if stands.task_instance == ours.task_instance else ours)


@pytest.mark.parametrize(("begins", "stands"), [(True, REPLACED), (False, SECOND)])
def test_a_sensor_that_begins_replaces_what_a_deleted_run_has_left(
    etcd: EtcdStore, keys: Keys, begins: bool, stands: Wait
) -> None:
    """Its tries are counted anew, so that the wait that was left seems to be of a later attempt."""
    key = keys.wait(WaitRef(Target(PipelineRef("default", "D"), "k"), "r", "sensor", -1))
    put(etcd, key, SECOND)
    write_wait(etcd, key, REPLACED, begins=begins)
    found = etcd.get(key)
    assert found is not None
    assert read_wait(found.value) == stands
