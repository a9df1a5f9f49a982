"""Paused DAGs: Airflow keeps their runs queued, so what is below them waits, and nothing else says so."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby

from coordinator.controller.leading.dag_checks import DagChecks
from coordinator.model.phrases import some_of
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import State
from coordinator.model.view import readable_state

LOOKED_EVERY = 5.0
"""Seconds between two looks."""

PLACE = "paused DAGs"
"""Under which a watcher tells it in its presence."""

_SHOWN = 5


class PausedDags:
    """Finds the runs that wait until their DAGs are no longer paused, on the leader. Used by the deciding thread only.

    :param checks: which DAGs are paused. It asks for those that published documents name.
    :param clock: monotonic seconds.
    :ivar problem: which DAGs, and in which partitions.
    """

    def __init__(self, propagation: Propagation, checks: DagChecks, *, clock: Callable[[], float]) -> None:
        self._propagation = propagation
        self._checks = checks
        self._clock = clock
        self._look_at = 0.0
        self.problem: str | None = None

    def look(self) -> None:
        """Note what waits by now."""
        now = self._clock()
        if now < self._look_at:
            return
        self._look_at = now + LOOKED_EVERY
        paused = self._checks.paused()
        waiting = [one for one in self._propagation.unsettled() if one.pipeline in paused] if paused else []
        self.problem = _in_words(sorted(filter(self._is_queued, waiting)))

    def rest(self) -> None:
        """Another watcher leads, and shows this problem."""
        self.problem = None

    def _is_queued(self, target: Target) -> bool:
        """The leader has seen that its run is queued: it follows each run that has not started."""
        state = readable_state(self._propagation.state(target))
        return state is not None and state.state is State.QUEUED


def _in_words(waiting: list[Target]) -> str | None:
    if not waiting:
        return None
    grouped = [(pipeline, [one.partition for one in of]) for pipeline, of in groupby(waiting, lambda one: one.pipeline)]
    named = some_of([_of_one(*one) for one in grouped], _SHOWN)
    return f"{named}; Airflow does not start these runs: unpause the DAGs, or mark the runs as failed"


def _of_one(pipeline: PipelineRef, partitions: list[str]) -> str:
    return f"{pipeline} is paused, and its run is queued in {some_of(partitions, 3)}"
