"""Attention: the causes that keep partitions from running, and what waits behind each.

``explain`` follows one partition up to its causes. This module looks at every stuck partition once, one step up, and
then follows each cause down to everything that waits behind it.
"""

from __future__ import annotations

import enum
from collections import Counter, defaultdict, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import chain, islice, zip_longest
from typing import NamedTuple

from coordinator.model.assets.names import is_asset
from coordinator.model.conditions import On
from coordinator.model.explanation.causes import (
    Cause,
    Kind,
    cause_at_rest,
    failure,
    inputs_in_the_way,
    own_causes,
    retries_in_words,
)
from coordinator.model.explanation.headline import reason
from coordinator.model.explanation.of_asset import has_failed, producers_in_the_way
from coordinator.model.explanation.waits import WaitingSensor
from coordinator.model.explanation.words import hold_in_words, how_to_release, moment
from coordinator.model.graph import Graph
from coordinator.model.hold import Hold
from coordinator.model.items.whole import rows_of
from coordinator.model.partitions.instants import partition_order
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunState
from coordinator.model.shell import command
from coordinator.model.view import Readiness
from coordinator.reading.reading import Reading
from coordinator.reading.waiting_sensors import waiting_sensors

WAITS_LONG = timedelta(days=1)
"""How long a sensor may wait for what has not run yet, before a person is told."""


class Matter(enum.StrEnum):
    """The kind of a concern, in the order in which they are shown. The values are those of ``explain``'s causes."""

    FAILED = Kind.FAILED.value
    BLOCKED = Kind.BLOCKED.value
    TOO_OLD = Kind.TOO_OLD.value
    NOT_YET = Kind.NOT_YET.value
    STUCK = "stuck"
    HELD = Kind.HELD.value
    WAITS_FOR_RELEASE = Kind.WAITS_FOR_RELEASE.value
    LATE = "late"
    UNREADABLE = Kind.UNREADABLE.value
    BROKEN = Kind.BROKEN.value

    @property
    def needs_person(self) -> bool:
        """Whether a person must act. A hold does not need that: a person has placed it on purpose."""
        return self is not Matter.HELD


class Place(NamedTuple):
    """Where a concern is. :ivar partition: ``None``: all of them, because a hold is about a pipeline."""

    matter: Matter
    pipeline: PipelineRef
    partition: str | None


@dataclass(frozen=True, slots=True)
class Concern:
    """A cause, and what it keeps from running.

    :ivar cause: the reason, since when it exists, and what a person can do.
    :ivar waiting: the partitions that are stuck behind it, the nearest first.
    """

    place: Place
    cause: Cause
    waiting: Sequence[Target]


@dataclass(frozen=True, slots=True)
class Attention:
    """The answer.

    :ivar concerns: the newest concerns of each matter.
    :ivar counts: how many concerns there are of each matter, including those not in ``concerns``.
    :ivar waiting: how many partitions are stuck.
    """

    concerns: Sequence[Concern]
    counts: Mapping[Matter, int]
    waiting: int

    @property
    def needs_person(self) -> bool:
        return any(matter.needs_person for matter in self.counts)


def attention(
    reading: Reading,
    *,
    pipeline: PipelineRef | None = None,
    partitions: Collection[str] | None = None,
    most: int = 20,
    environments: Collection[str] = (),
) -> Attention:
    """The concerns that need a person, and the holds.

    :param pipeline: only this one, and its causes; ``None``: all.
    :param partitions: only these, and their causes; ``None``: all.
    :param most: how many concerns of each matter: the newest partition of each pipeline, then the second newest, ...
    :param environments: those that are configured here; none: that is not known.
    """
    ways = _Ways(reading, environments)
    asked = _Asked(pipeline, partitions)
    found = ways.found if asked.is_everything else ways.above_of(asked)
    counts = Counter(place.matter for place in found)
    shown: list[Place] = []
    for matter in Matter:
        shown += _newest([place for place in found if place.matter is matter], most)
    return Attention(
        [ways.concern(place) for place in shown],
        {matter: counts[matter] for matter in Matter if counts[matter]},
        sum(map(asked, ways.stuck)),
    )


@dataclass(frozen=True, slots=True)
class _Asked:
    pipeline: PipelineRef | None
    partitions: Collection[str] | None

    @property
    def is_everything(self) -> bool:
        return self.pipeline is None and self.partitions is None

    def __call__(self, target: Target) -> bool:
        return self.pipeline in (None, target.pipeline) and (
            self.partitions is None or target.partition in self.partitions
        )


class _Ways:
    """Which targets are stuck because of which.

    :ivar found: every concern; ``None``: its cause is worked out only when it is shown.
    """

    def __init__(self, reading: Reading, environments: Collection[str]) -> None:
        self._reading = reading
        self._propagation: Propagation = reading.propagation
        self.found: dict[Place, Cause | None] = {}
        self.stuck: list[Target] = []
        self._behind: defaultdict[Target, list[Target]] = defaultdict(list)
        self._above: defaultdict[Target, list[Target]] = defaultdict(list)
        self._held: defaultdict[PipelineRef, list[Target]] = defaultdict(list)
        self._with_sensors: list[Target] = []
        for target in self._propagation.unsettled():
            if self._propagation.readiness(target) is Readiness.STUCK:
                self.stuck.append(target)
                self._step_up(target)
        for sensor in waiting_sensors(reading, reading.cache.waits, environments=environments):
            self._note_sensor(sensor)
        for target in _failures(reading):
            self.found.setdefault(Place(Matter.FAILED, *target))
        for target in reading.late:
            self.found.setdefault(Place(Matter.LATE, *target))
        for held, _ in reading.cache.holds():
            self.found.setdefault(Place(Matter.HELD, held, None))

    def above_of(self, asked: _Asked) -> dict[Place, Cause | None]:
        """The concerns of the targets asked for, and those that these targets are stuck behind."""
        reached = set(_reach(filter(asked, (*self.stuck, *self._with_sensors)), self._above))
        held = {target.pipeline for target in reached}

        def is_meant(place: Place) -> bool:
            if place.partition is None:
                return place.pipeline in held or place.pipeline == asked.pipeline
            target = Target(place.pipeline, place.partition)
            return asked(target) or (target in reached and place.matter is not Matter.LATE)

        return {place: cause for place, cause in self.found.items() if is_meant(place)}

    def concern(self, place: Place) -> Concern:
        """A concern with its cause, and everything that is stuck behind it."""
        if place.partition is None:
            waiting = list(_reach(self._held[place.pipeline], self._behind))
            return Concern(place, self._hold(place.pipeline), waiting)
        target = Target(place.pipeline, place.partition)
        waiting = [one for one in _reach([target], self._behind) if one != target]
        return Concern(place, self.found[place] or self._cause(place.matter, target), waiting)

    def _step_up(self, target: Target) -> None:
        """Note what a stuck partition waits for: causes of its own, and inputs with a problem."""
        if is_asset(target.pipeline):
            for producer in producers_in_the_way(self._propagation, target):
                self._behind[producer].append(target)
                self._above[target].append(producer)
                if has_failed(self._propagation, producer):
                    self.found.setdefault(Place(Matter.FAILED, *producer))
            return
        decision = self._propagation.decide(target)
        explained = self._step_up_to_items(target)
        for cause in own_causes(self._propagation, decision):
            explained = True
            if decision.items is not None and decision.items.stuck and cause.kind is Kind.BLOCKED:
                continue  # the items say it themselves
            if cause.kind is Kind.HELD:
                self._held[target.pipeline].append(target)
            else:
                self.found[Place(Matter(cause.kind), *target)] = cause
        for one in inputs_in_the_way(decision):
            if one.readiness is Readiness.BUSY:
                continue  # it passes by itself
            explained = True
            self._behind[one.target].append(target)
            self._above[target].append(one.target)
            if one.readiness is Readiness.SETTLED:
                cause = cause_at_rest(self._propagation, one)
                self.found.setdefault(Place(Matter(cause.kind), *one.target), cause)
        if not explained:
            self.found[Place(Matter.STUCK, *target)] = Cause(target, Kind.NOT_YET, reason(decision), _explain(target))

    def _step_up_to_items(self, target: Target) -> bool:
        """Note which items a pipeline waits for that fans out. Returns whether there are any."""
        if not self._propagation.graph.fans_out(target.pipeline):
            return False
        rows = rows_of(self._propagation, target)
        items = [Target(target.pipeline.with_item(key), target.partition) for key in (rows.by_key if rows else ())]
        stuck = [one for one in items if self._propagation.readiness(one) is Readiness.STUCK]
        for item in stuck:
            self._behind[item].append(target)
            self._above[target].append(item)
        return bool(stuck)

    def _note_sensor(self, sensor: WaitingSensor) -> None:
        """Note what a sensor waits for, where that does not pass by itself, or has not for long."""
        run, since = sensor.ref.run, sensor.wait.since
        for cause in sensor.causes:
            if cause.kind.passes_by_itself:
                continue
            self._behind[cause.target].append(run)
            self._above[run].append(cause.target)
            self._with_sensors.append(run)
            is_old = since is not None and self._propagation.now - since > WAITS_LONG
            not_yet = cause.kind is Kind.NOT_YET and (sensor.is_misnamed or sensor.is_deadlocked or is_old)
            if not_yet or cause.kind in (Kind.FAILED, Kind.UNREADABLE):
                told = cause if cause.since is not None else replace(cause, since=since)
                matter = Matter.STUCK if sensor.is_deadlocked else Matter(cause.kind)
                self.found.setdefault(Place(matter, *cause.target), told)

    def _cause(self, matter: Matter, target: Target) -> Cause:
        if matter is Matter.FAILED:
            seen = self._propagation.state(target)
            assert seen is not None
            assert isinstance(seen.value, RunState)
            cause = failure(target, seen.value)
            return replace(cause, says=cause.says + retries_in_words(self._propagation, target))
        decision = self._propagation.decide(target)
        says = f"should have been started{moment('by', decision.due_by)}; it {reason(decision)}"
        return Cause(target, Kind.NOT_YET, says, _explain(target), since=decision.due_by)

    def _hold(self, pipeline: PipelineRef) -> Cause:
        hold, nowhere = self._propagation.hold(pipeline), Target(pipeline, "")
        since = hold.since if isinstance(hold, Hold) else None
        return Cause(nowhere, Kind.HELD, f"is held: {hold_in_words(hold)}", how_to_release(nowhere), since=since)


def _failures(reading: Reading) -> Iterator[Target]:
    """Failed runs that have ended and whose success is needed."""
    counted_on = _counted_on(reading.propagation.graph)
    for target, _ in reading.failed():
        if target.pipeline in counted_on and reading.propagation.readiness(target) is Readiness.SETTLED:
            yield target


def _counted_on(graph: Graph) -> set[PipelineRef]:
    """The pipelines whose runs must succeed: those that the coordinator starts, and those whose success is waited for.

    Where only ``failure`` or ``done`` is waited for, a failure is an ordinary result.
    """
    found = set()
    for node in graph.nodes():
        found.add(node.downstream.pipeline)
        found.update(leaf.pipeline for leaf in node.leaves() if leaf.on is On.SUCCESS)
    return found


def _explain(target: Target) -> str:
    return command("explain", target.pipeline, target.partition)


def _reach(begin: Iterable[Target], edges: Mapping[Target, Sequence[Target]]) -> Iterator[Target]:
    """Everything that the edges lead to, the nearest first, including the beginnings."""
    waiting = deque(begin)
    seen = set(waiting)
    while waiting:
        target = waiting.popleft()
        yield target
        for one in edges.get(target, ()):
            if one not in seen:
                seen.add(one)
                waiting.append(one)


def _newest(places: Iterable[Place], most: int) -> list[Place]:
    """The newest partition of each pipeline, then the second newest, and so on, so that no pipeline hides the
    others."""
    of_pipeline: defaultdict[PipelineRef, list[Place]] = defaultdict(list)
    for place in sorted(places, key=_age, reverse=True):
        of_pipeline[place.pipeline].append(place)
    in_turn = chain.from_iterable(zip_longest(*of_pipeline.values()))
    return sorted(islice(filter(None, in_turn), most), key=_age, reverse=True)


def _age(place: Place) -> tuple[object, ...]:
    return (*partition_order(place.partition or ""), place.pipeline)
