"""Rooms: how many targets of an environment may be on the way to their request at once.

In a room is what looks, or has an intent and waits in the lane for its request to go out. Everybody else waits in line
before it, without an intent: a name in memory, found again by any successor because it is due. So the requests of an
environment that is slow or away do not pile up, neither here nor in etcd, and whoever comes in last is decided on what
stands there then. Whose turn it is, is told by the same :class:`~coordinator.watcher.limits.Line` as at the limits.
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
    size: int
    inside: set[Target] = field(default_factory=set)
    line: Line = field(default_factory=Line)

    def free(self) -> int:
        return self.size - len(self.inside) - self.lane.waiting()


class Rooms:
    """One for each environment. Used by the deciding thread only."""

    def __init__(self, lanes: Mapping[str, Lane], *, size: int = ROOM) -> None:
        self._rooms = {name: _Room(lane, size) for name, lane in lanes.items()}

    def enter(self, target: Target, *, fresh: bool) -> bool:
        """Whether it may go on to its request; else it waits in line until :meth:`admit` names it.

        :param fresh: it became due while this watcher led.
        """
        room = self._rooms[target.pipeline.environment]
        if target in room.inside:
            return True
        if target in room.line:
            return False
        if room.line or room.free() <= 0:
            room.line.add(target, fresh=fresh)
            return False
        room.inside.add(target)
        return True

    def began(self, target: Target) -> None:
        """Its intent is written: it waits in its lane now."""
        self._rooms[target.pipeline.environment].inside.discard(target)

    def leave(self, target: Target) -> None:
        """It is not to start now."""
        room = self._rooms.get(target.pipeline.environment)
        if room is None:
            return
        room.inside.discard(target)
        if target in room.line:
            room.line.remove(target)

    def knows(self, target: Target) -> bool:
        """Whether it waits in line, or is inside without an intent."""
        room = self._rooms.get(target.pipeline.environment)
        return room is not None and (target in room.inside or target in room.line)

    def admit(self) -> list[Target]:
        """Whose turn it is now: many at once, so that their intents are written together."""
        admitted: list[Target] = []
        for room in self._rooms.values():
            if room.line and room.free() >= room.size // 2:
                for _ in range(min(room.free(), len(room.line))):
                    target, _ = room.line.pop()
                    room.inside.add(target)
                    admitted.append(target)
        return admitted

    def clear(self) -> None:
        """A term has begun or ended."""
        for room in self._rooms.values():
            room.inside.clear()
            room.line = Line()
