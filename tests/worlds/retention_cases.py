"""What retention removes, what it must not, and what may never happen again (docs/architecture.md#retention)."""

from __future__ import annotations

from tests.worlds.cases import Case
from tests.worlds.world import World

DAYS = [f"2026-11-{day:02}T00:00:00Z" for day in range(20, 27)]
SOON = {"every": "0.2 seconds", "min_age": "0 seconds"}


def case_20_gone_partition(world: World) -> None:
    """A -> D. D's record and state have been removed, A's state is there (X, which has not run, waits for it), and is
    reported again; later A's is removed too, and it is reported again: nothing runs for the past. What is new runs."""
    world.dependencies({"D": "A", "X": ["A", "Y"]})
    world.first_run("A")
    world.retain(max_age="1 second", **SOON)
    _await_gone(world, "D")
    world.report_end_early("A")
    world.settle()
    assert world.state("A") is not None
    assert (world.runs("D"), world.runs("X")) == (1, 0)

    world.stop_watcher()  # a successor knows only what is in etcd
    world.start_watcher()
    world.settle()
    assert world.runs("D") == 1

    world.retain(max_age="365 days")
    world.first_run("Y")
    assert (world.runs("D"), world.runs("X")) == (1, 1)
    world.retain(max_age="1 second", **SOON)
    _await_gone(world, "X", "Y", "A")
    world.retain(max_age="365 days")
    world.report_end_early("A")
    world.report_end_early("Y")
    world.settle()
    assert (world.runs("A"), world.runs("D"), world.runs("X")) == (1, 1, 1)
    assert world.record("D") is None

    world.rerun("A")
    world.settle()
    assert world.runs("D") == 2


def case_only_so_many_partitions_are_kept(world: World) -> None:
    """A -> D, seven partitions, of which three are kept: the newest, of both, and a clear in them runs D as ever."""
    world.dependencies({"D": "A"})
    for day in DAYS:  # one after the other, so that both have the same newest ones
        _run_in(world, "A", [day])
        world.settle()
    world.retain(max_partitions=3, **SOON)
    _await_gone(world, "D", "A", partitions=DAYS[:4])
    world.settle()
    for name in ("A", "D"):
        assert [day for day in DAYS if world.state(name, partition=day) is not None] == DAYS[4:]
    world.clear("A", partition=DAYS[5])
    world.run("A", partition=DAYS[5])
    world.settle()
    assert [world.runs("D", partition=day) for day in DAYS] == [1, 1, 1, 1, 1, 2, 1]


def case_never_past_one_that_waits(world: World) -> None:
    """D = all(A, B), three partitions. In the oldest B has not run: nothing is removed of any of them, and why is
    written down. When B runs there at last, D does, and everything goes."""
    world.dependencies({"D": ["A", "B"]})
    _run_in(world, "A", DAYS[:3])
    _run_in(world, "B", DAYS[1:3])
    world.settle()
    before = [world.state("A", partition=day) for day in DAYS[:3]]
    world.retain(max_age="1 second", **SOON)
    world.settle_until(lambda: _held_back(world) == 3, "a sweep finds D, A and B held back")
    world.settle()
    assert [world.state("A", partition=day) for day in DAYS[:3]] == before
    assert [world.runs("D", partition=day) for day in DAYS[:3]] == [0, 1, 1]
    _run_in(world, "B", DAYS[:1])
    world.settle_until(lambda: world.runs("D") == 1, "D runs")
    _await_gone(world, "D", "A", "B", partitions=DAYS[:3])
    world.settle()
    assert [world.runs("D", partition=day) for day in DAYS[:3]] == [1, 1, 1]


def case_what_only_waits_is_given_up(world: World) -> None:
    """As before, with a time after which it is given up: everything goes, though B has not run in the oldest. When it
    does after all, D does not: A's has gone. What comes later is as ever."""
    world.dependencies({"D": ["A", "B"]})
    _run_in(world, "A", DAYS[:3])
    _run_in(world, "B", DAYS[1:3])
    world.settle()
    world.retain(max_age="1 second", give_up_after="2 seconds", **SOON)
    _await_gone(world, "D", "A", "B", partitions=DAYS[:3])
    world.retain(max_age="365 days")
    _run_in(world, "B", DAYS[:1])
    for name in ("A", "B"):
        _run_in(world, name, DAYS[3:4])
    world.settle()
    assert [world.runs("D", partition=day) for day in DAYS[:4]] == [0, 1, 1, 1]


def _run_in(world: World, name: str, partitions: list[str]) -> None:
    world.by_hand(name)
    for partition in partitions:
        world.trigger(name, partition=partition)
        world.run(name, partition=partition)


def _await_gone(world: World, *names: str, partitions: list[str] = DAYS[:1]) -> None:
    def gone() -> bool:
        wanted = [(name, day) for name in names for day in partitions]
        return all(
            world.state(name, partition=day) is None and world.record(name, partition=day) is None
            for name, day in wanted
        )

    world.settle_until(gone, f"nothing is left of {', '.join(names)}")


def _held_back(world: World) -> int:
    swept = world.swept()
    return swept.held_back_pipelines if swept is not None else 0


CASES: dict[str, Case] = {name: script for name, script in globals().items() if name.startswith("case_")}

ON_REAL_ETCD = [name for name in CASES if name != "case_what_only_waits_is_given_up"]
