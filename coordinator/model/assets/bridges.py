"""Bridges: which environment hands on which asset events to which others (docs/assets.md).

A bridge is written once for all its consumers and patterns. In a document it stands as one entry for each consumer, a
pipeline of deliveries that waits for any of its patterns. So each pattern has an activation of its own, as a dependency
has: one that is added hands on nothing that was emitted before.
"""

from __future__ import annotations

import enum
import graphlib
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from coordinator.model.assets.names import deliveries, events_of, is_delivery, source_of
from coordinator.model.conditions import Dependency, any_of, leaves
from coordinator.model.dependencies import Document, Downstream, Rerun
from coordinator.model.partitions import Assets
from coordinator.model.partitions.patterns import ANY
from coordinator.model.references import PipelineRef


class Forwarding(enum.StrEnum):
    """What becomes of an event that is emitted again because its task runs again.

    ``forward``  it is handed on, too
    ``once``     it is not: one event for each asset, DAG, run, task, map index and partition key
    """

    FORWARD = "forward"
    ONCE = "once"


class Bridge(NamedTuple):
    """A bridge between two environments.

    :ivar match: patterns of URIs: events that fit one of them are handed on.
    :ivar but: ``except`` in the document: those that fit one of these are not.
    :ivar explicit: of these, only events that name the consumer.
    """

    source: str
    consumer: str
    match: tuple[str, ...] = (ANY,)
    but: tuple[str, ...] = ()
    rerun: Forwarding = Forwarding.FORWARD
    explicit: bool = False

    @property
    def pipeline(self) -> PipelineRef:
        """The deliveries over it."""
        return deliveries(self.source, self.consumer, once=self.rerun is Forwarding.ONCE)


def entries_of(bridges: Iterable[Bridge]) -> dict[PipelineRef, Downstream]:
    """The entries that bridges are, with all the patterns between two environments in one entry."""
    found: dict[PipelineRef, dict[Dependency, None]] = {}
    once: dict[PipelineRef, bool] = {}
    for bridge in bridges:
        is_once = once[bridge.pipeline] = bridge.rerun is Forwarding.ONCE
        of_pipeline = found.setdefault(bridge.pipeline, {})
        for pattern in bridge.match:
            mapping = Assets(pattern, bridge.but, is_once, bridge.explicit)
            of_pipeline[Dependency(events_of(bridge.source), mapping=mapping)] = None
    return {
        pipeline: Downstream(
            pipeline,
            any_of(*sorted(dependencies, key=str)),
            rerun=Rerun.IGNORE if once[pipeline] else Rerun.NEW_RUN,
        )
        for pipeline, dependencies in found.items()
    }


def bridges_in(document: Document) -> Iterator[Bridge]:
    """The bridges of a document, in order; those that differ in nothing but their patterns are one."""
    for pipeline in sorted(filter(is_delivery, document)):
        together: dict[tuple[tuple[str, ...], bool, bool], list[str]] = {}
        for leaf in leaves(document[pipeline].condition):
            assert isinstance(leaf.mapping, Assets)
            alike = leaf.mapping.but, leaf.mapping.once, leaf.mapping.explicit
            together.setdefault(alike, []).append(leaf.mapping.match)
        for (but, once, explicit), match in sorted(together.items()):
            rerun = Forwarding.ONCE if once else Forwarding.FORWARD
            yield Bridge(source_of(pipeline), pipeline.environment, tuple(sorted(match)), but, rerun, explicit)


def without_bridges(document: Document) -> Mapping[PipelineRef, Downstream]:
    """The entries of DAGs."""
    return {pipeline: entry for pipeline, entry in document.items() if not is_delivery(pipeline)}


class Step(NamedTuple):
    """One pattern of a bridge, on the way of an event."""

    pipeline: PipelineRef
    mapping: Assets

    @property
    def source(self) -> str:
        return source_of(self.pipeline)


def circles(document: Document, *, through: Iterable[PipelineRef] | None = None) -> Iterator[tuple[Step, ...]]:
    """The circles in which an event of one URI may be handed on, one for each pair of environments at most.

    An event that was handed on names no consumer, so that no explicit bridge hands it on again.

    Each step shares a URI with the next one. Whether all of them share one is not looked into: in doubt it is a circle.

    :param through: only those over one of these entries.
    """
    steps = [
        Step(pipeline, leaf.mapping)
        for pipeline, entry in sorted(document.items())
        if is_delivery(pipeline)
        for leaf in leaves(entry.condition)
        if isinstance(leaf.mapping, Assets) and not leaf.mapping.explicit
    ]
    by_source: dict[str, list[Step]] = {}
    for step in steps:
        by_source.setdefault(step.source, []).append(step)
    above = {
        after: [
            before for before in steps if before.pipeline.environment == source and before.mapping.shares(after.mapping)
        ]
        for source, of_source in by_source.items()
        for after in of_source
    }
    wanted = None if through is None else set(through)
    while True:
        try:
            graphlib.TopologicalSorter(above).prepare()
        except graphlib.CycleError as error:
            ring: list[Step] = error.args[1][:-1]  # each is handed on by the next one
            above[ring[0]] = [one for one in above[ring[0]] if one != ring[-1]]
            if wanted is None or wanted & {step.pipeline for step in ring}:
                yield tuple(ring)
        else:
            return


def delivered_twice(document: Document) -> Iterator[tuple[PipelineRef, Step, Step]]:
    """Patterns between two environments that share a URI, and of which one hands on ``once`` and the other does not."""
    for pipeline in sorted(filter(is_delivery, document)):
        other = deliveries(source_of(pipeline), pipeline.environment, once=True)
        if pipeline == other or other not in document:
            continue
        for one in leaves(document[pipeline].condition):
            for another in leaves(document[other].condition):
                assert isinstance(one.mapping, Assets)
                assert isinstance(another.mapping, Assets)
                if one.mapping.shares(another.mapping):
                    yield pipeline, Step(pipeline, one.mapping), Step(other, another.mapping)


def in_words(ring: Iterable[Step]) -> str:
    """A circle: the environments, each with the pattern by which the next one is given an event."""
    found = [*ring]
    return " -> ".join([*(f"{step.source} ({step.mapping.match})" for step in found), found[0].source])
