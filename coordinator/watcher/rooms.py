"""Rooms: how many targets of an environment may be on the way to their request at once.

In a room is what looks, or has an intent and waits in the lane for its request to go out. Everybody else waits in line
before it, without an intent: a name in memory, found again by any successor because it is due. So the requests of an
environment that is slow or away do not pile up, neither here nor in etcd, and whoever comes in last is decided on what
stands there then.

There is a room for what is fresh and one for what has piled up, each with its line, and in the lane they take turns:
one that comes live in an environment that is slow and far behind is the next but one to go out, and so is the oldest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from coordinator.model.references import Target
from coordinator.watcher.lanes import Lane
from coordinator.watcher.limits import Line

ROOM = 512
"""So many targets at most. A burst of that size is written in as few transactions as etcd allows; more of them would
only make whoever comes next wait longer."""


@dataclass(slots=True, eq=False)
class _Room:
    """:ivar inside: those without an intent yet; the lane knows the others."""

    lane: Lane
    fresh: bool
    size: int
    inside: set[Target] = field(default_factory=set)
    line: Line = field(default_factory=Line)

    def free(self) -> int:
        return self.size - len(self.inside) - self.lane.waiting(fresh=self.fresh)

    def knows(self, target: Target) -> bool:
        return target in self.inside or target in self.line

    def leave(self, target: Target) -> None:
        self.inside.discard(target)
        if target in self.line:
            self.line.remove(target)


class Rooms:
    """Two for each environment. Used by the deciding thread only."""

    def __init__(self, lanes: Mapping[str, Lane], *, size: int = ROOM) -> None:
        self._rooms = {
            name: {fresh: _Room(lane, fresh, size) for fresh in (True, False)} for name, lane in lanes.items()
        }

    def enter(self, target: Target, *, fresh: bool) -> bool:
        """Whether it may go on to its request; else it waits in line until :meth:`admit` names it.

        :param fresh: it became due while this watcher led.
        """
        rooms = self._rooms[target.pipeline.environment]
        room = rooms[fresh]
        if target in room.inside:
            return True
        if target in room.line:
            return False
        rooms[not fresh].leave(target)  # it had waited there until something else came
        if room.line or room.free() <= 0:
            room.line.add(target, fresh=fresh)
            return False
        room.inside.add(target)
        return True

    def leave(self, target: Target) -> None:
        """It is not to start now, or its intent is written: then it waits in its lane."""
        for room in self._rooms.get(target.pipeline.environment, {}).values():
            room.leave(target)

    def knows(self, target: Target) -> bool:
        """Whether it waits in line, or is inside without an intent."""
        return any(room.knows(target) for room in self._rooms.get(target.pipeline.environment, {}).values())

    def admit(self) -> list[tuple[Target, bool]]:
        """Whose turn it is now, and whether it is fresh: many at once, so that their intents are written together."""
        admitted: list[tuple[Target, bool]] = []
        for rooms in self._rooms.values():
            for room in rooms.values():
                if room.line and room.free() >= room.size // 2:
                    for _ in range(min(room.free(), len(room.line))):
                        target, _ = room.line.pop()
                        room.inside.add(target)
                        admitted.append((target, room.fresh))
        return admitted

    def clear(self) -> None:
        """A term has begun or ended."""
        for rooms in self._rooms.values():
            for room in rooms.values():
                room.inside.clear()
                room.line = Line()
