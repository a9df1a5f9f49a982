"""Whatever Airflow answers, and whether or not it has acted: the run is started once, and the record ends ``done``.

All tests play in one world, each in a partition of its own.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Iterator

import pytest

from coordinator.config.etcd import EtcdSettings
from coordinator.model.runstate import RunState, State
from coordinator.model.trigger import Action, Status
from coordinator.runners.port import ObservedRun
from coordinator.store.embedded import EmbeddedEtcd
from tests.integration.controller.waiting import until
from tests.integration.controller.worlds import FaultyWorld
from tests.standin.airflow import StandInAirflow
from tests.standin.faults import Fault
from tests.worlds.simulated_airflow import logical_date_of

CONFLICT = {
    "detail": {
        "reason": "Unique constraint violation",
        "statement": "hidden",
        "orig_error": "hidden",
        "message": "hidden",
    }
}
LONGER_THAN_ITS_TIME_OUT = 0.3
"""Seconds between two bytes of an answer of hundreds: none is complete within a request's time-out of 1 s."""

UNHEARD = {
    "503 three times": [Fault.answer(503)] * 3,
    "503, having acted": [Fault.answer(503, acts=True)],
    "502 of a proxy": [Fault.answer(502, "<html>Bad Gateway</html>")],
    "404 of a proxy": [Fault.answer(404, "<html>no backend</html>")],
    "line cut before it acted": [Fault.cut_before(), Fault.cut_before()],
    "line cut after it acted": [Fault.cut_after()],
    "500 without having acted": [Fault.answer(500)],
    "500 after having acted": [Fault.answer(500, acts=True)],
    "409, having acted for us": [Fault.answer(409, CONFLICT, acts=True)],
    "an answer slower than the time-out": [Fault.drip_answer(LONGER_THAN_ITS_TIME_OUT)],
    "200 with rubbish": [Fault.answer(200, "<html>Welcome</html>", acts=True)],
    "one thing after the other": [Fault.answer(503), Fault.cut_before(), Fault.answer(500), Fault.cut_after()],
}
KIND = {Action.CREATE: "trigger", Action.CLEAR: "clear"}

_minutes = itertools.count()


@pytest.fixture(scope="module")
def shared(etcd_server: EmbeddedEtcd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyWorld]:
    settings = EtcdSettings(endpoints=[etcd_server.endpoint], prefix="/answers-of-airflow")
    with FaultyWorld(settings, tmp_path_factory.mktemp("answers")) as world:
        world.dependencies({"D": "R", "E": "D"})
        world.by_hand("R")
        yield world


@pytest.fixture
def partition() -> str:
    hour, minute = divmod(next(_minutes), 60)
    return f"2026-11-20T{hour:02}:{minute:02}:00Z"


@pytest.fixture
def airflow(shared: FaultyWorld) -> Iterator[StandInAirflow]:
    airflow = shared.airflows["default"]
    yield airflow
    airflow.faults.clear()


def _wave(world: FaultyWorld, partition: str, *, first: bool) -> None:
    if first:
        world.trigger("R", partition=partition)
    else:
        world.clear("R", partition=partition)
    world.run("R", partition=partition)


@pytest.mark.promise("answers")
@pytest.mark.parametrize("action", list(Action))
@pytest.mark.parametrize("fault", UNHEARD)
def test_an_answer_that_does_not_say_what_happened_starts_the_run_once(
    shared: FaultyWorld, airflow: StandInAirflow, partition: str, fault: str, action: Action
) -> None:
    runs = 1
    if action is Action.CLEAR:
        _wave(shared, partition, first=True)
        shared.settle()
        runs = 2
    airflow.faults.next(KIND[action], *UNHEARD[fault])
    _wave(shared, partition, first=action is Action.CREATE)
    shared.until_done("D", "E", partition=partition, runs=runs)
    shared.settle()
    assert shared.counts("D", "E", partition=partition) == {"D": runs, "E": runs}
    record = shared.record("D", partition=partition)
    assert record is not None
    assert (record.status, record.action, record.sequence) == (Status.DONE, action, runs)
    assert len(_runs_of_partition(shared, "D", partition)) == 1, "a repeated request must not make a second run"


@pytest.mark.promise("answers")
@pytest.mark.parametrize("action", list(Action))
def test_retry_after_is_obeyed(shared: FaultyWorld, airflow: StandInAirflow, partition: str, action: Action) -> None:
    if action is Action.CLEAR:
        _wave(shared, partition, first=True)
        shared.settle()
    before = len(airflow.requests)
    airflow.faults.next(KIND[action], Fault.answer(429, headers={"Retry-After": "1"}))
    _wave(shared, partition, first=action is Action.CREATE)
    shared.until_done("D", partition=partition, runs=1 if action is Action.CREATE else 2)
    after = airflow.requests[before:]
    refused = next(request for request in after if request.status == 429)
    following = [request for request in after if request.arrived > refused.arrived and request.kind != "login"]
    assert following[0].arrived - refused.arrived >= 1.0, "the next request of any kind comes after the pause"


@pytest.mark.promise("answers")
def test_a_create_that_arrives_after_its_time_out_is_not_a_second_run(
    shared: FaultyWorld, airflow: StandInAirflow, partition: str
) -> None:
    arrives = threading.Event()
    airflow.faults.next("trigger", Fault.hang(arrives))
    _wave(shared, partition, first=True)
    shared.until_done("D", partition=partition, runs=1)
    before = len(airflow.requests_of("trigger", "D"))  # of D alone: E is started meanwhile
    arrives.set()  # only now the first request acts: it finds its own run_id taken
    late = airflow.await_requests("trigger", before + 1, dag_id="D")[-1]
    assert late.status == 409
    shared.settle()
    assert shared.counts("D", "E", partition=partition) == {"D": 1, "E": 1}
    assert len(_runs_of_partition(shared, "D", partition)) == 1


@pytest.mark.promise("answers")
@pytest.mark.parametrize("whose", ["a person's, on our logical date", "of another life, under our run_id"])
@pytest.mark.parametrize("still_running", [False, True])
def test_a_run_that_stands_in_the_way_is_adopted_and_rerun_once(
    shared: FaultyWorld, airflow: StandInAirflow, partition: str, whose: str, still_running: bool
) -> None:
    ours = {"partition": partition, "token": "of another life"}
    run_id, conf = (f"manual__{partition}", {}) if "person" in whose else (f"coordinator__{partition}__1", ours)
    shared.by_hand("D")
    with _unheard(shared):  # nobody has heard of that run: the 409 to our request is the first sign of it
        airflow.trigger_by_hand("D", run_id, logical_date=logical_date_of(partition), conf={"coordinator": conf})
        airflow.start("D", run_id)
        if not still_running:
            airflow.finish("D", run_id)
    shared.by_itself("D")
    _wave(shared, partition, first=True)
    if still_running:
        until(lambda: _says(shared, partition, State.RUNNING), "the watcher says that the run in the way goes on")
        assert not _clears(airflow, run_id), "it is left to finish"
        airflow.finish("D", run_id)
    shared.until_done("D", "E", partition=partition, runs=1)
    shared.settle()
    assert shared.counts("D", "E", partition=partition) == {"D": 2, "E": 1}, "D's of before, and ours"
    assert [run.run_id for run in _runs_of_partition(shared, "D", partition)] == [run_id]
    assert _clears(airflow, run_id) == [200]


@contextlib.contextmanager
def _unheard(world: FaultyWorld) -> Iterator[None]:
    world.silence("default")
    yield
    world._silent.clear()


def _clears(airflow: StandInAirflow, run_id: str) -> list[int | None]:
    """How the requests to clear this run were answered."""
    return [request.status for request in airflow.requests_of("clear") if request.run_id == run_id]


def _says(world: FaultyWorld, partition: str, state: State) -> bool:
    present = world.state("D", partition=partition)
    return isinstance(present, RunState) and present.state is state


def _runs_of_partition(world: FaultyWorld, name: str, partition: str) -> list[ObservedRun]:
    date = logical_date_of(partition)
    return [run for run in world._runs_of(name) if run.logical_date == date]
