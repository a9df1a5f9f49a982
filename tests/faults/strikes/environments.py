"""Environments that are away, slow, or refuse; all of them, or one of two."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial

import pytest

from coordinator.model.references import Target
from coordinator.model.trigger import Status
from tests.faults.chronicle import target_of
from tests.faults.registry import Struck, fault
from tests.faults.sickness import EFFECTS, ONCE, QUESTIONS, SAME, Since, made, sick, the_leader_stays
from tests.faults.stage import COMES_TO_REST, REQUEST_TIMEOUT, WATCHER, Stage, pause
from tests.integration.controller.waiting import until
from tests.simulation.wiring import leaves
from tests.standin.airflow import StandInAirflow
from tests.standin.faults import KINDS, Fault

pytestmark = pytest.mark.promise("downtime", "slow")

SEVERAL_BACKOFFS = 4 * WATCHER.backoff_max


def _down_for_long(struck: Struck) -> None:
    stage, airflows = struck.stage, struck.stage.airflows.values()
    with the_leader_stays(struck):
        for airflow in airflows:
            airflow.down()
        struck.workload.end_sources()
        until(lambda: _failing(stage) > 0, "the metrics say which environment does not answer", limit=COMES_TO_REST)
        pause(SEVERAL_BACKOFFS)
        for airflow in airflows:
            airflow.up()
        struck.workload.go_on()
        until(lambda: _failing(stage) == 0, "no environment fails any more", limit=COMES_TO_REST)


def _failing(stage: Stage) -> float:
    metrics = stage.leader().service.metrics()
    return metrics.value("problems", kind="environment")


for _first in (False, True):
    fault(
        f"Airflow: down for long, {'creating' if _first else 'clearing'}",
        group="environments",
        asserts=f"{SAME}, and says which environment does not answer, for as long as that is so",
        first=_first,
        in_soak=not _first,
    )(_down_for_long)


@fault("Airflow: every answer just below its time limit", group="environments", asserts=f"{SAME}; {ONCE}")
def slow(struck: Struck) -> None:
    airflows, since = struck.stage.airflows.values(), Since(struck.stage)
    with (
        the_leader_stays(struck),
        sick(airflows, EFFECTS, Fault.late(0.75 * REQUEST_TIMEOUT)),
        sick(airflows, QUESTIONS, Fault.late(0.75 * REQUEST_TIMEOUT)),
    ):
        struck.workload.end_sources()
        struck.workload.go_on()
    since.assert_none_was_repeated()


@fault("Airflow: every answer slower than its time limit", group="environments", asserts=f"{SAME}; {ONCE}")
def too_slow(struck: Struck) -> None:
    airflows, since = struck.stage.airflows.values(), Since(struck.stage)
    with the_leader_stays(struck), sick(airflows, EFFECTS, Fault.late(REQUEST_TIMEOUT + 0.5)):
        struck.workload.end_sources()
        struck.workload.go_on()
    since.assert_none_was_repeated()


def _refused(status: int, kinds: Sequence[str], struck: Struck) -> None:
    stage, answer = struck.stage, Fault.answer(status, {"detail": "not today"})
    with the_leader_stays(struck), sick(stage.airflows.values(), kinds, answer):
        struck.workload.end_sources()
        until(lambda: bool(stage.targets_in(Status.BLOCKED)), "something is blocked", limit=30)
        pause(2 * WATCHER.blocked_retry)
        shown, exit_code = _status(stage)
        assert exit_code == 1, f"status ends with {exit_code}, and requests are refused"
        blocked = [row["last_error"] for row in shown if row["record"] == "blocked"]
        assert blocked, f"status shows nothing that is blocked: {shown}"
        assert all(f"{status}: " in said and "not today" in said for said in blocked), blocked
        assert not made(stage)
    stage.await_rest()
    shown, exit_code = _status(stage)
    assert (exit_code, shown) == (0, [])


def _status(stage: Stage) -> tuple[list[dict[str, str]], int]:
    config = stage.directory / f"{stage.leader().name}.toml"
    command = [sys.executable, "-m", "coordinator.cli", "status", "--json", "--config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    rows: list[dict[str, str]] = json.loads(done.stdout)["pipelines"]
    return rows, done.returncode


for _status_code, _kinds, _what in (
    (403, EFFECTS, "requests"),
    (404, EFFECTS, "requests"),
    (403, (*EFFECTS, *QUESTIONS), "requests and questions"),
):
    fault(
        f"Airflow: refuses {_what} with {_status_code} for a while",
        group="environments",
        asserts="status shows what is blocked, with the answer, and ends with 1; it goes on by itself, and then with 0",
        first=_status_code == 404,
    )(partial(_refused, _status_code, _kinds))


How = Callable[[StandInAirflow], AbstractContextManager[None]]


@contextmanager
def _down(airflow: StandInAirflow) -> Iterator[None]:
    airflow.down()
    try:
        yield
    finally:
        airflow.up()


@contextmanager
def _hanging(airflow: StandInAirflow) -> Iterator[None]:
    released = threading.Event()
    try:
        with sick([airflow], KINDS, Fault.lose(released)):
            yield
    finally:
        released.set()


@contextmanager
def _answering_503(airflow: StandInAirflow) -> Iterator[None]:
    with sick([airflow], KINDS, Fault.answer(503)):
        yield


def _one_of_two(how: How, struck: Struck) -> None:
    stage = struck.stage
    foreseen = struck.workload.foreseen()
    apart = {name: _apart_from(name, foreseen, stage) for name in stage.airflows}
    sick = struck.workload.dice.choice([name for name, others in apart.items() if others])
    others = apart[sick]
    with the_leader_stays(struck):
        with how(stage.airflows[sick]):
            struck.workload.end_sources()
            until(lambda: others <= _ended(stage), f"what does not wait for {sick} has run: {others}", limit=30)
            at_once = [one for one in made(stage) if one.environment == sick]
            assert not at_once, f"{sick} was not there, and has acted: {at_once}"
        stage.await_rest()


def _apart_from(environment: str, foreseen: set[Target], stage: Stage) -> set[Target]:
    """What is to be started, is not of this environment, and waits for nothing that is started there."""
    entries, held_up = stage.history.wiring.entries, set[Target]()
    for pipeline in stage.history.wiring.order:  # upstreams first
        for target in (one for one in foreseen if one.pipeline == pipeline):
            upstreams = {one for leaf in leaves(entries[pipeline].tree) for one in leaf.inputs(target.partition)}
            if pipeline.environment == environment or upstreams & held_up:
                held_up.add(target)
    return foreseen - held_up


def _ended(stage: Stage) -> set[Target]:
    return {target_of(one) for one in stage.chronicle.untold() if one.what == "ended"}


for _words, _how in (("down", _down), ("hangs", _hanging), ("answers 503", _answering_503)):
    fault(
        f"one of two Airflows: {_words}",
        group="environments",
        asserts="what does not wait for it has run before anything in it has begun",
        in_every_test_run=_words == "hangs",
    )(partial(_one_of_two, _how))


@fault(
    "Airflow: 503 while people clear what it is to run for",
    group="environments",
    asserts="what was asked for on the old completion is not asked for again",
)
def changes_its_mind(struck: Struck) -> None:
    stage, workload, since = struck.stage, struck.workload, Since(struck.stage)
    with the_leader_stays(struck):
        with sick(stage.airflows.values(), EFFECTS, Fault.answer(503)):
            workload.end_sources()
            until(lambda: since.count(*EFFECTS, status=503) > 0, "a request has been answered 503", limit=30)
            workload.clear_again()
            until(lambda: _has_read_all(stage), "the leader knows that the sources run again", limit=30)
        pause(2 * WATCHER.backoff_max)
        asked_for = made(stage)
        assert not asked_for, f"started, though what it waits for runs again: {asked_for}"
        workload.end_sources()


def _has_read_all(stage: Stage) -> bool:
    return stage.witness_is_up_to_date() and stage.leader().service.revision() >= stage.witness.revision
