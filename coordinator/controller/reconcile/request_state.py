"""The requests of this term: what this watcher knows of each intent beyond what is in etcd."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from coordinator.controller.decision_log import LogEvent
from coordinator.controller.dispatch.jobs import Effect, EffectDone, Recalled
from coordinator.controller.reconcile import records
from coordinator.errors import CoordinatorError, LeadershipLost
from coordinator.model.lifecycle import RequestState
from coordinator.model.references import Target
from coordinator.model.trigger import TriggerRecord
from coordinator.runners.port import (
    Delivered,
    EnvironmentUnavailable,
    Foreign,
    Happened,
    NotHappened,
    NotSent,
    Refused,
    RowsRead,
    StartRequest,
)


class Pause(enum.Enum):
    """When to continue with a request.

    ``NONE``      at once
    ``BACK_OFF``  after a pause that grows with each failure
    ``SLOWLY``    after the pause of a refused request
    """

    NONE = "none"
    BACK_OFF = "back off"
    SLOWLY = "slowly"


@dataclass(slots=True)
class InFlight:
    """A request whose outcome is not written yet.

    :ivar failures: unsuccessful attempts in a row.
    :ivar was_in_doubt: an earlier one may still be on its way, whatever becomes of the next.
    :ivar unsettled_until: monotonic seconds. Until then, that the environment does not know of it says nothing: it may
        still be carried out there.
    :ivar outcome: the record to be written, once the outcome is known.
    :ivar event: its event in the decision log, where that does not follow from the record alone.
    """

    record: TriggerRecord
    request: StartRequest
    state: RequestState
    failures: int = 0
    was_in_doubt: bool = False
    unsettled_until: float = 0.0
    outcome: TriggerRecord | None = None
    event: LogEvent | None = None

    def doubt(self) -> None:
        """It may have been sent: it is asked about before anything else."""
        self.state, self.was_in_doubt = RequestState.IN_DOUBT, True

    def not_sent(self) -> None:
        """The newest attempt was not sent, or had no effect."""
        self.state = RequestState.NOT_HAPPENED if self.was_in_doubt else RequestState.NOT_SENT

    def take(self, message: EffectDone, now: float, *, carried_out_within: float = 0.0) -> Pause:
        """Handle the result of the request, or of a question about it. Returns when to continue.

        :param now: monotonic seconds.
        :param carried_out_within: seconds for which a request whose answer was lost may still be carried out, where
            nothing but asking tells of it.
        """
        pause = self._take(message, now)
        if message.effect is Effect.START and self.state is RequestState.IN_DOUBT:
            self.unsettled_until = now + carried_out_within
        return pause

    def _take(self, message: EffectDone, now: float) -> Pause:
        match message.outcome:
            case Delivered():
                self.event = LogEvent.SENT
                return self._settle(records.delivered(self.record))
            case RowsRead() as found:
                return self._settle(records.fanned_out(self.record, found))
            case NotHappened() if message.effect is Effect.ASK and now < self.unsettled_until:
                self.doubt()
                self.failures += 1
                return Pause.BACK_OFF
            case Happened(run):
                return self._settle(records.sent(self.record, run))
            case Foreign(run):
                self.event = LogEvent.ADOPTED
                return self._settle(records.adopted(self.record, run))
            case Refused(status, answer):
                self._settle(records.blocked(self.record, f"{status}: {answer}"))
                return Pause.SLOWLY
            case NotHappened(reason, True):
                return self._settle(records.without_run(self.record, reason))
            case NotHappened():
                # Asked without having sent it (a takeover): decide at once. Sent without effect: after a pause.
                return self._not_sent(failed=message.effect is Effect.START)
        return self._take_silence(message.effect, message.error)

    def _take_silence(self, effect: Effect, error: CoordinatorError | None) -> Pause:
        match error:
            case Recalled():
                return self._not_sent(failed=False)
            case NotSent() | LeadershipLost() if effect is Effect.START:
                return self._not_sent(failed=True)
        self.doubt()
        if isinstance(error, EnvironmentUnavailable | LeadershipLost):
            self.failures += 1
            return Pause.BACK_OFF
        # The environment refuses the question (credentials, permissions), and the run may exist: ask slowly.
        return Pause.SLOWLY

    def _settle(self, outcome: TriggerRecord) -> Pause:
        self.outcome = outcome
        return Pause.NONE

    def _not_sent(self, *, failed: bool) -> Pause:
        self.not_sent()
        self.failures += failed
        return Pause.BACK_OFF if failed else Pause.NONE


class Requests:
    """By target. Used by the deciding thread only."""

    def __init__(self) -> None:
        self._by_target: dict[Target, InFlight] = {}

    def __len__(self) -> int:
        return len(self._by_target)

    def __contains__(self, target: Target) -> bool:
        return target in self._by_target

    def get(self, target: Target, token: str) -> InFlight | None:
        """The request of this intent, if this watcher knows of it."""
        known = self._by_target.get(target)
        return known if known is not None and known.record.token == token else None

    def known(self, target: Target) -> InFlight:
        """The request of a target that has one."""
        return self._by_target[target]

    def put(self, target: Target, in_flight: InFlight) -> None:
        self._by_target[target] = in_flight

    def pop(self, target: Target) -> InFlight | None:
        return self._by_target.pop(target, None)

    def clear(self) -> None:
        self._by_target.clear()

    def targets(self) -> list[Target]:
        return list(self._by_target)

    def being_written(self) -> bool:
        """Whether a known outcome waits to be written."""
        return any(one.outcome is not None for one in self._by_target.values())
