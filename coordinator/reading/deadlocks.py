"""Sensors that wait for each other, or for their own run: none of them passes before one of them times out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property

from coordinator.model.explanation.causes import Cause, Kind
from coordinator.model.explanation.waits import causes_of_wait
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.references import Target, WaitRef
from coordinator.model.view import SeenWait
from coordinator.model.waits import Wait, WaitStatus


class Deadlocks:
    """Follows sensors to the runs that they wait for, and to the sensors in these.

    :param waits: all that are known. What is not known closes no circle.
    """

    def __init__(self, propagation: Propagation, waits: Iterable[SeenWait]) -> None:
        self._propagation = propagation
        self._waits = waits
        self._causes: dict[WaitRef, tuple[Cause, ...]] = {}

    def has(self, sensor: SeenWait) -> bool:
        """Whether what a waiting sensor waits for waits for this sensor in turn."""
        known: set[WaitRef] = set()
        to_visit = [sensor]
        while to_visit:
            for cause in self.causes(to_visit.pop()):
                if cause.kind is not Kind.RUNNING:
                    continue
                if _ends_after(cause, sensor):
                    return True
                for one in self._waiting.get(cause.target.whole, ()):
                    if one.ref not in known and _ends_after(cause, one):
                        known.add(one.ref)
                        to_visit.append(one)
        return False

    def causes(self, sensor: SeenWait) -> tuple[Cause, ...]:
        """Why a sensor waits."""
        assert isinstance(sensor.value, Wait)
        if (found := self._causes.get(sensor.ref)) is None:
            found = self._causes[sensor.ref] = causes_of_wait(self._propagation, sensor.ref.run, sensor.value)
        return found

    @cached_property
    def _waiting(self) -> dict[Target, list[SeenWait]]:
        """The sensors that wait, by their runs."""
        found: defaultdict[Target, list[SeenWait]] = defaultdict(list)
        for seen in self._waits:
            if isinstance(seen.value, Wait) and seen.value.status is WaitStatus.WAITING:
                found[seen.ref.run].append(seen)
        return found


def _ends_after(cause: Cause, sensor: SeenWait) -> bool:
    """Whether the run, or the task, that goes on is the one of a sensor, or is a task below it."""
    ref, task = sensor.ref, cause.target.pipeline.task
    if (cause.target.whole, cause.run_id) != (ref.run, ref.run_id):
        return False
    assert isinstance(sensor.value, Wait)
    return task in ("", ref.task_id, *(sensor.value.below or ()))
