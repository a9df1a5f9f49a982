"""Admission: which targets may start in one environment, and which wait for what.

A target passes the gates in order: its pipeline's, its environment's, and the slots. It is inside the first two while
its run is in flight, and has a slot until the outcome of its request is known. None of this is written anywhere: what
is in flight stands in the trigger records, and who waits is whoever is due, so a successor finds both again.

Pure: no clock, no log, no I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from coordinator.controller.dispatch.slots import Gate, StartRate
from coordinator.controller.queue.work_queue import Priority
from coordinator.model.decide import Decision, Obstacle
from coordinator.model.graph import Graph
from coordinator.model.references import PipelineRef, Target


class Admission:
    """All gates of an environment, and where each target is. Used by the deciding thread only.

    :param slots: how many requests may be without an outcome at once.
    """

    def __init__(
        self, *, slots: int, max_runs_in_flight: int | None = None, max_starts_per_minute: int | None = None
    ) -> None:
        rate = StartRate(max_starts_per_minute) if max_starts_per_minute is not None else None
        self._pipelines: dict[PipelineRef, Gate] = {}
        self._environment = Gate("the environment", max_runs_in_flight, rate)
        self._size = slots
        self._slots = Gate("a slot", slots)
        self._waiting: dict[Target, Gate] = {}
        self._admitted: set[Target] = set()
        self._loosened: dict[PipelineRef, Gate] = {}

    # -- what is in flight -----------------------------------------------------------------------------------------

    def note(self, decision: Decision, *, waits_inside: bool = False) -> None:
        """Note whether a target is in flight. An admitted target is inside although it is not in flight yet.

        :param waits_inside: a sensor in its run waits. It takes no place: what it waits for may need one.
        """
        target = decision.target
        in_flight = Obstacle.IN_FLIGHT in decision.obstacles
        if in_flight:
            self.began(target)  # also when it was not known whether its intent was written
            self.leave(target)
        for gate in self._limits(target):
            if in_flight and not waits_inside:
                gate.inside.add(target)
            elif not self.knows(target):
                self._make_room(gate, target)

    def began(self, target: Target) -> None:
        """The intent of what was admitted is written: it is in flight, and keeps its slot."""
        self._admitted.discard(target)

    def occupy(self, target: Target) -> None:
        """An intent of a predecessor takes a slot, whether or not one is free."""
        self._slots.inside.add(target)

    def release(self, target: Target) -> None:
        """The outcome of its request is known: its slot is free."""
        if target not in self._admitted:
            self._slots.inside.discard(target)

    # -- who may start ---------------------------------------------------------------------------------------------

    def enter(self, target: Target, priority: Priority, *, now: float) -> bool:
        """Whether it may start now; else it waits in line until :meth:`admit` names it.

        :param priority: ``LIVE``: it became due while this watcher led.
        :param now: monotonic seconds.
        """
        if target in self._admitted:
            return True
        if target in self._waiting:
            return False
        return self._pass(target, list(self._gates(target)), priority, now=now)

    def has_slot(self, target: Target) -> bool:
        """Whether it has been admitted, and its intent is not written yet."""
        return target in self._admitted

    def leave(self, target: Target) -> None:
        """The target is not to start now: remove it from the line, or from inside."""
        waits_at = self._waiting.pop(target, None)
        if waits_at is None and target not in self._admitted:
            return
        self._admitted.discard(target)
        for gate in self._gates(target):
            if gate is waits_at:
                gate.line.remove(target)
                break  # it is not inside any later gate
            if gate.rate is not None:
                gate.rate.give_back()
            self._make_room(gate, target)

    def open(self, slots: int | None = None) -> None:
        """Set the number of slots; ``None``: the initial one."""
        self._slots.limit = self._size if slots is None else slots

    def admit(self, now: float) -> list[tuple[Target, Priority]]:
        """Whose turn it is now, and its priority. :param now: monotonic seconds."""
        admitted: list[tuple[Target, Priority]] = []
        while self._loosened:
            _, gate = self._loosened.popitem()
            self._admit(gate, now, admitted)
        self._admit(self._environment, now, admitted)
        self._admit(self._slots, now, admitted)
        return admitted

    def knows(self, target: Target) -> bool:
        """Whether it waits, or has been admitted and its intent is not written yet."""
        return target in self._waiting or target in self._admitted

    @property
    def waiting(self) -> int:
        """How many wait in line."""
        return len(self._waiting)

    @property
    def waiting_for_slots(self) -> int:
        """How many wait in line at the slots alone."""
        return len(self._slots.line)

    @property
    def slots_taken(self) -> int:
        return len(self._slots.inside)

    def next_at(self) -> float | None:
        """Monotonic seconds at which the passing of time admits a target."""
        gate = self._environment
        if gate.rate is None or not gate.line or (gate.limit is not None and len(gate.inside) >= gate.limit):
            return None
        return gate.rate.next_at()

    # -- what changes the gates ------------------------------------------------------------------------------------

    def set_limits(self, limits: dict[PipelineRef, int]) -> list[Target]:
        """Use other limits of pipelines. Targets keep their places, unless the limit of their pipeline is new or gone.

        :param limits: ``max_in_flight`` of the pipelines of this environment that have one.
        :returns: the targets that have to enter again.
        """
        changed = self._pipelines.keys() ^ limits.keys()
        waiting = (*self._waiting, *self._admitted)
        again = [one for one in waiting if one.pipeline.fanned_out in changed] if changed else []
        for target in again:
            self.leave(target)
        for pipeline in changed - limits.keys():
            del self._pipelines[pipeline]
            self._loosened.pop(pipeline, None)
        for pipeline, limit in limits.items():
            gate = self._pipelines.setdefault(pipeline, Gate(str(pipeline), limit))
            gate.limit = limit
            self._loosened[pipeline] = gate
        return again

    def recall(self, ages: Iterable[float], now: float) -> None:
        """Continue the rate from what predecessors started. :param ages: seconds since each start."""
        if self._environment.rate is not None:
            self._environment.rate.recall(ages, now)

    @property
    def has_rate(self) -> bool:
        return self._environment.rate is not None

    def forget(self) -> None:
        """A term has begun or ended: nobody waits, and no request is on its way."""
        for target in (*self._waiting, *self._admitted):
            self.leave(target)
        self._slots.inside.clear()

    # -- private ---------------------------------------------------------------------------------------------------

    def _limits(self, target: Target) -> Iterator[Gate]:
        if (gate := self._pipelines.get(target.pipeline.fanned_out)) is not None:
            yield gate
        yield self._environment

    def _gates(self, target: Target) -> Iterator[Gate]:
        yield from self._limits(target)
        yield self._slots

    def _admit(self, gate: Gate, now: float, admitted: list[tuple[Target, Priority]]) -> None:
        while gate.line and gate.has_room(now):
            target, priority = gate.line.pop()
            del self._waiting[target]
            gate.let_in(target, now)
            gates = list(self._gates(target))
            if self._pass(target, gates[gates.index(gate) + 1 :], priority, now=now):
                admitted.append((target, priority))

    def _pass(self, target: Target, gates: list[Gate], priority: Priority, *, now: float) -> bool:
        for gate in gates:
            if gate.line or not gate.has_room(now):
                gate.line.add(target, priority)
                self._waiting[target] = gate
                return False
            gate.let_in(target, now)
        self._admitted.add(target)
        return True

    def _make_room(self, gate: Gate, target: Target) -> None:
        if target in gate.inside:
            gate.inside.discard(target)
            if gate.line and (pipeline := target.pipeline.fanned_out) in self._pipelines:
                self._loosened[pipeline] = self._pipelines[pipeline]


def pipeline_limits(graph: Graph, environment: str) -> dict[PipelineRef, int]:
    """``max_in_flight`` of the pipelines of an environment that have one."""
    found: dict[PipelineRef, int] = {}
    for node in graph.nodes():
        pipeline, limit = node.downstream.pipeline, node.downstream.max_in_flight
        if limit is not None and pipeline.environment == environment:
            found[pipeline] = limit
    return found
