"""Retention: the leader removes old partitions, a little at a time (docs/architecture.md#retention; decision 0011).

A sweep goes through the pipelines, downstreams first, because the inputs of a partition can be removed only after it.
It is a generator: each piece of it is bounded, and between two pieces the reconciler does other work.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, timedelta

import structlog

from coordinator.config.retention import RetentionSettings
from coordinator.controller.clock import Clock
from coordinator.controller.retention.removal import LOOKED_AT, Removal, Stock, SweepContext
from coordinator.controller.state.cache import Cache
from coordinator.controller.writes import commit_fenced
from coordinator.model.assets.names import is_of_assets
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.references import Target
from coordinator.model.retention.sweep import NAMED, HeldBack, Sweep, dump_sweep
from coordinator.model.view import readable_record
from coordinator.model.waits import Wait
from coordinator.store.keys import ActKey, Keys
from coordinator.store.port import (
    AccessDenied,
    CreateRevisionIs,
    Delete,
    ModRevisionIs,
    Put,
    Store,
    StoreUnavailable,
    TransactionTooLarge,
)

_log = structlog.get_logger(__name__)

RETRY = 60.0
"""Seconds until an interrupted sweep begins again."""

DELETED = 60
"""Keys that nothing reads, deleted in one transaction."""

_BEGINS_WITH_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
_DONE = object()
_DAY = timedelta(days=1)


@dataclass(slots=True)
class _Tally:
    """What a sweep has done so far."""

    removed: int = 0
    partitions: int = 0
    expired: int = 0
    acts: int = 0
    raced: int = 0
    held_back: list[HeldBack] = field(default_factory=list)


class Sweeper:
    """Used by the reconciler's thread only. It keeps nothing that matters: a successor begins a new sweep.

    :param store: also read directly: the acts of people are not in the cache.
    """

    def __init__(
        self,
        *,
        store: Store,
        keys: Keys,
        cache: Cache,
        propagation: Propagation,
        limits: RetentionSettings,
        clock: Clock,
    ) -> None:
        self._store = store
        self._keys = keys
        self._cache = cache
        self._propagation = propagation
        self._limits = limits
        self._clock = clock
        self._every = limits.every.total_seconds()
        self._work: Iterator[None] | None = None
        self._due_at: float | None = None
        self._not_before_revision = 0
        self._stock = Stock()
        self._tally = _Tally()

    # -- what the reconciler calls ---------------------------------------------------------------------------------

    def clear(self) -> None:
        """A term has begun or ended."""
        self._stop()
        self._due_at = None

    def start_over(self) -> None:
        """Everything was listed again: what was seen before may belong to another history of etcd."""
        self._stop()

    def note(self, changed: Iterable[Target]) -> None:
        """These targets have changed: a sweep that is under way must look at them again."""
        if self._work is not None:
            for target in changed:
                self._stock.note(target)

    def step(self, now: float, term: int) -> None:
        """Do a piece of a sweep, if one is due.

        :param term: the leadership that fences what is removed.
        :raises LeadershipLost: somebody else leads.
        """
        if self._due_at is None:
            self._due_at = self._first_at(now)
        if self._work is None:
            if now < self._due_at:
                return
            self._work = self._sweep(CreateRevisionIs(self._keys.leader, term))
        if self._cache.revision < self._not_before_revision:
            return
        try:
            done = next(self._work, _DONE) is _DONE
        except (StoreUnavailable, AccessDenied, TransactionTooLarge) as error:
            _log.warning("retention.interrupted", reason=str(error), removed=self._tally.removed)
            self._stop()
            self._due_at = now + min(RETRY, self._every)
        else:
            if done:
                self._stop()
                self._due_at = now + self._every

    def next_at(self, now: float) -> float | None:
        """Monotonic seconds at which there is something to do; ``None``: when etcd has been read further."""
        if self._work is None:
            return self._due_at
        return now if self._cache.revision >= self._not_before_revision else None

    def _first_at(self, now: float) -> float:
        """When the first sweep begins: a watcher that runs for a minute at a time must also sweep, but not each
        time."""
        swept = self._cache.swept
        if swept is None:
            return now
        since = (self._clock.now() - swept.when).total_seconds()
        return now + min(self._every, max(0.0, self._every - since))

    def _stop(self) -> None:
        self._work = None
        self._not_before_revision = 0
        self._stock = Stock()

    # -- a sweep ---------------------------------------------------------------------------------------------------

    def _sweep(self, fence: CreateRevisionIs) -> Iterator[None]:
        self._tally = tally = _Tally()
        began = self._clock.monotonic()
        limited = self._limits.max_age is not None or self._limits.max_partitions is not None
        expired = ((self._keys.state(target), revision) for target, revision in self._cache.expired.items())
        for deleted in self._delete(fence, list(expired)):
            tally.expired += deleted
            yield
        for deleted in self._delete(fence, self._old_acts()):
            tally.acts += deleted
            yield
        for _ in self._delete(fence, [*self._tasks_without_run(), *self._waits_without_run()]):
            yield
        yield from self._take_stock(assets_alone=not limited)
        context = self._context(fence)
        for pipeline in sorted(self._stock.targets, key=self._propagation.graph.rank, reverse=True):
            yield from self._remove(Removal(pipeline, context))
        if limited or tally.expired or tally.acts or tally.removed or tally.held_back:
            self._finish(fence, seconds=self._clock.monotonic() - began)

    def _take_stock(self, *, assets_alone: bool) -> Iterator[None]:
        """Sort all targets by pipeline, and learn the times at which keys were written.

        :param assets_alone: nothing else is ever removed.
        """
        times = self._stock.times
        times.note(self._cache.revision, self._clock.now())
        snapshot = self._cache.snapshot()
        yield
        for number, target in enumerate(snapshot, 1):
            if not target.pipeline.task and (is_of_assets(target.pipeline) or not assets_alone):
                self._stock.add(target)
            record = readable_record(self._cache.record(target))
            if record is not None and record.when is not None and len(record.consumed):
                times.note(record.consumed.newest_revision(), record.when)
            if number % LOOKED_AT == 0:
                yield
        self._tally.partitions = sum(map(len, self._stock.targets.values()))
        yield

    def _context(self, fence: CreateRevisionIs) -> SweepContext:
        return SweepContext(
            store=self._store,
            keys=self._keys,
            cache=self._cache,
            propagation=self._propagation,
            limits=self._limits,
            clock=self._clock,
            fence=fence,
            stock=self._stock,
            wait=self._wait_for,
        )

    def _remove(self, removal: Removal) -> Iterator[None]:
        before = self._tally.removed
        for _ in removal.pieces():
            self._tally.removed = before + removal.removed  # at once: a sweep may be interrupted
            yield
        yield  # also after a pipeline without removals: many pipelines would make one long piece
        self._tally.removed = before + removal.removed
        self._tally.raced += removal.raced
        if removal.held_back is not None:
            self._tally.held_back.append(removal.held_back)

    def _wait_for(self, revision: int) -> None:
        self._not_before_revision = revision

    def _tasks_without_run(self) -> list[tuple[str, int]]:
        """The states of tasks whose run has none any more: it was removed, or deleted."""
        found = []
        for task in self._cache.tasks():
            seen = self._cache.state(task)
            if seen is not None and self._cache.state(task.whole) is None:
                found.append((self._keys.state(task), seen.revision))
        return found

    def _waits_without_run(self) -> list[tuple[str, int]]:
        """The waits of sensors whose run has neither a state nor a record, for a day: what never reports has none."""
        oldest = self._clock.now() - _DAY
        return [
            (self._keys.wait(seen.ref), seen.revision)
            for seen in self._cache.waits
            if self._cache.state(seen.ref.run) is None and self._cache.record(seen.ref.run) is None
            if not isinstance(seen.value, Wait) or seen.value.since is None or seen.value.since < oldest
        ]

    def _old_acts(self) -> list[tuple[str, int]]:
        """The acts of people that are too old. Their ids begin with the time; what does not is none of ours."""
        oldest = self._clock.now().astimezone(UTC) - self._limits.acts
        before = f"{oldest:%Y-%m-%dT%H:%M:%S}"
        found = []
        for item in self._store.list(self._keys.acts, largest=self._keys.largest_value).items:
            match self._keys.parse(item.key):
                case ActKey(act_id) if _BEGINS_WITH_TIME.match(act_id) and act_id < before:
                    found.append((item.key, item.mod_revision))
        return found

    def _delete(self, fence: CreateRevisionIs, found: list[tuple[str, int]]) -> Iterator[int]:
        """Delete keys that nobody heeds, at these revisions; one that has changed meanwhile lets its batch wait for
        the next sweep. :returns: how many, batch by batch."""
        for first in range(0, len(found), DELETED):
            batch = found[first : first + DELETED]
            compares = [ModRevisionIs(key, revision) for key, revision in batch]
            answer = commit_fenced(self._store, fence, compares, [Delete(key) for key, _ in batch])
            yield len(batch) if answer.succeeded else 0

    def _finish(self, fence: CreateRevisionIs, *, seconds: float) -> None:
        tally = self._tally
        sweep = Sweep(
            when=self._clock.now(),
            removed=tally.removed,
            kept=tally.partitions - tally.removed,
            expired=tally.expired,
            acts=tally.acts,
            held_back_pipelines=len(tally.held_back),
            held_back=tuple(tally.held_back[:NAMED]),
        )
        commit_fenced(self._store, fence, (), (Put(self._keys.retention, dump_sweep(sweep)),))
        first = tally.held_back[0] if tally.held_back else None
        _log.info(
            "retention.swept",
            removed=sweep.removed,
            kept=sweep.kept,
            expired=sweep.expired,
            acts=sweep.acts,
            held_back=sweep.held_back_pipelines,
            changed_meanwhile=tally.raced,
            seconds=round(seconds, 3),
            **({"first_held_back": f"{first.target}: {first.reason}"} if first is not None else {}),
        )
