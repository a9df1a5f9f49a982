"""Rooms: what is on the way to an environment is bounded, and who waits before it gets a turn."""

from __future__ import annotations

from coordinator.model.references import PipelineRef, Target
from coordinator.model.trigger import Action
from coordinator.runners.port import StartRequest
from coordinator.watcher.lanes import Backoff, Lane
from coordinator.watcher.rooms import Rooms
from coordinator.watcher.turns import Turns
from tests.unit.watcher.test_lanes import FakeRunner, Jobs

SIZE = 4


def _target(partition: str) -> Target:
    return Target(PipelineRef("default", "d"), partition)


class Bench:
    def __init__(self) -> None:
        self.jobs = Jobs()
        self.lane = Lane(
            environment="default",
            runner=FakeRunner(),
            limit=1,
            request_timeout=5.0,
            executor=self.jobs,
            backoff=Backoff(initial=1.0, longest=30.0),
            guard=lambda *_: None,
        )
        self.rooms = Rooms({"default": self.lane}, size=SIZE)

    def enter(self, *partitions: str, fresh: bool = False) -> list[bool]:
        return [self.rooms.enter(_target(one), fresh=fresh) for one in partitions]

    def intend(self, *partitions: str) -> None:
        for one in partitions:
            self.lane.start(_target(one), StartRequest("d", Action.CREATE, "r", one), 0.0, fresh=False)
            self.rooms.leave(_target(one))

    def admitted(self) -> list[str]:
        return [target.partition for target, _ in self.rooms.admit()]


def test_no_more_than_its_size_look_or_wait_with_an_intent() -> None:
    bench = Bench()
    assert bench.enter("1", "2", "3", "4", "5") == [True, True, True, True, False]
    bench.intend("1", "2", "3", "4")
    assert bench.enter("6") == [False]
    assert bench.admitted() == []
    bench.lane.pump(0.0)  # two have gone out
    assert bench.admitted() == ["5", "6"]
    assert bench.enter("5", "6", "7") == [True, True, False]


def test_many_are_let_in_at_once_so_that_they_are_written_together() -> None:
    bench = Bench()
    bench.enter("1", "2", "3", "4", "5", "6")
    bench.rooms.leave(_target("1"))
    assert bench.admitted() == []
    bench.rooms.leave(_target("2"))
    assert bench.admitted() == ["5", "6"]


def test_who_comes_live_does_not_wait_behind_what_has_piled_up() -> None:
    bench = Bench()
    bench.enter(*(f"2026-11-{day:02}" for day in range(1, 21)))
    assert bench.enter("2026-11-21", "2026-11-22", "2026-11-23", "2026-11-24", "2026-11-25", fresh=True) == [
        True,
        True,
        True,
        True,
        False,
    ]


def test_what_had_piled_up_and_comes_live_as_well_goes_over_to_what_is_fresh() -> None:
    bench = Bench()
    bench.enter("1", "2", "3", "4", "5")
    assert bench.enter("5", fresh=True) == [True]
    bench.rooms.leave(_target("5"))
    assert not bench.rooms.knows(_target("5"))


def test_of_what_has_piled_up_the_oldest_goes_first() -> None:
    bench = Bench()
    bench.enter(*(f"2026-11-{day:02}" for day in range(20, 0, -1)))
    for day in range(17, 21):
        bench.rooms.leave(_target(f"2026-11-{day}"))
    assert bench.admitted() == ["2026-11-01", "2026-11-02", "2026-11-03", "2026-11-04"]


def test_who_is_not_to_start_any_more_gives_up_its_place_in_line() -> None:
    bench = Bench()
    bench.enter("1", "2", "3", "4", "5", "6")
    bench.rooms.leave(_target("5"))
    assert not bench.rooms.knows(_target("5"))
    bench.rooms.clear()
    assert bench.enter("7") == [True]


def test_turns_lose_nothing() -> None:
    turns: Turns[str] = Turns()
    for number in range(4):
        turns.add(f"old {number}", fresh=False)
    turns.add("fresh", fresh=True)
    turns.put_first("back")
    turns.remove("old 2")
    assert set(turns) == {"back", "fresh", "old 0", "old 1", "old 3"}
    assert [turns.pop() for _ in range(len(turns))] == ["back", "fresh", "old 0", "old 1", "old 3"]
