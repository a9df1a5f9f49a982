"""Causes: why a pipeline does not fire, followed up through its inputs to the first reason: a run that goes on, a run
that failed, a hold, a refused request, a missing run.

Each pipeline on the way is decided about once, however many paths lead to it.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from coordinator.model.assets.names import is_asset, is_delivery
from coordinator.model.conditions import On
from coordinator.model.decide import Decision, Obstacle
from coordinator.model.durations import format_duration
from coordinator.model.evaluation import WOULD_HOLD, EvaluatedInput, inputs_at
from coordinator.model.explanation.headline import MOVING, items_in_words, missing_inputs, reason, until_stopped
from coordinator.model.explanation.of_asset import EMIT_IT, ON_ITS_WAY, has_failed, producers_in_the_way
from coordinator.model.explanation.words import (
    asked_for,
    did,
    hold_in_words,
    how_to_fill,
    how_to_release,
    how_to_report,
    listed,
    moment,
    named,
    run_in_words,
    state_of,
)
from coordinator.model.gaps import Cause as GapCause
from coordinator.model.gaps import find_gap
from coordinator.model.hold import Hold
from coordinator.model.items.whole import is_of_items
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.references import Target
from coordinator.model.retries import are_used_up
from coordinator.model.runstate import RunState, State, Unreadable
from coordinator.model.sensors import EvaluatedSensor
from coordinator.model.shell import command
from coordinator.model.tasks import TaskObservation, observation_of, refusal_of
from coordinator.model.taskstate import TaskState
from coordinator.model.trigger import Status, TriggerRecord
from coordinator.model.view import Readiness, readable_record, readable_state

MOST = 1000
"""The greatest number of pipelines that are followed: a person reads the explanation."""

_IF_PAUSED = "; while its DAG is paused it stays queued (coordinator doctor names paused DAGs)"
"""etcd does not show whether a DAG is paused, and an explanation asks no environment."""


class Kind(enum.StrEnum):
    """The kind of a cause. The first three pass by themselves."""

    RUNNING = "running"
    IN_FLIGHT = "in flight"
    STARTING = "starting"
    FAILED = "failed"
    TOO_OLD = "too old"
    NOT_YET = "not yet"
    HELD = "held"
    BLOCKED = "blocked"
    WAITS_FOR_RELEASE = "waiting for release"
    UNREADABLE = "unreadable"
    BROKEN = "broken"

    @property
    def passes_by_itself(self) -> bool:
        return self in (Kind.RUNNING, Kind.IN_FLIGHT, Kind.STARTING)


@dataclass(frozen=True, slots=True)
class Cause:
    """A target that makes others wait, and why.

    :ivar says: the reason, as a sentence without its subject.
    :ivar remedy: what a person can do; empty if it only takes time.
    :ivar via: the pipelines between the one explained and this one, the nearest first.
    :ivar run_id: the run that blocks, if there is one.
    :ivar since: since when, if it is known.
    """

    target: Target
    kind: Kind
    says: str
    remedy: str = ""
    via: tuple[Target, ...] = ()
    run_id: str | None = None
    since: datetime | None = None

    def sentence(self, beside: Target) -> str:
        """The cause as a sentence with its subject, and the path to it. :param beside: the target that is explained."""
        way = [named(step, beside) for step in self.via]
        if len(way) > 4:
            way[2:-2] = ["..."]
        behind = f" (behind {' <- '.join(way)})" if way else ""
        return f"{named(self.target, beside) if self.target != beside else 'it'} {self.says}{behind}"


def causes_of(propagation: Propagation, decision: Decision, *, known: bool = True) -> tuple[Cause, ...]:
    """The causes, nearest first. :param known: something has this partition; else no cause has a remedy in it."""
    causes = _follow(propagation, decision)
    return tuple(causes if known else (replace(one, remedy="") if one.kind is Kind.NOT_YET else one for one in causes))


def _follow(propagation: Propagation, top: Decision) -> Iterator[Cause]:
    waiting: deque[tuple[Decision, tuple[Target, ...]]] = deque([(top, ())])
    seen = {top.target}
    while waiting:
        decision, via = waiting.popleft()
        own = list(own_causes(propagation, decision, via))
        yield from own
        if is_asset(decision.target.pipeline):
            for producer in producers_in_the_way(propagation, decision.target):
                if producer in seen:
                    continue
                seen.add(producer)
                if has_failed(propagation, producer) and (run := readable_state(propagation.state(producer))):
                    yield failure(producer, run, (*via, decision.target))
                else:
                    waiting.append((propagation.decide(producer), (*via, decision.target)))
            continue
        if decision.target.pipeline.task:
            pipeline = decision.target.whole
            if not own and pipeline not in seen:
                seen.add(pipeline)
                waiting.append((propagation.decide(pipeline), (*via, decision.target)))
            continue
        if not MOVING.isdisjoint(decision.obstacles):
            continue  # at present it does not wait for its inputs
        if decision is top:
            run = readable_state(propagation.state(decision.target))
            if run is not None and run.state is State.FAILED and decision.readiness is Readiness.SETTLED:
                yield failure(decision.target, run)
            if (missed := _missed(propagation, decision.target, via)) is not None:
                yield missed
        further = via if decision is top else (*via, decision.target)
        for sensor in _sensors_in_the_way(decision):
            above = sensor.wait.upstream
            if above in seen or len(seen) >= MOST:
                continue
            seen.add(above)
            state = readable_state(sensor.state)
            if state is not None and propagation.readiness(above) is Readiness.SETTLED:
                yield failure(above, state, further)
            else:
                waiting.append((propagation.decide(above), further))
        for one in inputs_in_the_way(decision):
            for target in _coming(propagation, one) or [one.target]:
                if target in seen or len(seen) >= MOST:
                    continue
                seen.add(target)
                upstream = propagation.decide(target)
                if one.readiness is Readiness.SETTLED and not _has_still_to_come(one, upstream):
                    yield cause_at_rest(propagation, one, further)
                else:
                    waiting.append((upstream, further))


def _loop_in_words(sensor: EvaluatedSensor) -> str:
    upstream = sensor.wait.upstream.pipeline
    return (
        f"its sensor {sensor.seen.ref.task_id} waits for {upstream}, which waits for it in turn, so that clears would "
        'go on for ever; let one of the two sensors have rerun="ignore"'
    )


def _sensors_in_the_way(decision: Decision) -> Iterator[EvaluatedSensor]:
    """The sensors for whose upstreams a pipeline waits before it clears them."""
    if decision.by_sensors and not decision.ready:
        yield from (one for one in decision.sensors if one.busy or (one.repairable and not decision.due))


def why_unsettled(propagation: Propagation, one: EvaluatedInput) -> str:
    """Why an input is busy or stuck, without its name; only one step up."""
    if coming := _coming(propagation, one):
        return f"has more to come: {listed([target.partition for target in coming])}"
    upstream = propagation.decide(one.target)
    if own := "; ".join(cause.says for cause in own_causes(propagation, upstream)):
        return own
    if is_asset(one.target.pipeline):
        by = [
            f"{named(producer, one.target)}, which emits it, {_how_it_is(propagation, producer)}"
            for producer in producers_in_the_way(propagation, one.target)
        ]
        return listed(by, "; ")
    if one.target.pipeline.task:
        pipeline = propagation.decide(one.target.whole)
        return f"waits for {named(one.target.whole, one.target)}, which {reason(pipeline)}"
    return reason(upstream)


def _how_it_is(propagation: Propagation, target: Target) -> str:
    """How a pipeline stands, without its name."""
    state = readable_state(propagation.state(target))
    if state is not None and has_failed(propagation, target):
        return did(state)
    decision = propagation.decide(target)
    return "; ".join(cause.says for cause in own_causes(propagation, decision)) or reason(decision)


def _coming(propagation: Propagation, one: EvaluatedInput) -> list[Target]:
    """The *coming* partitions: those that may still bring a newer completion, for ``latest`` and ``fixed_key``, whose
    input is the newest one. They make it busy, not the input itself."""
    return [] if propagation.readiness(one.target) is Readiness.BUSY else sorted(one.awaited)


def inputs_in_the_way(decision: Decision) -> Iterator[EvaluatedInput]:
    """The inputs that keep a pipeline from firing."""
    evaluated = decision.evaluated
    if evaluated is None:
        return
    if decision.readiness is Readiness.SETTLED:
        yield from missing_inputs(evaluated)
    elif decision.due:
        yield from (one for one in inputs_at(evaluated, WOULD_HOLD) if one.busy)
    else:
        yield from (one for one in missing_inputs(evaluated) if one.if_repaired)


def _has_still_to_come(one: EvaluatedInput, upstream: Decision) -> bool:
    """Whether an input is missing because its own inputs are missing, which are then the cause."""
    return readable_state(one.seen) is None and upstream.evaluated is not None and not upstream.evaluated.holds


def cause_at_rest(propagation: Propagation, one: EvaluatedInput, via: tuple[Target, ...] = ()) -> Cause:
    """The cause for a settled input whose state does not meet the dependency."""
    state = readable_state(one.seen)
    if state is not None and state.state is not State.FAILED and one.dependency.on.satisfied_by(state.state):
        run_id, since = state.attempt.run_id, state.since
        return Cause(one.target, Kind.TOO_OLD, f"{did(state)}; {_too_old(one)}", "run it again", via, run_id, since)
    return not_met(propagation, one.target, one.dependency.on, via)


def not_met(propagation: Propagation, upstream: Target, on: On, via: tuple[Target, ...] = ()) -> Cause:
    """The cause for a settled upstream that has not ended as it should.

    :param on: how it should end.
    """
    if upstream.pipeline.task and observation_of(propagation, upstream) is not TaskObservation.ENDED:
        return _task_not_ended(propagation, upstream, via)
    seen = propagation.state(upstream)
    state = readable_state(seen)
    if is_asset(upstream.pipeline):
        return Cause(upstream, Kind.NOT_YET, "has not been emitted in this partition yet", EMIT_IT, via)
    if state is None:
        how = how_to_report(upstream)
        if seen is not None:
            return Cause(upstream, Kind.UNREADABLE, f"is {state_of(seen)}", f"report it again: {how}", via)
        if (missed := _missed(propagation, upstream, via)) is not None:
            return missed
        if (removed := _removed(propagation, upstream)) is not None:
            remedy = f"if it has succeeded there, report that: {how}; else run it in this partition, or clear its run"
            return Cause(upstream, Kind.NOT_YET, f"has not run in this partition, or {removed}", remedy, via)
        if propagation.graph.node(upstream.pipeline) is not None:
            remedy = f"'{command('explain', *upstream)}' says what it waits for"
            return Cause(upstream, Kind.NOT_YET, "has not run in this partition yet", remedy, via)
        remedy = (
            "run it in this partition (if its run is queued there: is its DAG paused?); outside Airflow, report "
            f"success or failed: {how}"
        )
        return Cause(upstream, Kind.NOT_YET, "has not run in this partition yet", remedy, via)
    if state.state is State.FAILED:
        failed = failure(upstream, state, via)
        return replace(failed, says=failed.says + retries_in_words(propagation, upstream))
    says = f"{did(state)}; it is waited for until it {asked_for(on)}"
    return Cause(upstream, Kind.NOT_YET, says, "", via, state.attempt.run_id, state.since)


def _missed(propagation: Propagation, target: Target, via: tuple[Target, ...]) -> Cause | None:
    """That its upstreams have completed, and nothing starts it for that any more."""
    gap = find_gap(propagation.graph, propagation, target) if target not in propagation.broken else None
    if gap is None or gap.cause is GapCause.IGNORED:
        return None
    completed = listed([named(one, target) for one in gap.inputs])
    if gap.cause is GapCause.SKIPPED:
        says = f"was given up{f' ({gap.note})' if gap.note else ''}, and has not run on {completed}"
    else:
        says = f"has not run on {completed}, which completed before the dependency counted"
    return Cause(target, Kind.NOT_YET, says, f"order the run: {how_to_fill(target)}", via)


def _removed(propagation: Propagation, target: Target) -> str | None:
    """That retention may have removed what is not there, in words."""
    watermark = propagation.watermark(target.pipeline)
    if watermark is None or propagation.state(target) is not None or not watermark.may_have_removed(target.partition):
        return None
    return f"it was removed by retention, which has removed runs queued{moment('up to', watermark.queued_at)}"


def failure(target: Target, state: RunState, via: tuple[Target, ...] = ()) -> Cause:
    """The cause for a run that failed."""
    run_id = state.attempt.run_id
    if is_of_items(state.attempt):
        remedy = (
            f"clear the runs of these items once what broke them is fixed: '{command('explain', *target)}' names them"
        )
        return Cause(target, Kind.FAILED, did(state), remedy, via, None, state.since)
    what = "it" if target.pipeline.task or not run_id else f"its run {run_id}"
    remedy = f"clear {what} once what broke it is fixed"
    if not target.pipeline.task:
        remedy += f", or: {command('rerun', *target)}"
    return Cause(target, Kind.FAILED, did(state), remedy, via, run_id, state.since)


def retries_in_words(propagation: Propagation, target: Target) -> str:
    """That a run that failed is started again no more, if it was before."""
    node, record = propagation.graph.node(target.pipeline), readable_record(propagation.record(target))
    if node is None or not are_used_up(record, readable_state(propagation.state(target)), node.downstream):
        return ""
    return f"; no retry is left of {node.downstream.retries}"


def _too_old(one: EvaluatedInput) -> str:
    age = format_duration(one.dependency.max_age) if one.dependency.max_age is not None else ""
    if one.expires is None:
        return f"it must not be older than {age}, and nobody said when it ended"
    return f"that is too old{moment('since', one.expires)} (max_age {age})"


def own_causes(propagation: Propagation, decision: Decision, via: tuple[Target, ...] = ()) -> Iterator[Cause]:
    """The causes besides its inputs that keep a pipeline from firing."""
    target = decision.target
    if is_asset(target.pipeline):
        if decision.readiness is Readiness.BUSY and not [*producers_in_the_way(propagation, target)]:
            yield Cause(target, Kind.RUNNING, ON_ITS_WAY, "", via)
        return
    if target.pipeline.task:
        yield from _task_goes_on(propagation, target, via)
        return
    state, seen = readable_state(propagation.state(target)), propagation.record(target)
    record = readable_record(seen)
    if decision.items is not None and (decision.items.busy or decision.is_state_outdated(propagation.state(target))):
        yield Cause(target, Kind.RUNNING, items_in_words(decision.items), "", via)
    elif decision.items is not None and decision.items.stuck:
        remedy = f"'{command('explain', *target)}' names them, and explains each"
        yield Cause(target, Kind.BLOCKED, items_in_words(decision.items), remedy, via)
    elif Obstacle.RUNNING in decision.obstacles and state is not None:
        running = _running(target, state, via)
        yield replace(running, says=running.says + until_stopped(decision))
    elif Obstacle.IN_FLIGHT in decision.obstacles and record is not None:
        flying = _in_flight(target, record, via)
        yield replace(flying, says=flying.says + until_stopped(decision))
    elif decision.fires or decision.skips or (decision.retries and not decision.obstacles):
        yield Cause(target, Kind.STARTING, reason(decision), "", via)
    wants_to_run = decision.due or decision.readiness is not Readiness.SETTLED
    if Obstacle.HELD in decision.obstacles and wants_to_run:
        hold = propagation.hold(target.pipeline) or propagation.hold(target.pipeline.fanned_out)
        held_since = hold.since if isinstance(hold, Hold) else None
        yield Cause(target, Kind.HELD, f"is held: {hold_in_words(hold)}", how_to_release(target), via, since=held_since)
    if Obstacle.WAITS_FOR_RELEASE in decision.obstacles:
        says = "is due again, and waits until a person releases it (rerun: hold)"
        if loops := [one for one in decision.sensors if one.new and one.is_loop]:
            says = f"waits until a person releases it: {_loop_in_words(loops[0])}"
        yield Cause(target, Kind.WAITS_FOR_RELEASE, says, how_to_release(target, partition=True), via)
    if Obstacle.BLOCKED in decision.obstacles and record is not None and wants_to_run:
        since, asked = moment("since", record.blocked_since), moment("last asked at", record.when)
        says = f"is blocked{since}: {record.last_error}{f' ({asked.strip()})' if asked else ''}"
        remedy = "fix what its environment refuses; it is tried again by itself"
        if is_delivery(target.pipeline):
            remedy += f", and at once by coordinator assets replay --all --to {target.pipeline.environment}"
        yield Cause(target, Kind.BLOCKED, says, remedy, via, record.run_id, record.blocked_since or record.when)
    if Obstacle.UNREADABLE_RECORD in decision.obstacles:
        why = seen.value.reason if seen is not None and isinstance(seen.value, Unreadable) else ""
        says = f"is kept back by its trigger record, which cannot be read: {why}"
        remedy = "repair the record, or delete it, which means that it has never run"
        yield Cause(target, Kind.UNREADABLE, says, remedy, via)
    if Obstacle.BROKEN in decision.obstacles:
        error = propagation.broken.get(target)
        says = f"is kept back by a mistake in the coordinator: {type(error).__name__}: {error}"
        yield Cause(target, Kind.BROKEN, says, "report it; it is tried again every minute", via)


def _task_goes_on(propagation: Propagation, task: Target, via: tuple[Target, ...]) -> Iterator[Cause]:
    """That a task has not ended in the present run. If that is not why it is busy or stuck, its pipeline is."""
    pipeline, run = propagation.decide(task.whole), readable_state(propagation.state(task.whole))
    if run is None or pipeline.due or pipeline.readiness is Readiness.STUCK:
        return
    since = run.since
    if (refused := _refused(propagation, task, via)) is not None:
        yield refused
        return
    match observation_of(propagation, task):
        case TaskObservation.RUNNING if run.state is State.RUNNING:
            seen = readable_state(propagation.state(task))
            says = f"has not ended{run_in_words(run)}"
            if isinstance(seen, TaskState) and seen.missing:
                says = f"is not there{run_in_words(run)}: the DAG has no such task, or not yet"
            yield Cause(task, Kind.RUNNING, says, "", via, run.attempt.run_id, since)
        case TaskObservation.OUTDATED if run.state is not State.QUEUED:
            says = f"is still to be asked about{run_in_words(run)}"
            yield Cause(task, Kind.RUNNING, says, "", via, run.attempt.run_id, since)


def _refused(propagation: Propagation, task: Target, via: tuple[Target, ...]) -> Cause | None:
    """That its environment does not show the task."""
    seen = readable_state(propagation.state(task))
    if not isinstance(seen, TaskState) or not (why := refusal_of(propagation, task)):
        return None
    says = f"is not shown by {task.pipeline.environment} in run {seen.run.run_id}: {why}"
    return Cause(task, Kind.UNREADABLE, says, "", via, seen.run.run_id)


def _task_not_ended(propagation: Propagation, task: Target, via: tuple[Target, ...]) -> Cause:
    """That there is no run, or that it ended without the task."""
    seen = readable_state(propagation.state(task))
    if observation_of(propagation, task) is TaskObservation.NO_RUN or not isinstance(seen, TaskState):
        says = f"has not ended: {named(task.whole, task)} has no run in this partition yet"
        if (removed := _removed(propagation, task.whole)) is not None:
            says = f"is not known: {named(task.whole, task)} has not run in this partition, or {removed}"
            return Cause(task, Kind.NOT_YET, says, "run it in this partition, or clear its run", via)
        return Cause(task, Kind.NOT_YET, says, "run it in this partition", via)
    if (refused := _refused(propagation, task, via)) is not None:
        return refused
    run_id = seen.run.run_id
    if seen.missing:
        says = f"is no task of run {run_id}: its DAG did not have it"
        remedy = "correct its name (and clear a sensor that waits), or run the DAG that has it"
        return Cause(task, Kind.NOT_YET, says, remedy, via, run_id)
    return Cause(task, Kind.NOT_YET, f"did not run in run {run_id}, which has ended", "clear it", via, run_id)


def _running(target: Target, state: RunState, via: tuple[Target, ...]) -> Cause:
    says = f"{did(state)}{_IF_PAUSED if state.state is State.QUEUED else ''}"
    return Cause(target, Kind.RUNNING, says, "", via, state.attempt.run_id, state.since)


def _in_flight(target: Target, record: TriggerRecord, via: tuple[Target, ...]) -> Cause:
    if record.status is Status.SENT:
        says = (
            f"was started as run {record.run_id}{moment('at', record.attempt or record.when)}; "
            f"its end is not known yet{_IF_PAUSED}"
        )
    elif is_delivery(target.pipeline):
        says = f"is being handed on{moment('since', record.when)}; no answer is known yet"
    else:
        says = f"is about to be started as run {record.run_id}{moment('since', record.when)}; no answer is known yet"
    if record.last_error:
        says += f" ({record.last_error})"
    return Cause(target, Kind.IN_FLIGHT, says, "", via, record.run_id, record.attempt or record.when)
