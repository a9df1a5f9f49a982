"""What people are told of a sensor that waits: by ``waits``, by ``explain``, and by ``status``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog

from coordinator.cli.wait_list import wait_as_json, waits_of
from coordinator.controller.state.task_problems import task_problems
from coordinator.model import bounds
from coordinator.model.explanation import Explanation, explain
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunStateDocument, State
from coordinator.model.view import SeenWait
from coordinator.reading.attention import Matter, attention
from coordinator.reading.explaining import explained as as_explained
from coordinator.reading.newest import newest_partitions
from coordinator.reading.reading import Reading, read
from coordinator.reading.waiting_sensors import waiting_sensors
from coordinator.reading.wanted_keys import About
from coordinator.store.port import Delete, Put, Transaction
from tests.worlds.sensor_cases import with_deferred_sensor
from tests.worlds.simulated import SimulatedWorld
from tests.worlds.world import PARTITION, target


@pytest.fixture
def world() -> SimulatedWorld:
    """U is known, because X waits for it."""
    world = SimulatedWorld()
    with_deferred_sensor(world)
    return world


def _as_json(reading: Reading, seen: SeenWait) -> dict[str, Any]:
    waiting = next(iter(waiting_sensors(reading, [seen])), None)
    return wait_as_json(reading, seen, datetime.now(UTC), waiting=waiting)


def listed(world: SimulatedWorld) -> dict[str, Any]:
    reading = read(world.store, world.keys)
    (wait,) = (_as_json(reading, one) for one in waits_of(reading, None, all_=False))
    return wait


def explained(world: SimulatedWorld, name: str = "D") -> Explanation:
    """By a reading of what the explanation needs, as the command does it."""
    reading = read(world.store, world.keys, about=About(target(name).pipeline, (PARTITION,)))
    waits = (seen for seen in reading.cache.waits if seen.ref.run == target(name))
    return explain(reading.propagation, target(name), waiting=tuple(waiting_sensors(reading, waits)))


def concerns(world: SimulatedWorld, **asked: Any) -> list[tuple[Matter, str, list[str]]]:
    found = attention(read(world.store, world.keys, at=asked.pop("at", None)), **asked)
    return [
        (one.place.matter, str(one.place.pipeline), [str(two.pipeline) for two in one.waiting])
        for one in found.concerns
    ]


def test_what_has_not_run_yet(world: SimulatedWorld) -> None:
    world.wait("D", "sensor", "U")
    world.settle()
    assert listed(world)["says"] == "U has not run in this partition yet"
    (remedy,) = listed(world)["remedies"]
    assert remedy.startswith("run it in this partition (if its run is queued there: is its DAG paused?); outside")
    found = explained(world)
    assert found.headline.endswith("runs, and its sensor sensor waits for U")
    assert "U has not run in this partition yet" in list(found.because())
    assert concerns(world) == [], "it may run at any moment"


def test_a_sensor_that_has_waited_for_more_than_a_day(world: SimulatedWorld) -> None:
    world.wait("D", "sensor", "U")
    world.settle()
    later = datetime.now(UTC) + timedelta(hours=25)
    assert concerns(world, at=later) == [(Matter.NOT_YET, "U", ["D"])]
    assert concerns(world, at=later, pipeline=target("D").pipeline) == [(Matter.NOT_YET, "U", ["D"])]
    assert concerns(world, at=later, pipeline=target("X").pipeline) == []


def test_what_has_failed_where_only_a_sensor_waits_for_it(world: SimulatedWorld) -> None:
    world.dependencies({"X": "R"})
    world.trigger("U")
    world.run("U", "failed")
    world.wait("D", "sensor", "U")
    world.settle()
    assert listed(world)["says"].startswith("U failed in run")
    assert [one.partition(" once")[0] for one in listed(world)["remedies"]] == [f"clear its run scheduled__{PARTITION}"]
    assert concerns(world) == [(Matter.FAILED, "U", ["D"])]
    assert explained(world).remedies()[0].startswith("U: clear its run")


def test_a_task_that_has_failed_in_a_run_that_goes_on(world: SimulatedWorld) -> None:
    world.has_tasks("U", load="check", check="")
    world.trigger("U")
    world.start("U")
    world.wait("D", "sensor", "U", task="load")
    world.settle()
    assert listed(world)["says"].startswith("U:load has not ended in run")
    assert concerns(world) == []
    world.task("U", "load", "failed")
    world.settle()
    assert listed(world)["says"].startswith("U:load failed in run")
    assert concerns(world) == [(Matter.FAILED, "U:load", ["D"])]


@pytest.mark.parametrize("name", ["V", "other_team/U"])
def test_a_pipeline_that_nobody_knows(world: SimulatedWorld, name: str) -> None:
    world.wait("D", "sensor", name)
    world.settle()
    assert listed(world)["says"].startswith(f"{name} is unknown: no published document names it")
    assert all("then clear the task" in one for one in listed(world)["remedies"]), "it goes on waiting for the old name"
    assert concerns(world) == [(Matter.NOT_YET, name, ["D"])]


@pytest.mark.parametrize(
    ("name", "says", "meant"),
    [
        ("team_a/U", "environment 'team_a' is not configured", "did you mean team_b/U?"),
        ("eu/U", "environment 'eu' is not configured", None),
        ("V", "no published document names it", None),
        ("team_b/Us", "no published document names it", "did you mean team_b/U?"),
        ("ledgers/Us", "no published document names it", "did you mean ledgers/U?"),
    ],
)
def test_an_environment_that_is_not_configured(world: SimulatedWorld, name: str, says: str, meant: str | None) -> None:
    """Pipelines outside Airflow may report under a name that is not configured. A DAG elsewhere is not meant."""
    world.dependencies({"X": ["U", "team_b/U"]})
    world.wait("D", "sensor", name)
    world.settle()
    world.write(Put(world.keys.state(target("ledgers/U")), b'{"state":"success","run_id":"r"}'))
    reading = read(world.store, world.keys)
    (sensor,) = waiting_sensors(reading, reading.cache.waits, environments=("default", "team_b"))
    (cause,) = sensor.causes
    assert f"is unknown: {says}" in cause.says
    (concern,) = attention(reading, environments=("default", "team_b")).concerns
    assert f"is unknown: {says}" in concern.cause.says
    assert (meant in cause.remedy) if meant is not None else ("did you mean" not in cause.remedy)


def test_another_spelling_of_a_partition(world: SimulatedWorld) -> None:
    date = PARTITION.partition("T")[0]
    world.trigger("U")
    world.run("U")
    world.wait("D", "sensor", f"U@{date}")
    world.settle()
    assert listed(world)["says"] == f"U@{date} has no partition {date}, but {PARTITION}"
    assert listed(world)["remedies"] == [f'correct the sensor: it needs partition="{PARTITION}"; then clear the task']
    assert f"U@{date} has no partition {date}, but {PARTITION}" in list(explained(world).because())
    assert concerns(world) == [(Matter.NOT_YET, "U", ["D"])]


def test_what_runs_passes_by_itself(world: SimulatedWorld) -> None:
    world.trigger("U")
    world.start("U")
    world.wait("D", "sensor", "U")
    world.settle()
    assert listed(world)["says"].startswith("U is running in run")
    assert (listed(world)["remedies"], concerns(world)) == ([], [])


def test_a_sensor_whose_upstream_depends_on_its_own_run(world: SimulatedWorld) -> None:
    world.dependencies({"U": "D"})
    world.wait("D", "sensor", "U")
    world.settle()
    assert listed(world)["says"].startswith("U waits for D:sensor in turn")
    assert listed(world)["remedies"][0].startswith("mark D:sensor as failed or successful in its Airflow")
    assert concerns(world) == [(Matter.STUCK, "U", ["D"])]
    assert any(one.startswith("U waits for D:sensor in turn") for one in explained(world).because())


def test_sensors_that_wait_for_each_others_first_runs(world: SimulatedWorld) -> None:
    world.has_tasks("U", sensor="below", below="")
    world.trigger("U")
    world.start("U")
    world.task("U", "sensor", "deferred")
    world.wait("D", "sensor", "U")
    world.settle()
    assert listed(world)["says"].startswith("U is running"), "it ends by itself"
    world.wait("U", "sensor", "D")
    world.settle()
    reading = read(world.store, world.keys)
    found = [_as_json(reading, one)["says"] for one in waits_of(reading, None, all_=False)]
    assert [one.partition(" in turn")[0] for one in found] == ["U waits for D:sensor", "D waits for U:sensor"]
    assert sorted(concerns(world)) == [(Matter.STUCK, "D", ["U"]), (Matter.STUCK, "U", ["D"])]


def test_a_task_of_its_own_run_that_is_not_below_the_sensor() -> None:
    world = SimulatedWorld()
    world.has_tasks("D", sensor="below", below="", beside="")
    world.by_hand("D")
    world.trigger("D")
    world.start("D")
    world.task("D", "sensor", "deferred")
    world.task("D", "beside", "running")
    world.wait("D", "sensor", "D", task="beside")
    world.settle()
    assert world.answer("D", "sensor") == "waiting"
    assert listed(world)["says"].startswith("D:beside has not ended")
    assert concerns(world) == []


@pytest.mark.parametrize("task", ["", "sensor"])
def test_a_sensor_that_waits_for_its_own_run_is_refused(world: SimulatedWorld, task: str) -> None:
    world.wait("D", "sensor", "D", task=task)
    world.settle()
    assert world.answer("D", "sensor") == "refused"
    reading = read(world.store, world.keys)
    (seen,) = waits_of(reading, None, all_=True)
    assert "it waits for the end of its own" in _as_json(reading, seen)["says"]


def test_who_would_let_it_pass(world: SimulatedWorld) -> None:
    world.trigger("U")
    world.run("U")
    world.settle()
    world.stop_watcher()
    world.write(Delete(world.keys.leader))
    world.wait("D", "sensor", "U")
    assert listed(world)["says"] == "passes once a watcher leads"
    assert listed(world)["remedies"] == ["start one: coordinator watch"]


def test_when_a_sensor_is_cleared(world: SimulatedWorld) -> None:
    world.trigger("U")
    world.run("U")
    world.passes("D", "sensor", "U")
    world.finish("D")
    world.settle()
    world.clear("U")
    world.start("U")
    world.settle()
    assert explained(world).outlook == "sensor is cleared when U has ended."
    world.finish("U", "failed")
    world.settle()
    assert explained(world).outlook == "sensor is cleared when U succeeds."


def test_a_task_that_the_dag_lacks_is_a_problem_while_somebody_waits_for_it(world: SimulatedWorld) -> None:
    """It names who waits: a dependency and a sensor; corrected, neither is told of any more."""
    world.dependencies({"X": [{"pipeline": "U", "task": "laod"}, "R"]})
    world.has_tasks("U", load="")
    world.trigger("U")
    world.run("U")
    world.wait("D", "sensor", "U", task="laod")
    world.settle()
    place = f"task U:laod@{PARTITION}"
    assert "has no task 'laod', which X, D:sensor wait for" in read(world.store, world.keys).problems[place]
    assert world.watcher is not None
    reconciler = world.watcher.reconciler
    assert place in task_problems(reconciler.cache, reconciler.propagation.graph)
    world.dependencies({"X": [{"pipeline": "U", "task": "load"}, "R"]})
    world.settle()
    assert "which D:sensor waits for" in read(world.store, world.keys).problems[place]
    world.wait("D", "sensor", "U", task="load")
    world.settle()
    found = read(world.store, world.keys)
    assert (found.problems, found.cache.problems.count) == ({}, 0)
    assert task_problems(reconciler.cache, reconciler.propagation.graph) == {}


@pytest.mark.parametrize(
    ("instances", "says"),
    [(1, "answered 403"), (bounds.TASK_INSTANCES + 1, f"expected at most {bounds.TASK_INSTANCES}")],
    ids=["forbidden", "too many instances"],
)
def test_a_task_that_is_not_shown_is_a_problem_while_somebody_waits_for_it(
    world: SimulatedWorld, instances: int, says: str
) -> None:
    """It is written and logged once, explained, asked about again, and used once it is shown."""
    world.dependencies({"X": {"upstream": {"pipeline": "U", "task": "load"}}})
    world.has_tasks("U", load="")
    world.trigger("U")
    world.start("U")
    world.settle()
    world.task("U", "load", *["success"] * instances)
    world.airflows["default"].api.hidden.update({"U"} if instances == 1 else ())
    with structlog.testing.capture_logs() as logs:
        world.settle()
        world.finish("U")
        for _ in range(5):
            world.settle()
    assert len([one for one in logs if one["event"] == "task.refused"]) == 1
    place = f"task U:load@{PARTITION}"
    found = read(world.store, world.keys)
    assert "and X waits for it" in found.problems[place]
    assert says in found.problems[place]
    assert f"U:load is not shown by default in run scheduled__{PARTITION}: " in "; ".join(
        explained(world, "X").because()
    )
    assert world.runs("X") == 0
    world.airflows["default"].api.hidden.clear()
    world.task("U", "load", "success")
    for _ in range(5):
        world.settle()
    assert world.runs("X") == 1
    assert read(world.store, world.keys).problems == {}


def test_a_refusal_takes_nothing_from_a_task_that_is_known_to_have_ended(world: SimulatedWorld) -> None:
    world.dependencies({"X": [{"pipeline": "U", "task": "load"}, "R"]})
    world.has_tasks("U", load="")
    world.trigger("U")
    world.start("U")
    world.task("U", "load", "success")
    world.settle()
    key = world.keys.state(Target(PipelineRef("default", "U", "load"), PARTITION))
    known = world.store.get(key)
    assert known is not None
    world.airflows["default"].api.hidden.add("U")
    world.finish("U")
    for _ in range(5):
        world.settle()
    assert world.store.get(key) == known
    assert read(world.store, world.keys).problems == {}


@pytest.mark.parametrize(("task", "remedy"), [("", "report"), ("", "clear"), ("load", "clear")])
def test_a_sensor_is_told_that_retention_may_have_removed_what_it_waits_for(task: str, remedy: str) -> None:
    """An old run is cleared after retention: its sensor waits for a success that nobody remembers, until it is reported
    again or the upstream's run is cleared."""
    world = SimulatedWorld()
    old = "2026-08-01T00:00:00Z"
    world.dependencies({"X": "U"})
    world.retain(max_age="30 days")
    world.has_tasks("D", sensor="below", below="")
    world.has_tasks("U", load="")
    world.by_hand("U", "D")
    world.trigger("U", partition=old)
    world.start("U", partition=old)
    world.finish("U", partition=old)
    world.settle()
    world.trigger("D", partition=old)
    world.start("D", partition=old)
    world.passes("D", "sensor", "U", partition=old, rerun="ignore")
    world.finish("D", partition=old)
    world.settle()
    for seconds in (40 * 86400, 4000):
        world.clock.seconds += seconds
        for _ in range(5):
            world.settle()
    assert world.state("U", partition=old) is None
    world.clear("D", partition=old)
    world.start("D", partition=old)
    world.wait("D", "sensor", "U", partition=old, task=task)
    world.settle()
    told = listed(world)
    assert "it was removed by retention, which has removed runs queued up to 2026-" in told["says"]
    (offered,) = told["remedies"]
    assert "clear its run" in offered
    assert ("coordinator report U success" in offered) == (not task)
    if remedy == "report":
        value = RunStateDocument(state=State.SUCCESS, observed_at=world.clock.now()).to_value()
        world.store.commit(Transaction((), (Put(world.keys.state(target("U", old)), value),)))
    else:
        world.clear("U", partition=old)
        world.start("U", partition=old)
        world.task("U", "load", "success", partition=old)
        world.finish("U", partition=old)
    for _ in range(5):
        world.settle()
    assert world.answer("D", "sensor", partition=old) == "passed"


def test_the_waits_of_a_pipeline_are_those_of_its_sensors_and_those_for_it(world: SimulatedWorld) -> None:
    world.wait("D", "sensor", "U")
    world.settle()
    reading = read(world.store, world.keys)
    names = {
        name: [str(one.ref.sensor) for one in waits_of(reading, target(name).pipeline, all_=False)]
        for name in ("D", "U", "X")
    }
    assert names == {"D": ["D:sensor"], "U": ["D:sensor"], "X": []}
    found = as_explained(world.store, world.keys, target("U").pipeline, PARTITION, limits={})
    assert "D:sensor waits for it, inside a run" in found.notes


def test_a_run_whose_sensor_waits(world: SimulatedWorld) -> None:
    """The table and the outlook of a source: it waits for nothing in the documents, but its run does."""
    world.wait("D", "sensor", "U")
    world.settle()
    (row,) = newest_partitions(world.store, world.keys, target("D").pipeline, most=1).rows
    assert row.says == "runs, and its sensor sensor waits for U"
    assert explained(world).outlook == "Its run goes on: sensor passes when U succeeds."


def test_what_a_sensor_has_passed_on(world: SimulatedWorld) -> None:
    world.trigger("U")
    world.run("U")
    world.passes("D", "sensor", "U")
    (wait,) = waits_of(reading := read(world.store, world.keys), None, all_=True)
    says = _as_json(reading, wait)["says"]
    assert says.startswith(f"passed: U@{PARTITION} succeeded in run scheduled__{PARTITION} at 20")
    world.clear("U")
    world.start("U")
    world.settle()
    (wait,) = waits_of(reading := read(world.store, world.keys), None, all_=True)
    says = _as_json(reading, wait)["says"]
    assert says.startswith(f"passed: U@{PARTITION} succeeded in run scheduled__{PARTITION}, revision ")
