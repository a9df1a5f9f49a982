"""The lifecycle of a trigger: what is to be done next about a pipeline in a partition. Pure: no I/O, no log.

::

    due -> slot -> look -> intent -> request -> outcome -> end
                    ^                   |
                    +-- not sent: decide again; in doubt: ask first

:func:`next_step` holds every choice on this way. Whoever executes the steps (``controller/reconcile/reconcile.py``)
makes none.

However an answer gets lost, the order is the same: ask what became of the request; if it is known not to have
happened, decide again; repeat it only if the decision is the same, else withdraw it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime

from coordinator.model.decide import Decision, Obstacle
from coordinator.model.partitions.instants import format_instant
from coordinator.model.trigger import Action, Status, TriggerRecord

OWN_RUN_RETRY = 0.5
"""Seconds until a run that must end before it can be cleared is looked at again."""


class RequestState(enum.Enum):
    """What this watcher knows of an intent's request.

    ``IN_DOUBT``   it may have been sent (by a predecessor, or the answer was lost): ask
    ``NOT_SENT``   it is known not to have happened: decide again
    ``OUT``        the request, or a question about it, is under way
    ``KNOWN``      its outcome is known and is to be written
    """

    IN_DOUBT = "in doubt"
    NOT_SENT = "not sent"
    OUT = "out"
    KNOWN = "known"


@dataclass(frozen=True, slots=True)
class OwnRun:
    """The pipeline's own run in the partition, as its environment shows it.

    :ivar ended: it is in a terminal state, so that it can be cleared.
    """

    run_id: str
    queued_at: datetime | None
    ended: bool


@dataclass(frozen=True, slots=True)
class Verification:
    """What the environments have said about the runs that a decision stands on.

    :ivar own: the run that is to be cleared; ``None``: it does not exist, or was not asked about.
    :ivar told: its environment has answered, or need not be asked.
    :ivar refused: why its environment will not tell, though it answers.
    """

    own: OwnRun | None = None
    told: bool = True
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything that the next step depends on.

    :ivar decision: made on what stands in etcd now.
    :ivar record: the trigger record, if there is one that can be read.
    :ivar now: monotonic seconds.
    :ivar own_run_id: the run that starting now would clear; ``None``: one would be created.
    :ivar configured: its environment is.
    :ivar environment_at: monotonic seconds; its environment is not tried before.
    :ivar has_slot: it may be looked at and started.
    :ivar verified: what was heard; ``None``: nothing yet, or not all.
    :ivar request: of the intent in ``record``; ``None``: this watcher has not heard of it.
    :ivar unchanged: the intent in ``record`` is what would be decided now.
    :ivar retry_at: monotonic seconds; nothing is begun before.
    :ivar draining: this watcher is about to stop: it begins nothing more.
    """

    decision: Decision
    record: TriggerRecord | None
    now: float
    own_run_id: str | None = None
    configured: bool = True
    environment_at: float = 0.0
    has_slot: bool = False
    verified: Verification | None = None
    request: RequestState | None = None
    unchanged: bool = True
    retry_at: float = 0.0
    draining: bool = False


class Outcome(enum.Enum):
    """Which record is written.

    ``KNOWN``      what the request's answer has made of it
    ``DONE``       the run has ended
    ``BLOCKED``    the environment refuses, or cannot even be asked
    ``WITHDRAWN``  nothing has happened, and nothing will
    ``CHANGED``    withdrawn, for the decision is another one now
    ``RUN_GONE``   withdrawn; the run that was to be cleared does not exist any more
    ``IGNORED``    consumed without a run, for the rerun policy says no
    ``SKIPPED``    given up: it is late
    """

    KNOWN = "known"
    DONE = "done"
    BLOCKED = "blocked"
    WITHDRAWN = "withdrawn"
    CHANGED = "changed"
    RUN_GONE = "run gone"
    IGNORED = "ignored"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Nothing:
    """Something else will wake it: a change in etcd, an answer."""


@dataclass(frozen=True, slots=True)
class NotToStart:
    """It is not to start: it gives up its slot, its place in line and what was heard for it."""


@dataclass(frozen=True, slots=True)
class RequeueAt:
    """Come back at a time. :ivar at: monotonic seconds. :ivar keeps_slot: it holds one meanwhile."""

    at: float
    keeps_slot: bool = False


@dataclass(frozen=True, slots=True)
class WaitForSlot:
    """Wait in line until the dispatcher gives it a slot."""


@dataclass(frozen=True, slots=True)
class Look:
    """Ask the environments about the runs behind the decision. :ivar own_run_id: and about this one, to be cleared."""

    own_run_id: str | None


@dataclass(frozen=True, slots=True)
class WriteIntent:
    """Write down what is to be sent. :ivar existing: the run that is to be cleared; ``None``: one is created."""

    existing: OwnRun | None


@dataclass(frozen=True, slots=True)
class Send:
    """Send the intent's request."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask what became of the intent's request."""


@dataclass(frozen=True, slots=True)
class Recall:
    """The decision has changed while the request waits to be sent: do not send it, if that is still possible."""


@dataclass(frozen=True, slots=True)
class WriteOutcome:
    """Write a record. :ivar retry_at: monotonic seconds, where it is tried again."""

    outcome: Outcome
    reason: str = ""
    retry_at: float | None = None


Step = Nothing | NotToStart | RequeueAt | WaitForSlot | Look | WriteIntent | Send | Ask | Recall | WriteOutcome


def next_step(situation: Situation, *, blocked_retry: float) -> Step:
    """What to do next. Each cell of this is a row of ``tests/unit/model/test_lifecycle.py``.

    :param blocked_retry: seconds until a refused request is tried again.
    """
    record, decision = situation.record, situation.decision
    if record is not None and record.status is Status.INTENT:
        return _of_intent(situation, record)
    if record is not None and record.status is Status.SENT:
        return Nothing() if Obstacle.IN_FLIGHT in decision.obstacles else WriteOutcome(Outcome.DONE)
    if situation.draining:
        return Nothing()
    if decision.skips:
        assert decision.due_by is not None
        return WriteOutcome(Outcome.SKIPPED, f"it is late: it was due by {format_instant(decision.due_by)}")
    if decision.ignored and record is not None and not decision.obstacles:
        return WriteOutcome(Outcome.IGNORED)
    if decision.ready and decision.obstacles <= {Obstacle.BLOCKED}:
        return _start(situation, blocked_retry)
    if record is not None and record.status is Status.BLOCKED and not decision.due:
        return WriteOutcome(Outcome.WITHDRAWN, "it is not due any more")
    return NotToStart()


def _start(situation: Situation, blocked_retry: float) -> Step:
    """It is to start: look, then write the intent. Its request follows."""
    now, verified = situation.now, situation.verified
    if now < situation.retry_at:
        return RequeueAt(situation.retry_at)
    if not situation.configured:
        environment = situation.decision.target.pipeline.environment
        reason = f"no environment {environment!r} is configured; add [environments.<name>] for it"
        return WriteOutcome(Outcome.BLOCKED, reason, retry_at=now + blocked_retry)
    if not situation.has_slot:
        return WaitForSlot()  # before the look, which would be outdated when its turn comes
    if verified is None:
        return Look(situation.own_run_id)
    if verified.refused is not None:
        return WriteOutcome(Outcome.BLOCKED, verified.refused, retry_at=now + blocked_retry)
    if not verified.told:  # nothing can be started there now
        return RequeueAt(max(situation.environment_at, now + OWN_RUN_RETRY))
    if verified.own is not None and not verified.own.ended:
        return RequeueAt(now + OWN_RUN_RETRY)
    return WriteIntent(verified.own)


def _of_intent(situation: Situation, record: TriggerRecord) -> Step:
    """Bring an intent nearer to its outcome."""
    if not situation.configured:
        return WriteOutcome(Outcome.BLOCKED, "its environment is not configured any more")
    if situation.request is RequestState.KNOWN:
        return WriteOutcome(Outcome.KNOWN)
    if situation.draining:
        return Nothing()  # a successor asks what became of it
    if situation.request is RequestState.OUT:
        return Nothing() if situation.unchanged else Recall()
    if situation.now < situation.retry_at:
        return RequeueAt(situation.retry_at, keeps_slot=True)
    if situation.request is RequestState.NOT_SENT:
        return _decide_again(situation, record)
    return Ask()


def _decide_again(situation: Situation, record: TriggerRecord) -> Step:
    """Nothing has happened: repeat the request only if the decision, and the run to be cleared, are as they were."""
    verified, now = situation.verified, situation.now
    if not situation.unchanged:
        return WriteOutcome(Outcome.CHANGED)
    if verified is None:
        return Look(record.run_id if record.action is Action.CLEAR else None)
    if record.action is Action.CREATE:
        return Send()
    if verified.refused is not None or not verified.told:
        return RequeueAt(max(situation.environment_at, now + OWN_RUN_RETRY), keeps_slot=True)
    own = verified.own
    if own is None:
        return WriteOutcome(Outcome.RUN_GONE, f"run {record.run_id} does not exist any more")
    if own.queued_at != record.before or not own.ended:
        return WriteOutcome(Outcome.WITHDRAWN, f"run {own.run_id} has been cleared meanwhile")
    return Send()
