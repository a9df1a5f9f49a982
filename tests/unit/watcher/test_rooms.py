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
            self.lane.start(_target(one), StartRequest("d", Action.CREATE, "r", one), 0.0)
            self.rooms.began(_target(one))

    def admitted(self) -> list[str]:
        return [target.partition for target in self.rooms.admit()]


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


def test_who_came_live_does_not_wait_behind_all_that_has_piled_up() -> None:
    bench = Bench()
    bench.enter(*(f"2026-11-{day:02}" for day in range(1, 21)))
    bench.enter("2026-11-30", fresh=True)
    for partition in ("2026-11-01", "2026-11-02", "2026-11-03", "2026-11-04"):
        bench.rooms.leave(_target(partition))
    admitted = bench.admitted()
    assert "2026-11-30" in admitted[:2]
    assert "2026-11-05" in admitted[:2], "nor does what has piled up wait for ever"


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
