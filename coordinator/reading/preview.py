"""A preview: what a watcher would do at once if it began to lead now. Reads, decides, and changes nothing.

It follows the reconciler (catching up, then everything that is due, the oldest first, through the same gates), on one
reading of etcd. It cannot know what only the environments know: a run that a person has just cleared.
"""

from __future__ import annotations

import enum
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from coordinator.controller.dispatch.admission import Admission, pipeline_limits
from coordinator.controller.dispatch.dispatcher import EnvironmentLimits
from coordinator.controller.dispatch.dispatchers import ages_of_starts
from coordinator.controller.leading.catching_up import Absence, Skip, find_missed, find_skips, skips_of
from coordinator.controller.queue.work_queue import Priority
from coordinator.controller.reconcile import records
from coordinator.controller.state.heartbeat import led_up_to
from coordinator.model.cascade import course
from coordinator.model.decide import Decision, Obstacle
from coordinator.model.evaluation import all_inputs
from coordinator.model.partitions.instants import format_instant
from coordinator.model.phrases import some_of
from coordinator.model.references import Target
from coordinator.model.trigger import Action, Status, TriggerRecord
from coordinator.model.view import Readiness, readable_record
from coordinator.reading.reading import Reading


class Effect(enum.StrEnum):
    """What the watcher would do about a target at once.

    ``start``    its run is created or cleared
    ``wait``     it is due now, and waits for a limit
    ``resume``   a predecessor wrote its intent: the environment is asked, and the request repeated if necessary
    ``block``    it is due now, and its environment is not configured
    ``skip``     it is given up (consumed without a run): missed, or late
    ``consume``  its new inputs are consumed without a run (rerun ``ignore``, or given up before)
    """

    START = "start"
    WAIT = "wait"
    RESUME = "resume"
    BLOCK = "block"
    SKIP = "skip"
    CONSUME = "consume"


@dataclass(frozen=True, slots=True)
class Foreseen:
    """:ivar action: how the run is started; ``None``: no run is started."""

    target: Target
    effect: Effect
    action: Action | None
    wave: int
    why: str


@dataclass(frozen=True, slots=True)
class Preview:
    """:ivar follow: targets that would be started later if these, and all present runs, succeed; upstreams first.

    :ivar if_failed: how many would be started only if one of those runs fails (failure handlers).
    :ivar held_up: how many wait for a target that cannot be started.
    :ivar stuck: how many are out of date and cannot run by themselves.
    """

    foreseen: tuple[Foreseen, ...]
    follow: tuple[Target, ...]
    if_failed: int
    held_up: int
    stuck: int


def preview(
    reading: Reading,
    *,
    missed_after: float,
    environments: Collection[str],
    environment_limits: Mapping[str, EnvironmentLimits],
) -> Preview:
    """What a watcher would do at once if it began to lead at the reading's revision.

    This changes the reading: targets that would be given up are noted in it, because decisions below depend on them.

    :param missed_after: seconds, as in the settings.
    :param environments: the configured environments.
    """
    foreseen = [*_give_up_missed(reading, missed_after), *_give_up_late(reading)]
    admissions = _admissions(reading, environments, environment_limits)
    goes_on = course(
        reading.propagation.graph,
        reading.cache,
        known=reading.cache.targets(),
        revision=reading.cache.revision,
        now=reading.propagation.now,
        environments=environments,
    )
    started = {*goes_on.started}
    if_failed = held_up = stuck = 0
    for decision in _to_examine(reading):
        found = _foresee(reading, decision, admissions)
        if found is not None:
            foreseen.append(found)
        elif decision.readiness is Readiness.STUCK:
            stuck += 1
        elif decision.target in goes_on.held_up:
            held_up += 1
        elif decision.due and not decision.ready and not decision.obstacles and decision.target not in started:
            if_failed += 1
    started.difference_update(one.target for one in foreseen)
    follow = tuple(target for target in goes_on.started if target in started)
    return Preview(tuple(foreseen), follow, if_failed, held_up, stuck)


def _foresee(reading: Reading, decision: Decision, admissions: Mapping[str, Admission]) -> Foreseen | None:
    target, record = decision.target, _record(reading, decision.target)
    if record is not None and record.status is Status.INTENT:
        why = "its intent was written, and its outcome was not"
        return Foreseen(target, Effect.RESUME, record.action, record.wave, why)
    if decision.ignored and record is not None and not decision.obstacles:
        return Foreseen(target, Effect.CONSUME, None, decision.wave, _why(decision))
    if not decision.ready or not decision.obstacles <= {Obstacle.BLOCKED}:
        return None
    admission = admissions.get(target.pipeline.environment)
    if admission is None:
        why = f"no environment {target.pipeline.environment!r} is configured"
        return Foreseen(target, Effect.BLOCK, None, decision.wave, why)
    node = reading.propagation.graph.node(target.pipeline)
    rerun = node.downstream.rerun if node is not None else None
    run_id = records.run_to_clear(decision, record, reading.cache.state(target), rerun)
    action = Action.CREATE if run_id is None else Action.CLEAR
    enters = admission.enter(target, Priority.CATCHUP, now=0.0)
    return Foreseen(target, Effect.START if enters else Effect.WAIT, action, decision.wave, _why(decision))


def _give_up_missed(reading: Reading, missed_after: float) -> Iterator[Foreseen]:
    cache, propagation = reading.cache, reading.propagation
    absence = Absence(
        after=led_up_to(cache.heartbeat, cache.revision),
        until=cache.revision,
        before=propagation.now - timedelta(seconds=missed_after),
    )
    for pipeline, missed in find_missed(propagation, absence).items():
        for skip in skips_of(propagation, find_skips(propagation, pipeline, missed)):
            yield _give_up(reading, skip)


def _give_up_late(reading: Reading) -> Iterator[Foreseen]:
    rank = reading.propagation.graph.rank
    for target in sorted(reading.propagation.unsettled(), key=lambda target: (rank(target.pipeline), target)):
        decision = reading.propagation.decide(target)
        if decision.skips and decision.due_by is not None:
            yield _give_up(reading, Skip(decision, f"it is late: it was due by {format_instant(decision.due_by)}"))


def _give_up(reading: Reading, skip: Skip) -> Foreseen:
    target, now = skip.decision.target, reading.propagation.now
    record = records.skipped(skip.decision, _record(reading, target), skip.reason, who="", when=now)
    reading.cache.note_record(target, record, reading.cache.revision)
    reading.propagation.refresh([target])
    return Foreseen(target, Effect.SKIP, None, skip.decision.wave, skip.reason)


def _admissions(
    reading: Reading, environments: Collection[str], environment_limits: Mapping[str, EnvironmentLimits]
) -> dict[str, Admission]:
    """The gates of all environments, with what is in flight inside; slots are no limit here."""
    ages = ages_of_starts(reading.cache, reading.propagation.now)
    admissions: dict[str, Admission] = {}
    for name in environments:
        limits = environment_limits.get(name, EnvironmentLimits())
        admission = admissions[name] = Admission(
            slots=sys.maxsize,
            max_runs_in_flight=limits.max_runs_in_flight,
            max_starts_per_minute=limits.max_starts_per_minute,
        )
        admission.set_limits(pipeline_limits(reading.propagation.graph, name))
        admission.recall(ages.get(name, ()), now=0.0)
    for target in reading.cache.targets():
        record = _record(reading, target)
        noted = admissions.get(target.pipeline.environment)
        if noted is not None and record is not None and record.status in (Status.INTENT, Status.SENT):
            noted.note(reading.propagation.decide(target))
    return admissions


def _to_examine(reading: Reading) -> Iterator[Decision]:
    """The targets that the reconciler examines when its term begins."""
    unsettled = list(reading.propagation.unsettled_by_age())
    settled = set(reading.cache.targets()).difference(unsettled)
    for target in (*unsettled, *sorted(settled)):
        yield reading.propagation.decide(target)


def _record(reading: Reading, target: Target) -> TriggerRecord | None:
    return readable_record(reading.cache.record(target))


def _why(decision: Decision) -> str:
    """The new inputs, or the order."""
    if decision.order:
        return "a person has ordered it"
    new = [one.target for one in all_inputs(decision.evaluated) if one.new] if decision.evaluated is not None else []
    named = [str(one.pipeline if one.partition == decision.target.partition else one) for one in new]
    late = ", and it is late" if decision.late else ""
    return f"new: {some_of(named, 5)}{late}"
