"""A clear that Airflow carries out after it was asked, and answered that nothing had happened: the run counts."""

from __future__ import annotations

import pytest

from coordinator.controller.dispatch.jobs import Recalled
from coordinator.model.trigger import Action
from coordinator.runners.port import EnvironmentUnavailable, NotHappened, NotSent, Outcome, Permit, StartRequest
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


@pytest.mark.promise("once")
@pytest.mark.parametrize("recalled", [False, True], ids=["it cannot be sent", "it waits, and is recalled"])
def test_nor_is_one_whose_repetition_never_left(monkeypatch: pytest.MonkeyPatch, recalled: bool) -> None:
    world = SimulatedWorld()
    world.dependencies({"D": "A"})
    world.trigger("A")
    world.settle()
    airflow, start = world.airflows["default"], DirectRunner.start
    clears: list[StartRequest] = []

    def goes_astray(self: DirectRunner, request: StartRequest, *, permit: Permit | None = None) -> Outcome:
        if request.action is not Action.CLEAR or len(clears) == 2:
            return start(self, request, permit=permit)
        clears.append(request)
        if len(clears) == 1:
            raise EnvironmentUnavailable("timed out; the request is still on its way")
        airflow.clear(request.dag_id, request.run_id)  # now Airflow carries the first one out
        if not recalled:
            raise NotSent("connection refused")
        airflow.begin(request.dag_id, request.run_id)
        raise Recalled("the decision changed before the request was sent")

    monkeypatch.setattr(DirectRunner, "start", goes_astray)
    world.clear("A")
    world.settle()
    assert len(clears) == 2, "the clear was sent, and repeated"
    assert world.runs("D") == 2
    assert [run.state.is_terminal for run in world.all_runs("D", partition=PARTITION)] == [True]
