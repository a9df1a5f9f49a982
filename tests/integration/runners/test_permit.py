"""The permit: the last word before a request leaves that changes something."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from coordinator.errors import LeadershipLost
from coordinator.model.runstate import State
from coordinator.runners.airflow import AirflowRunner
from coordinator.runners.port import Happened
from coordinator.runners.testing import clear, create
from tests.standin.airflow import StandInAirflow
from tests.standin.faults import Fault


@dataclass
class Permits:
    """Refuses from the ``refuses_at``th time on that it is asked."""

    refuses_at: int | None = None
    asked: list[float] = field(default_factory=list)

    def __call__(self, seconds: float) -> None:
        self.asked.append(seconds)
        if self.refuses_at is not None and len(self.asked) >= self.refuses_at:
            raise LeadershipLost("not any more")


def test_it_is_asked_right_before_the_request_with_what_is_left_of_the_time(runner: AirflowRunner) -> None:
    permits = Permits()
    assert isinstance(runner.start(create("slow"), permit=permits), Happened)
    (left,) = permits.asked
    assert 0 < left <= 10.0


@pytest.mark.promise("leader-only")
def test_what_is_not_permitted_does_not_happen(runner: AirflowRunner, airflow: StandInAirflow) -> None:
    run = airflow.trigger_by_hand("quick")
    run = airflow.await_run("quick", run.run_id, State.SUCCESS)
    for kind, request in (("trigger", create("slow")), ("clear", clear(run))):
        with pytest.raises(LeadershipLost):
            runner.start(request, permit=Permits(refuses_at=1))
        assert airflow.requests_of(kind) == []
    assert airflow.runs("slow") == []
    assert isinstance(runner.start(create("slow"), permit=Permits()), Happened)


def test_it_is_not_asked_for_what_only_reads(runner: AirflowRunner, airflow: StandInAirflow) -> None:
    """What a request led to must be found out also when the lease would not last for another one."""
    airflow.faults.next("trigger", Fault.answer(500))
    permits = Permits(refuses_at=2)
    request = create("slow")
    runner.start(request, permit=permits)
    assert len(permits.asked) == 1
    assert airflow.requests_of("get"), "asked what became of it"
