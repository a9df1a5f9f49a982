"""Forgetting partitions: which ones must be forgotten together, and why they cannot be."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from coordinator.model.decide import Decision, Obstacle
from coordinator.model.evaluation import EvaluatedInput, all_inputs
from coordinator.model.graph import Graph
from coordinator.model.hold import Hold
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.references import PipelineRef, Target
from coordinator.model.retention.watermark import Watermark
from coordinator.model.runstate import Unreadable
from coordinator.model.view import Facts, SeenOrder, SeenRecord, SeenState, SeenWait
from coordinator.model.waits import Wait, WaitStatus

_MOVING = frozenset({Obstacle.IN_FLIGHT, Obstacle.RUNNING})


def all_below(propagation: Propagation, waits: Collection[SeenWait], target: Target) -> frozenset[Target]:
    """A partition and everything below it that has used it, or is due because of it. :param waits: of all sensors."""
    found, waiting = {target}, [target]
    while waiting:
        for dependent, _ in _that_stand_on(propagation, waits, {waiting.pop()}):
            if dependent not in found:
                found.add(dependent)
                waiting.append(dependent)
    return frozenset(found)


def why_not(
    graph: Graph,
    facts: Facts,
    propagation: Propagation,
    gone: frozenset[Target],
    *,
    known: Iterable[Target],
    waits: Collection[SeenWait],
    now: datetime,
) -> list[str]:
    """Why these partitions cannot be forgotten together; empty: they can.

    :param known: all targets that have a state, a record or an order.
    :param waits: of all sensors.
    :param now: the time at which the facts are evaluated.
    """
    reasons = []
    for target in sorted(gone):
        if moving := propagation.decide(target).obstacles & _MOVING:
            reasons.append(f"{target} is {' and '.join(sorted(moving))}")
    reasons += [
        f"{dependent} {how}" for dependent, how in _that_stand_on(propagation, waits, gone) if dependent not in gone
    ]
    if not reasons:
        afterwards = Propagation(graph, _Without(facts, gone), now=now)
        afterwards.refresh(target for target in known if target.whole not in gone)
        again = [target for target in sorted(gone) if afterwards.decide(target).due]
        reasons += [f"{target} would be started again, as its upstreams hold" for target in again]
    return reasons


def _that_stand_on(
    propagation: Propagation, waits: Iterable[SeenWait], gone: Collection[Target]
) -> Iterator[tuple[Target, str]]:
    """The dependents that have used these partitions or tasks in them, or are due because of them, and the runs whose
    sensors have passed on them, with the kind of dependence."""
    tasks = {Target(task, one.partition) for one in gone for task in propagation.graph.tasks(one.pipeline)}
    dependents = {dependent for target in {*gone, *tasks} for dependent in propagation.dependents(target)}
    for dependent in sorted(dependents):
        decision = propagation.decide(dependent)
        if decision.evaluated is None:
            continue
        for one in all_inputs(decision.evaluated):
            if one.target.whole in gone and (how := _how_it_stands_on(decision, one)) is not None:
                yield dependent, f"{how} {one.target}"
                break
    for seen in sorted(waits, key=lambda seen: seen.ref):
        wait = seen.value
        if isinstance(wait, Wait) and wait.status is WaitStatus.PASSED and wait.upstream.whole in gone:
            yield seen.ref.run, f"has a sensor {seen.ref.task_id}, which has passed on {wait.upstream}"


def _how_it_stands_on(decision: Decision, one: EvaluatedInput) -> str | None:
    if one.consumed is not None:
        return "has run on"
    if Obstacle.IN_FLIGHT in decision.obstacles and one.met:
        return "is in flight, maybe on"
    if decision.due and (one.new or one.busy):
        return "is due because of"
    return None


@dataclass(frozen=True, slots=True)
class _Without:
    """The facts after some partitions have been forgotten."""

    facts: Facts
    gone: Collection[Target]

    def state(self, target: Target) -> SeenState | None:
        return None if target.whole in self.gone else self.facts.state(target)

    def record(self, target: Target) -> SeenRecord | None:
        return None if target in self.gone else self.facts.record(target)

    def order(self, target: Target) -> SeenOrder | None:
        return None if target in self.gone else self.facts.order(target)

    def sensors(self, target: Target) -> Sequence[SeenWait]:
        return () if target in self.gone else self.facts.sensors(target)

    def runs_behind(self, upstream: Target) -> Iterable[Target]:
        return self.facts.runs_behind(upstream)

    def hold(self, pipeline: PipelineRef) -> Hold | Unreadable | None:
        return self.facts.hold(pipeline)

    def watermark(self, pipeline: PipelineRef) -> Watermark | None:
        return self.facts.watermark(pipeline)
