"""Breakage: targets that cannot be decided or acted on because of a mistake in the coordinator.

The mistake is contained: the target is stuck, and all others go on. Each is logged once, with the stack, counted, and
shown among the problems until it has recovered.
"""

from __future__ import annotations

import structlog

from coordinator.controller.counters import Counters
from coordinator.model.references import Target

_log = structlog.get_logger(__name__)

SHOWN = 20
"""Broken targets that are named among the problems; one mistake may break every partition of a pipeline."""

RETRY_BROKEN_AFTER = 60.0
"""Seconds after which something that raised an exception is tried again."""


class Breakage:
    """Used by the deciding thread; :meth:`problems` by any."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._errors: dict[Target, Exception] = {}
        self._until: dict[Target, float] = {}

    def __contains__(self, target: Target) -> bool:
        return target in self._errors

    def __len__(self) -> int:
        return len(self._errors)

    def note(self, target: Target, error: Exception) -> None:
        """Note an error that was raised about a target."""
        if target not in self._errors:
            self._counters.add(broken=1)
            _log.error("target.broken", pipeline=str(target.pipeline), partition=target.partition, exc_info=error)
        self._errors[target] = error

    def contain(self, target: Target, error: Exception, *, until: float) -> None:
        """Note an error, and leave its target alone for a time. :param until: monotonic seconds."""
        self.note(target, error)
        self._until[target] = until

    def waits(self, target: Target, now: float) -> bool:
        """Whether a target is still left alone."""
        return bool(self._until) and now < self._until.get(target, now)

    def begin_term(self) -> None:
        """A term has begun or ended: all is tried again."""
        self._until.clear()

    def forget(self, target: Target, *, acted: bool = False) -> None:
        """A target was decided about without an error. :param acted: its next step was also executed."""
        if acted:
            self._until.pop(target, None)
        elif target in self._until:
            return
        if self._errors and self._errors.pop(target, None) is not None:
            _log.info("target.recovered", pipeline=str(target.pipeline), partition=target.partition)

    def problems(self) -> dict[str, str]:
        """The problems to show, by target."""
        return problems_of(dict(self._errors))


def problems_of(broken: dict[Target, Exception]) -> dict[str, str]:
    """The problems to show for broken targets."""
    shown = {
        str(target): f"a mistake in the coordinator, please report it: {type(error).__name__}: {error}; "
        "nothing is started for this partition, and it is tried again every minute"
        for target, error in sorted(broken.items())[:SHOWN]
    }
    if len(broken) > SHOWN:
        shown["more broken targets"] = f"{len(broken) - SHOWN} more are broken: see target.broken in the log"
    return shown
