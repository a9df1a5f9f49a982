"""Flights: intents on their way to a known outcome (design section 5, points 3, 4 and 6).

However an answer gets lost, the order is the same: ask what became of the request; if it is known not to have
happened, decide again; repeat it only if the decision is the same, else withdraw it. So it is with a request that has
waited long in its lane: what it stands on is looked at again before it goes out.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from coordinator.errors import LeadershipLost
from coordinator.model.decide import Decision, Obstacle
from coordinator.model.explanation import what_changed
from coordinator.model.references import Target
from coordinator.model.standings import Standings
from coordinator.model.trigger import Action, TriggerRecord
from coordinator.runners.port import (
    EnvironmentUnavailable,
    Foreign,
    Happened,
    NotHappened,
    NotSent,
    Refused,
    StartRequest,
)
from coordinator.watcher import records
from coordinator.watcher.agenda import Agenda
from coordinator.watcher.decision_log import Deed
from coordinator.watcher.lanes import Backoff, Effect, EffectDone, Lane
from coordinator.watcher.ledger import Ledger, log_record
from coordinator.watcher.looks import OWN_RUN_RETRY, Looks


class Stage(enum.Enum):
    """What happens next with an intent.

    ``ASK``       it may have been sent: ask what became of it
    ``RETHINK``   it is known not to have happened: decide again
    ``OVERDUE``   it has waited long in its lane: look again at all that it stands on, and decide again
    ``OUT``       a request or a question is under way
    ``SETTLED``   the outcome is known and is being written down
    """

    ASK = "ask"
    RETHINK = "rethink"
    OVERDUE = "overdue"
    OUT = "out"
    SETTLED = "settled"


@dataclass(slots=True)
class Flight:
    """An intent on its way.

    :ivar not_before: monotonic seconds; nothing happens before.
    :ivar failures: tries in a row that led to nothing.
    :ivar outcome: the record to be written, once the outcome is known.
    :ivar deed: what that is, where the record alone does not tell.
    """

    record: TriggerRecord
    request: StartRequest
    stage: Stage
    not_before: float = 0.0
    failures: int = 0
    outcome: TriggerRecord | None = None
    deed: Deed | None = None


class Flights:
    """All flights of this term.

    :param blocked_retry: seconds until a refused request is tried again.
    """

    def __init__(
        self,
        lanes: Mapping[str, Lane],
        *,
        standings: Standings,
        ledger: Ledger,
        agenda: Agenda,
        looks: Looks,
        backoff: Backoff,
        blocked_retry: float,
    ) -> None:
        self._lanes = lanes
        self._standings = standings
        self._ledger = ledger
        self._agenda = agenda
        self._looks = looks
        self._backoff = backoff
        self._blocked_retry = blocked_retry
        self._flights: dict[Target, Flight] = {}
        self._blocked_until: dict[Target, float] = {}
        self.draining = False

    def __len__(self) -> int:
        return len(self._flights)

    def clear(self) -> None:
        self._flights.clear()
        self._blocked_until.clear()

    def targets(self) -> list[Target]:
        return list(self._flights)

    def being_written(self) -> bool:
        """Whether a known outcome waits to be written down."""
        return any(flight.stage is Stage.SETTLED for flight in self._flights.values())

    def has_outcome(self, target: Target) -> bool:
        """Whether what became of its request is known and is to be written, whatever would be decided now."""
        flight = self._flights.get(target)
        return flight is not None and flight.stage is Stage.SETTLED

    def drop(self, target: Target, *, blocked: bool) -> None:
        """Its record does not say ``intent`` any more. :param blocked: it says ``blocked``."""
        if (flight := self._flights.pop(target, None)) is not None:
            self._let_go(target, flight)
        if not blocked:
            self._blocked_until.pop(target, None)

    def begin(self, target: Target, record: TriggerRecord, now: float, *, fresh: bool) -> None:
        """An intent has just been written: send its request. :param fresh: it became due while this watcher led."""
        request = records.request_of(self._standings.graph, target, record)
        self._flights[target] = Flight(record, request, Stage.OUT)
        self._blocked_until.pop(target, None)
        lane = self._lanes[target.pipeline.environment]
        lane.start(target, request, now, fresh=fresh)
        self._pump(lane, now)

    def pump(self, now: float) -> None:
        """Let out of all lanes what may go out now."""
        for lane in self._lanes.values():
            self._pump(lane, now)

    def _pump(self, lane: Lane, now: float) -> None:
        for target, token in lane.pump(now):
            flight = self._flights.get(target)
            if flight is not None and flight.record.token == token:
                flight.stage = Stage.OVERDUE
                self._agenda.now(target)

    def blocked_until(self, target: Target) -> float:
        """Monotonic seconds from which on a refused request may be tried again."""
        return self._blocked_until.get(target, 0.0)

    def block(self, target: Target, now: float) -> None:
        """The environment refuses: try again slowly."""
        self._blocked_until[target] = now + self._blocked_retry
        self._agenda.at(now + self._blocked_retry, target, patient=True)

    def bring_on(self, decision: Decision, record: TriggerRecord, now: float) -> None:
        """Bring an intent nearer to its outcome; one without a flight is a predecessor's, or was in doubt."""
        target = decision.target
        lane = self._lanes.get(target.pipeline.environment)
        if lane is None:
            self._ledger.record(target, records.blocked(record, "its environment is not configured any more"))
            return
        flight = self._flights.get(target)
        if flight is None or flight.record.token != record.token:
            if flight is not None:
                self._let_go(target, flight)
            request = records.request_of(self._standings.graph, target, record)
            flight = self._flights[target] = Flight(record, request, Stage.ASK)
            self._ledger.taken_over(target, record)
        if now < flight.not_before:
            self._agenda.at(flight.not_before, target)
            return
        if self.draining and flight.stage is not Stage.SETTLED:
            return  # a successor asks what became of it
        match flight.stage:
            case Stage.ASK:
                flight.stage = Stage.OUT
                lane.ask(target, flight.request, fresh=flight.failures == 0)
            case Stage.RETHINK:
                self._rethink(decision, flight, lane, now)
            case Stage.OVERDUE:
                self._look_again(decision, flight, lane, now)
            case Stage.SETTLED:
                assert flight.outcome is not None
                self._ledger.record(target, flight.outcome, deed=flight.deed)
            case Stage.OUT:
                # It may wait in its lane for as long as the environment is away: what has changed meanwhile counts.
                if not _is_same(decision, flight) and lane.take_back(target, record.token):
                    self._withdraw(decision, flight)

    def take(self, message: EffectDone, now: float) -> None:
        """Take in what came of a request or a question."""
        target = message.target
        flight = self._flights.get(target)
        if flight is None or flight.record.token != message.token:
            return  # of another term, or overtaken by somebody else's write
        record = flight.record
        match message.outcome:
            case Happened(run):
                self._settle(target, flight, records.sent(record, run))
            case Foreign(run):
                flight.deed = Deed.ADOPTED
                self._settle(target, flight, records.adopted(record, run))
            case Refused(status, answer):
                self.block(target, now)
                self._settle(target, flight, records.blocked(record, f"{status}: {answer}"))
            case NotHappened(reason, True):
                self._settle(target, flight, records.without_run(record, reason))
            case NotHappened():
                # Asked without having tried (a takeover): think at once. Tried in vain: after a pause.
                self._pause(target, flight, Stage.RETHINK, now, failed=message.effect is Effect.START)
            case None:
                log_record("trigger.unanswered", target, record, reason=str(message.error))
                self._take_silence(message, flight, now)

    def _take_silence(self, message: EffectDone, flight: Flight, now: float) -> None:
        match message.error:
            case NotSent() | LeadershipLost() if message.effect is Effect.START:
                self._pause(message.target, flight, Stage.RETHINK, now, failed=True)
            case EnvironmentUnavailable() | LeadershipLost():
                self._pause(message.target, flight, Stage.ASK, now, failed=True)
            case _:
                # The environment will not even tell (credentials, rights), and it may have happened: ask slowly.
                flight.stage, flight.not_before = Stage.ASK, now + self._blocked_retry
                self._agenda.at(flight.not_before, message.target)

    def _rethink(self, decision: Decision, flight: Flight, lane: Lane, now: float) -> None:
        """It is known not to have happened: decide again, and repeat it only if the decision is the same."""
        if not _is_same(decision, flight):
            self._withdraw(decision, flight)
        elif self._looks.answered_ticket(decision, None, now=now) is not None:
            self._looks.drop(decision.target)
            flight.stage = Stage.OUT
            lane.start(decision.target, flight.request, now)

    def _look_again(self, decision: Decision, flight: Flight, lane: Lane, now: float) -> None:
        """Nothing has gone out, and what was seen is long ago: that of its inputs, and that of its own run."""
        target, record = decision.target, flight.record
        if not _is_same(decision, flight):
            self._looks.drop(target)
            self._withdraw(decision, flight)
            return
        own_run_id = record.run_id if record.action is Action.CLEAR else None
        ticket = self._looks.answered_ticket(decision, own_run_id, now=now)
        if ticket is None:
            return
        self._looks.drop(target)
        own = ticket.own_run
        if ticket.own is not None and not ticket.own_seen:
            lane.let_go(target, record.token)
            flight.not_before = max(lane.not_before, now + OWN_RUN_RETRY)  # it gives no answer: nothing can start there
            self._agenda.at(flight.not_before, target)
        elif ticket.own is not None and own is None:
            self._settle(target, flight, records.without_run(record, f"run {record.run_id} does not exist any more"))
        elif own is not None and (own.queued_at != record.before or not own.state.is_terminal):
            self._settle(target, flight, records.withdrawn(record, f"run {own.run_id} has been cleared meanwhile"))
        else:
            flight.stage = Stage.OUT
            lane.start_after_all(target, flight.request, now)

    def _withdraw(self, decision: Decision, flight: Flight) -> None:
        changes = what_changed(flight.record.inputs, decision, ordered=flight.record.ordered)
        reason = f"the decision has changed: {changes}"
        self._settle(decision.target, flight, records.withdrawn(flight.record, reason))

    def _settle(self, target: Target, flight: Flight, outcome: TriggerRecord) -> None:
        flight.stage, flight.outcome, flight.not_before = Stage.SETTLED, outcome, 0.0
        self._let_go(target, flight)
        self._agenda.now(target)

    def _let_go(self, target: Target, flight: Flight) -> None:
        """Where its request had been handed back, it is known now what becomes of it."""
        if (lane := self._lanes.get(target.pipeline.environment)) is not None:
            lane.let_go(target, flight.record.token)

    def _pause(self, target: Target, flight: Flight, stage: Stage, now: float, *, failed: bool) -> None:
        flight.stage = stage
        if failed:
            flight.failures += 1
            flight.not_before = now + self._backoff.pause(flight.failures)
        self._agenda.at(flight.not_before, target)


def _is_same(decision: Decision, flight: Flight) -> bool:
    """Whether an intent is still what would be decided now."""
    return (
        decision.ready
        and decision.obstacles <= {Obstacle.IN_FLIGHT}
        and records.same_inputs(decision.inputs, flight.record.inputs)
        and decision.order == flight.record.ordered  # a newer order is carried out with it, not once more after it
    )
