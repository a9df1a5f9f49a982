"""A clear that Airflow carries out after it was asked, and answered that nothing had happened: the run counts."""

from __future__ import annotations

import pytest

from coordinator.model.trigger import Action
from coordinator.runners.port import EnvironmentUnavailable, NotHappened, Outcome, Permit, StartRequest
from tests.worlds.simulated import SimulatedWorld
from tests.worlds.simulated_airflow import DirectRunner
from tests.worlds.world import PARTITION


@pytest.mark.promise("once")
@pytest.mark.parametrize("by_hand", [False, True], ids=["its run ends at once", "its run is still queued"])
def test_a_clear_that_is_carried_out_late_is_not_repeated(monkeypatch: pytest.MonkeyPatch, by_hand: bool) -> None:
    world = SimulatedWorld()
    world.dependencies({"D": "A"})
    world.trigger("A")
    world.settle()
    assert world.runs("D") == 1
    airflow = world.airflows["default"]
    start, ask = DirectRunner.start, DirectRunner.ask
    late: list[StartRequest] = []

    def silent_start(self: DirectRunner, request: StartRequest, *, permit: Permit | None = None) -> Outcome:
        if request.action is Action.CLEAR and not late:
            late.append(request)
            raise EnvironmentUnavailable("timed out; the request is still on its way")
        return start(self, request, permit=permit)

    def ask_too_early(self: DirectRunner, request: StartRequest) -> Outcome:
        answer = ask(self, request)
        if isinstance(answer, NotHappened) and len(late) == 1:
            late.append(request)
            airflow.clear(request.dag_id, request.run_id)
        return answer

    monkeypatch.setattr(DirectRunner, "start", silent_start)
    monkeypatch.setattr(DirectRunner, "ask", ask_too_early)
    if by_hand:
        world.by_hand("D")
    world.clear("A")
    world.settle()
    assert len(late) == 2, "the clear was sent, and asked about too early"
    if by_hand:
        world.start("D")
        world.finish("D")
        world.settle()
    assert world.runs("D") == 2
    assert [run.state.is_terminal for run in world.all_runs("D", partition=PARTITION)] == [True]
