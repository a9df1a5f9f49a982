"""A graph that looks the same from every pipeline, at every size: layers, closed to a ring.

Each pipeline waits for the five above it, so each has five below it. The cone under a source is 5, 9, 13 and 17
pipelines wide, which fits into the smallest ring (25 in each layer) without overlap: a wave affects as many targets
among 100 pipelines as among 10,000, so that any difference in cost is due to the size alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from coordinator.model.conditions import Dependency, all_of, leaves
from coordinator.model.consumption import Consumed, Consumption
from coordinator.model.dependencies import Document, Downstream
from coordinator.model.graph import Graph, Node
from coordinator.model.partitions.instants import format_instant
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import Attempt, RunStateDocument, State
from coordinator.model.trigger import Action, Status, TriggerRecord, dump_record
from coordinator.store.keys import Keys
from coordinator.store.port import KeyValue

FAN_IN = 5
LAYERS = 4
SMALLEST = 100
"""Pipelines in a ring whose cones do not meet themselves."""

ENVIRONMENTS = tuple(f"team_{number}" for number in range(10))
"""The same at every size. Each owns a document: one of all 10,000 pipelines would be too large for etcd."""

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
HISTORY = "scheduled__"
"""The beginning of the run_id of every run of the history."""

ACTIVE_SINCE = 1
FIRST_REVISION = 2
KEYS = Keys()


def partition(number: int) -> str:
    """The hours since the epoch, as partitions."""
    return format_instant(EPOCH + timedelta(hours=number))


def queued_at(partition: str) -> datetime:
    """The queued_at of the runs of the history: an hour after the instant of their partition."""
    return datetime.fromisoformat(partition) + timedelta(hours=1)


def past_attempt(partition: str) -> Attempt:
    return Attempt(HISTORY + partition, queued_at(partition))


@dataclass(frozen=True)
class Ring:
    """So many pipelines wait for five others each; a quarter as many sources wait for nothing.

    :param pipelines: a multiple of four, at least 100.
    """

    pipelines: int

    def __post_init__(self) -> None:
        if self.pipelines < SMALLEST or self.pipelines % LAYERS:
            raise ValueError(f"expected a multiple of {LAYERS}, at least {SMALLEST} pipelines, found {self.pipelines}")

    @property
    def width(self) -> int:
        return self.pipelines // LAYERS

    def pipeline(self, layer: int, place: int) -> PipelineRef:
        """One of a layer; sources are layer 0."""
        place %= self.width
        return PipelineRef(ENVIRONMENTS[place % len(ENVIRONMENTS)], f"sales_orders.stage_{layer}.{place:05d}")

    def source(self, place: int) -> PipelineRef:
        return self.pipeline(0, place)

    def upstreams(self, layer: int, place: int) -> list[PipelineRef]:
        return [self.pipeline(layer - 1, place + offset) for offset in range(FAN_IN)]

    def document(self) -> Document:
        return {
            self.pipeline(layer, place): Downstream(
                self.pipeline(layer, place),
                all_of(*(Dependency(upstream) for upstream in self.upstreams(layer, place))),
            )
            for layer in range(1, LAYERS + 1)
            for place in range(self.width)
        }

    def documents(self) -> dict[str, Document]:
        """Its owners' documents."""
        documents: dict[str, dict[PipelineRef, Downstream]] = {owner: {} for owner in ENVIRONMENTS}
        for pipeline, downstream in self.document().items():
            documents[pipeline.environment][pipeline] = downstream
        return dict(documents)

    def graph(self) -> Graph:
        return Graph(
            Node(downstream, dict.fromkeys(leaves(downstream.condition), ACTIVE_SINCE))
            for downstream in self.document().values()
        )

    def completions_in_a_wave(self) -> int:
        """The source of a wave and the cone under it."""
        return 1 + sum(1 + (FAN_IN - 1) * layer for layer in range(1, LAYERS + 1))

    def keys_in_a_partition(self) -> int:
        """A state for each pipeline, and a record for each that waits."""
        return self.pipelines + self.width + self.pipelines

    def past(self, partition: str) -> Iterator[tuple[Target, RunStateDocument, TriggerRecord | None]]:
        """A partition in which everything has run: each pipeline's state, and the record behind it, upstreams first."""
        attempt = past_attempt(partition)
        for layer in range(LAYERS + 1):
            for place in range(self.width):
                target = Target(self.pipeline(layer, place), partition)
                consumed = {
                    Target(upstream, partition): Consumed(FIRST_REVISION, attempt, State.SUCCESS)
                    for upstream in (self.upstreams(layer, place) if layer else ())
                }
                yield target, success_of_the_past(partition), past_record(partition, consumed) if layer else None

    def past_keys(self, partition: str) -> Iterator[KeyValue]:
        """The same as keys of etcd."""
        for target, state, record in self.past(partition):
            yield stored(KEYS.state(target), state.to_value())
            if record is not None:
                yield stored(KEYS.trigger(target), dump_record(record))


def success_of_the_past(partition: str) -> RunStateDocument:
    """The report of the listener in Airflow about a run that has succeeded."""
    queued = queued_at(partition)
    return RunStateDocument(
        state=State.SUCCESS,
        run_id=HISTORY + partition,
        queued_at=queued,
        logical_date=datetime.fromisoformat(partition),
        start_date=queued + timedelta(seconds=1),
        end_date=queued + timedelta(seconds=61),
        observed_at=queued + timedelta(seconds=61),
        reported_by="airflow-listener/team_1",
    )


def past_record(partition: str, consumed: dict[Target, Consumed]) -> TriggerRecord:
    return TriggerRecord(
        status=Status.DONE,
        sequence=1,
        action=Action.CREATE,
        run_id=HISTORY + partition,
        token=f"{abs(hash((partition, *consumed))):032x}"[:32],
        wave=FIRST_REVISION,
        attempt=queued_at(partition),
        consumed=Consumption.of(consumed),
        who="etcd-coordinator-0-1-9f8e7d",
        when=queued_at(partition),
    )


def stored(key: str, value: bytes, revision: int = FIRST_REVISION) -> KeyValue:
    return KeyValue(key, value, revision, revision)
