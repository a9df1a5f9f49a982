"""What an environment shows is reported on a pipeline's behalf only where nobody else will say it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from coordinator.controller.reconcile.observations import Assessment, assess
from coordinator.model.runstate import Attempt, RunState, State, Unreadable
from coordinator.runners.port import ObservedRun

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=1)


def run(state: str, queued_at: datetime = NOON) -> ObservedRun:
    return ObservedRun("d", "r", State(state), queued_at)


def said(state: str, queued_at: datetime | None = NOON) -> RunState:
    return RunState(State(state), Attempt("r", queued_at))


@pytest.mark.parametrize(
    ("present", "observed", "in_flight", "seen_before", "assessment"),
    [
        # A silent clear: queued, which no listener reports.
        (said("success"), run("queued", LATER), False, False, Assessment.REPORT),
        (said("running"), run("success"), False, False, Assessment.REPORT),
        # A listener's report comes before Airflow commits: what Airflow still shows is the older.
        (said("success"), run("running"), False, False, Assessment.NOTHING),
        (said("success", LATER), run("success"), True, False, Assessment.NOTHING),
        # A person has marked it: what this attempt shows of itself counts no more, a newer attempt does.
        (replace(said("success"), marked=True), run("failed"), True, True, Assessment.NOTHING),
        (replace(said("failed"), marked=True), run("success"), False, False, Assessment.NOTHING),
        (replace(said("success"), marked=True), run("queued", LATER), False, False, Assessment.REPORT),
        # Nothing stands there: a deleted key says "not yet", unless something moves or a flight must end.
        (None, run("success"), False, False, Assessment.NOTHING),
        (None, run("running"), False, False, Assessment.REPORT),
        (None, run("success"), True, False, Assessment.REPORT),
        (Unreadable("?"), run("success"), True, False, Assessment.REPORT),
        # A writer without queued_at speaks for itself; ours comes only if it stays silent.
        (said("success", None), run("success"), False, False, Assessment.NOTHING),
        (said("running", None), run("running"), True, False, Assessment.NOTHING),
        (said("running", None), run("success"), True, False, Assessment.LATER),
        (said("running", None), run("success"), True, True, Assessment.REPORT),
    ],
)
def test_an_observation_is_assessed(
    present: RunState | Unreadable | None,
    observed: ObservedRun,
    in_flight: bool,
    seen_before: bool,
    assessment: Assessment,
) -> None:
    assert assess(present, observed, in_flight=in_flight, seen_before=seen_before) is assessment
