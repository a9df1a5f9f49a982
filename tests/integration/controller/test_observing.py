"""Environments in which nothing reports: what happens there is seen, whatever was down; nothing of the past fires."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from coordinator.config.etcd import EtcdSettings
from coordinator.model.cursor import dump_cursor, read_cursor
from coordinator.model.runstate import RunState
from coordinator.runners.airflow.listing import PAGE
from coordinator.store.port import Put
from tests.standin.faults import Fault
from tests.worlds.real import RealWorld


def cursor_of(world: RealWorld, environment: str = "default") -> datetime | None:
    found = world.store.get(world.keys.cursor(environment))
    cursor = read_cursor(found.value) if found is not None else None
    assert cursor is None or isinstance(cursor, datetime)
    return cursor


def partition(number: int) -> str:
    return f"{datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=number):%Y-%m-%dT%H:%M:%SZ}"


@pytest.mark.promise("not-for-the-past")
def test_what_ran_before_is_not_observed(etcd_settings: EtcdSettings, tmp_path: Path) -> None:
    with RealWorld(etcd_settings, tmp_path, observed=True) as world:
        world.airflows["default"].dag("U", auto=0)
        world.airflows["default"].trigger_by_hand("U", "long_ago")
        world.settle_until(lambda: world.runs("U", partition="long_ago") == 1, "it has run")
        model = world.airflows["default"].model
        before = datetime.now(UTC) - timedelta(hours=1)
        model.runs["U", "long_ago"] = replace(model.get("U", "long_ago"), updated_at=before)
        world.dependencies({"D": "U"})
        world.settle()
        assert cursor_of(world) is not None
        assert world.state("U", partition="long_ago") is None
        assert world.runs("D", partition="long_ago") == 0


@pytest.mark.promise("following")
def test_a_downtime_loses_nothing(etcd_settings: EtcdSettings, tmp_path: Path) -> None:
    """Runs that began, ended and were cleared while no watcher ran, among more than fit on a page."""
    with RealWorld(etcd_settings, tmp_path, observed=True) as world:
        world.dependencies({"D": "U"})
        world.first_run("U")
        assert world.runs("D") == 1
        world.stop_watcher()
        world.rerun("U")
        for number in range(PAGE + 5):
            world.trigger("U", partition=partition(number))
            world.run("U", partition=partition(number))
        world.start_watcher()
        world.settle_until(
            lambda: all(world.runs("D", partition=partition(number)) == 1 for number in range(PAGE + 5)),
            "all of them have started D",
        )
        world.settle()
        assert world.runs("D") == 2, "once for its clear"
        assert {world.runs("D", partition=partition(number)) for number in range(PAGE + 5)} == {1}


def test_runs_of_partitioned_dags_are_seen_in_the_partition_of_their_key(
    etcd_settings: EtcdSettings, tmp_path: Path
) -> None:
    with RealWorld(etcd_settings, tmp_path, observed=True) as world:
        for name in ("U", "D"):
            world.partitioned(name)
        world.dependencies({"D": "U"})
        world.comes("U", "eu")
        world.settle_until(lambda: world.runs("D", partition="eu") == 1, "it has started D")
        world.rerun("U", partition="eu")
        world.settle_until(lambda: world.runs("D", partition="eu") == 2, "its clear has cleared D's run")
        world.settle()
        assert [run.partition_key for run in world.all_runs("D", partition="eu")] == ["eu"]


def test_the_cursor_moves_only_once_what_was_seen_stands_in_etcd(etcd_settings: EtcdSettings, tmp_path: Path) -> None:
    """A cursor of long ago stays until an answer about everything since then has been written."""
    with RealWorld(etcd_settings, tmp_path, observed=True) as world:
        long_ago = datetime.now(UTC) - timedelta(days=3)
        world.dependencies({"D": "U"})
        world.first_run("U")
        world.stop_watcher()
        world.rerun("U")
        world.write(Put(world.keys.cursor("default"), dump_cursor(long_ago)))
        for _ in range(3):
            world.airflows["default"].faults.next("list", Fault.answer(503, {"detail": "overloaded"}))
        world.start_watcher()
        world.settle_until(
            lambda: (cursor_of(world) or long_ago) > long_ago + timedelta(days=2), "the cursor has moved"
        )
        state = world.state("U")
        assert isinstance(state, RunState)
        world.settle()
        assert world.runs("D") == 2


@pytest.mark.promise("not-for-the-past")
def test_what_has_ended_before_a_dependency_on_it_starts_nothing(etcd_settings: EtcdSettings, tmp_path: Path) -> None:
    """Runs of all DAGs are told of, so that it is known what was there when the dependency came."""
    with RealWorld(etcd_settings, tmp_path, observed=True) as world:
        world.dependencies({"D": "U"})
        world.airflows["default"].dag("other", auto=0)
        world.trigger("other")
        world.settle_until(lambda: world.state("other") is not None, "it is told of, though nothing names it")
        world.settle()
        world.dependencies({"D": "U", "E": "other"})
        world.settle()
        assert world.runs("E") == 0
        world.clear("other")
        world.settle()
        assert world.runs("E") == 1


def test_an_environment_that_does_not_answer_is_a_problem(
    etcd_settings: EtcdSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coordinator.controller.reconcile.environment_poller.SILENT_AFTER", 0.0)
    with RealWorld(etcd_settings, tmp_path, observed=True) as world:
        world.dependencies({"D": "team_b/U"})
        world.settle()
        assert world.watcher is not None
        watcher = world.watcher
        world.down("team_b")
        world.settle_until(lambda: "environment team_b" in watcher.health().problems, "it is shown")
        assert "team_b" in watcher.reconciler.environment_poller.problems()
        world.up("team_b")
        world.settle_until(lambda: not watcher.reconciler.environment_poller.problems(), "it is observed again")
