"""What an environment shows is reported on a pipeline's behalf only where nobody else will say it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from coordinator.controller.reconcile.observations import Followed, observation_to_report
from coordinator.model.retention.watermark import Watermark
from coordinator.model.runstate import Attempt, RunState, State, Unreadable
from coordinator.runners.port import ObservedRun

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=1)
ASKED_AT = NOON + timedelta(minutes=2)
SECOND = timedelta(seconds=1)
AT_REST, IN_FLIGHT, END_SEEN = Followed(False, False), Followed(True, False), Followed(True, True)
OBSERVED = None


def run(state: str, queued_at: datetime = NOON) -> ObservedRun:
    return ObservedRun("d", "r", State(state), queued_at)


def made_as_running() -> ObservedRun:
    return ObservedRun("d", "r", State.RUNNING, None)


def estimated(queued_at: datetime) -> ObservedRun:
    return ObservedRun("d", "r", State.QUEUED, queued_at, is_estimated=True)


def said(state: str, queued_at: datetime | None = NOON) -> RunState:
    return RunState(State(state), Attempt("r", queued_at))


@pytest.mark.parametrize(
    ("present", "observed", "policy", "reports"),
    [
        # A silent clear: queued, which no listener reports.
        (said("success"), run("queued", LATER), AT_REST, True),
        (said("running"), run("success"), AT_REST, True),
        # A listener's report comes before Airflow commits: what Airflow still shows is the older.
        (said("success"), run("running"), AT_REST, False),
        (said("success", LATER), run("success"), IN_FLIGHT, False),
        # A person has marked it: what this attempt shows of itself counts no more, a newer attempt does.
        (replace(said("success"), marked=True), run("failed"), END_SEEN, False),
        (replace(said("failed"), marked=True), run("success"), AT_REST, False),
        (replace(said("success"), marked=True), run("queued", LATER), AT_REST, True),
        (replace(said("success"), marked=True), run("failed"), OBSERVED, False),
        # Nothing stands there: a deleted key says "not yet", unless something moves or a flight must end.
        (None, run("success"), AT_REST, False),
        (None, run("running"), AT_REST, True),
        (None, run("success"), IN_FLIGHT, True),
        (Unreadable("?"), run("success"), IN_FLIGHT, True),
        # In an observed environment there is nobody else to tell of it.
        (None, run("success"), OBSERVED, True),
        (Unreadable("?"), run("success"), OBSERVED, True),
        # A writer without queued_at speaks for itself; ours comes only if it stays silent.
        (said("success", None), run("success"), AT_REST, False),
        (said("running", None), run("running"), IN_FLIGHT, False),
        (said("running", None), run("success"), IN_FLIGHT, False),
        (said("running", None), run("success"), END_SEEN, True),
        (said("running", None), run("running"), OBSERVED, True),
        # ``airflow dags test``: a run without queued_at, until it has ended. It may be the attempt that is known.
        (None, made_as_running(), OBSERVED, True),
        (said("running", None), made_as_running(), OBSERVED, False),
        (replace(said("success", None), marked=True), made_as_running(), OBSERVED, False),
        (said("success"), made_as_running(), OBSERVED, True),
        (said("success"), made_as_running(), AT_REST, False),
        (said("running", None), run("success"), OBSERVED, True),
        # Airflow 2: what stands for the start of a queued run is the moment of the answer.
        (said("queued"), estimated(LATER), AT_REST, False),
        (said("running"), estimated(LATER), OBSERVED, False),
        (said("success"), estimated(LATER), AT_REST, True),
        (said("success"), estimated(LATER), OBSERVED, True),
    ],
)
def test_what_is_to_be_reported(
    present: RunState | Unreadable | None, observed: ObservedRun, policy: Followed | None, reports: bool
) -> None:
    found = observation_to_report(present, observed, asked_at=ASKED_AT, is_older=False, watermark=None, policy=policy)
    assert found == (observed.after(NOON) if reports else None)


@pytest.mark.promise("clock-steps")
@pytest.mark.parametrize("observed", [made_as_running(), estimated(LATER)])
@pytest.mark.parametrize("clock", [-SECOND, SECOND], ids=["behind", "ahead"])
def test_an_answer_that_only_estimates_is_used_unless_the_state_was_written_since(
    observed: ObservedRun, clock: timedelta
) -> None:
    """Whatever the clock of who has observed the state."""
    present = replace(said("success"), observed_at=ASKED_AT + clock)

    def reported(is_older: bool) -> ObservedRun | None:
        return observation_to_report(
            present, observed, asked_at=ASKED_AT, is_older=is_older, watermark=None, policy=OBSERVED
        )

    assert reported(False) == observed.after(NOON)
    assert reported(True) is None


@pytest.mark.parametrize("policy", [IN_FLIGHT, OBSERVED])
def test_what_retention_has_removed_is_not_reported_again(policy: Followed | None) -> None:
    def reported(at: datetime) -> ObservedRun | None:
        watermark = Watermark(queued_at=NOON)
        return observation_to_report(
            None, run("success", at), asked_at=ASKED_AT, is_older=False, watermark=watermark, policy=policy
        )

    assert reported(NOON) is None
    assert reported(LATER) == run("success", LATER)


@pytest.mark.parametrize("policy", [AT_REST, OBSERVED])
def test_a_run_that_is_queued_again_is_a_newer_attempt(policy: Followed | None) -> None:
    """Its start is estimated as that of the attempt before, which was shorter than a second."""
    found = observation_to_report(
        said("success"), estimated(NOON), asked_at=ASKED_AT, is_older=False, watermark=None, policy=policy
    )
    assert found is not None
    assert found.queued_at is not None
    assert found.queued_at > NOON


@pytest.mark.promise("following")
@pytest.mark.parametrize("at", [NOON - SECOND, NOON, LATER], ids=["behind", "the same", "ahead"])
def test_a_run_that_is_queued_again_begins_just_after_its_attempt_before(at: datetime) -> None:
    """Whatever the clock of the web server that has answered: its real start is later."""
    assert estimated(at).after(NOON).queued_at == NOON + timedelta(microseconds=1)
