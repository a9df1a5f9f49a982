"""Observed environments: nothing is installed there, and every run of theirs is followed through the REST API
(docs/architecture.md#observed-environments).

The leader asks which runs have changed since a *cursor*: a moment by the environment's own clock. What it sees is
written as run states. The cursor advances once all that was seen up to it is in etcd, and is written there: a
successor, after a downtime of any length, begins from it. So a change may be seen twice, and none is missed.
"""

from __future__ import annotations

from collections.abc import Collection
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
from coordinator.model.cursor import dump_cursor
from coordinator.model.partitions.instants import dag_or_item, format_instant, partition_of_run
from coordinator.model.references import PipelineRef, Target
from coordinator.runners.port import BEGINNING, ListPlace, ObservedRun
from coordinator.store.keys import Keys
from coordinator.store.port import CreateRevisionIs, Put, Store, StoreError

_log = structlog.get_logger(__name__)

OVERLAP = timedelta(seconds=60)
"""Subtracted from the answer's time: Airflow may commit up to this long after setting ``updated_at``."""

WRITTEN_EVERY = timedelta(seconds=60)
"""The cursor in etcd is rewritten when it is at least this far behind."""

BEHIND = timedelta(seconds=30)
"""A heartbeat that is older by the API server's clock is that of a slower clock, or of a scheduler that is down:
Airflow's own bound (``[scheduler] scheduler_health_check_threshold``)."""

GROWTH = 1.5
"""Each pause without news is so many times as long as the one before it."""

SILENT_AFTER = 60.0
"""Seconds without an answer after which an observed environment is a problem."""


class _Seen(NamedTuple):
    """A run as an answer has shown it.

    :ivar asked_at: when its environment was asked.
    :ivar known_revision: the latest of etcd that was known then.
    """

    target: Target
    run: ObservedRun
    asked_at: datetime
    known_revision: int


@dataclass(slots=True)
class _PollState:
    """One environment.

    :ivar cursor: changes since then are asked for; ``None``: the first answer will say what time it is there.
    :ivar known_revision: the latest of etcd that was known when the question was asked.
    :ivar place: where to go on, if there were more than one question reads.
    :ivar made_at: when the first of these answers was made.
    :ivar collected: the runs in the answers of this round, until its last page.
    :ivar seen: the runs of the round before, until they are in etcd.
    :ivar next_cursor: what the cursor becomes then.
    :ivar write_at: monotonic seconds; the cursor is not written before.
    """

    pause: float
    due_at: float = 0.0
    answered_at: float | None = None
    cursor: datetime | None = None
    is_asking: bool = False
    known_revision: int = 0
    place: ListPlace = BEGINNING
    made_at: datetime | None = None
    collected: list[_Seen] = field(default_factory=list)
    seen: list[_Seen] = field(default_factory=list)
    next_cursor: datetime | None = None
    write_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Polling:
    """How environments are polled.

    :ivar environments: the names of the observed ones.
    :ivar every: seconds between two questions while something happens there.
    :ivar idle: seconds to which the pauses grow while nothing does.
    """

    environments: Collection[str]
    every: float
    idle: float


class EnvironmentPoller:
    """Used by the deciding thread only."""

    def __init__(
        self,
        cache: Cache,
        *,
        store: Store,
        keys: Keys,
        dispatchers: Dispatchers,
        ledger: Ledger,
        polling: Polling,
    ) -> None:
        self._cache = cache
        self._store = store
        self._keys = keys
        self._dispatchers = dispatchers
        self._ledger = ledger
        self._polling = polling
        self._polls = {name: _PollState(polling.every) for name in sorted(polling.environments)}
        self._problems: dict[str, str] = {}

    def begin_term(self, now: float) -> None:
        """Begin from the cursors in etcd. :param now: monotonic seconds."""
        for name in self._polls:
            self._polls[name] = _PollState(
                self._polling.every, due_at=now, answered_at=now, cursor=self._cache.cursors.get(name)
            )
        self._problems = {}

    def next_at(self) -> float | None:
        """Monotonic seconds of the next question."""
        return min((poll.due_at for poll in self._polls.values() if not poll.is_asking), default=None)

    def problems(self) -> dict[str, str]:
        """The environments that have not been observed for a while, with the reason. Any thread may ask."""
        return dict(self._problems)

    def ask(self, now: float) -> None:
        """Ask the environments that are due. :param now: monotonic seconds."""
        for name, poll in self._polls.items():
            dispatcher = self._dispatchers.get(name)
            if dispatcher is not None and not poll.is_asking and now >= poll.due_at:
                poll.is_asking, poll.known_revision = True, self._ledger.known_revision
                dispatcher.observe(poll.cursor, poll.place)

    def take(self, message: ChangesSeen, now: float) -> None:
        """Handle an answer: write what is new in it. :param now: monotonic seconds."""
        name, changed = message.environment, message.changed
        poll = self._polls.get(name)
        if poll is None or not poll.is_asking or message.since != poll.cursor:
            return  # of an earlier term
        poll.is_asking = False
        # Of all DAGs, as reporters tell of all: a dependency on one may be published a moment later.
        seen = [_Seen(_target_of(name, run), run, message.asked_at, poll.known_revision) for run in changed.runs]
        news = sum([self._write(one) for one in seen])
        if news:
            _log.info("environment.observed", environment=name, changed=len(changed.runs), new=news)
        if changed.error is not None:
            self._failed(name, poll, str(changed.error), now)
            return
        poll.answered_at = now
        if poll.place == BEGINNING:
            self._note_clock(name, changed.behind)
        poll.made_at = poll.made_at or changed.made_at or message.asked_at
        poll.collected += seen
        poll.place = changed.next or BEGINNING
        if changed.next is not None:
            if changed.next == BEGINNING:
                poll.collected, poll.made_at = [], None
            poll.due_at = now
            return
        self._move_cursor(name, poll)
        poll.pause = self._polling.every if news else min(poll.pause * GROWTH, self._polling.idle)
        poll.due_at = now + poll.pause

    def write_cursors(self, term: int, now: float) -> None:
        """Write the cursors that are so much later than those in etcd that it is worth it.

        :param term: the create revision of the leader key.
        :param now: monotonic seconds.
        :raises LeadershipLost: somebody else leads.
        """
        for name, poll in self._polls.items():
            written = self._cache.cursors.get(name)
            if poll.cursor is None or now < poll.write_at:
                continue
            if written is not None and timedelta(0) <= poll.cursor - written < WRITTEN_EVERY:
                continue
            fence, put = (
                CreateRevisionIs(self._keys.leader, term),
                Put(self._keys.cursor(name), dump_cursor(poll.cursor)),
            )
            try:
                commit_fenced(self._store, fence, (), (put,))
            except StoreError as error:  # it is written with one of the next steps
                _log.warning("cursor.not_written", environment=name, reason=str(error))
                poll.write_at = now + RETRY_AFTER
            else:
                self._cache.cursors[name] = poll.cursor

    def _move_cursor(self, name: str, poll: _PollState) -> None:
        """Everything up to an answer has been read. The cursor moves on to the answer before, if all that was seen in
        that is in etcd by now. If not, this answer takes its place: it has everything since the same cursor."""
        assert poll.made_at is not None
        if poll.cursor is None:
            poll.cursor = poll.made_at  # what was before is not ours to tell
        elif poll.made_at < poll.cursor - OVERLAP:
            _log.warning("environment.clock_set_back", environment=name, cursor=format_instant(poll.cursor))
            poll.cursor, poll.next_cursor = poll.made_at - OVERLAP, None
        if poll.next_cursor is not None and not any(self._is_open(one) for one in poll.seen):
            poll.cursor = max(poll.cursor, poll.next_cursor)
        poll.next_cursor, poll.seen = poll.made_at - OVERLAP, poll.collected
        poll.made_at, poll.collected = None, []

    def _write(self, seen: _Seen) -> bool:
        """Write a run's state, if it is news. Returns whether it is."""
        if (run := self._news_in(seen)) is None:
            return False
        document = document_of(run, reported_by=self._ledger.reported_by, observed_at=seen.asked_at)
        present = self._cache.state(seen.target)
        document = document.after(present.value if present is not None else None)
        self._ledger.state(seen.target, document.to_value(), askers=frozenset())
        return True

    def _is_open(self, seen: _Seen) -> bool:
        """Whether a run is to be asked about again: it is news, or whether it is, is not known."""
        return self._cache.watermark_is_unknown(seen.target.pipeline) or self._news_in(seen) is not None

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
            is_older=present is not None and present.revision > seen.known_revision,
            watermark=self._cache.watermark(pipeline),
            policy=None,
        )

    def _note_clock(self, name: str, behind: timedelta) -> None:
        """:param behind: as :class:`~coordinator.runners.port.Changed` has it."""
        if behind <= BEHIND:
            self._problems.pop(name, None)
            return
        self._problems[name] = (
            f"the last heartbeat of its scheduler is {behind.total_seconds():.0f} s old by the clock of its API "
            "server: the scheduler is down, or its clock is behind; its runs are still observed"
        )

    def _failed(self, name: str, poll: _PollState, reason: str, now: float) -> None:
        poll.pause = min(poll.pause * 2, self._polling.idle)
        poll.due_at = now + poll.pause
        if poll.answered_at is None or now - poll.answered_at > SILENT_AFTER:
            self._problems[name] = f"its runs have not been observed for more than a minute: {reason}"
        _log.warning("environment.not_observed", environment=name, reason=reason)


def _target_of(environment: str, run: ObservedRun) -> Target:
    partition = partition_of_run(
        run_id=run.run_id, logical_date=run.logical_date, partition_key=run.partition_key, conf=dict(run.conf)
    )
    dag_id = dag_or_item(run.dag_id, run.run_id, dict(run.conf))
    return Target(PipelineRef(environment, dag_id), partition)
