"""Breakage: targets that cannot be decided or acted on because of a mistake in the coordinator.

The mistake is contained: the target is stuck, and all others go on. Each is logged once, with the stack, counted, and
shown among the problems until it has recovered.
"""

from __future__ import annotations

import structlog

from coordinator.controller.counters import Counters
from coordinator.controller.queue.work_queue import Priority, WorkQueue
from coordinator.controller.reconcile.broken_targets import problems_of
from coordinator.controller.reconcile.reconcile import Reconcile
from coordinator.model.decide import Decision, Obstacle
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.references import Target

_log = structlog.get_logger(__name__)

RETRY_BROKEN_AFTER = 60.0
"""Seconds after which something that raised an exception is tried again."""


class Breakage:
    """Used by the deciding thread; :meth:`problems` by any."""

    def __init__(self, propagation: Propagation, queue: WorkQueue, reconcile: Reconcile, counters: Counters) -> None:
        self._propagation = propagation
        self._queue = queue
        self._reconcile = reconcile
        self._counters = counters
        self._errors: dict[Target, Exception] = {}
        self._until: dict[Target, float] = {}

    def __contains__(self, target: Target) -> bool:
        return target in self._errors

    def __len__(self) -> int:
        return len(self._errors)

    def note(self, decision: Decision) -> None:
        """Note a decision, or that it could not be made."""
        if Obstacle.BROKEN in decision.obstacles:
            self._note_error(decision.target, self._propagation.broken[decision.target])
        else:
            self._forget(decision.target)

    def contain(self, target: Target, error: Exception, now: float) -> None:
        """Note an error, and try again later. Meanwhile the target gives up its slot, which others need.

        :param now: monotonic seconds.
        """
        self._note_error(target, error)
        self._until[target] = now + RETRY_BROKEN_AFTER
        self._reconcile.stop(target)
        self._queue.add(target, Priority.CATCHUP, after=now + RETRY_BROKEN_AFTER)

    def waits(self, target: Target, now: float) -> bool:
        """Whether a target is still left alone. :param now: monotonic seconds."""
        return bool(self._until) and now < self._until.get(target, now)

    def begin_term(self) -> None:
        """A term has begun or ended: all is tried again."""
        self._until.clear()

    def acted(self, target: Target) -> None:
        """The next step of a target was executed without an error."""
        self._until.pop(target, None)
        self._forget(target)

    def problems(self) -> dict[str, str]:
        """The problems to show, by target."""
        return problems_of(dict(self._errors))

    def _note_error(self, target: Target, error: Exception) -> None:
        if target not in self._errors:
            self._counters.add(broken=1)
            _log.error("target.broken", pipeline=str(target.pipeline), partition=target.partition, exc_info=error)
        self._errors[target] = error

    def _forget(self, target: Target) -> None:
        if target in self._until:
            return  # it was decided about without an error, and not acted on yet
        if self._errors and self._errors.pop(target, None) is not None:
            _log.info("target.recovered", pipeline=str(target.pipeline), partition=target.partition)
