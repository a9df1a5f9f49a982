"""The playground's keys as run states, on a real etcd: every END is one completion, whatever was down meanwhile."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator

import pytest

from coordinator.controller.compat.etl_state import EtlStates
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunState, State, read_run_state
from coordinator.store.connection import EtcdStore
from coordinator.store.keys import Keys
from coordinator.store.port import Delete, Put, Transaction

DATE = "2026-11-20T00:00:00+00:00"
PARTITION = "2026-11-20T00:00:00Z"


class Playground:
    """Pipelines that write their states, and a watcher's part that reads them."""

    def __init__(self, etcd: EtcdStore, keys: Keys) -> None:
        self.etcd, self.keys = etcd, keys
        self.prefix = f"/etl-{uuid.uuid4().hex}/tasks"
        self.reader: EtlStates | None = None

    def put(self, dag_id: str, state: object, date: str = DATE) -> int:
        value = state if isinstance(state, bytes) else json.dumps({"state": state, "dag_name": dag_id}).encode()
        return self.etcd.commit(Transaction((), (Put(f"{self.prefix}/{date}/{dag_id}", value),))).revision

    def start(self) -> EtlStates:
        self.reader = EtlStates(self.etcd, self.keys, prefix=self.prefix, environment="default")
        self.reader.start()
        return self.reader

    def stop(self) -> None:
        assert self.reader is not None
        self.reader.stop(10)

    def state(self, dag_id: str, partition: str = PARTITION) -> RunState | None:
        found = self.etcd.get(self.keys.state(Target(PipelineRef("default", dag_id), partition)))
        state = read_run_state(found.value) if found is not None else None
        assert state is None or isinstance(state, RunState)
        return state

    def revision(self, dag_id: str) -> int:
        found = self.etcd.get(self.keys.state(Target(PipelineRef("default", dag_id), PARTITION)))
        return found.mod_revision if found is not None else 0


def eventually(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.fixture
def playground(etcd: EtcdStore, keys: Keys) -> Iterator[Playground]:
    playground = Playground(etcd, keys)
    yield playground
    playground.stop()


def is_state(playground: Playground, dag_id: str, state: State, attempt: int) -> bool:
    found = playground.state(dag_id)
    return found is not None and (found.state, found.attempt.number) == (state, attempt)


def test_a_start_and_an_end_are_one_attempt(playground: Playground) -> None:
    playground.start()
    begun = playground.put("01", "START")
    eventually(lambda: is_state(playground, "01", State.RUNNING, begun))
    playground.put("01", "END")
    eventually(lambda: is_state(playground, "01", State.SUCCESS, begun))
    again = playground.put("01", "START")
    eventually(lambda: is_state(playground, "01", State.RUNNING, again))


def test_a_repeated_end_is_no_other_completion(playground: Playground) -> None:
    playground.start()
    begun = playground.put("01", "START")
    playground.put("01", "END")
    eventually(lambda: is_state(playground, "01", State.SUCCESS, begun))
    before = playground.revision("01")
    playground.put("01", "END")
    playground.put("02", "START")
    eventually(lambda: playground.state("02") is not None)  # what came before it has been read
    assert playground.revision("01") == before


def test_what_happened_while_nobody_read_is_found_in_the_history(playground: Playground) -> None:
    playground.put("01", "START")
    playground.put("01", "END")
    begun = playground.put("01", "START")
    playground.put("01", "END")
    playground.put("01", "END")
    playground.start()
    eventually(lambda: is_state(playground, "01", State.SUCCESS, begun))


@pytest.mark.parametrize("value", [b"\x00", b"{}", b'{"state": 7}', b'{"state": "MAYBE"}', b"x" * 100_000])
def test_rubbish_is_survived_and_shown(playground: Playground, value: bytes) -> None:
    reader = playground.start()
    playground.put("00", value)
    begun = playground.put("01", "START")
    eventually(lambda: is_state(playground, "01", State.RUNNING, begun))
    assert playground.state("00") is None
    assert "00: " in (reader.problem() or "")
    playground.put("00", "END")
    eventually(lambda: reader.problem() is None)


def test_a_deleted_key_changes_nothing(playground: Playground) -> None:
    playground.start()
    begun = playground.put("01", "START")
    eventually(lambda: is_state(playground, "01", State.RUNNING, begun))
    playground.etcd.commit(Transaction((), (Delete(f"{playground.prefix}/{DATE}/01"),)))
    again = playground.put("02", "START")
    eventually(lambda: is_state(playground, "02", State.RUNNING, again))
    assert is_state(playground, "01", State.RUNNING, begun)


def test_a_date_that_is_none_is_a_partition_as_it_is(playground: Playground) -> None:
    playground.start()
    playground.put("01", "END", date="north")
    eventually(lambda: playground.state("01", "north") is not None)
