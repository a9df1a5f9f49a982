"""What a dependency can say about partitions, freshness and gates, as scripts: the rows of the tables in
``docs/dependencies.md``. The cases of the rule itself are in ``cases.py``."""

from __future__ import annotations

import pytest

from tests.worlds.cases import Case
from tests.worlds.world import World

DAY = "2026-11-20T00:00:00Z"
NEXT_DAY = "2026-11-21T00:00:00Z"


def hours(count: int = 24, *, first: int = 0) -> list[str]:
    """The first hours of 2026-11-20, in UTC."""
    return [f"2026-11-20T{hour:02}:00:00Z" for hour in range(first, first + count)]


def case_identity(world: World) -> None:
    """D needs A of its own partition: a partition touches nothing of another."""
    world.dependencies({"D": "A"})
    world.comes("A", DAY)
    world.comes("A", NEXT_DAY)
    world.settle()
    world.rerun("A", partition=DAY)
    world.settle()
    assert (world.runs("D", partition=DAY), world.runs("D", partition=NEXT_DAY)) == (2, 1)


def case_start_of_day(world: World) -> None:
    """The first hour of the day starts D for the day, and so does each that comes later: late data."""
    world.dependencies({"D": {"upstream": {"pipeline": "A", "partition": "start_of_day"}}})
    for count, hour in enumerate(hours(3), 1):
        world.comes("A", hour)
        world.settle()
        assert world.runs("D", partition=DAY) == count
    assert world.runs("D", partition=NEXT_DAY) == 0


def case_start_of_day_waits_for_hours_that_are_coming(world: World) -> None:
    """R -> A, hourly; D by the day. Two hours of R together: D runs once, after both hours of A."""
    world.dependencies({"A": "R", "D": {"upstream": {"pipeline": "A", "partition": "start_of_day"}}})
    world.by_hand("A")
    for hour in hours(2):
        world.comes("R", hour)
    world.settle()
    world.run("A", partition=hours(2)[0])
    world.settle()
    assert world.runs("D", partition=DAY) == 0
    world.run("A", partition=hours(2)[1])
    world.settle()
    assert world.runs("D", partition=DAY) == 1


def case_rollup_of_a_day(world: World) -> None:
    """D by the day needs all 24 hours of A; an hour that is cleared runs it again, once."""
    world.dependencies({"D": {"upstream": {"pipeline": "A", "partition": {"mapper": "rollup", "window": "day"}}}})
    for hour in hours(23):
        world.comes("A", hour)
    world.settle()
    assert world.runs("D", partition=DAY) == 0
    world.comes("A", hours()[23])
    world.settle()
    assert world.runs("D", partition=DAY) == 1
    world.rerun("A", partition=hours()[5])
    world.settle()
    assert world.runs("D", partition=DAY) == 2


def case_rollup_of_a_day_of_25_hours(world: World) -> None:
    """In Berlin 2026-10-25 has 25 hours, from 22:00 UTC to 23:00 UTC the next day: D needs all of them."""
    mapping = {"mapper": "rollup", "window": "day", "timezone": "Europe/Berlin"}
    world.dependencies({"D": {"upstream": {"pipeline": "A", "partition": mapping}}})
    day = "2026-10-24T22:00:00Z"
    of_the_day = [f"2026-10-24T{hour}:00:00Z" for hour in (22, 23)]
    of_the_day += [f"2026-10-25T{hour:02}:00:00Z" for hour in range(23)]
    for hour in of_the_day[:-1]:
        world.comes("A", hour)
    world.settle()
    assert world.runs("D", partition=day) == 0
    world.comes("A", of_the_day[-1])
    world.settle()
    assert world.runs("D", partition=day) == 1


def case_rollup_with_a_least_number(world: World) -> None:
    """Two hours are enough; the third is late data, and runs D again, once."""
    mapping = {"mapper": "rollup", "window": "day", "wait": 2}
    world.dependencies({"D": {"upstream": {"pipeline": "A", "partition": mapping}}})
    for expected, hour in zip((0, 1, 2), hours(3), strict=True):
        world.comes("A", hour)
        world.settle()
        assert world.runs("D", partition=DAY) == expected


def case_rollup_of_a_week_with_one_missing(world: World) -> None:
    """D by the ISO week needs six of seven days of A; one may fail, or never come."""
    mapping = {"mapper": "rollup", "window": "week", "wait": -1}
    world.dependencies({"D": {"upstream": {"pipeline": "A", "partition": mapping}}})
    week = "2026-11-16T00:00:00Z"  # a Monday
    for day in range(16, 21):
        world.comes("A", f"2026-11-{day}T00:00:00Z")
    world.comes("A", "2026-11-21T00:00:00Z", "failed")
    world.settle()
    assert world.runs("D", partition=week) == 0
    world.comes("A", "2026-11-22T00:00:00Z")
    world.settle()
    assert world.runs("D", partition=week) == 1


def case_fan_out_of_a_day(world: World) -> None:
    """A by the day starts D for each of its hours; cleared, it runs each again, once."""
    world.dependencies({"D": {"upstream": {"pipeline": "A", "partition": {"mapper": "fan_out", "window": "day"}}}})
    world.comes("A", DAY)
    world.settle()
    world.rerun("A", partition=DAY)
    world.settle()
    assert [world.runs("D", partition=hour) for hour in hours()] == [2] * 24
    assert world.runs("D", partition=NEXT_DAY) == 0


def case_offset(world: World) -> None:
    """D needs A of the day before."""
    world.dependencies({"D": {"upstream": {"pipeline": "A", "partition": "-1 day"}}})
    world.comes("A", DAY)
    world.settle()
    assert (world.runs("D", partition=DAY), world.runs("D", partition=NEXT_DAY)) == (0, 1)


def case_offset_of_itself_and_another(world: World) -> None:
    """D = all(A today, A yesterday): each day's A starts two days' D, once both are there."""
    world.dependencies({"D": ["A", {"pipeline": "A", "partition": "-1 day"}]})
    world.comes("A", DAY)
    world.settle()
    assert world.runs("D", partition=DAY) == 0
    world.comes("A", "2026-11-19T00:00:00Z")
    world.settle()
    world.comes("A", NEXT_DAY)
    world.settle()
    assert [world.runs("D", partition=day) for day in (DAY, NEXT_DAY)] == [1, 1]
    world.rerun("A", partition=DAY)
    world.settle()
    assert [world.runs("D", partition=day) for day in (DAY, NEXT_DAY)] == [2, 2]


def case_fixed_key(world: World) -> None:
    """Whatever A completes, D runs in its one partition, and once for what comes together."""
    mapping = {"mapper": "fixed_key", "downstream_key": "model"}
    world.dependencies({"D": {"upstream": {"pipeline": "A", "partition": mapping}}})
    for count, partition in enumerate((DAY, NEXT_DAY), 1):
        world.comes("A", partition)
        world.settle()
        assert world.runs("D", partition="model") == count
    world.rerun("A", partition=DAY)
    world.settle()
    assert world.runs("D", partition="model") == 3


REGIONS = {"mapper": "segments", "segments": ["us", "eu", "apac"], "downstream_key": "all"}


def case_segments(world: World) -> None:
    """D in one partition needs A in each of three regions; a fourth one is none of them; a region that is cleared runs
    D again, once."""
    world.dependencies({"D": {"upstream": {"pipeline": "A", "partition": REGIONS}}})
    for region in ("us", "mars", "eu"):
        world.comes("A", region)
    world.settle()
    assert world.runs("D", partition="all") == 0
    world.comes("A", "apac")
    world.settle()
    assert world.runs("D", partition="all") == 1
    world.rerun("A", partition="mars")
    world.settle()
    assert world.runs("D", partition="all") == 1
    world.rerun("A", partition="us")
    world.settle()
    assert world.runs("D", partition="all") == 2


def case_segments_of_which_two_are_enough(world: World) -> None:
    """Two regions are enough; the third one is late data."""
    world.dependencies({"D": {"upstream": {"pipeline": "A", "partition": {**REGIONS, "wait": 2}}}})
    for expected, region in zip((0, 1, 2), ("us", "eu", "apac"), strict=True):
        world.comes("A", region)
        world.settle()
        assert world.runs("D", partition="all") == expected


def case_allowed_key(world: World) -> None:
    """D needs A in its own region, and only in two of them; what A does elsewhere touches nothing."""
    mapping = {"mapper": "allowed_key", "allowed_keys": ["us", "eu"]}
    world.dependencies({"D": {"upstream": {"pipeline": "A", "partition": mapping}}})
    for region in ("us", "eu", "mars"):
        world.comes("A", region)
    world.settle()
    assert [world.runs("D", partition=region) for region in ("us", "eu", "mars")] == [1, 1, 0]


def case_product_of_a_region_and_a_day(world: World) -> None:
    """D by region and day needs all hours of A in that region; the hours of another region are another day's."""
    mapping = {"mapper": "product", "mappers": ["identity", {"mapper": "rollup", "window": "day"}]}
    world.dependencies({"D": {"upstream": {"pipeline": "A", "partition": mapping}}})
    for hour in hours(23):
        world.comes("A", f"eu|{hour}")
    world.comes("A", f"us|{hours()[23]}")
    world.settle()
    assert [world.runs("D", partition=f"{region}|{DAY}") for region in ("eu", "us")] == [0, 0]
    world.comes("A", f"eu|{hours()[23]}")
    world.settle()
    assert [world.runs("D", partition=f"{region}|{DAY}") for region in ("eu", "us")] == [1, 0]
    world.rerun("A", partition=f"eu|{hours()[5]}")
    world.settle()
    assert world.runs("D", partition=f"eu|{DAY}") == 2


def case_product_that_gathers(world: World) -> None:
    """As start_of_day, in each region: the first hour starts D for the region's day, and so does each later one."""
    mapping = {"mapper": "product", "mappers": ["identity", "start_of_day"]}
    world.dependencies({"D": {"upstream": {"pipeline": "A", "partition": mapping}}})
    for count, hour in enumerate(hours(3), 1):
        world.comes("A", f"eu|{hour}")
        world.settle()
        assert world.runs("D", partition=f"eu|{DAY}") == count
    assert world.runs("D", partition=f"us|{DAY}") == 0


def case_chain(world: World) -> None:
    """D by the quarter needs each of its months, which A spells in its own way: two mappings in one."""
    mapping = {
        "mapper": "chain",
        "mappers": [
            {"mapper": "identity", "input_format": "%Y-%m"},
            {"mapper": "rollup", "window": "quarter", "output_format": "%Y-Q{quarter}"},
        ],
    }
    world.dependencies({"D": {"upstream": {"pipeline": "A", "partition": mapping}}})
    for month in ("2026-10", "2026-11"):
        world.comes("A", month)
    world.settle()
    assert world.runs("D", partition="2026-Q4") == 0
    world.comes("A", "2026-12")
    world.settle()
    assert world.runs("D", partition="2026-Q4") == 1


def case_keys_of_airflows_timetables_meet_dated_runs(world: World) -> None:
    """D = all(A, K). K is partitioned by a timetable of Airflow, and spells its keys in local time, without a zone."""
    key = {"mapper": "identity", "input_format": "%Y-%m-%dT%H:%M:%S"}
    world.dependencies({"D": ["A", {"pipeline": "K", "partition": key}]})
    world.comes("A", DAY)
    world.settle()
    assert world.runs("D", partition=DAY) == 0
    world.comes("K", "2026-11-20T00:00:00")
    world.settle()
    assert world.runs("D", partition=DAY) == 1


@pytest.mark.promise("once")
def case_partitioned_dag(world: World) -> None:
    """D's DAG is partitioned: its run has its partition as its key, and keeps it when a clear of A clears it."""
    world.partitioned("D")
    world.dependencies({"D": "A"})
    for partition in ("eu", DAY):
        world.comes("A", partition)
        world.settle()
        world.rerun("A", partition=partition)
        world.settle()
        assert world.runs("D", partition=partition) == 2
        assert [run.partition_key for run in world.all_runs("D", partition=partition)] == [partition]


@pytest.mark.promise("once")
def case_partitioned_dag_that_airflow_has_started_for_a_key(world: World) -> None:
    """Airflow itself has made a run of D for the key, of which nothing has been heard: it becomes the partition's run,
    and no second one is made. Once it has ended it is cleared, as it may not have seen what A has done."""
    world.partitioned("D")
    world.dependencies({"D": "A", "E": "D"})
    world.by_hand("D")
    world.trigger("D", partition="eu", run_id="asset_triggered__1")
    world.comes("A", "eu")
    world.settle_until(lambda: world.record("D", partition="eu") is not None, "D is to be started")
    world.settle()
    for e in (0, 1):
        world.run("D", partition="eu")
        world.settle()
        assert [run.run_id for run in world.all_runs("D", partition="eu")] == ["asset_triggered__1"]
        assert world.runs("E", partition="eu") == e


def case_latest_starts_the_newest_partition(world: World) -> None:
    """D = all(A, latest G). What G completes, in whatever partition, starts D in its newest partition alone."""
    world.dependencies({"D": ["A", {"pipeline": "G", "partition": "latest"}]})
    world.comes("G", "2026-11-01T00:00:00Z")
    world.comes("A", DAY)
    world.comes("A", NEXT_DAY)
    world.settle()
    assert [world.runs("D", partition=day) for day in (DAY, NEXT_DAY)] == [1, 1]
    world.comes("G", "2026-11-02T00:00:00Z")
    world.settle()
    assert [world.runs("D", partition=day) for day in (DAY, NEXT_DAY)] == [1, 2]


def case_latest_alone(world: World) -> None:
    """D needs nothing but the latest of A: it runs in the partition that A has completed."""
    world.dependencies({"D": {"upstream": {"pipeline": "A", "partition": "latest"}}})
    world.comes("A", DAY)
    world.settle()
    world.comes("A", NEXT_DAY)
    world.settle()
    assert [world.runs("D", partition=day) for day in (DAY, NEXT_DAY)] == [1, 1]


def days(count: int) -> list[str]:
    """The first days of a month."""
    return [f"2026-11-{day:02}T00:00:00Z" for day in range(1, count + 1)]


def _begin(world: World, name: str, partition: str) -> None:
    """A run begins, and goes on until a case ends it."""
    world.trigger(name, partition=partition)
    world.start(name, partition=partition)


def case_latest_of_runs_that_overlap(world: World) -> None:
    """D needs the latest of A, of which some run always goes on: D runs in each partition that A completes."""
    world.dependencies({"D": {"upstream": {"pipeline": "A", "partition": "latest"}}})
    world.by_hand("A")
    first, *others = days(11)
    _begin(world, "A", first)
    for day in others:
        _begin(world, "A", day)
        world.finish("A", partition=first)
        world.settle()
        assert world.runs("D", partition=first) == 1
        first = day
    assert [world.runs("D", partition=day) for day in days(10)] == [1] * 10


def case_fixed_key_of_runs_that_overlap(world: World) -> None:
    """D in one fixed partition stands on A, of which some run always goes on: D runs for each that ends."""
    mapping = {"mapper": "fixed_key", "downstream_key": "model"}
    world.dependencies({"D": {"upstream": {"pipeline": "A", "partition": mapping}}})
    world.by_hand("A")
    first, *others = days(11)
    _begin(world, "A", first)
    for count, day in enumerate(others, 1):
        _begin(world, "A", day)
        world.finish("A", partition=first)
        world.settle()
        assert world.runs("D", partition="model") == count
        first = day


def case_latest_beside_one_long_run(world: World) -> None:
    """D = all(A, latest G). One run of G takes years; the others complete day by day: D does not wait for the one."""
    world.dependencies({"D": ["A", {"pipeline": "G", "partition": "latest"}]})
    world.by_hand("G")
    _begin(world, "G", "2019-01-01T00:00:00Z")
    for day in days(10):
        world.comes("G", day)
        world.comes("A", day)
        world.settle()
        assert world.runs("D", partition=day) == 1


def case_latest_of_two_of_which_one_lags(world: World) -> None:
    """D needs the latest of A and of B; B is always two days behind A, and always runs: D runs for each end of B."""
    latest = [{"pipeline": name, "partition": "latest"} for name in ("A", "B")]
    world.dependencies({"D": latest})
    world.by_hand("B")
    begun = days(12)
    for number, day in enumerate(begun):
        world.comes("A", day)
        _begin(world, "B", day)
        world.settle()
        if number >= 2:
            world.finish("B", partition=begun[number - 2])
            world.settle()
    assert [world.runs("D", partition=day) for day in begun[:10]] == [1] * 10


def case_latest_of_two_that_one_wave_brings(world: World) -> None:
    """R -> A, R -> B, D = all(latest A, latest B): once for each wave, also for that of an older partition."""
    latest = [{"pipeline": name, "partition": "latest"} for name in ("A", "B")]
    world.dependencies({"A": "R", "B": "R", "D": latest})
    for day in (DAY, NEXT_DAY):
        world.comes("R", day)
        world.settle()
    assert [world.runs("D", partition=day) for day in (DAY, NEXT_DAY)] == [1, 1]
    world.by_hand("B")
    for count, day in ((2, NEXT_DAY), (3, DAY)):
        world.rerun("R", partition=day)
        world.settle()
        assert [world.runs("D", partition=day) for day in (DAY, NEXT_DAY)] == [1, count - 1]
        world.run("B", partition=day)
        world.settle()
        assert [world.runs("D", partition=day) for day in (DAY, NEXT_DAY)] == [1, count]


def case_fixed_key_of_two_that_one_wave_brings(world: World) -> None:
    """R -> A, R -> B, D = all(A, B) in one fixed partition: once for each wave, whatever partition it is about."""
    mapping = {"mapper": "fixed_key", "downstream_key": "model"}
    world.dependencies({"A": "R", "B": "R", "D": [{"pipeline": name, "partition": mapping} for name in ("A", "B")]})
    world.by_hand("B")
    for count, day in enumerate((DAY, NEXT_DAY)):
        world.comes("R", day)
        world.settle()
        assert world.runs("D", partition="model") == count
        world.run("B", partition=day)
        world.settle()
        assert world.runs("D", partition="model") == count + 1


def case_latest_that_is_coming_is_waited_for_by_those_below(world: World) -> None:
    """R -> A, D needs the latest of A, E = any(D, R): E waits for D, also in the first wave of a partition."""
    world.dependencies(
        {"A": "R", "D": {"upstream": {"pipeline": "A", "partition": "latest"}}, "E": {"upstream": {"any": ["D", "R"]}}}
    )
    for day in (DAY, NEXT_DAY):
        world.comes("R", day)
        world.settle()
        assert (world.runs("D", partition=day), world.runs("E", partition=day)) == (1, 1)


def case_latest_that_was_deleted(world: World) -> None:
    """D needs the latest of A. Its newest completion is deleted: that an older one is the newest again is no news."""
    world.dependencies({"D": {"upstream": {"pipeline": "A", "partition": "latest"}}})
    for day in (DAY, NEXT_DAY):
        world.comes("A", day)
        world.settle()
    world.delete_state("A", partition=NEXT_DAY)
    world.settle()
    assert [world.runs("D", partition=day) for day in (DAY, NEXT_DAY)] == [1, 1]
    world.rerun("A", partition=DAY)
    world.settle()
    assert [world.runs("D", partition=day) for day in (DAY, NEXT_DAY)] == [1, 2]


def case_gate(world: World) -> None:
    """D = all(A, gate G): nothing runs before G has, what waited then runs, and G alone starts nothing."""
    world.dependencies({"D": ["A", {"pipeline": "G", "trigger": False}]})
    world.comes("A", DAY)
    world.settle()
    assert world.runs("D", partition=DAY) == 0
    world.comes("G", DAY)
    world.settle()
    assert world.runs("D", partition=DAY) == 1
    world.rerun("G", partition=DAY)
    world.settle()
    assert world.runs("D", partition=DAY) == 1
    world.rerun("A", partition=DAY)
    world.settle()
    assert world.runs("D", partition=DAY) == 2


def case_gate_that_is_being_renewed_is_waited_for(world: World) -> None:
    """R -> G, R -> A, D = all(A, gate G). R is cleared; A ends well before G: D runs once, after both."""
    world.dependencies({"G": "R", "A": "R", "D": ["A", {"pipeline": "G", "trigger": False}]})
    world.first_run("R")
    assert world.runs("D") == 1
    world.by_hand("G")
    world.rerun("R")
    world.settle()
    assert (world.runs("A"), world.runs("D")) == (2, 1)
    world.run("G")
    world.settle()
    assert world.runs("D") == 2


def case_gate_that_failed_is_a_reason_to_wait(world: World) -> None:
    """D = all(A, gate G). G fails again; A completes: D waits, stuck, until G is well again; then once."""
    world.dependencies({"D": ["A", {"pipeline": "G", "trigger": False}], "E": ["D", "A"]})
    world.first_run("A", "G")
    assert (world.runs("D"), world.runs("E")) == (1, 1)
    world.rerun("G", "failed")
    world.settle()
    world.rerun("A")
    world.settle()
    assert (world.runs("D"), world.runs("E")) == (1, 1)
    world.rerun("G")
    world.settle()
    assert (world.runs("D"), world.runs("E")) == (2, 2)


def case_latest_as_a_gate(world: World) -> None:
    """D by the hour needs the newest load of a table, whenever that was: the load opens, and starts nothing again."""
    world.dependencies({"D": ["A", {"pipeline": "G", "partition": "latest", "trigger": False}]})
    first, second, third = hours(3)
    world.comes("A", first)
    world.comes("A", second)
    world.settle()
    assert [world.runs("D", partition=hour) for hour in (first, second)] == [0, 0]
    world.comes("G", "2026-11-19T00:00:00Z")
    world.settle()
    assert [world.runs("D", partition=hour) for hour in (first, second)] == [1, 1]
    world.comes("G", "2026-11-20T00:00:00Z")
    world.comes("A", third)
    world.settle()
    assert [world.runs("D", partition=hour) for hour in (first, second, third)] == [1, 1, 1]
    world.comes("G", "2026-11-21T00:00:00Z", "failed")
    world.rerun("A", partition=first)
    world.settle()
    assert world.runs("D", partition=first) == 1
    world.rerun("G", partition="2026-11-21T00:00:00Z")
    world.settle()
    assert world.runs("D", partition=first) == 2


@pytest.mark.promise("not-for-the-past")
def case_another_mapping_does_not_fire_for_the_past(world: World) -> None:
    """Another mapping makes another dependency: what is there already is the past, and the next completion counts."""
    every = {"mapper": "rollup", "window": "day"}
    world.dependencies({"D": {"upstream": {"pipeline": "A", "partition": every}}})
    for hour in hours(23):
        world.comes("A", hour)
    world.settle()
    world.dependencies({"D": {"upstream": {"pipeline": "A", "partition": "start_of_day"}}})
    world.settle()
    assert world.runs("D", partition=DAY) == 0
    world.dependencies({"D": {"upstream": {"pipeline": "A", "partition": every}}})
    world.comes("A", hours()[23])
    world.settle()
    assert world.runs("D", partition=DAY) == 1


@pytest.mark.promise("not-for-the-past")
def case_fewer_are_enough_from_now_on(world: World) -> None:
    """One hour never comes; the file is changed so that one may be missing: the day that waits runs."""
    world.dependencies({"D": {"upstream": {"pipeline": "A", "partition": {"mapper": "rollup", "window": "day"}}}})
    for hour in hours(23):
        world.comes("A", hour)
    world.settle()
    mapping = {"mapper": "rollup", "window": "day", "wait": -1}
    world.dependencies({"D": {"upstream": {"pipeline": "A", "partition": mapping}}})
    world.settle()
    assert world.runs("D", partition=DAY) == 1


BACK_IN_TIME: dict[str, object] = {"A": ["U", {"pipeline": "B", "partition": "-1 day"}], "B": "A"}
"""A needs what B, which is below it, made of the day before."""


@pytest.mark.promise("once")
def case_cycle_back_in_time(world: World) -> None:
    """The first day has no day before: somebody orders it. Each later day runs once, after the one before; what U
    brings early waits for its turn; nothing runs in a day that U has not brought. U is cleared on the second day: that
    day and each later one run once more, one after another."""
    world.dependencies(BACK_IN_TIME)
    first, second, third, fourth, fifth = days(5)
    world.comes("U", first)
    world.comes("U", third)
    world.settle()
    assert [world.runs("A", partition=day) for day in (first, second, third)] == [0, 0, 0]
    world.order("A", "rerun", partition=first)
    world.settle()
    assert [world.runs(name, partition=first) for name in "AB"] == [1, 1]
    assert [world.runs("A", partition=day) for day in (second, third)] == [0, 0]
    world.comes("U", second)
    world.settle()
    assert [world.runs(name, partition=day) for day in (second, third, fourth) for name in "AB"] == [1, 1, 1, 1, 0, 0]
    world.comes("U", fourth)
    world.settle()
    world.rerun("U", partition=second)
    world.settle()
    assert [world.runs(name, partition=day) for day in (first, second, third, fourth, fifth) for name in "AB"] == [
        *(1, 1),
        *(2, 2),
        *(2, 2),
        *(2, 2),
        *(0, 0),
    ]


@pytest.mark.promise("not-early")
def case_cycle_back_in_time_waits_for_the_day_before(world: World) -> None:
    """B of yesterday runs again while U of today completes: A of today waits for it, and runs once."""
    world.dependencies(BACK_IN_TIME)
    first, second = days(2)
    world.comes("U", first)
    world.order("A", "rerun", partition=first)
    world.settle()
    world.by_hand("B")
    world.clear("B", partition=first)
    world.start("B", partition=first)
    world.settle()
    world.comes("U", second)
    world.settle()
    assert world.runs("A", partition=second) == 0
    world.finish("B", partition=first)
    world.settle()
    assert world.runs("A", partition=second) == 1


@pytest.mark.promise("once")
def case_pipeline_that_needs_its_own_day_before(world: World) -> None:
    """As a gate, the day before starts nothing: a clear of it runs nothing else again."""
    world.dependencies({"A": ["U", {"pipeline": "A", "partition": "-1 day", "trigger": False}]})
    first, second, third = days(3)
    world.comes("U", first)
    world.order("A", "rerun", partition=first)
    world.comes("U", second)
    world.comes("U", third)
    world.settle()
    assert [world.runs("A", partition=day) for day in (first, second, third)] == [1, 1, 1]
    world.rerun("A", partition=first)
    world.settle()
    assert [world.runs("A", partition=day) for day in (second, third)] == [1, 1]


CASES: dict[str, Case] = {name: script for name, script in globals().items() if name.startswith("case_")}

ON_REAL_ETCD = [
    "case_rollup_of_a_day",
    "case_fan_out_of_a_day",
    "case_segments",
    "case_product_that_gathers",
    "case_partitioned_dag",
    "case_partitioned_dag_that_airflow_has_started_for_a_key",
    "case_latest_as_a_gate",
    "case_gate",
    "case_cycle_back_in_time",
]
