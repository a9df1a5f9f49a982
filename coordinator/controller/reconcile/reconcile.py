"""Reconciling: executes the next step of a pipeline in a partition, and handles its result.

Every choice is made by :func:`coordinator.model.lifecycle.next_step`. This module puts the situation together, executes
the step, and its results (what was written, what an environment answered) become the next situation. What is kept here
is lost with the term: a successor finds everything that it needs in etcd and in the environments.
"""

from __future__ import annotations

from dataclasses import dataclass

from msgspec.structs import replace

from coordinator.controller.backoff import Backoff
from coordinator.controller.clock import Clock
from coordinator.controller.dispatch.dispatcher import Dispatcher
from coordinator.controller.dispatch.dispatchers import Dispatchers
from coordinator.controller.dispatch.jobs import EffectDone
from coordinator.controller.leading.catching_up import Skip
from coordinator.controller.queue.work_queue import Priority, WorkQueue
from coordinator.controller.reconcile import records
from coordinator.controller.reconcile.ledger import Ledger
from coordinator.controller.reconcile.own_runs import OwnRuns
from coordinator.controller.reconcile.request_state import InFlight, Pause, Requests
from coordinator.controller.reconcile.trigger_log import TriggerLog
from coordinator.controller.reconcile.upstream_checks import Checks
from coordinator.controller.state.cache import Cache
from coordinator.controller.writes import RETRY_AFTER, RecordWrite
from coordinator.model import lifecycle
from coordinator.model.decide import Decision, Obstacle, grounds
from coordinator.model.explanation import what_changed
from coordinator.model.items.whole import row_of
from coordinator.model.lifecycle import Outcome, RequestState, Situation, next_step
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.references import Target
from coordinator.model.trigger import Action, Status, TriggerRecord
from coordinator.model.view import Readiness, readable_record
from coordinator.runners.port import StartRequest

DELIVERED_LATE = 60.0
"""Seconds after its time limit for which an environment is asked whether it has an asset event after all, before it is
sent again."""

MOST_STEPS = 4
"""Steps of one target in a row, such as: a slot, a look that has nothing to ask, an intent."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How this watcher executes steps.

    :ivar who: its name, for records.
    :ivar backoff: pauses after failures of one request.
    :ivar blocked_retry: seconds until a refused request, or a refused write, is tried again.
    :ivar log: gets a line for each trigger.
    """

    who: str
    clock: Clock
    backoff: Backoff
    blocked_retry: float
    log: TriggerLog


class Reconcile:
    """See the module. Used by the deciding thread only.

    :ivar term: the create revision of the leader key; 0: this watcher does not lead.
    :ivar draining: this watcher is about to stop and begins nothing more.
    :ivar ask_from: monotonic seconds; until then, a request of the predecessor may still be carried out.
    """

    def __init__(
        self,
        propagation: Propagation,
        cache: Cache,
        *,
        queue: WorkQueue,
        dispatchers: Dispatchers,
        checks: Checks,
        ledger: Ledger,
        policy: Policy,
    ) -> None:
        self._propagation = propagation
        self._cache = cache
        self._queue = queue
        self._dispatchers = dispatchers
        self._checks = checks
        self._ledger = ledger
        self._policy = policy
        self._log = policy.log
        self._retry_at: dict[Target, float] = {}
        self.requests = Requests()
        self.own_runs = OwnRuns()
        self.term = 0
        self.draining = False
        self.ask_from = 0.0

    def clear(self) -> None:
        """A term has begun or ended."""
        self.requests.clear()
        self._retry_at.clear()
        self.own_runs.clear()
        self._checks.forget()

    def is_concerned_with(self, target: Target) -> bool:
        """Whether it keeps something for a target that a change of the decision may make unnecessary."""
        return (
            target in self.requests
            or target in self._retry_at
            or self._checks.is_pending(target)
            or self._dispatchers.knows(target)
        )

    def conclude(self, target: Target, record: TriggerRecord | None) -> bool:
        """Write what became of the request of an intent, whatever would be decided now. Returns whether it is known."""
        if record is None or record.status is not Status.INTENT:
            return False
        in_flight = self.requests.get(target, record.token)
        if in_flight is None or in_flight.outcome is None:
            return False
        self.stop(target)
        self._ledger.record(target, in_flight.outcome, event=in_flight.event)
        return True

    def is_waiting(self, target: Target) -> bool:
        """Whether it is due, and waits for a slot, or for the answer of an environment about what it stands on."""
        return self._checks.is_pending(target) or self._dispatchers.knows(target)

    def examine(self, decision: Decision, record: TriggerRecord | None, now: float) -> None:
        """Do what is to be done for a target, or queue it to be examined again. :param now: monotonic seconds."""
        target = decision.target
        if record is not None and record.status is Status.INTENT:
            self._take_over(target, record, now)
        else:
            self._let_go(target)
            if record is not None and record.status is Status.BLOCKED and decision.order > record.ordered:
                self._retry_at.pop(target, None)  # a person says that it may pass now
        for _ in range(MOST_STEPS):
            situation = self._situation(decision, record, now)
            if not self._do(next_step(situation, blocked_retry=self._policy.blocked_retry), situation):
                break
        if self.is_waiting(target):
            self._queue.keep(decision)  # for when its turn, or the answer, comes

    def written(self, target: Target, write: RecordWrite, revision: int, now: float) -> None:
        """A record has just been written, at this etcd revision: if it is an intent, send its request.

        :param now: monotonic seconds.
        """
        record = write.record
        # The cache gets it at once: that can only make more targets look busy.
        if changed := self._cache.note_record(target, record, revision):
            self._propagation.touch(changed)
        self._queue.outdate(target)
        if record.status is not Status.INTENT or self._propagation.readiness(target) is not Readiness.BUSY:
            self._propagation.touch((), recorded=(target,))
        # Otherwise it was due and is in flight now: busy as before, so nothing depends on it again.
        if record.status is Status.INTENT:
            self._send_first(target, record, now)
        else:
            self._let_go(target)
        self._log.written(target, write, revision)

    def answered(self, message: EffectDone, now: float) -> None:
        """Handle the result of a request or a question. :param now: monotonic seconds."""
        target = message.target
        in_flight = self.requests.get(target, message.token)
        if in_flight is None:
            return  # it is of another term, or somebody else has written the record since
        if message.outcome is None:
            self._log.say("trigger.unanswered", target, in_flight.record, reason=str(message.error))
        dispatcher = self._dispatchers.of(target)
        late = carried_out_within(in_flight.request, dispatcher) if dispatcher is not None else 0.0
        match in_flight.take(message, now, carried_out_within=late):
            case Pause.NONE:
                self._retry_at.pop(target, None)
                self._queue.add(target)
            case Pause.BACK_OFF:
                at = now + self._policy.backoff.pause(in_flight.failures)
                if in_flight.unsettled_until > now:
                    at = min(at, in_flight.unsettled_until)
                self._retry(target, at, Priority.LIVE)
            case Pause.SLOWLY:
                self._retry(target, now + self._policy.blocked_retry, Priority.CATCHUP)
        if in_flight.outcome is not None:
            self._release(target)
            self._queue.add(target)

    def not_sent(self, target: Target, token: str) -> None:
        """A request was too old to be sent, or was recalled: it is decided again."""
        if (in_flight := self.requests.get(target, token)) is not None:
            in_flight.not_sent()
            self._queue.add(target)

    def refused_by_etcd(self, target: Target, now: float, *, is_own: bool) -> None:
        """etcd refuses to write something that a target waits for: try again slowly.

        The observation of its input counts nevertheless: the target is not started on the older state in etcd. Its own
        run that has ended is another case: it would be seen again after each pause.

        :param now: monotonic seconds.
        :param is_own: it is the target's own state, record or wait.
        """
        if is_own and self._checks.own_run_has_ended(target):
            self._queue.add(target, after=now + RETRY_AFTER)
        else:
            self.stop(target)
            self._retry(target, now + self._policy.blocked_retry, Priority.CATCHUP)

    def is_put_off(self, target: Target, now: float) -> bool:
        """Whether a target is in the queue for a later time, and is not to be tried before."""
        return now < self._retry_at.get(target, 0.0)

    def stop(self, target: Target, *, keeps_slot: bool = False) -> None:
        """Discard the answers for a target, and remove it from the line unless its intent is written."""
        self._checks.drop(target)
        if not keeps_slot:
            self._dispatchers.leave(target)

    def give_up(self, skip: Skip, *, counts: str) -> None:
        """Give a partition up: consume its completions without a run. :param counts: the counter to increase."""
        decision, record = skip.decision, readable_record(self._cache.record(skip.decision.target))
        skipped = records.skipped(decision, record, skip.reason, who=self._policy.who, when=self._policy.clock.now())
        self._ledger.record(decision.target, skipped, counts=counts)

    # -- the situation ---------------------------------------------------------------------------------------------

    def _situation(self, decision: Decision, record: TriggerRecord | None, now: float) -> Situation:
        target = decision.target
        dispatcher = self._dispatchers.of(target)
        own_run_id = self._own_run_id(decision, record)
        in_flight = cleared_at = None
        unchanged = True
        if record is not None and record.status is Status.INTENT:
            in_flight = self.requests.get(target, record.token)
            unchanged = is_unchanged(decision, record)
            cleared_at = records.cleared_since(record, self._cache.state(target))
        return Situation(
            decision=decision,
            record=record,
            now=now,
            own_run_id=own_run_id,
            configured=dispatcher is not None,
            environment_at=max(dispatcher.not_before, dispatcher.look_not_before) if dispatcher is not None else 0.0,
            has_slot=dispatcher is not None and dispatcher.admission.has_slot(target),
            verified=self._checks.heard(decision, own_run_id, now),
            request=in_flight.state if in_flight is not None else None,
            cleared_at=cleared_at,
            unchanged=unchanged,
            retry_at=self._retry_at.get(target, 0.0),
            draining=self.draining,
        )

    def _own_run_id(self, decision: Decision, record: TriggerRecord | None) -> str | None:
        if record is not None and record.status is Status.INTENT:
            return record.run_id if record.action is Action.CLEAR else None
        node = self._propagation.graph.node(decision.target.pipeline)
        policy = node.downstream.rerun if node is not None else None
        if node is not None and node.downstream.items is not None:
            return None  # its items have runs
        seen, row = self._cache.state(decision.target), self._row_of(decision.target)
        return records.run_to_clear(decision, record, seen, policy, row)

    def _row_of(self, target: Target) -> bytes | None:
        return row_of(self._cache, target) if target.pipeline.item else None

    def _take_over(self, target: Target, record: TriggerRecord, now: float) -> None:
        """Take over an intent that this watcher does not know: a predecessor's, or one whose write was in doubt."""
        dispatcher = self._dispatchers.of(target)
        if dispatcher is None or self.requests.get(target, record.token) is not None:
            return
        self._let_go(target)
        request = records.request_of(self._propagation.graph, self._cache, target, record)
        in_flight = InFlight(record, request, RequestState.IN_DOUBT, was_in_doubt=True)
        in_flight.unsettled_until = max(now, self.ask_from) + carried_out_within(request, dispatcher)
        self.requests.put(target, in_flight)
        dispatcher.admission.occupy(target)
        if now < self.ask_from:
            self._retry_at[target] = self.ask_from
        self._log.taken_over(target, record, read_up_to=self._cache.revision)

    # -- the step --------------------------------------------------------------------------------------------------

    def _do(self, step: lifecycle.Step, situation: Situation) -> bool:
        """Execute a step. Returns whether the next one can follow at once."""
        decision, record, now = situation.decision, situation.record, situation.now
        target = decision.target
        priority = self._priority(decision)
        match step:
            case lifecycle.WaitForSlot():
                dispatcher = self._dispatchers.of(target)
                assert dispatcher is not None
                return dispatcher.enter(target, priority, now=now)
            case lifecycle.Look(own_run_id):
                return self._checks.ask(decision, own_run_id, now, priority=priority)
            case lifecycle.WriteIntent(existing):
                self._write_intent(decision, record, existing)
            case lifecycle.Send() | lifecycle.Ask() | lifecycle.Recall():
                self._send(step, target, now)
            case lifecycle.RequeueAt(at, keeps_slot, awaited_run_id):
                self.stop(target, keeps_slot=keeps_slot)
                self._retry(target, at, priority)
                if awaited_run_id is not None:
                    self.own_runs.waits(target, awaited_run_id, now)
            case lifecycle.WriteOutcome():
                self._write_outcome(step, decision, record)
            case lifecycle.NotToStart():
                self.stop(target)
                self._retry_at.pop(target, None)
                self.own_runs.goes_on(target)
            case lifecycle.Nothing():
                pass
        return False

    def _send_first(self, target: Target, record: TriggerRecord, now: float) -> None:
        dispatcher = self._dispatchers.of(target)
        assert dispatcher is not None
        request = records.request_of(self._propagation.graph, self._cache, target, record)
        self.requests.put(target, InFlight(record, request, RequestState.OUT))
        self._retry_at.pop(target, None)
        dispatcher.admission.began(target)
        dispatcher.send(target, request, now)

    def _write_intent(
        self, decision: Decision, record: TriggerRecord | None, existing: lifecycle.OwnRun | None
    ) -> None:
        self._checks.drop(decision.target)
        self.own_runs.goes_on(decision.target)
        self._ledger.record(
            decision.target,
            self._intent(decision, record, existing),
            grounds=grounds(decision),
            sensors=decision.clears,
            decision=decision,
        )

    def _intent(
        self, decision: Decision, record: TriggerRecord | None, existing: lifecycle.OwnRun | None
    ) -> TriggerRecord:
        run = records.ExistingRun(existing.run_id, existing.queued_at) if existing is not None else None
        row = self._row_of(decision.target)
        intent = records.intend(decision, record, run, who=self._policy.who, when=self._policy.clock.now(), row=row)
        if intent.rows is not None and not self._propagation.graph.fans_out(decision.target.pipeline):
            return replace(intent, rows=None)  # its entry has lost its items: it runs as a whole from now on
        return intent

    def _send(self, step: lifecycle.Send | lifecycle.Ask | lifecycle.Recall, target: Target, now: float) -> None:
        dispatcher, in_flight = self._dispatchers.of(target), self.requests.known(target)
        assert dispatcher is not None
        self._checks.drop(target)
        match step:
            case lifecycle.Recall():
                dispatcher.recall(target, in_flight.request.token)
                return
            case lifecycle.Send():
                dispatcher.send(target, in_flight.request, now)
            case lifecycle.Ask():
                dispatcher.ask(target, in_flight.request)
        in_flight.state = RequestState.OUT

    def _write_outcome(self, step: lifecycle.WriteOutcome, decision: Decision, record: TriggerRecord | None) -> None:
        target = decision.target
        self.stop(target, keeps_slot=step.outcome is Outcome.CHANGED)
        if step.retry_at is not None:
            self._retry(target, step.retry_at, Priority.CATCHUP)
        if step.outcome is Outcome.SKIPPED:
            self.give_up(Skip(decision, step.reason), counts="skipped_late")
            return
        if step.outcome is Outcome.BLOCKED and (record is None or record.status is not Status.INTENT):
            self._write_blocked(decision, record, step.reason)
            return
        assert record is not None
        match step.outcome:
            case Outcome.CLEARED:
                assert step.cleared_at is not None
                self._ledger.record(target, records.cleared(record, step.cleared_at))
            case Outcome.DONE:
                self._ledger.record(target, records.done(record))
            case Outcome.IGNORED:
                self._ledger.record(target, records.ignored(record, decision.inputs), decision=decision)
            case Outcome.BLOCKED:
                self._ledger.record(target, records.blocked(record, step.reason))
            case Outcome.RUN_GONE:
                self._ledger.record(target, records.without_run(record, step.reason))
            case Outcome.CHANGED:
                changes = what_changed(record.inputs, decision, ordered=record.ordered)
                self._ledger.record(target, records.withdrawn(record, f"the decision has changed: {changes}"))
            case Outcome.WITHDRAWN:
                self._ledger.record(target, records.withdrawn(record, step.reason))

    def _write_blocked(self, decision: Decision, record: TriggerRecord | None, reason: str) -> None:
        """Write that it is blocked although nothing was sent: the request cannot even be made."""
        if record is not None and record.status is Status.BLOCKED and record.last_error == reason:
            return
        own_run_id = self._own_run_id(decision, record)
        existing = lifecycle.OwnRun(own_run_id, None, ended=True) if own_run_id is not None else None
        self._ledger.record(decision.target, records.blocked(self._intent(decision, record, existing), reason))

    def _let_go(self, target: Target) -> None:
        """Forget a request: its record is another intent now, or not an intent any more."""
        dispatcher = self._dispatchers.of(target)
        if (in_flight := self.requests.pop(target)) is not None and dispatcher is not None:
            dispatcher.drop(target, in_flight.request.token)
        self._release(target)

    def _release(self, target: Target) -> None:
        if (dispatcher := self._dispatchers.of(target)) is not None:
            dispatcher.admission.release(target)

    def _retry(self, target: Target, at: float, priority: Priority) -> None:
        self._retry_at[target] = at
        self._queue.add(target, priority, after=at)

    def _priority(self, decision: Decision) -> Priority:
        """LIVE if it became due while this watcher led: by a completion, or an order, that came since."""
        newest = max((used.revision for used in decision.inputs.values()), default=decision.order)
        return Priority.LIVE if newest > self.term else Priority.CATCHUP


def carried_out_within(request: StartRequest, dispatcher: Dispatcher) -> float:
    """Seconds for which a request whose answer was lost may still be carried out, although its environment does not
    know of it yet. A run is unique by its run_id, or shows that it was cleared; of asset events there may be two."""
    return 0.0 if request.delivery is None else dispatcher.limits.request_timeout + DELIVERED_LATE


def is_unchanged(decision: Decision, intent: TriggerRecord) -> bool:
    """Whether the same intent would be decided now."""
    return (
        decision.ready
        and decision.obstacles <= {Obstacle.IN_FLIGHT}
        and intent.inputs.is_made_of(decision.inputs)
        and intent.tasks == decision.tasks_to_clear
        and intent.retrying == decision.retries
        and decision.order == intent.ordered  # a newer order is carried out with it, not once more after it
    )
