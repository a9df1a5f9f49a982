"""Lateness: which partitions are late. Each is logged once. (The rule itself is in
:mod:`coordinator.model.lateness`.)"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import structlog

from coordinator.controller.counters import Counters
from coordinator.model.decide import Decision
from coordinator.model.evaluation import all_inputs
from coordinator.model.explanation.headline import missing_inputs
from coordinator.model.partitions.instants import format_instant
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.references import Target

_log = structlog.get_logger(__name__)

NAMED = 20
"""Missing inputs that are named in a log line; a window may lack hundreds."""


class Lateness:
    """Knows which partitions are late, on leader and standby alike; the leader logs each once.

    A standby that takes over trusts its predecessor to have logged what became late while that one led, except in the
    last moments, when it may have been dead already. A watcher that has just been started knows of no predecessor, and
    logs everything that is late once more: twice is better than never.

    :param unsure: how long a leader may be dead before it is replaced: the lease's time, with room.
    """

    def __init__(self, counters: Counters, *, unsure: timedelta) -> None:
        self._counters = counters
        self._unsure = unsure
        self._late: set[Target] = set()
        self._unsaid: dict[Target, datetime | None] = {}

    def targets(self) -> Iterator[Target]:
        """The partitions that are late, by the decisions so far."""
        return iter(tuple(self._late))

    def __len__(self) -> int:
        return len(self._late)

    def note(self, decision: Decision, *, now: datetime, led_by_another: bool) -> None:
        """Note a decision.

        :param led_by_another: another watcher leads: it sees the same, and logs it.
        """
        target = decision.target
        if decision.late and target not in self._late:
            self._late.add(target)
            self._unsaid[target] = now if led_by_another else None
        elif self._late and not decision.late and target in self._late:
            self._late.discard(target)
            self._unsaid.pop(target, None)

    def say(self, propagation: Propagation) -> None:
        """Log and count what has become late and was not logged yet. For the leader only."""
        unsaid, self._unsaid = self._unsaid, {}
        for target, seen_at in unsaid.items():
            if not propagation.is_final(target):
                self._unsaid[target] = seen_at  # it may turn out not to be late
            elif seen_at is None or propagation.now - seen_at <= self._unsure:
                self._say(propagation.decide(target))

    def _say(self, decision: Decision) -> None:
        if decision.due_by is None:
            return  # it has been started in the meantime
        missing = _missing(decision)
        _log.warning(
            "pipeline.late",
            pipeline=str(decision.target.pipeline),
            partition=decision.target.partition,
            due_by=format_instant(decision.due_by),
            readiness=str(decision.readiness),
            missing=missing[:NAMED],
            **({"more_missing": len(missing) - NAMED} if len(missing) > NAMED else {}),
            **({"obstacles": sorted(decision.obstacles)} if decision.obstacles else {}),
        )
        self._counters.add(late=1)


def _missing(decision: Decision) -> list[str]:
    """The inputs that it still waits for, by name and partition."""
    if decision.evaluated is None:
        return []
    lacking = [*missing_inputs(decision.evaluated), *(one for one in all_inputs(decision.evaluated) if one.busy)]
    return list(dict.fromkeys(f"{one.target.pipeline} {one.target.partition}" for one in lacking))
