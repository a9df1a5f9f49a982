"""The lifecycle of a trigger: the next step for a pipeline in a partition. Pure: no I/O, no log.

::

    due -> slot -> look -> intent -> request -> outcome -> end
                    ^                   |
                    +-- not sent: decide again; in doubt: ask first

:func:`next_step` holds every choice on this way. Whoever executes the steps (``controller/reconcile/reconcile.py``)
makes none.

An *intent* is the trigger record that is written before the request is sent. A *look* asks the environments about the
runs behind a decision. The outcome of a request, once it is known, is written whatever would be decided by then: there
is no choice in it. However an answer gets lost, the order is the same: ask for the outcome of the request; if it is
known not to have happened, decide again; repeat it only if the decision is the same, else withdraw it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime

import msgspec

from coordinator.model.decide import Decision, Obstacle
from coordinator.model.partitions.instants import format_instant
from coordinator.model.trigger import Action, Status, TriggerRecord

OWN_RUN_RETRY = 0.5
"""Seconds until the next look at a run that must end before it can be cleared."""


class RequestState(enum.Enum):
    """What this watcher knows about an intent's request.

    ``IN_DOUBT``      it may have been sent (by a predecessor, or the answer was lost): ask
    ``NOT_HAPPENED``  it was in doubt, and its environment says that nothing has happened: decide again. It may still be
        on its way
    ``NOT_SENT``      it is known not to have been sent, or to have had no effect: decide again
    ``OUT``           the request, or a question about it, is under way, or has been answered
    """

    IN_DOUBT = "in doubt"
    NOT_HAPPENED = "not happened"
    NOT_SENT = "not sent"
    OUT = "out"


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
    """The answers of the environments about the runs that a decision uses.

    :ivar own: the run to clear; ``None``: it does not exist, or was not asked about.
    :ivar told: its environment has answered, or need not be asked.
    :ivar refused: why its environment refuses to tell.
    """

    own: OwnRun | None = None
    told: bool = True
    refused: str | None = None


class Situation(msgspec.Struct, frozen=True, gc=False):
    """Everything that the next step depends on.

    :ivar decision: made on the present facts.
    :ivar record: the trigger record, if there is one that can be read.
    :ivar now: monotonic seconds.
    :ivar own_run_id: the run that starting now would clear; ``None``: one would be created.
    :ivar configured: whether its environment is configured.
    :ivar environment_at: monotonic seconds; its environment is not asked before.
    :ivar has_slot: whether a look and a start are allowed.
    :ivar verified: the answers of a look; ``None``: they are missing or incomplete.
    :ivar request: the state of the request of the intent in ``record``; ``None``: this watcher does not know it.
    :ivar cleared_at: the run that the intent in ``record`` is to clear has been cleared since: the ``queued_at`` of its
        newer attempt, as etcd says.
    :ivar unchanged: the same intent as in ``record`` would be decided now.
    :ivar retry_at: monotonic seconds; nothing is begun before.
    :ivar draining: this watcher is about to stop and begins nothing more.
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
    cleared_at: datetime | None = None
    unchanged: bool = True
    retry_at: float = 0.0
    draining: bool = False


class Outcome(enum.Enum):
    """Which record is written.

    ``CLEARED``    the run has been cleared since, by the request after all or by somebody else: it uses the inputs
    ``DONE``       the run has ended
    ``BLOCKED``    the environment refuses, or cannot even be asked
    ``WITHDRAWN``  the request has not happened, and will not be sent
    ``CHANGED``    withdrawn, because the decision has changed
    ``RUN_GONE``   withdrawn, because the run to clear does not exist any more
    ``IGNORED``    consumed without a run, because the rerun policy is ``ignore``
    ``SKIPPED``    given up (consumed without a run), because it is late
    """

    CLEARED = "cleared"
    DONE = "done"
    BLOCKED = "blocked"
    WITHDRAWN = "withdrawn"
    CHANGED = "changed"
    RUN_GONE = "run gone"
    IGNORED = "ignored"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Nothing:
    """Nothing to do until a change in etcd or an answer comes."""


@dataclass(frozen=True, slots=True)
class NotToStart:
    """It is not to start: release its slot and its place in line, and discard its answers."""


@dataclass(frozen=True, slots=True)
class RequeueAt:
    """Examine it again at a time.

    :ivar at: monotonic seconds. :ivar keeps_slot: it keeps its slot meanwhile.
    :ivar own_run_id: its own run, whose end it waits for.
    """

    at: float
    keeps_slot: bool = False
    own_run_id: str | None = None


@dataclass(frozen=True, slots=True)
class WaitForSlot:
    """Wait in line until the dispatcher gives it a slot."""


@dataclass(frozen=True, slots=True)
class Look:
    """Ask the environments about the runs behind the decision. :ivar own_run_id: also about this run, to be cleared."""

    own_run_id: str | None


@dataclass(frozen=True, slots=True)
class WriteIntent:
    """Write the intent of a request. :ivar existing: the run to clear; ``None``: one is created."""

    existing: OwnRun | None


@dataclass(frozen=True, slots=True)
class Send:
    """Send the intent's request."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask for the outcome of the intent's request."""


@dataclass(frozen=True, slots=True)
class Recall:
    """The decision has changed while the request waits to be sent: do not send it if that can be prevented."""


@dataclass(frozen=True, slots=True)
class WriteOutcome:
    """Write a record.

    :ivar retry_at: monotonic seconds at which to try again, if at all.
    :ivar cleared_at: the ``queued_at`` of the attempt that uses the inputs.
    """

    outcome: Outcome
    reason: str = ""
    retry_at: float | None = None
    cleared_at: datetime | None = None


Step = Nothing | NotToStart | RequeueAt | WaitForSlot | Look | WriteIntent | Send | Ask | Recall | WriteOutcome


def next_step(situation: Situation, *, blocked_retry: float) -> Step:
    """The next step. ``tests/unit/model/test_lifecycle.py`` has a row for each case.

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
    """The next step of a target that is to start: a look, then the intent. Its request follows."""
    now, verified = situation.now, situation.verified
    if now < situation.retry_at:
        return RequeueAt(situation.retry_at)
    if not situation.configured:
        environment = situation.decision.target.pipeline.environment
        reason = f"no environment {environment!r} is configured; add [environments.<name>] for it"
        return WriteOutcome(Outcome.BLOCKED, reason, retry_at=now + blocked_retry)
    if not situation.has_slot:
        return WaitForSlot()  # before the look, which would be outdated by the time it gets a slot
    if verified is None:
        return Look(situation.own_run_id)
    if verified.refused is not None:
        return WriteOutcome(Outcome.BLOCKED, verified.refused, retry_at=now + blocked_retry)
    if not verified.told:  # its environment does not answer, so nothing can be started there now
        return RequeueAt(max(situation.environment_at, now + OWN_RUN_RETRY))
    if verified.own is not None and not verified.own.ended:
        return RequeueAt(now + OWN_RUN_RETRY, own_run_id=verified.own.run_id)
    if verified.own is None and (situation.decision.clears or situation.decision.retries):
        return RequeueAt(now + OWN_RUN_RETRY)  # the state, or the waits, of a run that is gone are about to be removed
    return WriteIntent(verified.own)


def _of_intent(situation: Situation, record: TriggerRecord) -> Step:
    """The next step of an intent towards its outcome."""
    if not situation.configured:
        return WriteOutcome(Outcome.BLOCKED, "its environment is not configured any more")
    if situation.draining:
        return Nothing()  # a successor asks for its outcome
    if situation.request is RequestState.OUT:
        return Nothing() if situation.unchanged else Recall()
    if situation.now < situation.retry_at:
        return RequeueAt(situation.retry_at, keeps_slot=True)
    if situation.request in (RequestState.NOT_SENT, RequestState.NOT_HAPPENED):
        return _decide_again(situation, record)
    return Ask()


def _decide_again(situation: Situation, record: TriggerRecord) -> Step:
    """The request has not happened: repeat it only if the decision, and the run to clear, are unchanged."""
    verified, now = situation.verified, situation.now
    # Where its environment may carry it out late, a clear that is seen since is taken for this one.
    may_be_late = situation.request is RequestState.NOT_HAPPENED
    if may_be_late and situation.cleared_at is not None:
        return WriteOutcome(Outcome.CLEARED, cleared_at=situation.cleared_at)
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
    if may_be_late and own.queued_at is not None and own.queued_at != record.before:
        return WriteOutcome(Outcome.CLEARED, cleared_at=own.queued_at)
    if own.queued_at != record.before or not own.ended:
        return WriteOutcome(Outcome.WITHDRAWN, f"run {own.run_id} has been cleared meanwhile")
    return Send()
