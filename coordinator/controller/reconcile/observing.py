"""Observed environments: nothing is installed there, and every run of theirs is followed through the REST API
(docs/architecture.md#observed-environments).

The leader asks which runs have changed since a *mark*: a moment by the environment's own clock. What it sees is
written as run states. The mark moves on once all that was seen up to it stands in etcd, and is written there: a
successor, after a downtime of any length, begins from it. So a change may be seen twice, and none is missed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

import structlog

from coordinator.controller.dispatch.dispatchers import Dispatchers
from coordinator.controller.dispatch.jobs import ChangesSeen
from coordinator.controller.reconcile.ledger import Ledger
from coordinator.controller.reconcile.observations import document_of, observation_to_report
from coordinator.controller.state.cache import Cache
from coordinator.controller.writes import RETRY_AFTER, commit_fenced
from coordinator.model.mark import dump_mark
from coordinator.model.partitions.instants import partition_of_run
from coordinator.model.references import PipelineRef, Target
from coordinator.runners.port import ObservedRun
from coordinator.store.keys import Keys
from coordinator.store.port import CreateRevisionIs, Put, Store, StoreError

_log = structlog.get_logger(__name__)

OVERLAP = timedelta(seconds=60)
"""A mark is so much older than the answer that it follows from: a transaction of Airflow may take so long between the
``updated_at`` that it sets and its commit."""

WRITTEN_EVERY = timedelta(seconds=60)
"""How much later a mark must be to be written."""

GROWTH = 1.5
"""Each pause without news is so many times as long as the one before it."""

SILENT_AFTER = 60.0
"""Seconds without an answer after which an observed environment is a problem."""


class _Seen(NamedTuple):
    """A run as an answer has shown it.

    :ivar asked_at: when its environment was asked.
    """

    target: Target
    run: ObservedRun
    asked_at: datetime


@dataclass(slots=True)
class _Place:
    """One environment.

    :ivar mark: changes since then are asked for; ``None``: the first answer will say what time it is there.
    :ivar offset: where to go on, if there were more than one question reads.
    :ivar made_at: when the first of these answers was made.
    :ivar seen: the runs that were seen in them, until they stand in etcd.
    :ivar next_mark: what the mark becomes then.
    :ivar write_at: monotonic seconds; the mark is not written before.
    """

    pause: float
    due_at: float = 0.0
    answered_at: float | None = None
    mark: datetime | None = None
    is_asking: bool = False
    offset: int = 0
    made_at: datetime | None = None
    collected: list[_Seen] = field(default_factory=list)
    seen: list[_Seen] = field(default_factory=list)
    next_mark: datetime | None = None
    write_at: float = 0.0


class Observing:
    """Used by the deciding thread only.

    :param environments: the names of the observed ones.
    :param every: seconds between two questions while something happens there.
    :param idle: seconds to which the pauses grow while nothing does.
    :param now: the time of day.
    :param who: this watcher's name, for ``reported_by``.
    """

    def __init__(
        self,
        cache: Cache,
        *,
        store: Store,
        keys: Keys,
        dispatchers: Dispatchers,
        ledger: Ledger,
        environments: Collection[str],
        every: float,
        idle: float,
        now: Callable[[], datetime],
        who: str,
    ) -> None:
        self._cache = cache
        self._store = store
        self._keys = keys
        self._dispatchers = dispatchers
        self._ledger = ledger
        self._every = every
        self._idle = idle
        self._now = now
        self._who = who
        self._places = {name: _Place(every) for name in sorted(environments)}
        self._problems: dict[str, str] = {}

    def begin_term(self, now: float) -> None:
        """Begin from the marks in etcd. :param now: monotonic seconds."""
        for name in self._places:
            self._places[name] = _Place(self._every, due_at=now, answered_at=now, mark=self._cache.marks.get(name))
        self._problems = {}

    def next_at(self) -> float | None:
        """Monotonic seconds of the next question."""
        return min((place.due_at for place in self._places.values() if not place.is_asking), default=None)

    def problems(self) -> dict[str, str]:
        """The environments that have not been observed for a while, with the reason. Any thread may ask."""
        return dict(self._problems)

    def ask(self, now: float) -> None:
        """Ask the environments that are due. :param now: monotonic seconds."""
        for name, place in self._places.items():
            dispatcher = self._dispatchers.get(name)
            if dispatcher is not None and not place.is_asking and now >= place.due_at:
                place.is_asking = True
                dispatcher.observe(place.mark, place.offset)

    def take(self, message: ChangesSeen, now: float) -> None:
        """Handle an answer: write what is new in it. :param now: monotonic seconds."""
        name, changed = message.environment, message.changed
        place = self._places.get(name)
        if place is None or not place.is_asking or message.since != place.mark:
            return  # of an earlier term
        place.is_asking = False
        # Of all DAGs, as reporters tell of all: a dependency on one may be published a moment later.
        seen = [_Seen(_target_of(name, run), run, message.asked_at) for run in changed.runs]
        news = sum([self._write(one) for one in seen])
        if news:
            _log.info("environment.observed", environment=name, changed=len(changed.runs), new=news)
        if changed.error is not None:
            self._failed(name, place, str(changed.error), now)
            place.offset, place.collected, place.made_at = 0, [], None
            return
        place.answered_at = now
        self._problems.pop(name, None)
        place.made_at = place.made_at or changed.made_at or message.asked_at
        place.collected += seen
        place.offset = changed.next_offset or 0
        if changed.next_offset is not None:
            if changed.next_offset == 0:
                place.collected, place.made_at = [], None
            place.due_at = now
            return
        self._move_mark(place)
        place.pause = self._every if news else min(place.pause * GROWTH, self._idle)
        place.due_at = now + place.pause

    def write_marks(self, term: int, now: float) -> None:
        """Write the marks that are so much later than those in etcd that it is worth it.

        :param term: the create revision of the leader key.
        :param now: monotonic seconds.
        :raises LeadershipLost: somebody else leads.
        """
        for name, place in self._places.items():
            written = self._cache.marks.get(name)
            if place.mark is None or now < place.write_at:
                continue
            if written is not None and place.mark - written < WRITTEN_EVERY:
                continue
            fence, put = CreateRevisionIs(self._keys.leader, term), Put(self._keys.mark(name), dump_mark(place.mark))
            try:
                commit_fenced(self._store, fence, (), (put,))
            except StoreError as error:  # it is written with one of the next steps
                _log.warning("mark.not_written", environment=name, reason=str(error))
                place.write_at = now + RETRY_AFTER
            else:
                self._cache.marks[name] = place.mark

    def _move_mark(self, place: _Place) -> None:
        """Everything up to an answer has been read. The mark moves on to the answer before, if all that was seen in
        that stands in etcd by now. If not, this answer takes its place: it contains everything since the same mark."""
        assert place.made_at is not None
        if place.mark is None:
            place.mark = place.made_at  # what was before is not ours to tell
        if place.next_mark is not None and not any(self._news_in(one) for one in place.seen):
            place.mark = max(place.mark, place.next_mark)
        place.next_mark, place.seen = place.made_at - OVERLAP, place.collected
        place.made_at, place.collected = None, []

    def _write(self, seen: _Seen) -> bool:
        """Write a run's state, if it is news. Returns whether it is."""
        if (run := self._news_in(seen)) is None:
            return False
        document = document_of(run, reported_by=f"coordinator/{self._who}", observed_at=seen.asked_at)
        self._ledger.state(seen.target, document.to_value(), askers=frozenset())
        return True

    def _news_in(self, seen: _Seen) -> ObservedRun | None:
        """The run as it is to be reported; ``None``: it is no news."""
        pipeline = seen.target.pipeline
        if self._cache.watermark_is_unknown(pipeline):
            return None
        present = self._cache.state(seen.target)
        return observation_to_report(
            present.value if present is not None else None,
            seen.run,
            asked_at=seen.asked_at,
            watermark=self._cache.watermark(pipeline),
            policy=None,
        )

    def _failed(self, name: str, place: _Place, reason: str, now: float) -> None:
        place.pause = min(place.pause * 2, self._idle)
        place.due_at = now + place.pause
        if place.answered_at is None or now - place.answered_at > SILENT_AFTER:
            self._problems[name] = f"its runs have not been observed for more than a minute: {reason}"
        _log.warning("environment.not_observed", environment=name, reason=reason)


def _target_of(environment: str, run: ObservedRun) -> Target:
    partition = partition_of_run(
        run_id=run.run_id, logical_date=run.logical_date, partition_key=run.partition_key, conf=dict(run.conf)
    )
    return Target(PipelineRef(environment, run.dag_id), partition)
