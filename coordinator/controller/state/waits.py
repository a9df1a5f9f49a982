"""The waits of sensors, as far as this watcher has read them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from coordinator.model.graph import SensorEdge
from coordinator.model.partitions.instants import is_earlier
from coordinator.model.references import Target, WaitRef
from coordinator.model.stored import Unreadable
from coordinator.model.view import SeenWait
from coordinator.model.waits import SensorRerun, Wait, WaitStatus

_Value = TypeVar("_Value")


class Waits:
    """By their names (:attr:`WaitRef.name`), and by the pipeline, in its partition, that they wait for.

    :ivar are_withheld: no dependencies have been read yet, or a document cannot be read and no earlier one has been: no
        wait is to be answered, and no sensor cleared, as nothing is started.
    """

    def __init__(self) -> None:
        self.are_withheld = False
        self._seen: dict[Target, SeenWait] = {}
        self._behind: dict[Target, set[Target]] = defaultdict(set)
        self._waiting_in: Counter[Target] = Counter()
        self._sensors: dict[Target, dict[Target, SeenWait]] = {}
        self._runs_behind: dict[Target, dict[Target, int]] = {}

    def __contains__(self, name: Target) -> bool:
        return name in self._seen

    def __iter__(self) -> Iterator[SeenWait]:
        return iter(self._seen.values())

    def values(self) -> list[Wait]:
        """All that can be read. Any thread may ask."""
        return [seen.value for seen in list(self._seen.values()) if isinstance(seen.value, Wait)]

    def get(self, name: Target) -> SeenWait | None:
        return self._seen.get(name)

    def behind(self, upstream: Target) -> tuple[Target, ...]:
        """The names of those that wait for a pipeline in a partition, or for a task of it, without an answer yet.

        :param upstream: the pipeline.
        """
        return tuple(self._behind.get(upstream, ()))

    def on(self, upstream: Target) -> list[SeenWait]:
        """Those of sensors that wait for a pipeline or a task in a partition, or are cleared when it completes again.
        Any thread may ask."""
        names = {*self.behind(upstream.whole)}
        for run in self.runs_behind(upstream):
            names.update(tuple(self._sensors.get(run, ())))
        return [seen for name in names if (seen := self._seen.get(name)) is not None]

    def is_waiting_in(self, run: Target) -> bool:
        """Whether a sensor in a run of this target has no answer yet."""
        return run in self._waiting_in

    def waiting(self) -> Iterator[Target]:
        """The names of all that have no answer yet."""
        return (name for names in self._behind.values() for name in names)

    def put(self, ref: WaitRef, value: Wait | Unreadable, revision: int) -> None:
        self.delete(ref)
        self._seen[ref.name] = SeenWait(ref, value, revision)
        if not isinstance(value, Wait):
            return
        if value.status is WaitStatus.WAITING:
            self._behind[value.upstream.whole].add(ref.name)
            self._waiting_in[ref.run] += 1
        elif _is_sensor(value):
            self._sensors.setdefault(ref.run, {})[ref.name] = self._seen[ref.name]
            runs = self._runs_behind.setdefault(value.upstream, {})
            runs[ref.run] = runs.get(ref.run, 0) + 1

    def delete(self, ref: WaitRef) -> None:
        known = self._seen.pop(ref.name, None)
        if known is None or not isinstance(known.value, Wait):
            return
        upstream = known.value.upstream
        if _is_sensor(known.value):
            _drop(self._sensors, ref.run, ref.name)
            runs = self._runs_behind[upstream]
            runs[ref.run] -= 1
            if not runs[ref.run]:
                _drop(self._runs_behind, upstream, ref.run)
        if known.value.status is not WaitStatus.WAITING:
            return
        self._behind[upstream.whole].discard(ref.name)
        if not self._behind[upstream.whole]:
            del self._behind[upstream.whole]
        self._waiting_in[ref.run] -= 1
        if not self._waiting_in[ref.run]:
            del self._waiting_in[ref.run]

    def sensors(self, run: Target) -> Sequence[SeenWait]:
        """Those that have passed in the runs of a target, of sensors that are cleared when their upstream completes
        again."""
        return tuple(found.values()) if (found := self._sensors.get(run)) and not self.are_withheld else ()

    def runs_behind(self, upstream: Target) -> Iterable[Target]:
        """The targets that have such a wait for this pipeline or task."""
        return tuple(found) if (found := self._runs_behind.get(upstream)) else ()

    def runs_of_sensors(self) -> list[Target]:
        """The targets that have such a wait."""
        return list(self._sensors)

    def edges(self) -> dict[SensorEdge, int]:
        """What such sensors wait for, each with the least revision of such a wait."""
        found: dict[SensorEdge, int] = {}
        for sensors in self._sensors.values():
            for seen in sensors.values():
                edge = edge_of(seen)
                found[edge] = min(found.get(edge, seen.revision), seen.revision)
        return found

    def clear(self) -> None:
        for one in (self._seen, self._behind, self._waiting_in, self._sensors, self._runs_behind):
            one.clear()


def edge_of(seen: SeenWait) -> SensorEdge:
    """The pipelines of a sensor that is cleared when its upstream completes again."""
    assert isinstance(seen.value, Wait)
    upstream = seen.value.upstream
    run = seen.ref.run
    is_same, goes_back = upstream.partition == run.partition, is_earlier(upstream.partition, run.partition)
    return SensorEdge(run.pipeline, upstream.pipeline, is_same, goes_back)


def _is_sensor(wait: Wait) -> bool:
    return wait.status is WaitStatus.PASSED and wait.rerun is SensorRerun.CLEAR


def _drop(by_target: dict[Target, dict[Target, _Value]], target: Target, name: Target) -> None:
    del by_target[target][name]
    if not by_target[target]:
        del by_target[target]
