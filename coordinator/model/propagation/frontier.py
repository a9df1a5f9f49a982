"""The frontier: targets whose readiness may have changed and that have not been decided about since.

Each target is in it once, however many changes affect it. Upstreams come first, so that a downstream is decided about
after everything above it. Areas that cannot affect each other (:mod:`~coordinator.model.propagation.components`) take
turns, so that a small graph does not wait behind a large one. Live changes go before catching up (with a listing or a
publication), which gets one turn in :data:`SHARE`.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import NamedTuple

from coordinator.model.graph import Graph
from coordinator.model.propagation.components import ALL_PARTITIONS, OUTSIDE, Area, Components
from coordinator.model.references import Target

TURN = 64
"""Targets of one area before the next area has its turn."""

SHARE = 4
"""If both lines have targets, one turn in so many is for catching up."""


class Waiting(NamedTuple):
    """A target taken off the frontier.

    :ivar changed: its dependents must be decided about as well, even if its readiness stays the same.
    :ivar live: a change that has just happened affected it; otherwise it belongs to catching up.
    """

    target: Target
    changed: bool
    live: bool


class _Queue:
    """The targets of one area, upstreams first."""

    __slots__ = ("_by_rank", "_ranks", "waiting")

    def __init__(self) -> None:
        self.waiting: dict[Target, bool] = {}
        self._ranks: list[int] = []
        self._by_rank: dict[int, deque[Target]] = {}

    def add(self, target: Target, rank: int, *, changed: bool) -> bool:
        """Add a target. Returns whether it is new here."""
        known = self.waiting.get(target)
        if known is not None:
            if changed and not known:
                self.waiting[target] = True
            return False
        self.waiting[target] = changed
        same_rank = self._by_rank.get(rank)
        if same_rank is None:
            same_rank = self._by_rank[rank] = deque()
            heapq.heappush(self._ranks, rank)
        same_rank.append(target)
        return True

    def pop(self) -> tuple[Target, bool]:
        rank = self._ranks[0]
        same_rank = self._by_rank[rank]
        target = same_rank.popleft()
        if not same_rank:
            heapq.heappop(self._ranks)
            del self._by_rank[rank]
        return target, self.waiting.pop(target)

    def lowest_rank(self) -> int:
        return self._ranks[0]


class _Line:
    """The queues of one priority: components take turns, and in a component the oldest and the newest partition."""

    def __init__(self) -> None:
        self._components: OrderedDict[int, OrderedDict[str, _Queue]] = OrderedDict()
        self._newest_next = False

    def __bool__(self) -> bool:
        return bool(self._components)

    def queue(self, area: Area) -> _Queue | None:
        partitions = self._components.get(area[0])
        return None if partitions is None else partitions.get(area[1])

    def queue_to_add_to(self, area: Area) -> _Queue:
        partitions = self._components.get(area[0])
        if partitions is None:
            partitions = self._components[area[0]] = OrderedDict()
        queue = partitions.get(area[1])
        if queue is None:
            queue = partitions[area[1]] = _Queue()
        return queue

    def next_area(self) -> Area | None:
        """The area whose turn it is; empty areas are dropped."""
        while self._components:
            component, partitions = next(iter(self._components.items()))
            self._components.move_to_end(component)
            while partitions:
                partition = next(reversed(partitions)) if self._newest_next else next(iter(partitions))
                if partitions[partition].waiting:
                    self._newest_next = not self._newest_next
                    return component, partition
                del partitions[partition]
            del self._components[component]
        return None

    def entries(self) -> Iterator[tuple[Target, bool]]:
        for partitions in self._components.values():
            for queue in partitions.values():
                yield from queue.waiting.items()


class Frontier:
    """See the module."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._components = Components(graph)
        self._live = _Line()
        self._catching_up = _Line()
        self._count = 0
        self._count_live = 0
        self._turns = 0
        self._left = 0
        self._present: _Queue | None = None
        self._present_is_live = True

    def __len__(self) -> int:
        return self._count

    @property
    def is_caught_up(self) -> bool:
        """Whether only live changes wait."""
        return self._count == self._count_live

    def add(self, target: Target, *, live: bool, changed: bool = False) -> None:
        """Add a target whose readiness may have changed. :param changed: as in :class:`Waiting`."""
        area = self._components.area(target)
        if not live:
            area = area[0], ALL_PARTITIONS  # a million keys must not have a queue for each partition
        queue = (self._live if live else self._catching_up).queue_to_add_to(area)
        is_new = queue.add(target, self._graph.rank(target.pipeline), changed=changed)
        self._count += is_new
        self._count_live += is_new and live

    def pop(self) -> Waiting | None:
        """The next target to decide about."""
        if not self._count:
            self._live, self._catching_up, self._present = _Line(), _Line(), None
            return None
        if self._present is None or not self._left or not self._present.waiting:
            self._present = self._next_queue()
            self._left = TURN
        self._left -= 1
        self._count -= 1
        self._count_live -= self._present_is_live
        target, changed = self._present.pop()
        return Waiting(target, changed, self._present_is_live)

    def is_clear(self, target: Target) -> bool:
        """Whether no waiting target could change the readiness of this one."""
        if not self._count:
            return True
        component, partition = self._components.area(target)
        rank = self._graph.rank(target.pipeline)
        for line, area in ((self._live, (component, partition)), (self._catching_up, (component, ALL_PARTITIONS))):
            queue = line.queue(area)
            if queue is None or not queue.waiting:
                continue
            if component == OUTSIDE:
                if target in queue.waiting:
                    return False
            elif self._components.is_unordered(component) or rank >= queue.lowest_rank():
                return False
        return True

    def is_clear_above(self, target: Target) -> bool:
        """Whether none of its upstreams waits; it may wait itself."""
        component, partition = self._components.area(target)
        queues = (self._live.queue((component, partition)), self._catching_up.queue((component, ALL_PARTITIONS)))
        rank = self._graph.rank(target.pipeline)
        if self._components.is_unordered(component):
            return not any(queue is not None and queue.waiting for queue in queues)
        return not any(queue is not None and queue.waiting and queue.lowest_rank() < rank for queue in queues)

    def area(self, target: Target) -> Area:
        """The area of a target."""
        return self._components.area(target)

    def entries(self) -> Iterator[Waiting]:
        """All waiting targets."""
        for line, live in ((self._live, True), (self._catching_up, False)):
            for target, changed in line.entries():
                yield Waiting(target, changed, live)

    def _next_queue(self) -> _Queue:
        self._turns += 1
        first, second = (True, False) if self._turns % SHARE else (False, True)
        for live in (first, second):
            line = self._live if live else self._catching_up
            if (area := line.next_area()) is not None:
                queue = line.queue(area)
                assert queue is not None
                self._present_is_live = live
                return queue
        raise AssertionError("targets wait, but no queue has one")
