"""What would run because of a person's act: a simulation with the rule, on the facts in etcd, before anything is
changed.

The simulation carries out the act, asks the rule what fires, lets that run and succeed at once, and asks again until
nothing changes any more. So it shows what a watcher would do, through any condition and mapping, without a second
implementation of the rule.
"""

from __future__ import annotations

import enum
import heapq
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec.structs import replace

from coordinator.model.assets.completions import AssetCompletion, Told, with_event
from coordinator.model.consumption import NOTHING, Consumption, Inputs
from coordinator.model.decide import Decision, Obstacle, completions, tasks_to_ask_about
from coordinator.model.dependencies import Rerun
from coordinator.model.graph import Graph
from coordinator.model.hold import Hold
from coordinator.model.items.rows import Rows
from coordinator.model.order import GivenOrder, Order
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.references import PipelineRef, Target
from coordinator.model.retention.watermark import Watermark
from coordinator.model.runstate import Attempt, RunState, State, Unreadable
from coordinator.model.tasks import TaskObservation, observation_of
from coordinator.model.taskstate import TaskState
from coordinator.model.trigger import Action, Status, TriggerRecord
from coordinator.model.view import (
    Facts,
    Readiness,
    SeenOrder,
    SeenRecord,
    SeenState,
    SeenWait,
    readable_record,
    readable_state,
)
from coordinator.model.waits import Completion, Wait

_MOVING = frozenset({Obstacle.IN_FLIGHT, Obstacle.RUNNING})
"""Obstacles of a run that is under way: they go by themselves."""


class How(enum.StrEnum):
    """What would happen to a pipeline in a partition.

    ``create``   a run is created: there is none yet
    ``clear``    its run is cleared
    ``clear_tasks``  sensors of its run are cleared, with everything below them
    ``new_run``  another run is created beside it
    ``ignored``  it does not run (its rerun policy, or its partition was given up), and nothing follows from it
    ``held``, ``waits for release``, ``blocked``  it would be due, and waits for a person
    ``waits``    it would be due, and waits for a pipeline that is held, blocked or waits for a release
    """

    CREATE = "create"
    CLEAR = "clear"
    CLEAR_TASKS = "clear_tasks"
    NEW_RUN = "new_run"
    IGNORED = "ignored"
    HELD = "held"
    WAITS_FOR_RELEASE = "waits for release"
    BLOCKED = "blocked"
    WAITS = "waits"

    @property
    def runs(self) -> bool:
        """Whether it runs without further action of a person."""
        return self in (How.CREATE, How.CLEAR, How.CLEAR_TASKS, How.NEW_RUN)

    @property
    def follows(self) -> bool:
        """Whether it runs, now or after an action of a person."""
        return self is not How.IGNORED


@dataclass(frozen=True, slots=True)
class Step:
    """One pipeline in a partition that the act would affect.

    :ivar run_id: its present run, if it is known.
    :ivar state: its present state.
    """

    target: Target
    how: How
    run_id: str | None
    state: State | None


Change = Mapping[Target, Order | State]
"""What a person is about to do: orders, and states that are marked."""


def cascade(
    graph: Graph,
    facts: Facts,
    change: Change,
    *,
    released: PipelineRef | None = None,
    known: Iterable[Target],
    revision: int,
    now: datetime,
) -> tuple[Step, ...]:
    """Everything that would follow, upstreams first, including ordered targets, but not marked ones.

    First, everything that is under way already is assumed to succeed, and everything that is due then to run: the
    result contains only additional runs. Every run is assumed to succeed.

    :param released: a pipeline whose hold is also removed.
    :param known: all targets that have a state, a record or an order.
    :param revision: the etcd revision of the facts.
    :param now: the time at which they are evaluated.
    """
    rehearsal = _Simulation(graph, facts, known=known, revision=revision, now=now)
    rehearsal.come_to_rest()
    stuck_before = rehearsal.stuck()
    rehearsal.done.clear()
    rehearsal.make(change)
    if released is not None:
        rehearsal.release(released)
    rehearsal.come_to_rest()
    found = dict(rehearsal.done)
    for target, how in rehearsal.stuck().items():
        if target not in found and (target in change or target not in stuck_before):
            found[target] = how
    steps = [_step(facts, target, how) for target, how in found.items()]
    return tuple(sorted(steps, key=lambda step: (graph.rank(step.target.pipeline), step.target)))


@dataclass(frozen=True, slots=True)
class Course:
    """What would happen if every run succeeds.

    :ivar started: targets that would be started, upstreams first, without those that are under way already.
    :ivar held_up: targets that would still wait to start once all of those have ended.
    """

    started: tuple[Target, ...]
    held_up: frozenset[Target]


def course(
    graph: Graph,
    facts: Facts,
    *,
    known: Iterable[Target],
    revision: int,
    now: datetime,
    environments: Collection[str],
) -> Course:
    """What would happen without any act, with the parameters of :func:`cascade`.

    :param environments: those in which runs can be started. A refused request is assumed to be accepted now.
    """
    rehearsal = _Simulation(graph, facts, known=known, revision=revision, now=now, environments=environments)
    rehearsal.come_to_rest()
    started = [target for target, how in rehearsal.done.items() if how.runs]
    started.sort(key=lambda target: (graph.rank(target.pipeline), target))
    return Course(tuple(started), frozenset(rehearsal.busy()))


def _step(facts: Facts, target: Target, how: How) -> Step:
    state, record = readable_state(facts.state(target)), readable_record(facts.record(target))
    run_id = (state.attempt.run_id if state is not None else None) or (record.run_id if record is not None else None)
    return Step(target, how, run_id, state.state if state is not None else None)


class _Simulation:
    """Simulated facts on top of those in etcd.

    :param environments: those in which runs can be started, even if they were refused before; ``None``: all, and
        refused requests are refused again.
    :ivar done: targets that have run, or were ignored.
    """

    def __init__(
        self,
        graph: Graph,
        facts: Facts,
        *,
        known: Iterable[Target],
        revision: int,
        now: datetime,
        environments: Collection[str] | None = None,
    ) -> None:
        self._graph = graph
        self._environments = environments
        self._facts = facts
        self._revision = revision
        self._now = now
        self._states: dict[Target, SeenState] = {}
        self._records: dict[Target, SeenRecord] = {}
        self._orders: dict[Target, SeenOrder] = {}
        self._gone: set[Target] = set()
        self._passed: dict[Target, tuple[SeenWait, ...]] = {}
        self._released: PipelineRef | None = None
        self.done: dict[Target, How] = {}
        self._agenda: list[tuple[int, Target]] = []
        self._propagation = Propagation(graph, self, now=now)
        self._note(self._propagation.refresh(known))

    # -- Facts -------------------------------------------------------------------------------------------------------

    def state(self, target: Target) -> SeenState | None:
        if target in self._gone:
            return None
        return self._states.get(target) or self._facts.state(target)

    def record(self, target: Target) -> SeenRecord | None:
        return self._records.get(target) or self._facts.record(target)

    def order(self, target: Target) -> SeenOrder | None:
        return self._orders.get(target) or self._facts.order(target)

    def hold(self, pipeline: PipelineRef) -> Hold | Unreadable | None:
        return None if pipeline == self._released else self._facts.hold(pipeline)

    def watermark(self, pipeline: PipelineRef) -> Watermark | None:
        return self._facts.watermark(pipeline)

    def sensors(self, target: Target) -> Sequence[SeenWait]:
        return self._passed.get(target) or self._facts.sensors(target)

    def runs_behind(self, upstream: Target) -> Iterable[Target]:
        return self._facts.runs_behind(upstream)

    # -- the course --------------------------------------------------------------------------------------------------

    def make(self, change: Change) -> None:
        for target, what in change.items():
            match what:
                case Order():
                    self._orders[target] = SeenOrder(GivenOrder(what), self._next_revision())
                case State():
                    attempt = self._attempt_of(target)
                    self._states[target] = SeenState(
                        RunState(what, attempt, self._now, marked=True), self._next_revision()
                    )
        self._note(self._propagation.refresh(change))

    def release(self, pipeline: PipelineRef) -> None:
        self._released = pipeline
        self._note(
            self._propagation.refresh([one for one in self._propagation.unsettled() if one.pipeline == pipeline])
        )

    def come_to_rest(self) -> None:
        """Simulate until nothing changes any more."""
        while self._agenda:
            _, target = heapq.heappop(self._agenda)
            if changed := self._go_on(self._propagation.decide(target)):
                self._note(self._propagation.refresh(changed))

    def stuck(self) -> dict[Target, How]:
        """Targets that would be due, and why they do not run."""
        found = {}
        for target in self._propagation.unsettled():
            decision = self._propagation.decide(target)
            if decision.readiness is Readiness.STUCK:
                found[target] = _why(decision)
        return found

    def busy(self) -> list[Target]:
        """Targets that would be due, and wait for others that would run if they could be started."""
        return [
            target for target in self._propagation.unsettled() if self._propagation.readiness(target) is Readiness.BUSY
        ]

    def _starts(self, decision: Decision) -> bool:
        if decision.retries:
            decision = replace(decision, ready=True)  # once its time has come
        if self._environments is None:
            return decision.fires
        startable = decision.target.pipeline.environment in self._environments
        return startable and decision.ready and decision.obstacles <= {Obstacle.BLOCKED}

    def _note(self, decisions: Iterable[Decision]) -> None:
        """Queue the targets that may have a next step, upstreams first."""
        for decision in decisions:
            if decision.readiness is not Readiness.SETTLED or decision.ignored:
                heapq.heappush(self._agenda, (self._graph.rank(decision.target.pipeline), decision.target))

    def _go_on(self, decision: Decision) -> Sequence[Target]:
        """Carry out a decision. Returns what has changed."""
        target = decision.target
        record = readable_record(self.record(target))
        if tasks := self._tasks_to_end(decision):
            for task in tasks:
                self._succeed_task(task)
            return tasks
        if decision.is_state_outdated(self.state(target)):
            assert decision.items is not None
            self._become(target, decision.items.state)
            return (target,)
        if decision.items is not None and decision.items.busy:
            return ()
        if not _MOVING.isdisjoint(decision.obstacles):
            self._end(target, record)
            return (target, *self._emit(target))
        if decision.skips:
            consumed = _consumed(record, completions(decision))
            self._write(target, _done(record, consumed=consumed, skipped=True))
        elif decision.ignored and record is not None and not decision.obstacles:
            self.done.setdefault(target, How.IGNORED)
            self._write(target, replace(record, consumed=_consumed(record, decision.inputs)))
        elif self._starts(decision):
            self.done.setdefault(target, self._how(decision, record))
            clears = bool(decision.clears)
            consumed = _consumed(record, {} if clears else decision.inputs)
            self._write(target, _done(record, consumed=consumed, order=decision.order))
            if record is not None and record.rows is not None and self._graph.fans_out(target.pipeline):
                return self._read_rows(target, record.rows)
            is_cleared = self.done[target] in (How.CLEAR, How.CLEAR_TASKS)
            run_id = self._attempt_of(target).run_id if is_cleared else None
            self._succeed(target, Attempt(run_id or f"rehearsed {target}", self._soon()))
            self._pass_sensors(target)
            return (target, *self._emit(target))
        else:
            return ()
        return (target,)

    def _read_rows(self, target: Target, before: Rows) -> Sequence[Target]:
        """Read the rows anew. They are assumed to be the same. Returns what has changed."""
        revision = self._next_revision()
        rows = replace(before, token=f"rehearsed {revision}", sequence=before.sequence + 1)
        record = readable_record(self.record(target))
        assert record is not None
        self._records[target] = SeenRecord(replace(record, rows=rows), revision)
        name = Target(target.pipeline.rows, target.partition)
        self._states[name] = SeenState(rows.as_state(), revision)
        return target, name

    def _become(self, target: Target, state: RunState | None) -> None:
        """The state follows from the items."""
        if state is not None:
            self._gone.discard(target)
            self._states[target] = SeenState(replace(state, observed_at=self._now), self._next_revision())
        else:
            self._states.pop(target, None)
            self._gone.add(target)

    def _pass_sensors(self, target: Target) -> None:
        """The sensors of a run that has run again have taken the completions that are there now."""
        passed = []
        for seen in self.sensors(target):
            assert isinstance(seen.value, Wait)
            found = self.state(seen.value.upstream)
            state = readable_state(found)
            if found is not None and state is not None:
                value = replace(seen.value, completion=Completion.of(state, found.revision))
                passed.append(replace(seen, value=value))
        if passed:
            self._passed[target] = tuple(passed)

    def _emit(self, target: Target) -> list[Target]:
        """The run that has just succeeded has emitted the assets that it has emitted before. Returns these."""
        run, emitted = self._attempt_of(target), []
        for asset in self._facts.runs_behind(target):
            known = readable_state(self.state(asset))
            if not isinstance(known, AssetCompletion):
                continue
            revision = self._next_revision()
            emitted_at = self._soon()
            told = Told(known.event, revision, emitted_at, target.pipeline, run.run_id, target.partition)
            now = with_event(known, told, readable_state(self.state(target)), counted=revision)
            self._states[asset] = SeenState(now, revision)
            emitted.append(asset)
        return emitted

    def _tasks_to_end(self, decision: Decision) -> Sequence[Target]:
        """The task itself, or those among the inputs that nobody has asked about."""
        if not decision.target.pipeline.task:
            return tasks_to_ask_about(decision)
        task = decision.target
        if decision.readiness is not Readiness.BUSY or self._propagation.decide(task.whole).due:
            return ()
        return (task,) if observation_of(self, task) in (TaskObservation.OUTDATED, TaskObservation.RUNNING) else ()

    def _succeed_task(self, task: Target) -> None:
        run = self._attempt_of(task.whole)
        attempt = Attempt(run.run_id, None, self._next_revision())
        state = TaskState(State.SUCCESS, attempt, self._now, run=run, run_ended=True)
        self._states[task] = SeenState(state, self._next_revision())

    def _end(self, target: Target, record: TriggerRecord | None) -> None:
        """Let the present run of a target succeed."""
        attempt = self._attempt_of(target)
        if record is not None and record.status in (Status.INTENT, Status.SENT):
            consumed = record.consumed.and_then(record.inputs)
            self._write(target, _done(record, consumed=consumed, order=record.ordered))
            sent = record.status is Status.SENT and record.attempt is not None
            attempt = Attempt(record.run_id, record.attempt if sent else self._soon())
        self._succeed(target, attempt)

    def _how(self, decision: Decision, record: TriggerRecord | None) -> How:
        target = decision.target
        if decision.clears:
            return How.CLEAR_TASKS
        if self._graph.fans_out(target.pipeline):
            return How.CREATE
        known = record.run_id if record is not None else None
        if known is None and self._attempt_of(target).run_id is None:
            return How.CREATE
        node = self._graph.node(target.pipeline)
        is_new = node is not None and node.downstream.rerun is Rerun.NEW_RUN and not decision.retries
        return How.NEW_RUN if is_new else How.CLEAR

    def _attempt_of(self, target: Target) -> Attempt:
        """The attempt in its state."""
        seen = self.state(target)
        return seen.value.attempt if seen is not None and isinstance(seen.value, RunState) else Attempt()

    def _succeed(self, target: Target, attempt: Attempt) -> None:
        state = RunState(State.SUCCESS, attempt, self._now)
        self._states[target] = SeenState(state, self._next_revision())

    def _write(self, target: Target, record: TriggerRecord) -> None:
        self._records[target] = SeenRecord(record, self._next_revision())

    def _next_revision(self) -> int:
        self._revision += 1
        return self._revision

    def _soon(self) -> datetime:
        """A unique queued_at for each attempt, later than all others."""
        return self._now + timedelta(microseconds=self._next_revision())


def _done(
    record: TriggerRecord | None, *, consumed: Consumption, order: int = 0, skipped: bool = False
) -> TriggerRecord:
    """A record after the run has ended."""
    if record is None:
        record = TriggerRecord(Status.DONE, 0, Action.CREATE, None, "", 0)
    return replace(
        record,
        status=Status.DONE,
        consumed=consumed,
        inputs=NOTHING,
        order=max(record.order, order),
        ordered=0,
        skipped=skipped,
    )


def _consumed(record: TriggerRecord | None, inputs: Inputs) -> Consumption:
    return (record.consumed if record is not None else NOTHING).and_then(Consumption.of(inputs))


def _why(decision: Decision) -> How:
    for obstacle, how in (
        (Obstacle.HELD, How.HELD),
        (Obstacle.WAITS_FOR_RELEASE, How.WAITS_FOR_RELEASE),
        (Obstacle.BLOCKED, How.BLOCKED),
        (Obstacle.UNREADABLE_RECORD, How.BLOCKED),
        (Obstacle.BROKEN, How.BLOCKED),
    ):
        if obstacle in decision.obstacles:
            return how
    return How.WAITS
