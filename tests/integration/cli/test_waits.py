"""``coordinator waits`` beside what the leader says in its presence."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from coordinator.cli.failures import ExitCode
from coordinator.model.references import PipelineRef, Target, WaitRef
from coordinator.model.runstate import State
from coordinator.model.waits import (
    Completion,
    Wait,
    WaitStatus,
    dump_wait,
    passed,
    unresumed_place,
    unresumed_place_of_more,
)
from coordinator.store.connection import EtcdStore
from coordinator.store.keys import Keys
from coordinator.store.port import Put, Transaction
from coordinator.store.presence import Presence, Progress
from tests.command_line import Cli

SENSOR, OTHER = (WaitRef(Target(PipelineRef("default", "mart"), "p"), "r", name, -1) for name in ("orders", "other"))


@pytest.fixture
def waits(etcd: EtcdStore, keys: Keys) -> None:
    """Two sensors that have passed; the leader says of one that its task has not resumed."""
    now = datetime.now(UTC)
    upstream = Target(PipelineRef("default", "orders"), "p")
    answer = passed(Wait(WaitStatus.WAITING, upstream), Completion(1, State.SUCCESS), now - timedelta(minutes=3))
    problems = {unresumed_place(SENSOR): "has passed", unresumed_place_of_more("default"): "2 more have passed"}
    progress = Progress(revision=1, news=1, warm=True, problems=problems)
    presence = Presence("w", "host", 1, "2026-11-20T00:00:00Z").progressed(progress, written_at=now, again_within=9.0)
    puts = [Put(keys.wait(ref), dump_wait(answer)) for ref in (SENSOR, OTHER)]
    etcd.commit(Transaction((), (*puts, Put(keys.watcher("w"), presence.to_value()))))


@pytest.mark.usefixtures("waits")
def test_a_sensor_that_has_passed_is_shown_while_its_task_has_not_resumed(cli: Cli, config: Path) -> None:
    shown = cli("waits", "-c", config)
    assert "passed 3 min" in shown.stdout
    assert "its task has not resumed" in shown.stdout
    assert shown.stdout.splitlines()[-2:] == ["1 sensor", "sensors of default: 2 more have passed"]
    answer = json.loads(cli("waits", "--json", "-c", config).stdout)
    assert [(one["task"], one["status"], one["unresumed"]) for one in answer["waits"]] == [("orders", "passed", True)]
    assert answer["more_unresumed"] == ["sensors of default: 2 more have passed"]
    every = json.loads(cli("waits", "--all", "--json", "-c", config).stdout)
    assert {one["task"]: one["unresumed"] for one in every["waits"]} == {"orders": True, "other": False}


@pytest.mark.usefixtures("waits")
def test_it_is_a_problem_in_the_status(cli: Cli, config: Path) -> None:
    shown = cli("status", "-c", config)
    assert shown.exit_code == ExitCode.PROBLEM
    assert f"watchers/w: {unresumed_place(SENSOR)}: has passed" in shown.stdout
