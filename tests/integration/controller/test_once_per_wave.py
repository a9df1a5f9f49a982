"""Every pipeline once per wave, whatever the shape of the graph and whoever was away in between."""

from __future__ import annotations

import pytest

from tests.integration.controller.worlds import FaultyWorld


@pytest.mark.promise("once")
def test_the_bottom_of_a_diamond_with_unequal_arms_runs_once_per_wave(world: FaultyWorld) -> None:
    below = ("A", "B1", "team_b/B2", "B3", "D")
    world.dependencies({"A": "R", "B1": "R", "team_b/B2": "B1", "B3": "team_b/B2", "D": ["R", "A", "B3"]})
    world.by_hand("R", "B3")
    world.trigger("R")
    world.run("R")
    world.settle()
    assert world.counts(*below) == {"A": 1, "B1": 1, "team_b/B2": 1, "B3": 0, "D": 0}, "D waits for the longer arm"
    world.run("B3")
    world.by_itself("B3")
    world.settle()
    assert world.counts(*below) == dict.fromkeys(below, 1)
    first = world.identities(*below)
    for wave in (2, 3):
        world.rerun("R")
        world.settle()
        assert world.counts(*below) == dict.fromkeys(below, wave)
        assert {name: world.requests(name) for name in below} == dict.fromkeys(below, wave)
    assert world.identities(*below) == first, "a rerun keeps run_id and logical date"


@pytest.mark.promise("downtime")
def test_three_partitions_that_completed_while_no_watcher_ran_are_caught_up_each_once(world: FaultyWorld) -> None:
    below = ("A", "team_b/B", "D")
    partitions = [f"2026-11-{day}T00:00:00Z" for day in (20, 21, 22)]
    world.dependencies({"A": "R", "team_b/B": "R", "D": ["A", "team_b/B"]})
    world.by_hand("R")
    world.stop_watcher()
    for partition in partitions:
        world.trigger("R", partition=partition)
        world.run("R", partition=partition)
    world.start_watcher()
    world.settle()
    for partition in partitions:
        assert world.counts(*below, partition=partition) == dict.fromkeys(below, 1)
        dates = {run.logical_date for name in below for run in world._runs_of(name)}
        assert len(dates) == len(partitions)
