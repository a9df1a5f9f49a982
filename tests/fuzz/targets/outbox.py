"""Files in the outbox: an event that can be written to etcd, or one to be parked; the sender goes on."""

from __future__ import annotations

import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

from coordinator.airflow_plugin.clients import Clients
from coordinator.airflow_plugin.delivery import Delivery
from coordinator.airflow_plugin.outbox import AnyEvent, EmittedEvent, Outbox
from coordinator.commands.emit import write_event
from coordinator.commands.report import write_report
from coordinator.model.assets.names import events_of
from coordinator.model.references import PipelineRef
from coordinator.model.references import Target as Where
from coordinator.model.runstate import Verdict
from coordinator.store.keys import Keys, StateKey
from coordinator.store.memory import MemoryEtcd, MemoryStore
from tests.fuzz.tape import as_json, tape_of
from tests.fuzz.targets.values import STATE
from tests.fuzz.targets.values import WORDS as VALUE_WORDS

EVENT: dict[str, Any] = {"environment": "default", "dag_id": "a", "partition": "k", "document": STATE}
WORDS = (*EVENT, *VALUE_WORDS)
_FILE_NAMES = (
    *("00000000000000000001-7-0.json", "²-x.json", "x.json", "-.json", "9" * 200 + "-1.json", "\udcff-1.json"),
    *("a\nb.json", "\x1b[31m.json", ".json", "٣-1.json"),
)


@lru_cache(maxsize=1)
def _directory() -> Path:
    return Path(tempfile.mkdtemp(prefix="fuzzed-outbox-"))


def outbox(data: bytes) -> None:
    tape = tape_of(data)
    name = _FILE_NAMES[0]
    if tape is not None:
        name = tape.one_of(_FILE_NAMES)
        data = as_json(tape.spoiled(EVENT, WORDS, one_in=10))
    box = Outbox(_directory())
    place = _directory() / name
    place.write_bytes(data)
    box.written_at(name)
    store, keys = MemoryStore(MemoryEtcd()), Keys("/c")
    written: list[str] = []

    def write(event: AnyEvent) -> Verdict:
        environment = event.environment or "default"
        if isinstance(event, EmittedEvent):
            target = Where(events_of(environment), event.event_id)
            verdict = write_event(store, keys, environment, event.event_id, event.asset)
        else:
            target = Where(PipelineRef(environment, event.dag_id), event.partition)
            verdict = write_report(store, keys, target, event.document, within=0)
        written.append(keys.state(target))
        assert keys.parse(keys.state(target)) == StateKey(target), "it stands where nobody reads it"
        return verdict

    try:
        Delivery(box, write, clients=Clients(()), wakeup_pipe=None).run()
        assert box.pending() == []
        assert (name in box.parked) != bool(written), "delivered, or parked"
    finally:
        place.unlink(missing_ok=True)
        box.parked.discard(name)
