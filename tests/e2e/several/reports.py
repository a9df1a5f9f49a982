"""What several Airflows have reported, read from etcd."""

from __future__ import annotations

from datetime import datetime

from coordinator.model.partitions.instants import format_instant
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunStateDocument
from coordinator.model.trigger import TriggerRecord, read_record
from coordinator.store.connection import EtcdStore
from coordinator.store.keys import Keys
from tests.e2e.conftest import eventually


class AllReports:
    """Pipelines are named as in dependencies.json: ``environment/dag_id``."""

    def __init__(self, store: EtcdStore) -> None:
        self._store = store
        self._keys = Keys()

    def reported(self, pipeline: str, partition: datetime | str) -> list[RunStateDocument]:
        """Every state that stood under the key, in order."""
        found: list[RunStateDocument] = []
        entry = self._store.get(self._keys.state(_target(pipeline, partition)))
        while entry is not None:
            found.append(RunStateDocument.model_validate_json(entry.value))
            if entry.mod_revision == entry.create_revision:
                break
            entry = self._store.get(entry.key, revision=entry.mod_revision - 1)
        return found[::-1]

    def attempts(self, pipeline: str, partition: datetime | str) -> int:
        """How many attempts have been reported: each has a start of its own."""
        return len({document.start_date for document in self.reported(pipeline, partition)} - {None})

    def record(self, pipeline: str, partition: datetime) -> TriggerRecord | None:
        found = self._store.get(self._keys.trigger(_target(pipeline, partition)))
        record = read_record(found.value) if found is not None else None
        assert record is None or isinstance(record, TriggerRecord)
        return record

    def wait(
        self, pipeline: str, partition: datetime | str, state: str, *, attempt: int = 1, within: float = 120.0
    ) -> RunStateDocument:
        """Wait until the so-manieth attempt has this state. Returns the newest report."""

        def look() -> RunStateDocument | None:
            reported = self.reported(pipeline, partition)
            enough = len({document.start_date for document in reported} - {None}) >= attempt
            return reported[-1] if enough and reported[-1].state == state else None

        return eventually(look, f"attempt {attempt} of {pipeline} in {partition} is {state}", within=within)


def _target(pipeline: str, partition: datetime | str) -> Target:
    environment, _, dag_id = pipeline.partition("/")
    name = partition if isinstance(partition, str) else format_instant(partition)
    return Target(PipelineRef(environment, dag_id), name)
