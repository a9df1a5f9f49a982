"""The cache: the contents of etcd, as far as this watcher has read them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from coordinator.controller.state.heartbeat import Heartbeat, read_heartbeat
from coordinator.controller.state.interning import Interning
from coordinator.controller.state.problems import KeyProblems
from coordinator.controller.state.produced import Produced
from coordinator.controller.state.publications import Publications
from coordinator.controller.state.reporters import Reporters
from coordinator.controller.state.run_partitions import RunPartitions
from coordinator.controller.state.waits import Waits
from coordinator.controller.state.watermarks import Watermarks
from coordinator.model.assets.events import AssetState
from coordinator.model.assets.names import is_asset
from coordinator.model.cursor import read_cursor
from coordinator.model.graph import SensorEdge
from coordinator.model.hold import Hold, read_hold
from coordinator.model.order import read_order
from coordinator.model.publishing.edition import PublishedBefore, read_published_before
from coordinator.model.publishing.publication import Publication, Published
from coordinator.model.references import PipelineRef, Target
from coordinator.model.retention.sweep import Sweep, read_sweep
from coordinator.model.retention.watermark import Watermark, read_watermark
from coordinator.model.runstate import RunState, Unreadable
from coordinator.model.states import read_state
from coordinator.model.taskstate import TaskState
from coordinator.model.trigger import TriggerRecord
from coordinator.model.view import SeenOrder, SeenRecord, SeenState, SeenWait
from coordinator.model.waits import read_wait
from coordinator.store.keys import (
    ActKey,
    CursorKey,
    DependenciesKey,
    HeartbeatKey,
    HoldKey,
    Keys,
    LeaderKey,
    OrderKey,
    ParsedKey,
    PublishedBeforeKey,
    ReporterKey,
    ReporterSeenKey,
    RetentionKey,
    StateKey,
    TriggerKey,
    WaitKey,
    WatcherKey,
    WatermarkKey,
)
from coordinator.store.port import Changes, KeyValue, Listing, Page

ON_THE_WAY = 1.0
"""Seconds that a fresh report may take from observation to arrival, or by which clocks may differ."""

PIECE = 100
"""Keys of a listing that are read in one piece."""


@dataclass(slots=True)
class Touched:
    """What a batch of changes touched.

    :ivar expired: targets whose state was put again after retention had removed it.
    :ivar recorded: targets of which only the trigger record has changed.
    :ivar watermarks: pipelines whose watermark was unknown, and is known now.
    :ivar waits: the names of waits.
    :ivar producers: an asset is emitted by a pipeline that was not known to.
    """

    targets: set[Target] = field(default_factory=set)
    recorded: set[Target] = field(default_factory=set)
    expired: set[Target] = field(default_factory=set)
    held: set[PipelineRef] = field(default_factory=set)
    watermarks: set[PipelineRef] = field(default_factory=set)
    waits: set[Target] = field(default_factory=set)
    producers: bool = False
    dependencies: bool = False
    leader_gone: bool = False
    states: int = 0


@dataclass(slots=True)
class Replaced:
    """The result of reading a listing.

    :ivar targets: everything that has a state, a record or an order, or had one before; may contain duplicates.
    :ivar expired: as in :class:`Touched`.
    """

    targets: list[Target] = field(default_factory=list)
    expired: set[Target] = field(default_factory=set)
    leader_gone: bool = False


class Cache:
    """Facts by target. Values that cannot be read are kept as such and listed in ``problems``.

    A state that has expired (:class:`~coordinator.model.retention.watermark.Watermark`) does not count: it is only
    noted in ``expired``. A watermark is read before the states that it concerns: in a listing by the order of keys, in
    a watch because the sweep that moves it leaves no state at or below it. Where a watermark cannot be read, no state
    counts that may have expired (:mod:`~coordinator.controller.state.watermarks`).

    :ivar fresh_for: seconds for which a completion that arrived live counts as fresh.
    :ivar revision: everything up to this etcd revision has been read.
    :ivar expired: the mod revisions of the keys of expired states.
    :ivar swept: what the last sweep of retention did.
    :ivar last_readable: the last readable version of each document that was ever read, also if it is gone.
    :ivar publications: the published documents; another thread may have read them already.
    :ivar cursors: up to when the runs of observed environments are known.
    :ivar heartbeat: the last one that could be read; an unreadable one only if there was no other.
    """

    def __init__(self, keys: Keys, *, fresh_for: float = 1.0, publications: Publications | None = None) -> None:
        self._keys = keys
        self.fresh_for = fresh_for
        self.revision = 0
        self.problems = KeyProblems(keys)
        self.published: dict[str, Published] = {}
        self.last_readable: dict[str, Published] = {}
        self.publications = publications or Publications(keys)
        self.published_before: dict[str, PublishedBefore] = {}
        self.leader: bytes | None = None
        self.heartbeat: Heartbeat | Unreadable | None = None
        self.swept: Sweep | None = None
        self.expired: dict[Target, int] = {}
        self.watchers: dict[str, bytes] = {}
        self.reporters = Reporters()
        self.waits = Waits()
        self.produced = Produced()
        self.cursors: dict[str, datetime] = {}
        self._states: dict[Target, SeenState] = {}
        self._tasks: set[Target] = set()
        self._unseen_tasks: set[Target] = set()
        self._events: dict[Target, None] = {}
        self._runs = RunPartitions()
        self._records: dict[Target, SeenRecord] = {}
        self._orders: dict[Target, SeenOrder] = {}
        self._holds: dict[PipelineRef, Hold | Unreadable] = {}
        self._watermarks = Watermarks()
        self._withheld: dict[Target, KeyValue] = {}
        self._arrived: dict[Target, float] = {}
        self._arrivals: deque[tuple[float, Target]] = deque()
        self._interned = Interning(keys, self.state)

    def state(self, target: Target) -> SeenState | None:
        return self._states.get(target)

    def record(self, target: Target) -> SeenRecord | None:
        return self._records.get(target)

    def hold(self, pipeline: PipelineRef) -> Hold | Unreadable | None:
        return self._holds.get(pipeline)

    def sensors(self, target: Target) -> Sequence[SeenWait]:
        return self.waits.sensors(target)

    def runs_behind(self, upstream: Target) -> Iterable[Target]:
        runs, assets = self.waits.runs_behind(upstream), self.produced.behind(upstream)
        return (*runs, *assets) if assets else runs

    def order(self, target: Target) -> SeenOrder | None:
        return self._orders.get(target)

    def watermark(self, pipeline: PipelineRef) -> Watermark | None:
        return self._watermarks.get(pipeline)

    def watermark_revision(self, pipeline: PipelineRef) -> int:
        """The mod revision of the watermark's key; 0: there is none."""
        return self._watermarks.revision(pipeline)

    def watermark_is_unknown(self, pipeline: PipelineRef) -> bool:
        """Whether its watermark cannot be read, and no earlier one is known: none of its states counts."""
        return self._watermarks.is_unknown(pipeline)

    @property
    def held(self) -> int:
        """How many pipelines are held."""
        return len(self._holds)

    def holds(self) -> Iterator[tuple[PipelineRef, Hold | Unreadable]]:
        return iter(self._holds.items())

    def targets(self) -> Iterator[Target]:
        """Everything that has a state, a record or an order."""
        yield from self._states
        yield from (target for target in self._records if target not in self._states)
        yield from (target for target in self._orders if target not in self._states and target not in self._records)

    def readable(self) -> dict[str, Published]:
        """The published documents. One that cannot be read is as it was when it was read last, if it ever was."""
        return {
            owner: one if isinstance(one.value, Publication) else self.last_readable.get(owner, one)
            for owner, one in self.published.items()
        }

    def snapshot(self) -> list[Target]:
        """The same as a list, which stays as it is while the cache changes."""
        return list(self.targets())

    def tasks(self) -> list[Target]:
        """Every task that has a state."""
        return list(self._tasks)

    def unseen_tasks(self) -> tuple[Target, ...]:
        """The tasks that a run of their pipeline does not have, or that are not shown to us. Any thread may ask."""
        return tuple(self._unseen_tasks)

    def events(self) -> list[Target]:
        """Every asset event."""
        return list(self._events)

    def partition_of_run(self, pipeline: PipelineRef, run_id: str) -> str | None:
        """The partition of a run, if its state is there, or was since somebody asked about the pipeline."""
        self.index_runs((pipeline,))
        return self._runs.get(pipeline, run_id)

    def index_runs(self, pipelines: Iterable[PipelineRef]) -> None:
        """Prepare for questions about the runs of these pipelines: all states are looked through once."""
        self._runs.follow(pipelines, self._states)

    def recorded(self) -> list[Target]:
        """Everything that has a record."""
        return list(self._records)

    def connections(self) -> dict[SensorEdge, int]:
        """What connects pipelines besides dependencies: sensors that are cleared again, and runs that emit assets."""
        return {**self.waits.edges(), **self.produced.edges()}

    def __len__(self) -> int:
        return len(self._states) + len(self._records)

    def is_fresh(self, target: Target, now: float, *, at: datetime) -> bool:
        """Whether the target's present state arrived live a moment ago, and was observed a moment ago.

        A report may have waited in an outbox for long, and its run may have been cleared meanwhile, which nothing
        reports. Where a writer does not say when it observed the state, or its clock is wrong, the run is only looked
        at again.

        :param now: monotonic seconds.
        :param at: the time of day.
        """
        arrived = self._arrived.get(target)
        if arrived is None or now - arrived > self.fresh_for:
            return False
        seen = self._states.get(target)
        if seen is None or not isinstance(seen.value, RunState) or seen.value.observed_at is None:
            return False
        return abs((at - seen.value.observed_at).total_seconds()) <= self.fresh_for + ON_THE_WAY

    def replace(self, listing: Listing) -> Replaced:
        """Replace everything by a listing: the first one, or one after a compaction or a restore.

        This empties the listing: a million keys should not be in memory twice.
        """
        replaced = Replaced()
        for _ in self.replacing(listing, replaced):
            pass
        return replaced

    def fill(self, pages: Iterable[Page]) -> None:
        """Fill an empty cache, page by page. All pages are of one revision."""
        touched = Touched()
        self._watermarks.begin_list()
        for page in pages:
            for item in page.items:
                self._put(item, touched, listed=True)
            self.revision = page.revision
        self._watermarks.end_list()

    def replacing(self, listing: Listing, replaced: Replaced) -> Iterator[None]:
        """The same, in pieces. Until the last one is done, the cache is a mixture of old and new.

        :param replaced: filled with the result.
        """
        if listing.revision < self.revision:  # etcd was restored: those revisions mean something else now
            self.last_readable.clear()
        gone: list[Target] = []
        before = (self._states, self._records, self._orders)
        self._states, self._records, self._orders = {}, {}, {}
        self._tasks.clear()
        self._unseen_tasks.clear()
        self._holds.clear()
        self._withheld.clear()
        for named in (self.published, self.published_before, self.watchers, self.problems):
            named.clear()
        self.reporters.clear()
        self.waits.clear()
        self.produced.clear()
        self._runs.clear()
        self._events.clear()
        self.cursors.clear()
        self._watermarks.begin_list()
        heartbeat_before, self.heartbeat = self.heartbeat, None
        self.expired.clear()
        self.swept = None
        self._arrived.clear()
        self._arrivals.clear()
        self.leader = None
        for store in before:  # freeing a million values takes time, too
            while store:
                gone.append(store.popitem()[0])
                if len(gone) % PIECE == 0:
                    yield
        listing.items.reverse()
        while listing.items:
            touched = Touched()
            for _ in range(min(PIECE, len(listing.items))):
                self._put(listing.items.pop(), touched, listed=True)
            replaced.expired |= touched.expired
            yield
        self._watermarks.end_list()
        if isinstance(self.heartbeat, Unreadable) and isinstance(heartbeat_before, Heartbeat):
            # From another history (a restored etcd), its revision may lie in the future of this one.
            self.heartbeat = Heartbeat(min(heartbeat_before.revision, listing.revision), heartbeat_before.when)
        self.revision = listing.revision
        replaced.leader_gone = self.leader is None
        replaced.targets = gone
        for target in self.targets():
            replaced.targets.append(target)
            if len(replaced.targets) % PIECE == 0:
                yield

    def apply(self, changes: Changes, *, now: float, live: bool) -> Touched:
        """Apply changes from a watch.

        :param now: monotonic seconds.
        :param live: these changes have just happened, as far as this watcher can tell.
        """
        touched = Touched()
        for change in changes.changes:
            if change.kv is None:
                self._delete(change.key, change.revision, touched)
            else:
                self._put(change.kv, touched, arrived=now if live else None)
        self.revision = max(self.revision, changes.revision)
        self._forget_arrivals(now)
        return touched

    def note_record(self, target: Target, record: TriggerRecord, revision: int) -> None:
        """Note a record that this watcher has just written, before it comes back through the watch."""
        self._records[target] = SeenRecord(record, revision)
        self.problems.settle(self._keys.trigger(target))

    def _put(self, item: KeyValue, touched: Touched, *, arrived: float | None = None, listed: bool = False) -> None:
        match self._interned.parse(item.key):
            case StateKey(target):
                touched.states += 1
                state = self._interned.state(read_state(target, item.value))
                self._note_problem(item.key, state)
                self._arrived.pop(target, None)
                if self._has_expired(target, state):
                    self._forget_state(target)
                    self.expired[target] = item.mod_revision
                    touched.expired.add(target)
                    touched.targets.add(target)
                    return
                self.expired.pop(target, None)
                self._withheld.pop(target, None)
                if isinstance(state, RunState) and self._watermarks.is_unknown(target.pipeline):
                    self._withheld[target] = item
                    state = Unreadable(
                        f"{self._keys.watermark(target.pipeline)} cannot be read, so it is unknown whether this was "
                        "removed before; correct that key, or delete it if nothing has been removed"
                    )
                seen = SeenState(state, item.mod_revision)
                if type(state) is RunState:
                    self._runs.put(target, state)
                elif is_asset(target.pipeline):
                    touched.producers |= self.produced.exchange(target, self._states.get(target), seen)
                elif isinstance(state, AssetState):
                    self._events[target] = None
                self._states[target] = seen
                if target.pipeline.task:
                    self._tasks.add(target)
                    self._note_unseen(target, state)
                if arrived is not None:
                    self._arrived[target] = arrived
                    self._arrivals.append((arrived, target))
                touched.targets.add(target)
            case TriggerKey(target):
                known = self._records.get(target)
                if known is not None and known.revision >= item.mod_revision:
                    return  # our own write, which was noted when it was committed
                record = self._interned.record(target, item.value)
                self._records[target] = SeenRecord(record, item.mod_revision)
                self._note_problem(item.key, record)
                touched.recorded.add(target)
            case HoldKey(pipeline):
                hold = read_hold(item.value)
                self._holds[pipeline] = hold
                self._note_problem(item.key, hold)
                touched.held.add(pipeline)
            case OrderKey(target):
                order = read_order(item.value)
                self._orders[target] = SeenOrder(order, item.mod_revision)
                self._note_problem(item.key, order)
                touched.targets.add(target)
            case CursorKey(environment):
                cursor = read_cursor(item.value)
                self._note_problem(item.key, cursor)
                self.cursors.pop(environment, None)
                if not isinstance(cursor, Unreadable):
                    self.cursors[environment] = cursor
            case WaitKey(ref):
                wait = read_wait(item.value)
                self.waits.put(ref, wait, item.mod_revision)
                self._note_problem(item.key, wait)
                touched.waits.add(ref.name)
                touched.recorded.add(ref.run)
            case WatermarkKey(pipeline):
                watermark = read_watermark(item.value)
                known_again = self._watermarks.put(pipeline, watermark, item.mod_revision)
                self._note_problem(item.key, watermark)
                if self._watermarks.is_unknown(pipeline):
                    reason = (
                        f"{self.problems[item.key]}; until it is corrected or deleted, no state of this pipeline counts"
                    )
                    self.problems.note(item.key, reason)
                elif known_again:
                    self._let_states_count(pipeline, touched)
            case ActKey():
                pass
            case DependenciesKey(owner):
                publication = self.publications.read(item.key, item.value)
                self.published[owner] = published = Published(publication, item.mod_revision)
                if isinstance(publication, Publication):
                    self.last_readable[owner] = published
                self._note_problem(item.key, publication)
                touched.dependencies = True
            case PublishedBeforeKey(owner):
                before = read_published_before(item.value)
                self.published_before[owner] = before if isinstance(before, PublishedBefore) else PublishedBefore()
                self._note_problem(item.key, before)
            case RetentionKey():
                sweep = read_sweep(item.value)
                self.swept = sweep if isinstance(sweep, Sweep) else None
                self._note_problem(item.key, sweep)
            case HeartbeatKey():
                heartbeat = read_heartbeat(item.value)
                if isinstance(heartbeat, Heartbeat) or self.heartbeat is None:
                    self.heartbeat = heartbeat
                self._note_problem(item.key, heartbeat)
            case LeaderKey():
                self.leader = item.value
            case WatcherKey(watcher_id):
                self.watchers[watcher_id] = item.value
            case ReporterKey(environment, name):
                self._note_problem(item.key, self.reporters.put(environment, name, item.value))
            case ReporterSeenKey(environment):
                self._note_problem(item.key, self.reporters.put_last_seen(environment, item.value))
            case None:
                self.problems.note_foreign(item.key, is_new=listed or item.create_revision == item.mod_revision)

    def _delete(self, key: str, revision: int, touched: Touched) -> None:
        self.problems.settle(key)
        parsed: ParsedKey | None = self._keys.parse(key)
        match parsed:
            case StateKey(target):
                touched.states += 1
                self._forget_state(target)
                self._tasks.discard(target)
                self._unseen_tasks.discard(target)
                self._withheld.pop(target, None)
                self.expired.pop(target, None)
                self._arrived.pop(target, None)
                touched.targets.add(target)
            case TriggerKey(target):
                known = self._records.get(target)
                if known is not None and known.revision < revision:
                    del self._records[target]
                    touched.recorded.add(target)
            case HoldKey(pipeline):
                self._holds.pop(pipeline, None)
                touched.held.add(pipeline)
            case OrderKey(target):
                self._orders.pop(target, None)
                touched.targets.add(target)
            case CursorKey(environment):
                self.cursors.pop(environment, None)
            case WaitKey(ref):
                self.waits.delete(ref)
                touched.recorded.add(ref.run)
            case WatermarkKey(pipeline):
                if self._watermarks.delete(pipeline):
                    self._let_states_count(pipeline, touched)
            case ActKey():
                pass
            case DependenciesKey(owner):
                self.published.pop(owner, None)
                self.publications.forget(key)
                touched.dependencies = True
            case PublishedBeforeKey(owner):
                self.published_before.pop(owner, None)
            case RetentionKey():
                self.swept = None
            case HeartbeatKey():
                self.heartbeat = None
            case LeaderKey():
                self.leader = None
                touched.leader_gone = True
            case WatcherKey(watcher_id):
                self.watchers.pop(watcher_id, None)
            case ReporterKey(environment, name):
                successor = self.reporters.delete(environment, name)
                if successor is not None:
                    self.problems.settle(self._keys.reporter(environment, successor))
            case ReporterSeenKey(environment):
                self.reporters.delete_last_seen(environment)
            case None:
                self.problems.settle_foreign(key)

    def _forget_state(self, target: Target) -> None:
        before = self._states.pop(target, None)
        if before is None:
            return
        if type(before.value) is RunState:
            self._runs.delete(target, before.value)
        elif is_asset(target.pipeline):
            self.produced.exchange(target, before, None)
        self._events.pop(target, None)

    def _let_states_count(self, pipeline: PipelineRef, touched: Touched) -> None:
        """The watermark is known again: each state that was withheld now counts, or has expired."""
        touched.watermarks.add(pipeline)
        for target in [target for target in self._withheld if target.pipeline == pipeline]:
            self._put(self._withheld[target], touched)

    def _has_expired(self, target: Target, state: RunState | Unreadable) -> bool:
        watermark = self._watermarks.get(target.pipeline)
        return watermark is not None and isinstance(state, RunState) and watermark.has_expired(state)

    def _note_problem(self, key: str, value: object) -> None:
        if isinstance(value, Unreadable):
            self.problems.note(key, value.reason)
        else:
            self.problems.settle(key)

    def _note_unseen(self, target: Target, state: RunState | Unreadable) -> None:
        if isinstance(state, TaskState) and (state.missing or state.refused):
            self._unseen_tasks.add(target)
        else:
            self._unseen_tasks.discard(target)

    def _forget_arrivals(self, now: float) -> None:
        while self._arrivals and now - self._arrivals[0][0] > self.fresh_for:
            arrived, target = self._arrivals.popleft()
            if self._arrived.get(target) == arrived:
                del self._arrived[target]


def unsettled_of(pipelines: Iterable[PipelineRef], unsettled: Iterable[Target]) -> set[Target]:
    """The targets that a change of these pipelines' holds can affect: a hold matters only to targets that are due."""
    wanted = set(pipelines)
    return {target for target in unsettled if target.pipeline in wanted}
