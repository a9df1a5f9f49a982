"""The newest partitions of a pipeline, with a sentence each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from coordinator.model.explanation import headline_of_run, status_of
from coordinator.model.explanation.waits import WaitingSensor
from coordinator.model.named_partitions import Span
from coordinator.model.references import PipelineRef, Target
from coordinator.model.view import readable_state
from coordinator.reading.gaps import Missed, gaps_of
from coordinator.reading.reading import Reading, read_newest
from coordinator.reading.unmet_notes import unmet_notes
from coordinator.reading.waiting_sensors import waiting_sensors
from coordinator.store.keys import Keys
from coordinator.store.port import Store


@dataclass(frozen=True, slots=True)
class Row:
    """A partition. :ivar record: the status of its trigger record. :ivar says: a sentence without its subject."""

    partition: str
    state: str | None
    readiness: str
    record: str | None
    says: str


@dataclass(frozen=True, slots=True)
class NewestPartitions:
    """:ivar older: how many partitions are not shown. :ivar notes: what else the reader should know."""

    pipeline: PipelineRef
    revision: int
    rows: Sequence[Row]
    older: int
    notes: Sequence[str]

    def as_json(self) -> dict[str, Any]:
        """For programs: what ``coordinator explain PIPELINE --json`` prints."""
        return {
            "pipeline": str(self.pipeline),
            "revision": self.revision,
            "partitions": [asdict(row) for row in self.rows],
            "more": self.older > 0,
            "not_shown": self.older,
            "notes": list(self.notes),
        }


def newest_partitions(
    store: Store, keys: Keys, pipeline: PipelineRef, *, most: int, revision: int = 0
) -> NewestPartitions:
    """Read the keys that decisions about a pipeline's newest partitions need, and say a sentence about each.

    Parameters and errors as :func:`coordinator.reading.reading.read_newest`.
    """
    reading, names = read_newest(store, keys, pipeline, most=most, revision=revision)
    targets = [Target(pipeline, partition) for partition in names.newest]
    waits = [seen for seen in reading.cache.waits if seen.ref.run in targets]
    sensors = list(waiting_sensors(reading, waits))
    gaps = (gap for gap in gaps_of(reading, pipeline, Span()) if gap.target in targets)
    return NewestPartitions(
        pipeline,
        reading.cache.revision,
        tuple(_row(reading, target, sensors) for target in targets),
        names.count - len(names.newest),
        (*unmet_notes(reading, pipeline, names.seen), *Missed.of(gaps, pipeline).in_words()),
    )


def _row(reading: Reading, target: Target, sensors: Iterable[WaitingSensor]) -> Row:
    decision = reading.propagation.decide(target)
    state = readable_state(reading.cache.state(target))
    waiting = tuple(one for one in sensors if one.ref.run == target)
    return Row(
        target.partition,
        str(state.state) if state is not None else None,
        str(decision.readiness),
        status_of(reading.cache.record(target)),
        headline_of_run(decision, waiting, reading.cache.state(target)).removeprefix(f"{target} "),
    )
