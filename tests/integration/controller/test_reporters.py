"""Reporters of every kind: with queued_at, with an attempt number, with a bare word."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

import coordinator
from coordinator.commands.report import write_report
from coordinator.model.references import PipelineRef
from coordinator.model.runstate import RunStateDocument, State
from coordinator.model.trigger import Status
from coordinator.runners.port import ObservedRun
from tests.integration.controller.waiting import until
from tests.integration.controller.worlds import FaultyWorld, Reporter
from tests.worlds.simulated_airflow import partition_of
from tests.worlds.world import PARTITION, target

Style = Callable[[FaultyWorld, str], Reporter]


def _with_queued_at(world: FaultyWorld, name: str) -> Reporter:
    def report(run: ObservedRun) -> None:
        coordinator.report(
            PipelineRef.parse(name),
            run.state,
            partition=partition_of(run),
            run_id=run.run_id,
            queued_at=run.queued_at,
            settings=world.settings,
        )

    return report


def _with_an_attempt(world: FaultyWorld, name: str) -> Reporter:
    """Counts the attempts of each run itself, and knows no queued_at."""
    attempts: Counter[str] = Counter()

    def report(run: ObservedRun) -> None:
        attempts[run.run_id] += run.state is State.RUNNING
        document = RunStateDocument(state=run.state, run_id=run.run_id, attempt=attempts[run.run_id])
        write_report(world.store, world.keys, target(name, partition_of(run)), document)

    return report


def _with_its_end_alone(world: FaultyWorld, name: str) -> Reporter:
    attempts: Counter[str] = Counter()

    def report(run: ObservedRun) -> None:
        attempts[run.run_id] += run.state is State.RUNNING
        if run.state.is_terminal:
            document = RunStateDocument(state=run.state, run_id=run.run_id, attempt=attempts[run.run_id])
            write_report(world.store, world.keys, target(name, partition_of(run)), document)

    return report


def _with_bare_words(world: FaultyWorld, name: str) -> Reporter:
    def report(run: ObservedRun) -> None:
        world.put(world.keys.state(target(name, partition_of(run))), str(run.state).encode())

    return report


STYLES: list[Style] = [_with_queued_at, _with_an_attempt, _with_its_end_alone, _with_bare_words]


@pytest.mark.promise("late-reports")
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("takes", ["no time", "longer than our answer"])
def test_a_chain_runs_once_per_wave_however_its_middle_reports(world: FaultyWorld, style: Style, takes: str) -> None:
    world.dependencies({"T": "S", "U": "T", "V": ["U", "T", "S"]})
    world.report_by("T", style(world, "T"))
    if takes != "no time":
        world.by_hand("T")
    for wave in (1, 2):
        world.complete("S", wave=wave)
        if takes != "no time":
            _until_sent(world, "T")
            world.run("T")
        world.until_done("T", "U", "V", runs=wave)
        world.settle()
        assert world.counts("T", "U", "V") == {"T": wave, "U": wave, "V": wave}


@pytest.mark.parametrize("style", STYLES)
def test_a_source_starts_a_wave_each_time_however_it_reports(world: FaultyWorld, style: Style) -> None:
    world.dependencies({"T": "S", "U": ["T", "S"]})
    world.report_by("S", style(world, "S"))
    for wave in (1, 2, 3):
        world.complete("S", wave=wave)
        world.until_done("T", "U", runs=wave)
        world.settle()
        assert world.counts("T", "U") == {"T": wave, "U": wave}


@pytest.mark.promise("late-reports")
@pytest.mark.parametrize("style", [_with_queued_at, _with_an_attempt])
def test_a_report_put_again_fires_nothing(world: FaultyWorld, style: Style) -> None:
    world.dependencies({"T": "S", "U": "T"})
    for name in ("S", "T"):
        world.report_by(name, style(world, name))
    world.complete("S")
    world.until_done("T", "U", runs=1)
    reported = {name: _value(world, name) for name in ("S", "T")}
    for name, value in 3 * [*reported.items()]:
        world.put(world.keys.state(target(name)), value)
    world.settle()
    assert world.counts("T", "U") == {"T": 1, "U": 1}
    world.stop_watcher()
    world.put(world.keys.state(target("S")), reported["S"])
    world.start_watcher()
    world.settle()
    assert world.counts("T", "U") == {"T": 1, "U": 1}, "nor after a restart"
    world.complete("S", wave=2)
    world.until_done("T", "U", runs=2)


def test_a_bare_word_of_a_pipeline_that_is_no_dag_is_a_completion_each_time(world: FaultyWorld) -> None:
    world.dependencies({"T": "S", "U": "T"})
    for wave in (1, 2):
        world.put(world.keys.state(target("S")), b"success")
        world.until_done("T", "U", runs=wave)
    world.settle()
    assert world.counts("T", "U") == {"T": 2, "U": 2}


def _value(world: FaultyWorld, name: str) -> bytes:
    found = world.store.get(world.keys.state(target(name)))
    assert found is not None
    return found.value


def _until_sent(world: FaultyWorld, name: str) -> None:
    def sent() -> bool:
        record = world.record(name, partition=PARTITION)
        return record is not None and record.status is Status.SENT

    until(sent, f"{name} is sent")
