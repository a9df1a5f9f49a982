"""The lifecycle: every cell of what is to be done next, as a table."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import product

import pytest
from msgspec.structs import replace

from coordinator.model.decide import Decision, Obstacle
from coordinator.model.lifecycle import (
    OWN_RUN_RETRY,
    Ask,
    Look,
    Nothing,
    NotToStart,
    Outcome,
    OwnRun,
    Recall,
    RequestState,
    RequeueAt,
    Send,
    Situation,
    Step,
    Verification,
    WaitForSlot,
    WriteIntent,
    WriteOutcome,
    next_step,
)
from coordinator.model.references import PipelineRef, Target, WaitRef
from coordinator.model.runstate import Unreadable
from coordinator.model.trigger import Action, Status, TriggerRecord
from coordinator.model.view import Readiness, SeenWait

NOW = 100.0
RETRY = 60.0
LATER = NOW + 5.0
KEEPS = RequeueAt(LATER, keeps_slot=True)
BEFORE = datetime(2026, 11, 20, tzinfo=UTC)
TARGET = Target(PipelineRef("default", "D"), "p")

FIRES = Decision(TARGET, Readiness.BUSY, due=True, ready=True)
WAITS = Decision(TARGET, Readiness.BUSY, due=True)
RESTS = Decision(TARGET, Readiness.SETTLED)
HELD = replace(FIRES, obstacles=frozenset([Obstacle.HELD]))
BLOCKED = replace(FIRES, obstacles=frozenset([Obstacle.BLOCKED]))
FLIES = Decision(TARGET, Readiness.BUSY, obstacles=frozenset([Obstacle.IN_FLIGHT]))
LATE = replace(WAITS, skips=True, due_by=BEFORE)
IGNORED = Decision(TARGET, Readiness.SETTLED, ignored=True)

ENDED = OwnRun("r", BEFORE, ended=True)
RUNNING = OwnRun("r", BEFORE, ended=False)
CLEARED = OwnRun("r", BEFORE.replace(hour=1), ended=True)
HEARD = Verification()
UNTOLD = Verification(told=False)
REFUSED = Verification(told=False, refused="403: no")


def record(status: Status, action: Action = Action.CREATE) -> TriggerRecord:
    return TriggerRecord(status, 1, action, "r", "t", 1, before=BEFORE if action is Action.CLEAR else None)


def situation(decision: Decision, kept: TriggerRecord | None = None, **more: object) -> Situation:
    return Situation(decision, kept, NOW, **more)  # type: ignore[arg-type]


def step(now: Situation) -> Step:
    return next_step(now, blocked_retry=RETRY)


STARTING: list[tuple[str, dict[str, object], Step]] = [
    ("it waits for a slot before anything is asked", {}, WaitForSlot()),
    ("what was heard before it had a slot is old", {"verified": HEARD}, WaitForSlot()),
    ("with a slot it is looked at", {"has_slot": True}, Look(None)),
    ("with the run that it would clear", {"has_slot": True, "own_run_id": "r"}, Look("r")),
    ("nothing stands against a new run", {"has_slot": True, "verified": HEARD}, WriteIntent(None)),
    (
        "a run that has ended is cleared",
        {"has_slot": True, "own_run_id": "r", "verified": Verification(own=ENDED)},
        WriteIntent(ENDED),
    ),
    (
        "a run that is gone is created",
        {"has_slot": True, "own_run_id": "r", "verified": HEARD},
        WriteIntent(None),
    ),
    (
        "a run that goes on is left to finish",
        {"has_slot": True, "own_run_id": "r", "verified": Verification(own=RUNNING)},
        RequeueAt(NOW + OWN_RUN_RETRY, own_run_id=RUNNING.run_id),
    ),
    ("no answer about its own run", {"has_slot": True, "verified": UNTOLD}, RequeueAt(NOW + OWN_RUN_RETRY)),
    (
        "no answer from an environment that rests",
        {"has_slot": True, "verified": UNTOLD, "environment_at": LATER},
        RequeueAt(LATER),
    ),
    (
        "an environment that refuses to tell",
        {"has_slot": True, "verified": REFUSED},
        WriteOutcome(Outcome.BLOCKED, "403: no", retry_at=NOW + RETRY),
    ),
    (
        "an environment that is not configured",
        {"configured": False},
        WriteOutcome(
            Outcome.BLOCKED,
            "no environment 'default' is configured; add [environments.<name>] for it",
            retry_at=NOW + RETRY,
        ),
    ),
    ("before its time nothing is begun", {"retry_at": LATER, "has_slot": True, "verified": HEARD}, RequeueAt(LATER)),
    ("nor where nothing is configured", {"retry_at": LATER, "configured": False}, RequeueAt(LATER)),
    ("a watcher that stops begins nothing", {"draining": True, "has_slot": True, "verified": HEARD}, Nothing()),
]


@pytest.mark.promise("once")
def test_for_sensors_of_a_run_that_is_gone_no_run_is_created() -> None:
    """Somebody has deleted it: its waits are removed soon, and with them the reason."""
    seen = SeenWait(WaitRef(TARGET, "r", "sensor", -1), Unreadable("a test"), 1)
    clears = replace(FIRES, clears=(seen,))
    assert step(situation(clears, has_slot=True, own_run_id="r", verified=HEARD)) == RequeueAt(NOW + OWN_RUN_RETRY)
    there = Verification(own=ENDED)
    assert step(situation(clears, has_slot=True, own_run_id="r", verified=there)) == WriteIntent(ENDED)


@pytest.mark.parametrize("kept", [None, Status.DONE, Status.WITHDRAWN, Status.BLOCKED], ids=str)
@pytest.mark.parametrize(("what", "given", "then"), STARTING, ids=[row[0] for row in STARTING])
def test_what_is_to_start(what: str, given: dict[str, object], then: Step, kept: Status | None) -> None:
    decision = BLOCKED if kept is Status.BLOCKED else FIRES
    assert step(situation(decision, record(kept) if kept is not None else None, **given)) == then, what


AT_REST: list[tuple[str, Decision, Status | None, Step]] = [
    ("nothing is due", RESTS, None, NotToStart()),
    ("something is coming", WAITS, None, NotToStart()),
    ("it is held", HELD, None, NotToStart()),
    ("it is held, and was refused before", HELD, Status.BLOCKED, NotToStart()),
    ("its run goes on", FLIES, Status.SENT, Nothing()),
    ("its run has ended", RESTS, Status.SENT, WriteOutcome(Outcome.DONE)),
    ("its run has ended, and it is due again", FIRES, Status.SENT, WriteOutcome(Outcome.DONE)),
    (
        "it was refused, and is not due any more",
        RESTS,
        Status.BLOCKED,
        WriteOutcome(Outcome.WITHDRAWN, "it is not due any more"),
    ),
    ("it was refused, and waits for something else", WAITS, Status.BLOCKED, NotToStart()),
    ("its policy says no", IGNORED, Status.DONE, WriteOutcome(Outcome.IGNORED)),
    ("its policy says no, and it never ran", IGNORED, None, NotToStart()),
    ("its policy says no, and it is held", replace(HELD, ready=False, ignored=True), Status.DONE, NotToStart()),
    (
        "it is late",
        LATE,
        None,
        WriteOutcome(Outcome.SKIPPED, "it is late: it was due by 2026-11-20T00:00:00Z"),
    ),
]


@pytest.mark.parametrize(("what", "decision", "kept", "then"), AT_REST, ids=[row[0] for row in AT_REST])
def test_what_is_not_to_start(what: str, decision: Decision, kept: Status | None, then: Step) -> None:
    kept_record = record(kept) if kept is not None else None
    assert step(situation(decision, kept_record)) == then, what
    drained = step(situation(decision, kept_record, draining=True))
    assert drained == (then if kept is Status.SENT else Nothing()), "a watcher that stops notes ends, and no more"


INTENTS: list[tuple[str, Action, dict[str, object], Step]] = [
    ("a predecessor's is asked about", Action.CREATE, {"request": RequestState.IN_DOUBT}, Ask()),
    (
        "also when the decision has changed",
        Action.CREATE,
        {"request": RequestState.IN_DOUBT, "unchanged": False},
        Ask(),
    ),
    ("one that nobody knows of too", Action.CREATE, {}, Ask()),
    (
        "not before its time",
        Action.CREATE,
        {"request": RequestState.IN_DOUBT, "retry_at": LATER},
        KEEPS,
    ),
    ("under way", Action.CREATE, {"request": RequestState.OUT}, Nothing()),
    ("under way, and overtaken", Action.CREATE, {"request": RequestState.OUT, "unchanged": False}, Recall()),
    (
        "its environment is gone from the configuration",
        Action.CREATE,
        {"request": RequestState.NOT_SENT, "configured": False},
        WriteOutcome(Outcome.BLOCKED, "its environment is not configured any more"),
    ),
    (
        "not sent, and the decision is another one",
        Action.CREATE,
        {"request": RequestState.NOT_SENT, "unchanged": False, "verified": HEARD},
        WriteOutcome(Outcome.CHANGED),
    ),
    ("not sent: it is looked at again", Action.CREATE, {"request": RequestState.NOT_SENT}, Look(None)),
    ("a clear with its own run", Action.CLEAR, {"request": RequestState.NOT_SENT}, Look("r")),
    (
        "not before its time either",
        Action.CLEAR,
        {"request": RequestState.NOT_SENT, "retry_at": LATER},
        KEEPS,
    ),
    ("looked at, and sent again", Action.CREATE, {"request": RequestState.NOT_SENT, "verified": HEARD}, Send()),
    (
        "a clear whose run is as it was",
        Action.CLEAR,
        {"request": RequestState.NOT_SENT, "verified": Verification(own=ENDED)},
        Send(),
    ),
    (
        "a clear that was not sent, and whose run somebody has cleared",
        Action.CLEAR,
        {"request": RequestState.NOT_SENT, "verified": Verification(own=CLEARED)},
        WriteOutcome(Outcome.WITHDRAWN, "run r has been cleared meanwhile"),
    ),
    (
        "a clear that may still be on its way, and whose run has been cleared",
        Action.CLEAR,
        {"request": RequestState.NOT_HAPPENED, "verified": Verification(own=CLEARED)},
        WriteOutcome(Outcome.CLEARED, cleared_at=CLEARED.queued_at),
    ),
    (
        "the same, as etcd says",
        Action.CLEAR,
        {"request": RequestState.NOT_HAPPENED, "cleared_at": CLEARED.queued_at, "unchanged": False},
        WriteOutcome(Outcome.CLEARED, cleared_at=CLEARED.queued_at),
    ),
    (
        "a clear that has not happened is looked at, and sent again",
        Action.CLEAR,
        {"request": RequestState.NOT_HAPPENED, "verified": Verification(own=ENDED)},
        Send(),
    ),
    (
        "a clear whose run goes on",
        Action.CLEAR,
        {"request": RequestState.NOT_SENT, "verified": Verification(own=RUNNING)},
        WriteOutcome(Outcome.WITHDRAWN, "run r has been cleared meanwhile"),
    ),
    (
        "a clear whose run is gone",
        Action.CLEAR,
        {"request": RequestState.NOT_SENT, "verified": HEARD},
        WriteOutcome(Outcome.RUN_GONE, "run r does not exist any more"),
    ),
    (
        "a clear whose environment gives no answer",
        Action.CLEAR,
        {"request": RequestState.NOT_SENT, "verified": UNTOLD, "environment_at": LATER},
        KEEPS,
    ),
    (
        "a clear whose environment will not tell",
        Action.CLEAR,
        {"request": RequestState.NOT_SENT, "verified": REFUSED},
        RequeueAt(NOW + OWN_RUN_RETRY, keeps_slot=True),
    ),
]


@pytest.mark.parametrize(("what", "action", "given", "then"), INTENTS, ids=[row[0] for row in INTENTS])
def test_what_becomes_of_an_intent(what: str, action: Action, given: dict[str, object], then: Step) -> None:
    intent = record(Status.INTENT, action)
    assert step(situation(FLIES, intent, **given)) == then, what
    drained = step(situation(FLIES, intent, **given, draining=True))
    assert drained == (then if given.get("configured") is False else Nothing()), "a successor asks what became of it"


def test_nothing_is_sent_or_intended_but_on_what_was_heard() -> None:
    """Over all combinations: no intent without a slot, no send without having looked, nothing before its time."""
    decisions = (FIRES, WAITS, RESTS, HELD, BLOCKED, FLIES, LATE, IGNORED)
    records = (None, *(record(status, action) for status, action in product(Status, Action)))
    heard = (None, HEARD, UNTOLD, REFUSED, Verification(own=ENDED), Verification(own=RUNNING))
    switches = (False, True)
    for decision, kept, verified, request in product(decisions, records, heard, (None, *RequestState)):
        for slot, unchanged, draining, early in product(switches, repeat=4):
            now = situation(
                decision,
                kept,
                verified=verified,
                request=request,
                has_slot=slot,
                unchanged=unchanged,
                draining=draining,
                retry_at=LATER if early else 0.0,
            )
            match step(now):
                case WriteIntent():
                    assert slot
                    assert verified is not None
                    assert verified.told
                    assert decision.fires or decision is BLOCKED
                    assert (draining, early) == (False, False)
                    assert kept is None or kept.status in (Status.DONE, Status.WITHDRAWN, Status.BLOCKED)
                case Send():
                    assert kept is not None
                    assert kept.status is Status.INTENT
                    assert request in (RequestState.NOT_SENT, RequestState.NOT_HAPPENED)
                    assert unchanged
                    assert verified is not None
                    assert (draining, early) == (False, False)
                case Ask() | Recall():
                    assert kept is not None
                    assert kept.status is Status.INTENT
                    assert not draining
