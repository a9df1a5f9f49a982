"""Counters: how often each thing has happened since this watcher started, for ``/metrics`` and for tests."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field, fields

from prometheus_client import Histogram

LATENCIES = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
"""Seconds, the bounds of the buckets."""


DECISIONS = ("fire", "busy", "stuck", "settled", "ignore", "skip")
"""What a decision says, in a word. Each is counted from 0 on: a rate needs a first value."""


def _trigger_seconds() -> Histogram:
    what = "Seconds from the newest completion that a trigger stands on to the answer to its request."
    return Histogram("coordinator_trigger_seconds", what, ["environment"], buckets=LATENCIES, registry=None)


@dataclass
class Counters:
    """Counts that only grow. The deciding thread counts, any thread may read.

    :ivar events: changes of run states that were read and handled.
    :ivar decisions: decisions made again because something had changed, by what they said.
    :ivar late: partitions whose deadline passed before they were started, while this watcher led.
    :ivar skipped_late: partitions given up because they were late (``on_late: skip``).
    :ivar skipped_catching_up: partitions given up because they were missed (``catchup``).
    :ivar expired: states ignored because retention had removed their partition.
    :ivar miscounted: wide conditions whose counts disagreed with the decision: a mistake in the coordinator.
    :ivar stopped: runs that were stopped because they took longer than their timeout.
    :ivar broken: targets that could not be decided or acted on because of a mistake in the coordinator.
    :ivar triggers: what became of triggers, by environment and outcome; :meth:`count_trigger` adds to it.
    :ivar trigger_seconds: from the newest completion that a trigger stands on to the answer to its request.
    """

    events: int = 0
    late: int = 0
    skipped_late: int = 0
    skipped_catching_up: int = 0
    expired: int = 0
    broken: int = 0
    miscounted: int = 0
    decisions: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(DECISIONS, 0)))
    stopped: int = 0
    triggers: Counter[tuple[str, str]] = field(default_factory=Counter)
    trigger_seconds: Histogram = field(default_factory=_trigger_seconds, compare=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def add(self, **counts: int) -> None:
        """Add to several counts at once. :param counts: by the names above."""
        with self._lock:
            for name, count in counts.items():
                setattr(self, name, getattr(self, name) + count)

    def count_trigger(self, environment: str, outcome: str) -> None:
        self.triggers[environment, outcome] += 1

    def snapshot(self) -> dict[str, int]:
        """The counts that are one number, by name, as they were at one moment."""
        with self._lock:
            return {one.name: getattr(self, one.name) for one in fields(self) if one.type == "int"}
