"""The rule that decides (docs/architecture.md#the-rule). Pure: no I/O, no clock, no log.

**D fires in k when its condition holds over the inputs that count, at least one input of the branches that hold is
new, no branch that could still hold is busy, and D is not held, not in flight, and not itself queued or running.**

An input *counts* when its state satisfies the dependency and its own pipeline is settled (:mod:`.evaluation`). It is
*new* when its completion is not the one that D's last run used. To *fire* is to start the run: first an *intent* (the
request, with the completions that it uses) is written to etcd, then it is sent. Once the run is known to exist, the
completions are *consumed*. A *wave* is everything that runs because of one completion. A partition that is *given up*
(skipped) consumes its completions without a run. The *readiness* of a pipeline in a partition is one of:

* **busy**     it runs, or is due to run: what depends on it waits
* **stuck**    it is out of date, and something or somebody else must act first
* **settled**  neither

The rule was model-checked. Each simplification of it breaks a case of ``tests/worlds/cases.py``; the comments below
name which.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from datetime import datetime

import msgspec

from coordinator.model.assets.completions import producer_of
from coordinator.model.assets.completions import readiness_of as readiness_of_asset
from coordinator.model.assets.names import is_asset, is_of_assets
from coordinator.model.consumption import Consumed, Inputs
from coordinator.model.dependencies import Downstream, OnLate, Rerun, Settle
from coordinator.model.evaluation import (
    HOLDS,
    IF_REPAIRED,
    WOULD_HOLD,
    Evaluated,
    EvaluatedInput,
    all_inputs,
    evaluate,
    inputs_at,
)
from coordinator.model.graph import Graph
from coordinator.model.items.whole import Standing, row_of, rows_of
from coordinator.model.lateness import due_by
from coordinator.model.order import GivenOrder, Order
from coordinator.model.partitions import FixedKey, Latest
from coordinator.model.references import Target
from coordinator.model.retries import Retry, retry_of, time_limit_of
from coordinator.model.runstate import RunState
from coordinator.model.sensors import EvaluatedSensor, completions_of, evaluate_sensors
from coordinator.model.tasks import readiness_of
from coordinator.model.taskstate import TaskState
from coordinator.model.trigger import Status, TriggerRecord
from coordinator.model.view import Readiness, SeenRecord, SeenState, SeenWait, View, readable_record, readable_state


class Obstacle(enum.StrEnum):
    """Reasons besides its inputs why a due pipeline does not fire."""

    HELD = "held"
    IN_FLIGHT = "in flight"
    RUNNING = "queued or running"
    BLOCKED = "blocked"
    WAITS_FOR_RELEASE = "waiting for release"
    UNREADABLE_RECORD = "kept back by a trigger record that cannot be read"
    BROKEN = "kept back by a mistake in the coordinator, which could not decide about it"


class Decision(msgspec.Struct, frozen=True):
    """What the rule says about a pipeline in a partition, and why.

    :ivar due: it would fire now, or once its busy inputs have succeeded.
    :ivar stuck_afterwards: it runs, and will be stuck once it has ended: an input that it needs has failed again, or is
        stuck.
    :ivar ready: its inputs (or a person) require a run now; it ``fires`` if there is no obstacle either.
    :ivar ignored: its inputs require a run now, and its rerun policy is ``ignore``: they are consumed without a run.
    :ivar inputs: the completions that firing now would use.
    :ivar wave: the wave that firing now would belong to: the etcd revision of the completion (or order) at its top.
    :ivar evaluated: the condition, input by input; ``None`` for a pipeline that waits for nothing.
    :ivar has_pending_change: an input that could start it has changed, or is about to, so that its gates matter.
    :ivar order: etcd revision of the person's order that firing now would carry out; 0: none.
    :ivar due_by: its deadline, if it waits in this partition; it is ``late`` when that has passed.
    :ivar skips: it is late, and is given up for that reason.
    :ivar recheck_at: when the passing of time may change the decision.
    :ivar clears: the sensors that firing now clears, with what is below them, instead of the whole run.
    :ivar items: of a pipeline that fans out: how its items stand; ``None``: its rows were not read yet.
    :ivar by_sensors: it is due or out of date because of its sensors, and for no other reason.
    :ivar retry: its run has failed, and is started again by this, unless something new starts it before.
    :ivar retries: firing now is that retry.
    :ivar stops_at: its present attempt is stopped then, if it still goes on.
    :ivar sensors: all sensors of its present run that are cleared when their upstream completes again, evaluated.
    """

    target: Target
    readiness: Readiness
    due: bool = False
    stuck_afterwards: bool = False
    ready: bool = False
    ignored: bool = False
    obstacles: frozenset[Obstacle] = frozenset()
    inputs: Inputs = {}
    wave: int = 0
    evaluated: Evaluated | None = None
    has_pending_change: bool = False
    order: int = 0
    due_by: datetime | None = None
    late: bool = False
    skips: bool = False
    recheck_at: datetime | None = None
    clears: tuple[SeenWait, ...] = ()
    sensors: tuple[EvaluatedSensor, ...] = ()
    by_sensors: bool = False
    retry: Retry | None = None
    retries: bool = False
    stops_at: datetime | None = None
    items: Standing | None = None

    @property
    def fires(self) -> bool:
        return self.ready and not self.obstacles

    def is_state_outdated(self, seen: SeenState | None) -> bool:
        """Whether its items have come to something else than its own state says."""
        return self.items is not None and not self.items.is_written(seen)

    @property
    def runs_again(self) -> bool:
        """Whether it is to run (again), at once or after a repair, so that its present tasks are not to be used."""
        return self.due or self.stuck_afterwards

    @property
    def tasks_to_clear(self) -> tuple[str, ...]:
        """The ids of the sensors that firing now clears; none: it clears or creates a whole run."""
        return tuple(sorted({one.ref.task_id for one in self.clears}))


def decide(graph: Graph, view: View, target: Target) -> Decision:
    """Decide about a pipeline in a partition.

    A task is never started, nor is an asset: only its readiness is decided (:mod:`.tasks`, :mod:`.assets.completions`).

    :param view: one reading of etcd, with the readiness of the inputs and the present time.
    """
    if is_asset(target.pipeline):
        return Decision(target, readiness_of_asset(view, target))
    if target.pipeline.task:
        since = graph.task_active_since(target.pipeline)
        if since is None:
            return Decision(target, Readiness.SETTLED)
        run = decide_run_of(graph, view, target)
        readiness = readiness_of(view, target, run=run.readiness, runs_again=run.runs_again, active_since=since)
        return Decision(target, readiness)
    return decide_run_of(graph, view, target)


def decide_run_of(graph: Graph, view: View, target: Target) -> Decision:
    """Decide about the run of a task as far as that task is concerned: a clear of sensors that are not above it does
    not let it run again. So tasks of two pipelines may wait for each other.

    :param target: a task, or a pipeline as a whole, in a partition.
    """
    decision = decide_without_sensors(graph, view, target.whole)
    sensors = evaluate_sensors(graph, view, target.whole, above=target.pipeline.task)
    return _decide_by_sensors(graph, view, decision, sensors) if sensors else decision


def decide_without_sensors(graph: Graph, view: View, target: Target) -> Decision:
    """Decide about a pipeline without regard to its sensors. Parameters as in :func:`decide`."""
    seen, recorded = view.state(target), view.record(target)
    record = recorded.value if recorded is not None and isinstance(recorded.value, TriggerRecord) else None
    obstacles = set(_obstacles(view, target, seen, recorded))
    node = graph.node(target.pipeline)
    items = view.items(target) if record is not None and record.rows is not None else None
    if items is not None:  # it runs while one of its items does, whatever its own state says by now
        obstacles = obstacles - {Obstacle.RUNNING} | ({Obstacle.RUNNING} if items.busy else set())
    is_active = not obstacles.isdisjoint((Obstacle.IN_FLIGHT, Obstacle.RUNNING))
    order, ordered_at = _order(view, target, record)
    is_ordered = order is Order.RERUN

    if node is None or (target.pipeline.item and row_of(view, target) is None):
        # Asset events, and an item without a row, are nothing to run.
        is_ordered = is_ordered and node is None and not is_of_assets(target.pipeline)
        source = _decide_source(target, frozenset(obstacles), is_active, ordered_at if is_ordered else 0)
        if items is None:
            return source
        readiness = _readiness_with_items(source.readiness, items, seen)
        return msgspec.structs.replace(source, readiness=readiness, items=items)

    downstream = node.downstream
    has_run = record is not None and (len(record.consumed) > 0 or record.order > 0 or record.skipped)
    evaluated, inputs = evaluate(view, node, target, record)
    due, ready, used = _what_inputs_ask(evaluated, downstream.settle, is_ordered=is_ordered)
    has_pending_change = any(one.has_pending_change for one in inputs)

    deadline = None
    if has_pending_change and seen is None and not has_run:  # a started partition is never late
        deadline = due_by(downstream.deadline, graph, view, target, inputs)
    late = deadline is not None and view.now >= deadline
    if late and downstream.on_late is OnLate.FIRE and (present := _present(inputs)):
        due, ready, used = True, True, present
    skips = late and downstream.on_late is OnLate.SKIP and not (is_active or is_ordered)
    skips = skips and Obstacle.UNREADABLE_RECORD not in obstacles  # skipping would overwrite it

    ignores = not is_ordered and _is_over(downstream.rerun, record, has_run=has_run)
    if due and not (is_active or ignores) and downstream.rerun is Rerun.HOLD and has_run and order is None:
        obstacles.add(Obstacle.WAITS_FOR_RELEASE)

    if is_active or skips:
        readiness = Readiness.BUSY  # a skipped partition is settled once its record is written
    elif ignores:
        readiness = Readiness.SETTLED
    else:
        readiness = _readiness_by_inputs(evaluated, due=due, is_kept_back=bool(obstacles))
    if items is not None:
        readiness = _readiness_with_items(readiness, items, seen)
    decision = Decision(
        target=target,
        readiness=readiness,
        due=due and not ignores and not skips,
        stuck_afterwards=is_active and not (due or ignores) and _could_be_repaired(evaluated),
        ready=ready and not ignores and not skips,
        ignored=ready and ignores,
        obstacles=frozenset(obstacles),
        inputs=_completions(used) if ready else {},
        wave=max((_wave(view, one) for one in used if one.new), default=ordered_at) if ready else 0,
        evaluated=evaluated,
        has_pending_change=has_pending_change or is_ordered,  # an ordered run also waits for a busy gate
        order=ordered_at,
        due_by=deadline,
        late=late,
        skips=skips,
        recheck_at=_recheck_at(view, inputs, deadline) if has_pending_change else None,
        items=items,
    )
    return _with_attempts(view, decision, downstream, record, readable_state(seen))


def _readiness_with_items(own: Readiness, items: Standing, seen: SeenState | None) -> Readiness:
    """How ready a pipeline is that fans out. Until the leader has written what follows from its items, its state is
    that of before."""
    if items.busy or not items.is_written(seen):
        return Readiness.BUSY
    return Readiness.STUCK if items.stuck and own is Readiness.SETTLED else own


def _decide_by_sensors(graph: Graph, view: View, decision: Decision, sensors: list[EvaluatedSensor]) -> Decision:
    """Decide about a pipeline whose present run has sensors that are cleared when their upstream completes again.

    While its dependencies, or a person, ask for the whole run, no sensor is cleared: they all run again with it. All
    sensors that are to be cleared are cleared together, once none of their upstreams is busy any more.
    """
    decision = msgspec.structs.replace(decision, sensors=tuple(sensors))
    if decision.due or decision.ready or decision.ignored or decision.skips:
        return decision
    node = graph.node(decision.target.pipeline)
    rerun = node.downstream.rerun if node is not None else Rerun.CLEAR
    order, ordered_at = _order(view, decision.target, readable_record(view.record(decision.target)))
    new = [one for one in sensors if one.new]
    busy, repairable = any(one.busy for one in sensors), any(one.repairable for one in sensors)
    if rerun is Rerun.IGNORE or not (new or busy or repairable):
        return decision
    due, ready = bool(new) or busy, bool(new) and not busy
    obstacles = set(decision.obstacles)
    is_active = not obstacles.isdisjoint((Obstacle.IN_FLIGHT, Obstacle.RUNNING))
    is_kept = rerun is Rerun.HOLD or any(one.is_loop for one in new)
    if due and is_kept and order is None and not is_active:
        obstacles.add(Obstacle.WAITS_FOR_RELEASE)
    readiness = decision.readiness
    if is_active or (due and not obstacles):
        readiness = Readiness.BUSY
    elif due or repairable:
        readiness = Readiness.STUCK
    return msgspec.structs.replace(
        decision,
        readiness=readiness,
        due=due,
        stuck_afterwards=decision.stuck_afterwards or (is_active and repairable and not due),
        ready=ready,
        obstacles=frozenset(obstacles),
        inputs=completions_of(new) if ready else {},
        wave=max(_wave_of(view, one.wait.upstream, one.state) for one in new) if ready else 0,
        has_pending_change=True,
        clears=tuple(one.seen for one in new) if ready else (),
        order=ordered_at,
        by_sensors=True,
    )


def _with_attempts(
    view: View, decision: Decision, downstream: Downstream, record: TriggerRecord | None, state: RunState | None
) -> Decision:
    """The decision, with what is to become of a run that failed, or takes too long (:mod:`.retries`).

    What is new starts a pipeline as always, instead of a retry. A retry is no rerun: the rerun policy does not matter.
    While it is to come, the pipeline is busy, so that nothing below sees the failure.
    """
    stops_at, retry = time_limit_of(record, state, downstream), retry_of(record, state, downstream)
    if stops_at is None and retry is None:
        return decision
    moments = (decision.recheck_at, stops_at, retry.at if retry is not None else None)
    decision = msgspec.structs.replace(
        decision,
        stops_at=stops_at,
        retry=retry,
        recheck_at=min((one for one in moments if one is not None and one > view.now), default=None),
    )
    starts_anew = decision.due and Obstacle.WAITS_FOR_RELEASE not in decision.obstacles
    if retry is None or record is None or starts_anew:
        return decision
    obstacles = decision.obstacles - {Obstacle.WAITS_FOR_RELEASE}
    is_kept_back = not obstacles <= {Obstacle.IN_FLIGHT, Obstacle.RUNNING}
    decision = msgspec.structs.replace(
        decision, readiness=Readiness.STUCK if is_kept_back else Readiness.BUSY, due=True, obstacles=obstacles
    )
    if decision.ignored:
        return decision  # what is new is consumed first
    ready = view.now >= retry.at
    return msgspec.structs.replace(
        decision, ready=ready, retries=True, inputs={}, wave=record.wave if ready else 0, order=0
    )


def _what_inputs_ask(
    evaluated: Evaluated, settle: Settle, *, is_ordered: bool
) -> tuple[bool, bool, list[EvaluatedInput]]:
    """Whether the inputs, or a person, require a run; whether they require it now; and the inputs that it would use."""
    expected = inputs_at(evaluated, WOULD_HOLD)
    used = inputs_at(evaluated, HOLDS)
    due = is_ordered or any(one.triggers and (one.new or one.busy) for one in expected)
    ready = is_ordered or any(one.new for one in used)
    if settle is Settle.WAVE:
        # A busy branch is waited for (case 7); one that cannot hold is not (cases 5, 25).
        ready = ready and not any(one.busy for one in expected)
    return due, ready, used


def _present(inputs: list[EvaluatedInput]) -> list[EvaluatedInput]:
    """What a late pipeline fires with: the inputs that are there, if at least one of them is new."""
    present = [one for one in inputs if one.holds]
    return present if any(one.new for one in present) else []


def _is_over(rerun: Rerun, record: TriggerRecord | None, *, has_run: bool) -> bool:
    """Whether nothing that its inputs do starts the partition again: it has run, and does not run again by itself
    (case 4), or it has been skipped."""
    return (rerun is Rerun.IGNORE and has_run) or (record is not None and record.skipped)


def _readiness_by_inputs(evaluated: Evaluated, *, due: bool, is_kept_back: bool) -> Readiness:
    """How ready a pipeline is that does not run. :param is_kept_back: an obstacle stands against it."""
    if due and not is_kept_back:
        return Readiness.BUSY
    if due or _could_be_repaired(evaluated):
        return Readiness.STUCK  # out of date, and something or somebody else must act first (case 3)
    return Readiness.SETTLED  # also with something new in a branch that does not hold: it is not needed (cases 6, 25)


def _decide_source(target: Target, obstacles: frozenset[Obstacle], is_active: bool, ordered_at: int) -> Decision:
    """Decide about a pipeline without upstreams, which runs when its environment or a person starts it."""
    readiness = Readiness.SETTLED
    if is_active or (ordered_at and not obstacles):
        readiness = Readiness.BUSY
    elif ordered_at:
        readiness = Readiness.STUCK
    return Decision(
        target,
        readiness,
        due=bool(ordered_at),
        ready=bool(ordered_at),
        obstacles=obstacles,
        wave=ordered_at,
        order=ordered_at,
    )


def _order(view: View, target: Target, record: TriggerRecord | None) -> tuple[Order | None, int]:
    """A person's order that has not been carried out yet, and its etcd revision."""
    given = view.order(target)
    if given is None or not isinstance(given.value, GivenOrder):
        return None, 0
    if record is not None and given.revision <= record.order:
        return None, 0
    return given.value.order, given.revision


def _could_be_repaired(evaluated: Evaluated) -> bool:
    """Whether it is out of date, and only the repair of an input would let it run; a gate alone is not enough."""
    return (
        evaluated.if_repaired
        and not evaluated.would_hold
        and any(one.has_pending_change for one in inputs_at(evaluated, IF_REPAIRED))
    )


def _recheck_at(view: View, inputs: list[EvaluatedInput], deadline: datetime | None) -> datetime | None:
    """The next moment at which a deadline passes, or a completion becomes too old."""
    moments = [one.expires for one in inputs if one.expires is not None and one.met]
    if deadline is not None:
        moments.append(deadline)
    return min((moment for moment in moments if moment > view.now), default=None)


def _obstacles(view: View, target: Target, seen: SeenState | None, recorded: SeenRecord | None) -> list[Obstacle]:
    found = []
    if view.hold(target.pipeline) is not None or view.hold(target.pipeline.fanned_out) is not None:
        found.append(Obstacle.HELD)
    if seen is not None and isinstance(seen.value, RunState) and not seen.value.state.is_terminal:
        found.append(Obstacle.RUNNING)
    if recorded is not None:
        if not isinstance(recorded.value, TriggerRecord):
            # Firing without knowing the record could start a run twice; a person must act (it is shown as a problem).
            found.append(Obstacle.UNREADABLE_RECORD)
        elif in_flight(recorded.value, recorded.revision, seen):
            found.append(Obstacle.IN_FLIGHT)
        elif recorded.value.status is Status.BLOCKED:
            found.append(Obstacle.BLOCKED)
    return found


def in_flight(record: TriggerRecord, revision: int, seen: SeenState | None) -> bool:
    """Whether a request is under way, or the end of its run has not been seen (docs/architecture.md#in-flight).

    It is no longer in flight when there is a terminal state of an attempt at least as new as the one that our request
    made; the late end of an older attempt does not count (case 11). A report without queued_at cannot be compared: it
    counts when its revision is greater than that of the ``sent`` record.

    :param revision: etcd revision of the record's key.
    """
    if record.status is Status.INTENT:
        return True
    if record.status is not Status.SENT:
        return False  # even if the state key was deleted after the end (case 18)
    if seen is None or not isinstance(seen.value, RunState) or not seen.value.state.is_terminal:
        return True
    reported = seen.value.attempt.queued_at
    if reported is not None and record.attempt is not None:
        return reported < record.attempt
    return seen.revision <= revision


def tasks_to_ask_about(decision: Decision) -> list[Target]:
    """The tasks that nobody has waited for before, so that no look has asked about them, among the inputs of a target
    that is due, or would be once something is repaired."""
    if not (decision.due or decision.readiness is Readiness.STUCK) or decision.evaluated is None:
        return []
    return [one.target for one in all_inputs(decision.evaluated) if one.unasked]


def repairable_upstreams(decision: Decision) -> list[Target]:
    """What failed again, or is stuck, among the inputs of a target and what its sensors have waited for."""
    inputs = all_inputs(decision.evaluated) if decision.evaluated is not None else ()
    found = [one.target for one in inputs if one.repairable]
    return found + [one.wait.upstream for one in decision.sensors if one.repairable]


def completions(decision: Decision) -> dict[Target, Consumed]:
    """Every completion among a decision's inputs, used or not."""
    if decision.evaluated is None:
        return {}
    return _completions(one for one in all_inputs(decision.evaluated) if one.met or one.new)


def _completions(used: Iterable[EvaluatedInput]) -> dict[Target, Consumed]:
    found: dict[Target, Consumed] = {}
    for one in used:
        if one.seen is not None and isinstance(one.seen.value, RunState):
            as_newest = isinstance(one.dependency.mapping, Latest | FixedKey)
            if as_newest and one.target in found:
                continue  # another dependency names this partition itself
            found[one.target] = Consumed(one.seen.used_up_to, one.seen.value.attempt, one.seen.value.state, as_newest)
    return found


def grounds(decision: Decision) -> list[tuple[Target, int]]:
    """The states that a decision stands on, with the mod revisions of their keys."""
    inputs = all_inputs(decision.evaluated) if decision.evaluated is not None else ()
    found = {one.target: one.seen.revision for one in inputs if one.seen is not None}
    return [(target, found.get(target, used.revision)) for target, used in decision.inputs.items()]


def _wave(view: View, one: EvaluatedInput) -> int:
    return _wave_of(view, one.target, one.seen)


def _wave_of(view: View, target: Target, seen: SeenState | None) -> int:
    """The wave of a completion: its own revision, or the wave of the record that started its run."""
    assert seen is not None
    assert isinstance(seen.value, RunState)
    if (emitted_by := producer_of(seen)) is not None:
        above = view.state(emitted_by)
        state = readable_state(above)
        is_its_run = state is not None and state.attempt.run_id == seen.value.attempt.run_id
        return _wave_of(view, emitted_by, above) if is_its_run else seen.came_at
    if (rows := rows_of(view, target)) is not None:
        of_items = [Target(target.pipeline.with_item(key), target.partition) for key in rows.by_key]
        known = ((one, view.state(one)) for one in of_items)
        ended = [_wave_of(view, one, state) for one, state in known if readable_state(state) is not None]
        return max(ended, default=_wave_of_rows(view, target, seen))
    if target.pipeline.is_rows:
        return _wave_of_rows(view, Target(target.pipeline.fanned_out, target.partition), seen)
    recorded = view.record(target.whole)
    if recorded is None or not isinstance(recorded.value, TriggerRecord):
        return seen.revision
    run = seen.value.run if isinstance(seen.value, TaskState) else seen.value.attempt
    record, reported = recorded.value, run.queued_at
    if reported is not None and record.attempt is not None:
        ours = reported == record.attempt
    else:
        ours = record.status is Status.SENT or (record.status is Status.DONE and seen.revision < recorded.revision)
    return record.wave if ours else seen.revision


def _wave_of_rows(view: View, whole: Target, seen: SeenState) -> int:
    """The wave in which the rows were read."""
    record = readable_record(view.record(whole))
    return record.wave if record is not None else seen.revision
