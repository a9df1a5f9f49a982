"""The cache: the contents of etcd, as far as this watcher has read them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from coordinator.controller.state.changed import Replaced, Touched
from coordinator.controller.state.documents import Documents
from coordinator.controller.state.heartbeat import Heartbeat, read_heartbeat
from coordinator.controller.state.interning import Interning
from coordinator.controller.state.kinds import NOT_KEPT, Handlers, Kind, Table, if_readable
from coordinator.controller.state.problems import KeyProblems
from coordinator.controller.state.produced import Produced
from coordinator.controller.state.publications import Publications
from coordinator.controller.state.reporters import Reporters
from coordinator.controller.state.states import States
from coordinator.controller.state.waits import Waits
from coordinator.controller.state.watermarks import Watermarks
from coordinator.model.cursor import read_cursor
from coordinator.model.graph import SensorEdge
from coordinator.model.hold import Hold, read_hold
from coordinator.model.items.rows import Rows
from coordinator.model.order import read_order
from coordinator.model.publishing.edition import PublishedBefore, read_published_before
from coordinator.model.publishing.publication import Published
from coordinator.model.references import PipelineRef, Target
from coordinator.model.retention.sweep import Sweep, read_sweep
from coordinator.model.retention.watermark import Watermark, read_watermark
from coordinator.model.stored import Unreadable
from coordinator.model.trigger import TriggerRecord
from coordinator.model.view import SeenOrder, SeenRecord, SeenState, SeenWait, readable_record
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

PIECE = 100
"""Keys of a listing that are read in one piece."""


def _edition(found: PublishedBefore | Unreadable, _: int) -> PublishedBefore:
    return found if isinstance(found, PublishedBefore) else PublishedBefore()


def _note_held(touched: Touched, pipeline: PipelineRef, _: bool) -> None:
    touched.held.add(pipeline)


def _note_ordered(touched: Touched, target: Target, _: bool) -> None:
    touched.targets.add(target)


def _note_leader(touched: Touched, _: None, deleted: bool) -> None:
    touched.leader_gone |= deleted


class Cache:
    """Facts by target. Values that cannot be read are kept as such and listed in ``problems``.

    What is done with a key of each kind is said once, in ``_kinds``; states and trigger records, of which there may be
    a million, are apart from that.

    :ivar revision: everything up to this etcd revision has been read.
    :ivar published: the published documents, by owner.
    :ivar published_before: what each owner has published before.
    :ivar publications: the published documents; another thread may have read them already.
    :ivar cursors: up to when the runs of observed environments are known.
    :ivar watchers: the presence of each watcher, by its id.
    :ivar fresh_for: seconds for which a completion that arrived live counts as fresh.
    """

    def __init__(self, keys: Keys, *, fresh_for: float = 1.0, publications: Publications | None = None) -> None:
        self._keys = keys
        self.fresh_for = fresh_for
        self.revision = 0
        self.problems = KeyProblems(keys)
        self.publications = publications or Publications(keys)
        self.reporters = Reporters()
        self.waits = Waits()
        self._records: dict[Target, SeenRecord] = {}
        self._rows: dict[Target, SeenState] = {}
        self._watermarks = Watermarks()
        self._interned = Interning(keys, self.state)
        self._states = self._no_states()
        self.published = Documents(keys, self.publications)
        self.published_before: Table[str, PublishedBefore] = Table("owner", read_published_before, _edition)
        self.watchers: Table[str, bytes] = Table("watcher_id", bytes)
        self.cursors: Table[str, datetime] = Table("environment", read_cursor, if_readable)
        self._holds: Table[PipelineRef, Hold | Unreadable] = Table("pipeline", read_hold, note=_note_held)
        self._orders: Table[Target, SeenOrder] = Table("target", read_order, SeenOrder, _note_ordered)
        self._leader: Table[None, bytes] = Table(None, bytes, note=_note_leader)
        self._swept: Table[None, Sweep] = Table(None, read_sweep, if_readable)
        self._heartbeat: Table[None, Heartbeat | Unreadable] = Table(None, read_heartbeat, self._last_heartbeat)
        self._kinds: dict[type, Kind] = {
            DependenciesKey: self.published,
            PublishedBeforeKey: self.published_before,
            WatcherKey: self.watchers,
            CursorKey: self.cursors,
            HoldKey: self._holds,
            OrderKey: self._orders,
            LeaderKey: self._leader,
            RetentionKey: self._swept,
            HeartbeatKey: self._heartbeat,
            WaitKey: Handlers(self._put_wait, self._delete_wait, self.waits.clear),
            WatermarkKey: Handlers(self._put_watermark, self._delete_watermark, self._watermarks.begin_list),
            ReporterKey: Handlers(self._put_reporter, self._delete_reporter, self.reporters.clear),
            ReporterSeenKey: Handlers(self._put_last_seen, self._delete_last_seen, self.reporters.clear),
            ActKey: NOT_KEPT,
        }

    def state(self, target: Target) -> SeenState | None:
        return self._states.get(target) or self._rows.get(target)

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
    def produced(self) -> Produced:
        """Who emits which assets."""
        return self._states.produced

    @property
    def expired(self) -> dict[Target, int]:
        """The mod revisions of the keys of expired states."""
        return self._states.expired

    @property
    def leader(self) -> bytes | None:
        """The value of the leader key."""
        return self._leader.get(None)

    @property
    def swept(self) -> Sweep | None:
        """What the last sweep of retention did."""
        return self._swept.get(None)

    @property
    def heartbeat(self) -> Heartbeat | Unreadable | None:
        """The last heartbeat that could be read; an unreadable one only if there was no other."""
        return self._heartbeat.get(None)

    @property
    def last_readable(self) -> dict[str, Published]:
        """The last readable version of each document that was ever read, also if it is gone."""
        return self.published.last_readable

    @property
    def held(self) -> int:
        """How many pipelines are held."""
        return len(self._holds)

    def holds(self) -> Iterator[tuple[PipelineRef, Hold | Unreadable]]:
        return iter(self._holds.items())

    def targets(self) -> Iterator[Target]:
        """Everything that has a state, a record or an order, or is an item that has a row."""
        yield from self._states
        yield from (target for target in self._records if target not in self._states)
        yield from (target for target in self._orders if target not in self._states and target not in self._records)
        for rows in self._rows:
            for item in self._items_of(rows):
                if item not in self._states and item not in self._records and item not in self._orders:
                    yield item

    def readable(self) -> dict[str, Published]:
        """The published documents. One that cannot be read is as it was when it was read last, if it ever was."""
        return self.published.readable()

    def snapshot(self) -> list[Target]:
        """Every target with a state, a record or an order, as a list that stays as it is while the cache changes."""
        return list(self.targets())

    def tasks(self) -> list[Target]:
        """Every task that has a state."""
        return list(self._states.tasks)

    def unseen_tasks(self) -> tuple[Target, ...]:
        """The tasks that a run of their pipeline does not have, or that are not shown to us. Any thread may ask."""
        return tuple(self._states.unseen_tasks)

    def events(self) -> list[Target]:
        """Every asset event."""
        return list(self._states.events)

    def partition_of_run(self, pipeline: PipelineRef, run_id: str) -> str | None:
        """The partition of a run, if its state is there, or was since somebody asked about the pipeline."""
        return self._states.partition_of_run(pipeline, run_id)

    def index_runs(self, pipelines: Iterable[PipelineRef]) -> None:
        """Prepare for questions about the runs of these pipelines: all states are looked through once."""
        self._states.index_runs(pipelines)

    def recorded(self) -> list[Target]:
        """Everything that has a record."""
        return list(self._records)

    def connections(self) -> dict[SensorEdge, int]:
        """What connects pipelines besides dependencies: sensors that are cleared again, and runs that emit assets."""
        return {**self.waits.edges(), **self.produced.edges()}

    def __len__(self) -> int:
        return len(self._states) + len(self._records)

    def is_fresh(self, target: Target, now: float, *, at: datetime) -> bool:
        """Whether its present state arrived and was observed a moment ago; as of :meth:`States.is_fresh`."""
        return self._states.is_fresh(target, now, at=at)

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
        """Replace everything by a listing, in pieces. Until the last one, the cache is a mixture of old and new.

        :param replaced: filled with the result.
        """
        if listing.revision < self.revision:  # etcd was restored: those revisions mean something else now
            self.last_readable.clear()
        gone: list[Target] = []
        heartbeat_before = self.heartbeat
        before = (self._states, self._records, dict(self._orders))
        self._states, self._records, self._rows = self._no_states(), {}, {}
        self.problems.clear()
        for kind in self._kinds.values():
            kind.clear()
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
            revision = min(heartbeat_before.revision, listing.revision)
            self._heartbeat[None] = Heartbeat(revision, heartbeat_before.when)
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
        self._states.forget_arrivals(now)
        return touched

    def note_record(self, target: Target, record: TriggerRecord, revision: int) -> set[Target]:
        """Note a record that this watcher has just written, before it comes back through the watch.

        :returns: the rows and items that change with it.
        """
        changed = self._exchange_record(target, SeenRecord(record, revision))
        self.problems.settle(self._keys.trigger(target))
        return changed

    def _put(self, item: KeyValue, touched: Touched, *, arrived: float | None = None, listed: bool = False) -> None:
        parsed = self._interned.parse(item.key)
        if type(parsed) is StateKey:
            self._states.put(parsed.target, item, touched, arrived=arrived)
        elif type(parsed) is TriggerKey:
            self._put_record(parsed.target, item, touched)
        elif parsed is not None:
            self.problems.note_value(item.key, self._kinds[type(parsed)].put(parsed, item, touched))
        else:
            self.problems.note_foreign(item.key, is_new=listed or item.create_revision == item.mod_revision)

    def _delete(self, key: str, revision: int, touched: Touched) -> None:
        self.problems.settle(key)
        parsed = self._keys.parse(key)
        if type(parsed) is StateKey:
            self._states.delete(parsed.target, touched)
        elif type(parsed) is TriggerKey:
            self._delete_record(parsed.target, revision, touched)
        elif parsed is not None:
            self._kinds[type(parsed)].delete(parsed, touched)
        else:
            self.problems.settle_foreign(key)

    def _no_states(self) -> States:
        return States(self._keys, self._watermarks, self._interned, self.problems, fresh_for=self.fresh_for)

    def _put_record(self, target: Target, item: KeyValue, touched: Touched) -> None:
        known = self._records.get(target)
        if known is not None and known.revision >= item.mod_revision:
            return  # our own write, which was noted when it was committed
        record = self._interned.record(target, item.value)
        touched.targets |= self._exchange_record(target, SeenRecord(record, item.mod_revision))
        self.problems.note_value(item.key, record)
        touched.recorded.add(target)

    def _delete_record(self, target: Target, revision: int, touched: Touched) -> None:
        known = self._records.get(target)
        if known is not None and known.revision < revision:
            touched.targets |= self._exchange_record(target, None)
            touched.recorded.add(target)

    def _exchange_record(self, target: Target, seen: SeenRecord | None) -> set[Target]:
        """Keep another record of a target, and the state of its rows.

        :returns: the rows, and the items that they no longer name, if they are others than before.
        """
        before, after = readable_record(self._records.get(target)), readable_record(seen)
        if seen is None:
            self._records.pop(target, None)
        else:
            self._records[target] = seen
        rows_before = before.rows if before is not None else None
        rows = after.rows if after is not None else None
        if rows is None and rows_before is None:
            return set()
        name = Target(target.pipeline.rows, target.partition)
        gone = self._items_named(name, rows_before)
        if rows is None or seen is None:
            self._rows.pop(name, None)
        else:
            self._rows[name] = SeenState(rows.as_state(), seen.revision)
            gone -= self._items_named(name, rows)
        is_same = rows is not None and rows_before is not None and rows.token == rows_before.token
        return set() if is_same else {name, *gone}

    def _items_of(self, rows: Target) -> set[Target]:
        record = readable_record(self._records.get(Target(rows.pipeline.fanned_out, rows.partition)))
        return self._items_named(rows, record.rows if record is not None else None)

    @staticmethod
    def _items_named(name: Target, rows: Rows | None) -> set[Target]:
        if rows is None:
            return set()
        return {Target(name.pipeline.fanned_out.with_item(key), name.partition) for key in rows.by_key}

    # -- the kinds that are more than a table ----------------------------------------------------------------------

    def _put_wait(self, key: WaitKey, item: KeyValue, touched: Touched) -> object:
        wait = read_wait(item.value)
        self.waits.put(key.ref, wait, item.mod_revision)
        touched.waits.add(key.ref.name)
        touched.recorded.add(key.ref.run)
        return wait

    def _delete_wait(self, key: WaitKey, touched: Touched) -> None:
        self.waits.delete(key.ref)
        touched.recorded.add(key.ref.run)

    def _put_watermark(self, key: WatermarkKey, item: KeyValue, touched: Touched) -> object:
        watermark = read_watermark(item.value)
        if self._watermarks.put(key.pipeline, watermark, item.mod_revision):
            self._states.watermark_is_known(key.pipeline, touched)
        if isinstance(watermark, Unreadable) and self._watermarks.is_unknown(key.pipeline):
            return Unreadable(f"{watermark.reason}; until it is corrected or deleted, no state of this pipeline counts")
        return watermark

    def _delete_watermark(self, key: WatermarkKey, touched: Touched) -> None:
        if self._watermarks.delete(key.pipeline):
            self._states.watermark_is_known(key.pipeline, touched)

    def _put_reporter(self, key: ReporterKey, item: KeyValue, _: Touched) -> object:
        return self.reporters.put(key.environment, key.name, item.value)

    def _delete_reporter(self, key: ReporterKey, _: Touched) -> None:
        successor = self.reporters.delete(key.environment, key.name)
        if successor is not None:
            self.problems.settle(self._keys.reporter(key.environment, successor))

    def _put_last_seen(self, key: ReporterSeenKey, item: KeyValue, _: Touched) -> object:
        return self.reporters.put_last_seen(key.environment, item.value)

    def _delete_last_seen(self, key: ReporterSeenKey, _: Touched) -> None:
        self.reporters.delete_last_seen(key.environment)

    def _last_heartbeat(self, found: Heartbeat | Unreadable, _: int) -> Heartbeat | Unreadable:
        known = self.heartbeat
        return found if isinstance(found, Heartbeat) or known is None else known


def unsettled_of(pipelines: Iterable[PipelineRef], unsettled: Iterable[Target]) -> set[Target]:
    """The targets that a change of these pipelines' holds can affect: a hold matters only to targets that are due."""
    wanted = set(pipelines)
    return {target for target in unsettled if target.pipeline in wanted or target.pipeline.fanned_out in wanted}
