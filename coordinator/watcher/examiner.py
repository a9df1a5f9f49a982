"""Examining: what is to be done about a pipeline in a partition, as things stand now."""

from __future__ import annotations

from collections.abc import Callable

from coordinator.model.decide import Decision, Obstacle
from coordinator.model.partitions import format_instant
from coordinator.model.references import Target
from coordinator.model.trigger import Status, TriggerRecord
from coordinator.watcher import records
from coordinator.watcher.agenda import Agenda
from coordinator.watcher.cache import Cache
from coordinator.watcher.counters import Counters
from coordinator.watcher.flights import Flights
from coordinator.watcher.ledger import Ledger
from coordinator.watcher.looks import Looks
from coordinator.watcher.observer import Observer
from coordinator.watcher.starter import Starter


class Examiner:
    """See the module. Used by the deciding thread only.

    :param term: the create revision of the leader key; ``None``: this watcher does not lead.
    :param blocked_retry: seconds until a write is tried again that etcd has refused.
    """

    def __init__(
        self,
        *,
        cache: Cache,
        agenda: Agenda,
        ledger: Ledger,
        looks: Looks,
        flights: Flights,
        starter: Starter,
        observer: Observer,
        counters: Counters,
        term: Callable[[], int | None],
        blocked_retry: float,
    ) -> None:
        self._cache = cache
        self._agenda = agenda
        self._ledger = ledger
        self._looks = looks
        self._flights = flights
        self._starter = starter
        self._observer = observer
        self._counters = counters
        self._term = term
        self._blocked_retry = blocked_retry
        self._refused_until: dict[Target, float] = {}

    def clear(self) -> None:
        """A term has begun or ended."""
        self._refused_until.clear()

    def examine(self, decision: Decision, now: float) -> None:
        """Do what is to be done, or see to it that it is examined again. :param now: monotonic seconds."""
        target, record = decision.target, self._record(decision.target)
        self._observer.watch_over(decision, record, now)
        starts = decision.ready and decision.obstacles <= {Obstacle.BLOCKED}
        if not starts:
            self._starter.leave(target)
            self._refused_until.pop(target, None)
        if record is not None and record.status is Status.INTENT:
            self._flights.bring_on(decision, record, now)
            return
        self._flights.drop(target, blocked=record is not None and record.status is Status.BLOCKED)
        if record is not None and record.status is Status.SENT:
            if Obstacle.IN_FLIGHT not in decision.obstacles:
                self._ledger.record(target, records.done(record))
        elif self._flights.draining:
            pass
        elif decision.skips:
            assert decision.due_by is not None
            reason = f"it is late: it was due by {format_instant(decision.due_by)}"
            self._starter.give_up(decision, record, reason, then=lambda _: self._counters.add(skipped_late=1))
        elif decision.ignored and record is not None and not decision.obstacles:
            self._ledger.record(target, records.ignored(record, decision.inputs), decision=decision)
        elif starts:
            self._start(decision, record, now)
        else:
            self._looks.drop(target)
            if record is not None and record.status is Status.BLOCKED and not decision.due:
                self._ledger.record(target, records.withdrawn(record, "it is not due any more"))

    def refuse(self, target: Target, now: float) -> None:
        """etcd refuses to write something about it: try again slowly."""
        self._starter.leave(target)
        self._refused_until[target] = now + self._blocked_retry
        self._agenda.at(self._refused_until[target], target, patient=True)

    def _start(self, decision: Decision, record: TriggerRecord | None, now: float) -> None:
        target = decision.target
        retry_at = self._refused_until.get(target, now)
        if Obstacle.BLOCKED in decision.obstacles:
            retry_at = max(retry_at, self._flights.blocked_until(target))
        if now < retry_at:
            self._agenda.at(retry_at, target, patient=True)
            return
        self._refused_until.pop(target, None)
        self._starter.start(decision, record, now, came_in=self._came_in(decision))

    def _came_in(self, decision: Decision) -> bool:
        """Whether it became due while this watcher led: by a completion, or an order, that came since."""
        term = self._term()
        assert term is not None
        return max((used.revision for used in decision.inputs.values()), default=decision.order) > term

    def _record(self, target: Target) -> TriggerRecord | None:
        seen = self._cache.record(target)
        return seen.value if seen is not None and isinstance(seen.value, TriggerRecord) else None
