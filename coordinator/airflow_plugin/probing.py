"""When parked events are tried again: permissions are granted and configurations corrected, without a notice."""

from __future__ import annotations

import time
from collections.abc import Callable

from coordinator.airflow_plugin.parking import ParkedEvents

FIRST_PAUSE = 10.0
"""Seconds between two probes at first: the mistake may be corrected soon."""

LONGEST_PAUSE = 600.0
"""The longest pause in seconds between two probes: each failure doubles it."""


class Probing:
    """Probes with the oldest event of each environment; when it is delivered, all others of that environment follow.

    :param clock: monotonic seconds.
    """

    def __init__(self, parked: ParkedEvents, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._parked = parked
        self._clock = clock
        self._pause = FIRST_PAUSE
        self._due_at = clock()

    def round(self, replay: Callable[[str], bool], *, deliver: Callable[[str], None]) -> None:
        """Probe, if it is due.

        :param replay: puts a parked event back into the outbox.
        :param deliver: delivers an event of the outbox, or parks it again.
        """
        if self._clock() < self._due_at:
            return
        of: dict[str | None, list[str]] = {}
        for one in self._parked.all():
            if one.why.may_pass:
                of.setdefault(one.why.environment, []).append(one.name)
        passed = True
        for probe, *others in of.values():
            if not replay(probe):
                continue
            deliver(probe)
            if probe in self._parked:
                passed = False
                continue
            for name in others:
                replay(name)
        self._pause = FIRST_PAUSE if passed else min(2 * self._pause, LONGEST_PAUSE)
        self._due_at = self._clock() + self._pause
