"""What a look at a sensor's own task says of its wait."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from coordinator.model.references import PipelineRef, Target, WaitRef
from coordinator.model.runstate import State
from coordinator.model.taskstate import TaskInstance
from coordinator.model.wait_assessment import Refuse, WaitVerdict, assess_wait
from coordinator.model.waits import Completion, Wait, WaitStatus, passed

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
REF = WaitRef(Target(PipelineRef("default", "D"), "p"), "r", "sensor", -1)
UPSTREAM = Target(PipelineRef("default", "U"), "p")
WAITING = Wait(WaitStatus.WAITING, UPSTREAM, task_instance="one", try_number=1)
PASSED = passed(WAITING, Completion(7, State.SUCCESS), NOON)
OF_AIRFLOW_2 = Wait(WaitStatus.WAITING, UPSTREAM, try_number=1)
PASSED_IN_AIRFLOW_2 = passed(OF_AIRFLOW_2, Completion(7, State.SUCCESS), NOON)
KEEP, REMOVE = WaitVerdict.KEEP, WaitVerdict.REMOVE


def instance(state: str | None, *, named: str | None = "one", map_index: int = -1, try_number: int = 1) -> TaskInstance:
    return TaskInstance(map_index, named, state, try_number)


@pytest.mark.parametrize(
    ("wait", "instances", "verdict"),
    [
        # It waits as long as its own instance has not ended.
        (WAITING, [instance("deferred")], KEEP),
        (WAITING, [instance("up_for_reschedule")], KEEP),
        (WAITING, [instance(None)], KEEP),
        (WAITING, [instance("success")], REMOVE),
        (WAITING, [instance("skipped")], REMOVE),
        (WAITING, [instance("removed")], REMOVE),
        (WAITING, [], REMOVE),
        # Airflow 3 gives an instance a new id when it is cleared.
        (WAITING, [instance("deferred", named="another")], REMOVE),
        (OF_AIRFLOW_2, [instance("deferred", named=None, try_number=2)], KEEP),
        # Each instance of a mapped sensor has a wait of its own.
        (WAITING, [instance("deferred", map_index=0)], REMOVE),
        (WAITING, [instance("success", map_index=0), instance("deferred")], KEEP),
        # It has passed, and goes on, or has succeeded since.
        (PASSED, [instance("deferred")], KEEP),
        (PASSED, [instance("success")], KEEP),
        (PASSED, [instance("failed")], REMOVE),
        (PASSED, [instance("upstream_failed")], REMOVE),
        (PASSED, [instance("success", named="another")], REMOVE),
        (PASSED_IN_AIRFLOW_2, [instance("success", named=None)], KEEP),
        (PASSED_IN_AIRFLOW_2, [instance("success", named=None, try_number=2)], REMOVE),
    ],
)
def test_a_wait_stays_as_long_as_its_sensor_waits(
    wait: Wait, instances: list[TaskInstance], verdict: WaitVerdict
) -> None:
    def assessed(*, may_be_older: bool) -> WaitVerdict | Refuse:
        return assess_wait(wait, REF, instances, may_be_older=may_be_older, removed_before=False)

    assert assessed(may_be_older=False) is verdict
    # A look that was sent before the wait was known may show the instance before it.
    assert assessed(may_be_older=True) is (KEEP if verdict is KEEP else WaitVerdict.ASK_AGAIN)


@pytest.mark.parametrize(
    ("instances", "removed_before", "refuses"),
    [([], True, True), ([], False, False), ([instance("failed")], True, False)],
)
def test_a_wait_that_comes_again_without_its_task_is_refused(
    instances: list[TaskInstance], removed_before: bool, refuses: bool
) -> None:
    found = assess_wait(WAITING, REF, instances, may_be_older=False, removed_before=removed_before)
    assert isinstance(found, Refuse) is refuses
    if isinstance(found, Refuse):
        assert "environment 'default' has no such task in a run r" in found.reason
