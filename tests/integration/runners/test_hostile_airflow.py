"""An Airflow that means harm, or whatever stands where it should, does not use up the memory of the service."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from coordinator.model import bounds
from coordinator.runners.airflow import AirflowRunner
from coordinator.runners.port import EnvironmentUnavailable, RunRef
from tests.standin.airflow import StandInAirflow
from tests.standin.faults import Fault

REPOSITORY = Path(__file__).parents[3]
MIB = 1024 * 1024
MOST = 300 * MIB

SERVICE = """
import os, re, sys
from concurrent.futures import ThreadPoolExecutor
import coordinator.cli.watch, coordinator.controller.service
from coordinator.model.trigger import Action
from coordinator.runners.airflow import AirflowRunner
from coordinator.runners.port import EnvironmentUnavailable, RequestRefused, RunRef, StartRequest
from coordinator.config.airflow import AirflowSettings

os.environ["PASSWORD"] = "admin"
runner = AirflowRunner("x", AirflowSettings(url=sys.argv[1], username="admin", password_env="PASSWORD"))
failed = 0

def ask(number):
    try:
        runner.ask(StartRequest("slow", Action.CREATE, "r", "t"))
    except (EnvironmentUnavailable, RequestRefused):
        return 1
    return 0

with ThreadPoolExecutor(8) as pool:
    failed = sum(pool.map(ask, range(40)))
# Not ru_maxrss, which begins with what the parent had when it forked.
print(failed, 1024 * int(re.search("VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())[1]))
"""
"""All that the service imports, its runner, and as many threads as an environment has by default."""


def run_with_conf(conf: bytes) -> bytes:
    return b'{"dag_id":"slow","dag_run_id":"r","state":"queued","queued_at":null,"conf":{"coordinator":' + conf + b"}}"


def one_of(value: bytes, size: int) -> bytes:
    return b"[" + value * (size // len(value)) + b"0]"


BOMBS = {
    "a text": run_with_conf(b'"' + b"x" * (60 * MIB) + b'"'),
    "lists": run_with_conf(one_of(b"[[]],", 60 * MIB)),
    "numbers": run_with_conf(one_of(b"0,", 60 * MIB)),
    "as many values as are read": run_with_conf(one_of(b"[[]],", bounds.ANSWER_PARTS // 3 * 5 - 100)),
    "as many bytes as are read": run_with_conf(one_of(b'"' + b"x" * 29 + b'",', bounds.ANSWER - 200)),
}


@pytest.mark.parametrize("name", BOMBS)
def test_an_answer_that_unfolds_does_not_fill_the_memory(airflow: StandInAirflow, name: str) -> None:
    airflow.faults.always("get", Fault.packed(BOMBS[name]))
    failed, memory = _run_the_service(airflow)
    assert failed == (0 if name.startswith("as many") else 40)
    assert memory < MOST, f"{memory / MIB:.0f} MiB"


@pytest.mark.parametrize(("count", "size"), [(90, 60_000), (60, 900)], ids=["too many", "as many as are read"])
def test_cookies_do_not_fill_the_memory(airflow: StandInAirflow, count: int, size: int) -> None:
    airflow.faults.always("get", Fault.cookies(count, size))
    _, memory = _run_the_service(airflow)
    assert memory < MOST, f"{memory / MIB:.0f} MiB"


def test_no_cookie_is_sent_back(airflow: StandInAirflow, runner: AirflowRunner) -> None:
    airflow.faults.always("get", Fault.cookies(3, 10))
    for _ in range(3):
        assert isinstance(runner.look([RunRef("slow", "r")], timeout=5).error, EnvironmentUnavailable)
    assert len(airflow.requests_of("get")) == 3
    assert not any("cookie" in request.headers for request in airflow.requests)


def _run_the_service(airflow: StandInAirflow) -> tuple[int, int]:
    """How many of 40 questions got no answer, and the most memory that was in use."""
    finished = subprocess.run(
        [sys.executable, "-c", SERVICE, airflow.base_url],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    failed, memory = map(json.loads, finished.stdout.splitlines()[-1].split())
    return failed, memory
