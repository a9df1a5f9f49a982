"""What has happened, event by event, and what is known after each: the ground that the checkers stand on.

Everything is taken from the outside: from what was written to etcd, and what happened in the environments.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from coordinator.model.consumption import Consumed, Consumption, Fingerprint, Inputs
from coordinator.model.references import PipelineRef, Target
from coordinator.model.retention.watermark import Watermark
from coordinator.model.runstate import RunState
from coordinator.model.taskstate import TaskState
from coordinator.model.trigger import Action, Status, TriggerRecord
from coordinator.model.waits import Wait
from coordinator.runners.port import ObservedRun
from tests.simulation.tasks import Tasks, TaskTruth, is_same_run
from tests.simulation.wiring import Wiring, leaves

PERSON = "a person"


class PromiseBroken(BaseException):
    """One of the promises does not hold. No ``Exception``: a watcher survives those that its runners raise."""

    def __init__(self, promise: str, what: str) -> None:
        super().__init__(f"{promise}: {what}")
        self.promise = promise
        self.what = what


@dataclass(frozen=True, slots=True)
class Event:
    time: float


@dataclass(frozen=True, slots=True)
class StateWritten(Event):
    """:ivar state: ``None``: deleted. :ivar by: a watcher's name, or who else wrote it."""

    target: Target
    state: RunState | None
    revision: int
    by: str
    leads: bool


@dataclass(frozen=True, slots=True)
class RecordWritten(Event):
    """:ivar leads: it led when it wrote.

    :ivar knows: the etcd revision up to which the writer had read; ``knew``: ... and a good while before.
    """

    target: Target
    record: TriggerRecord | None
    revision: int
    by: str
    leads: bool
    knows: int
    knew: int


@dataclass(frozen=True, slots=True)
class HoldWritten(Event):
    pipeline: PipelineRef
    held: bool
    revision: int


@dataclass(frozen=True, slots=True)
class OrderGiven(Event):
    target: Target
    order: str
    revision: int


@dataclass(frozen=True, slots=True)
class Published(Event):
    """:ivar at: when, by the publisher's clock. :ivar resume_within: how long what it takes out may resume.

    :ivar edition: counts the documents that people have made.
    """

    document: Mapping[str, Any]
    revision: int
    owner: str = "default"
    at: datetime = datetime.min
    resume_within: timedelta = timedelta(days=7)
    edition: int = 0
    by: str = PERSON


@dataclass(frozen=True, slots=True)
class EffectMade(Event):
    """A request of the coordinator has changed something in an environment.

    :ivar before: the run before it was cleared.
    :ivar leads: the sender led when it took effect.
    :ivar knew: the etcd revision up to which it had read a good while before.
    """

    target: Target
    action: Action
    token: str
    run: ObservedRun
    before: ObservedRun | None
    by: str
    leads: bool
    knew: int


@dataclass(frozen=True, slots=True)
class RunChanged(Event):
    """A run in an environment. :ivar what: queued, begun, ended, set by hand, deleted.

    :ivar tasks: those that were cleared, if not all of them were.
    """

    target: Target
    what: str
    run: ObservedRun
    by: str
    tasks: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class TaskChanged(Event):
    """A task of a run in an environment was created or cleared, or has ended."""

    target: Target
    truth: TaskTruth


@dataclass(frozen=True, slots=True)
class WaitAnswered(Event):
    """A sensor's wait was answered. :ivar knew: as of :class:`RecordWritten`."""

    upstream: Target
    wait: Wait
    by: str
    leads: bool
    knows: int
    knew: int


@dataclass(frozen=True, slots=True)
class Happening(Event):
    """Something for the story and the counts: a step of the plan, a fault that struck."""

    what: str
    detail: str = ""


Completion = tuple[str | None, str, str]
"""run_id, queued_at and state: what makes a completion another one."""


def completion_of(state: RunState) -> Completion:
    return state.attempt.run_id, str(state.attempt.queued_at), state.state.value


@dataclass(frozen=True, slots=True)
class Written:
    """A state as it stands in etcd. :ivar time: when it was put. :ivar marked: by a person.

    :ivar identity: of a task: which instances it is about.
    """

    state: RunState
    revision: int
    time: float
    marked: bool = False
    identity: str | None = None

    @property
    def completion(self) -> Completion:
        run_id, attempt, state = completion_of(self.state)
        return run_id, attempt if self.identity is None else self.identity, state


@dataclass(frozen=True, slots=True)
class Recorded:
    """:ivar past: of an intent's inputs, those that were the past for its pipeline when it was written."""

    record: TriggerRecord
    revision: int
    time: float
    past: frozenset[Target] = frozenset()


UNSEEN = 12.0
"""Seconds that something may be there already, and a request not yet obey it: a look, a full pool of requests with
time-outs of five seconds each, a leader that stands still for less than its lease."""

Checker = Callable[[Event, "History"], None]


@dataclass
class History:
    """Events, and what they add up to.

    :ivar states: what stands in etcd.
    :ivar completions: all that ever stood there.
    :ivar orders: what people have ordered, with its etcd revision, until it is carried out.
    :ivar consumed: for each pipeline that was started, the completions that its starts used.
    :ivar stood_on: of each upstream's completions that it used, the greatest etcd revision.
    :ivar attempts: every attempt that there was, by target: queued_at and who made it.
    :ivar ran: what the coordinator has started (or found started for it) at all.
    :ivar skipped: partitions that were given up for being late.
    :ivar excused: of these nothing can be said any more: somebody deleted something of them.
    :ivar deleted_by_hand: states that a person has deleted, and that were not written again.
    :ivar away_until: until when each environment has not answered as it should.
    :ivar runs_in_flight: what environments allow at once; ``starts_per_minute``: ... and how fast.
    :ivar led: who led, when, and up to which etcd revision it had read.
    :ivar intended: every intent as it was first written.
    :ivar editions: all that were published. :ivar serials: they carry build numbers.
    :ivar clock_was_wrong: the time of day of the watchers' hosts.
    :ivar clocks_behind: how far the clocks of environments' schedulers are behind.
    :ivar edition: which of the documents that people have made was published last.
    :ivar tasks: the tasks of all runs, as their environments know them.
    :ivar identities: which instances of a task a state was about, by its etcd revision.
    :ivar counts: how often each kind of thing happened.
    :ivar watermarks: how far the partitions of pipelines were removed.
    :ivar retried: how often each was started again because it had failed, since it was last fired.
    """

    checkers: list[Checker] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    wiring: Wiring = field(default_factory=Wiring)
    states: dict[Target, Written] = field(default_factory=dict)
    completions: dict[Target, list[Consumed]] = field(default_factory=dict)
    records: dict[Target, Recorded] = field(default_factory=dict)
    held: dict[PipelineRef, int] = field(default_factory=dict)
    orders: dict[Target, tuple[str, int]] = field(default_factory=dict)
    intents: dict[str, Recorded] = field(default_factory=dict)
    effects: dict[str, EffectMade] = field(default_factory=dict)
    taken_for_ours: dict[str, Target] = field(default_factory=dict)
    consumed: dict[Target, dict[Target, Completion]] = field(default_factory=dict)
    stood_on: dict[Target, dict[PipelineRef, int]] = field(default_factory=dict)
    attempts: dict[Target, dict[str, RunChanged | EffectMade]] = field(default_factory=dict)
    ran: set[Target] = field(default_factory=set)
    skipped: set[Target] = field(default_factory=set)
    requests: Counter[Target] = field(default_factory=Counter)
    starts: Counter[Target] = field(default_factory=Counter)
    no_cause_asked: set[Target] = field(default_factory=set)
    excused: dict[Target, str] = field(default_factory=dict)
    deleted_by_hand: set[Target] = field(default_factory=set)
    away_until: dict[str, float] = field(default_factory=dict)
    editions: set[int] = field(default_factory=set)
    serials: bool = False
    clock_was_wrong: bool = False
    clocks_behind: dict[str, timedelta] = field(default_factory=dict)
    runs_in_flight: int | None = None
    starts_per_minute: int | None = None
    led: list[tuple[str, float, int]] = field(default_factory=list)
    intended: list[RecordWritten] = field(default_factory=list)
    published_at: int = 0
    edition: int = 0
    tasks: Tasks = field(default_factory=Tasks)
    identities: dict[tuple[Target, int], str] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    watermarks: dict[PipelineRef, Watermark] = field(default_factory=dict)
    retried: Counter[Target] = field(default_factory=Counter)

    def add(self, event: Event) -> None:
        """:raises PromiseBroken: a checker says so."""
        self.events.append(event)
        for check in self.checkers:
            check(event, self)
        self._take(event)

    def _take(self, event: Event) -> None:
        match event:
            case StateWritten(time, target, state, revision):
                if state is None:
                    self.states.pop(target, None)
                    self.excused[target] = "state deleted"
                    if event.by == PERSON:
                        self.deleted_by_hand.add(target)
                else:
                    self._forget_what_no_record_names(target, state)
                    identity = self.tasks.identity_of(target, state) if isinstance(state, TaskState) else None
                    if identity is not None:
                        self.identities[target, revision] = identity
                        self.counts[f"task state {state.state}"] += 1
                    self.states[target] = Written(state, revision, time, event.by == PERSON, identity)
                    if state.state.is_terminal:
                        one = Consumed(revision, state.attempt, state.state)
                        self.completions.setdefault(target, []).append(one)
                    newest = max(self.attempts.get(target, ()), default="")
                    if self.excused.get(target) == "state deleted" and str(state.attempt.queued_at) == newest:
                        del self.excused[target]
            case RecordWritten():
                self._take_record(event)
            case HoldWritten():
                self.held.pop(event.pipeline, None)
                if event.held:
                    self.held[event.pipeline] = event.revision
            case OrderGiven(_, target, order, revision):
                self.orders[target] = order, revision
            case Published():
                self.wiring.publish(
                    event.owner, event.document, event.revision, at=event.at, resume_within=event.resume_within
                )
                self.published_at, self.edition = event.revision, event.edition
                self.editions.add(event.edition)
                self.counts[f"published by {'a person' if event.by == PERSON else 'a watcher'}"] += 1
            case EffectMade():
                self.effects[event.token] = event
                self.requests[event.target] += 1
                self.counts[f"request: {event.action}"] += 1
                self._attempt(event)
                if event.token in self.intents and event.target in self.records:  # a deleted record remembers nothing
                    self.consume(event.target, self.intents[event.token].record)
            case RunChanged():
                self.counts[f"run {event.what}"] += 1
                if event.what == "begun":
                    self.starts[event.target] += 1
                elif event.what == "queued":
                    self._attempt(event)
                elif event.what == "deleted":
                    self.no_cause_asked.add(event.target)
                    self.excused[event.target] = "run deleted"
            case TaskChanged(_, _, truth):
                self.counts[f"task {truth.state or 'created or cleared'}"] += 1
            case WaitAnswered(_, _, wait):
                self.counts[f"wait {wait.status}"] += 1
            case Happening():
                self.counts[event.what] += 1

    def _attempt(self, event: RunChanged | EffectMade) -> None:
        self.attempts.setdefault(event.target, {})[str(event.run.queued_at)] = event
        self.excused.pop(event.target, None)  # its reports will tell again

    def _forget_what_no_record_names(self, upstream: Target, state: RunState) -> None:
        """An attempt is set to another end, or its state was deleted by hand and comes again. Who follows the newest
        completion knows the newest that it has used, and no older one: set back to the end that was used, that one is
        the newest, and new."""
        attempt, before = (state.attempt.run_id, str(state.attempt.queued_at)), self.states.get(upstream)
        if before is None and upstream not in self.deleted_by_hand:
            return
        if before is not None and (before.completion[:2] != attempt or before.completion[2] == state.state.value):
            return
        self.deleted_by_hand.discard(upstream)
        for target, consumed in self.consumed.items():
            recorded = self.records.get(target)
            is_named = recorded is not None and recorded.record.consumed.get(upstream) is not None
            if upstream in consumed and consumed[upstream][:2] == attempt and not is_named:
                del consumed[upstream]

    def _take_record(self, event: RecordWritten) -> None:
        target, record = event.target, event.record
        if record is None:
            self.records.pop(target, None)
            self.ran.discard(target)
            if event.by == PERSON:  # retention removes what it needs to know no more, and nothing is done again for it
                self.consumed.pop(target, None)
                self.stood_on.pop(target, None)
                self.no_cause_asked.add(target)
            else:
                self.counts["partition removed"] += 1
            self.skipped.discard(target)
            return
        self.counts[f"record {record.status}"] += 1
        if target in self.orders and record.order >= self.orders[target][1]:
            self.counts[f"order carried out: {self.orders[target][0]}"] += 1
            del self.orders[target]
        self.records[target] = Recorded(record, event.revision, event.time)
        if record.status is Status.INTENT:
            past = self._past(event) if self.published_at <= event.knows else frozenset()
            if record.token not in self.intents:
                self.intended.append(event)
            self.intents[record.token] = Recorded(record, event.revision, event.time, past)
        if record.status is Status.SENT and record.token not in self.effects:
            # Somebody else's clear was found in place of ours; the checkers have decided whether that was right.
            self.taken_for_ours[record.token] = target
            if record.token in self.intents:
                self.consume(target, self.intents[record.token].record)
        self.skipped.discard(target)
        if record.skipped:
            self.counts["partition skipped"] += 1
            self.skipped.add(target)
        if (record.skipped or target.pipeline in self.wiring.ever_ignored) and record.consumed:
            self.ran.add(target)
            self._take_ignored(target, record)

    def _past(self, event: RecordWritten) -> frozenset[Target]:
        """The inputs whose completions are older than every dependency that asks for them."""
        assert event.record is not None
        entry = self.wiring.entries.get(event.target.pipeline)
        if entry is None:
            return frozenset()
        since: dict[Target, int] = {}
        for leaf in leaves(entry.tree):
            active = self.wiring.since(event.target.pipeline, leaf)
            for upstream in event.record.inputs.targets():
                if leaf.asks_for(upstream, event.target.partition):
                    since[upstream] = min(active, since.get(upstream, active))
        inputs = self.in_full(event.record.inputs).items()
        return frozenset(
            upstream
            for upstream, used in inputs
            if used.revision <= since.get(upstream, 0) or self.is_past(upstream, since.get(upstream, 0))
        )

    def is_past(self, task: Target, since: int) -> bool:
        """Whether the run of a task had ended before a dependency came into force, whenever somebody looked at it."""
        run = self.states.get(task.whole) if task.pipeline.task else None
        return run is not None and run.revision <= since and run.state.state.is_terminal

    def used(self, upstream: Target, used: Consumed) -> Completion:
        """A completion that was used, as :attr:`Written.completion` says it."""
        attempt = self.identities.get((upstream, used.revision), str(used.attempt.queued_at))
        return used.attempt.run_id, attempt, used.state.value

    def ran_in(self, upstream: Target, used: Consumed) -> str:
        """The attempt, by its ``queued_at``, of the run that a completion is of."""
        run_id, identity, state = self.used(upstream, used)
        del run_id
        truth = self.tasks.ended.get((upstream, identity, state))
        return identity if truth is None else str(truth.ran_in)

    def tells_of_present_run(self, task: Target) -> bool:
        """Whether what stands in etcd of a task is about the attempt of its run that stands there."""
        run, written = self.states.get(task.whole), self.states.get(task)
        if run is None or written is None or not isinstance(written.state, TaskState):
            return False
        return is_same_run(written.state, run.state)

    def _take_ignored(self, target: Target, record: TriggerRecord) -> None:
        for upstream, used in self.in_full(record.consumed).items():
            self.consumed.setdefault(target, {})[upstream] = self.used(upstream, used)
            self._stand_on(target, upstream, used.revision)

    def _stand_on(self, target: Target, upstream: Target, revision: int) -> None:
        stood_on = self.stood_on.setdefault(target, {})
        stood_on[upstream.pipeline] = max(revision, stood_on.get(upstream.pipeline, 0))

    def consume(self, target: Target, intent: TriggerRecord) -> None:
        """What a start used is not new any more."""
        self.retried[target] = self.retried[target] + 1 if intent.retrying else 0
        self.counts["retry"] += intent.retrying
        self.consume_as(target, self.in_full(intent.inputs))

    def consume_as(self, target: Target, inputs: Inputs) -> None:
        """As :meth:`consume`, of these inputs."""
        self.ran.add(target)
        self.no_cause_asked.discard(target)
        consumed = self.consumed.setdefault(target, {})
        for upstream, used in inputs.items():
            consumed[upstream] = self.used(upstream, used)
            self._stand_on(target, upstream, used.revision)

    def in_full(self, consumption: Consumption) -> Inputs:
        """The completions that a trigger stands on, also those that its record does not name."""
        inputs = dict(consumption.named)
        for target in consumption.targets():
            if target not in inputs:
                used = consumption.get(target)
                known = (one for one in reversed(self.completions.get(target, ())) if _is_of(used, one))
                if (found := next(known, None)) is None:
                    raise PromiseBroken("what is consumed has been there", f"{target}: no completion is that of {used}")
                inputs[target] = found
        return inputs

    def is_new(self, target: Target, upstream: Target, since: int) -> bool:
        """Whether an input's completion is one that the target has not used. :param since: the activation."""
        written = self.states.get(upstream)
        if written is None or not written.state.state.is_terminal or written.revision <= since:
            return False
        if self.watermarks.get(upstream.pipeline, Watermark()).has_expired(written.state):
            return False  # somebody has told again of what was removed
        if upstream.pipeline.task and self._ended_before(target.pipeline, upstream, written):
            return False
        if upstream.pipeline.task and (self.is_past(upstream, since) or not self.tells_of_present_run(upstream)):
            return False
        return self.consumed.get(target, {}).get(upstream) != written.completion

    def _ended_before(self, pipeline: PipelineRef, task: Target, written: Written) -> bool:
        """Whether a task ended before each dependency of a pipeline that asks for it."""
        truth, entry = self.tasks.now.get((task, str(written.state.attempt.run_id))), self.wiring.entries.get(pipeline)
        asking = [leaf for leaf in leaves(entry.tree) if leaf.upstream == task.pipeline] if entry else []
        ended_at = self.at(task, truth.ended_at) if truth is not None and truth.ended_at is not None else None
        return bool(asking) and all(self.wiring.is_past(pipeline, leaf, ended_at) for leaf in asking)

    def led_knowing(self, revision: int) -> float:
        """For how many seconds one watcher has led that had read up to there."""
        times: dict[str, list[float]] = {}
        for name, at, knows in self.led:
            if knows >= revision:
                times.setdefault(name, []).append(at)
        *earlier, present = times or [""]
        del present  # it is the one that gives up
        return max((times[name][-1] - times[name][0] for name in earlier), default=0.0)

    def at(self, target: Target, moment: datetime) -> datetime:
        """What time it was when it was this moment by the clock of a pipeline's environment."""
        return moment + self.clocks_behind.get(target.pipeline.environment, timedelta(0))

    def targets(self) -> set[Target]:
        """Everything that has been heard of: what has a state, a record or an order."""
        return {*(target.whole for target in self.states), *self.records, *self.orders}


def _is_of(used: Consumed | Fingerprint | None, one: Consumed) -> bool:
    return used == Fingerprint.of(one)
