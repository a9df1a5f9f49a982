"""Event handling: changes in etcd become facts, decisions, and entries of the work queue, in bounded pieces.

A standby handles events exactly as a leader does, so that it can take over with the next step.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import structlog

from coordinator.controller.counters import Counters
from coordinator.controller.leading.catching_up import is_asked_for
from coordinator.controller.pace import Pace
from coordinator.controller.queue.work_queue import Priority, WorkQueue
from coordinator.controller.reconcile.scheduling import Scheduling
from coordinator.controller.state.cache import Cache, unsettled_of
from coordinator.controller.state.changed import Replaced, Touched
from coordinator.controller.state.problems import in_a_line
from coordinator.controller.state.waits import edge_of
from coordinator.model.decide import Decision
from coordinator.model.graph import CycleFound, Graph
from coordinator.model.partitions.instants import format_instant
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.publishing.owners import merge
from coordinator.model.publishing.publication import Published
from coordinator.model.references import Target
from coordinator.store.port import Changes
from coordinator.store.reflector import Disconnected, Snapshot

Update = Snapshot | Changes | Disconnected

STOOD_STILL = 2.0
"""Seconds between two steps after which this watcher must have been suspended: a step comes every second. What was read
longer ago than this does not count as live either: this watcher cannot keep up."""

_log = structlog.get_logger(__name__)


class Reader(Protocol):
    """A part that follows what changes in etcd."""

    def start_over(self) -> None:
        """Everything is being listed again."""

    def note(self, changed: Iterable[Target]) -> None:
        """The states or records of these have changed."""


class EventHandler:
    """See the module. Used by the deciding thread only.

    :param readers: who else follows what changes.
    :param pace: how much is handled, and decided about, in one piece.
    :ivar leader_gone: the leader key was deleted in this step: time to campaign.
    :ivar graph_problem: why the newest dependencies are not used; the last good ones stay in force.
    :ivar connected: the watch is alive, and all that was listed has been decided about.
    :ivar states_seen: changes of run states that came while this watcher led.
    :ivar writes_heartbeats: the ``catchup`` of some pipeline needs to know when a watcher led.
    """

    def __init__(
        self,
        cache: Cache,
        propagation: Propagation,
        *,
        queue: WorkQueue,
        scheduling: Scheduling,
        readers: Sequence[Reader],
        counters: Counters,
        pace: Pace,
    ) -> None:
        self._cache = cache
        cache.waits.are_withheld = True
        self._propagation = propagation
        self._queue = queue
        self._scheduling = scheduling
        self._readers = readers
        self._counters = counters
        self._pace = pace
        self._updates: deque[Update] = deque()
        self._reading: Iterator[None] | None = None
        self._was_listed = False
        self._is_cut = False
        self._live_from = 0.0
        self._stepped_at: float | None = None
        self._lag = 0.0
        self._expired_told: set[Target] = set()
        self._leads = False
        self.leader_gone = False
        self.graph_problem: str | None = None
        self._revisions: dict[str, int] = {}
        self.connected = False
        self.states_seen = 0
        self.writes_heartbeats = False

    def begin_step(self, now: float, *, lag: float, leads: bool) -> None:
        """A step has begun.

        :param now: monotonic seconds.
        :param lag: seconds since the oldest update of this step was read from etcd.
        :param leads: whether this watcher decides and writes.
        """
        self._leads, self.leader_gone = leads, False
        stood_still = self._stepped_at is not None and now - self._stepped_at > STOOD_STILL
        if stood_still or lag > STOOD_STILL:
            self._live_from = now + self._cache.fresh_for  # changes may have waited in the open watch for long
        self._stepped_at = now
        self._lag = lag

    def take(self, update: Update) -> None:
        """Add an update. It is handled after those that came before it."""
        self._updates.append(update)

    @property
    def is_done(self) -> bool:
        """Whether everything that has arrived is handled and decided about."""
        return not self._updates and self._reading is None and self._propagation.is_drained

    @property
    def is_caught_up(self) -> bool:
        """Whether everything that was listed or published is decided about; live changes may still wait."""
        return self._reading is None and self._propagation.is_caught_up

    @property
    def is_reading(self) -> bool:
        """Whether a listing or a graph is being read: until that is done, no decision is valid."""
        return self._reading is not None

    @property
    def is_behind(self) -> bool:
        """Whether updates still wait to be handled, so that no more should be taken from the inbox."""
        return bool(self._updates) or self._reading is not None

    def go_on(self, now: float, *, takes_updates: bool = True) -> None:
        """Handle what has arrived and decide again about what it touches, or do a piece of that.

        :param now: monotonic seconds.
        :param takes_updates: false: decide about what is known, and let updates wait.
        """
        budget = self._pace.budget()
        while budget and (self._reading is not None or (self._updates and takes_updates)):
            budget.spend()
            if self._reading is None:
                self._take_in(self._updates.popleft(), now)
            elif next(self._reading, self) is self:
                self._reading = None
        self.propagate()
        if self._was_listed and self.is_caught_up and not self._is_cut:
            self._was_listed = False
            self._connected()

    def propagate(self) -> None:
        """Decide about some of the targets on the frontier."""
        if self._reading is not None or self._propagation.is_drained:
            return
        led_by_another = not self._leads and self._cache.leader is not None
        budget = self._pace.budget()
        while budget and not self._propagation.is_drained:
            budget.spend()
            if (made := self._propagation.decide_next()) is not None:
                self._counters.decisions[_outcome(made.decision)] += 1
                priority = Priority.LIVE if made.live else Priority.CATCHUP
                self._scheduling.take(made.decision, priority, led_by_another=led_by_another)
        while self._propagation.miscounted:
            target = self._propagation.miscounted.pop()
            self._counters.add(miscounted=1)
            _log.error(
                "inputs.miscounted",
                pipeline=str(target.pipeline),
                partition=target.partition,
                remedy="it has been decided about again; please report it",
            )

    def _take_in(self, update: Update, now: float) -> None:
        match update:
            case Snapshot():
                self.connected = self._is_cut = False
                for reader in self._readers:
                    reader.start_over()
                self._reading = self._replace(update, now)
            case Changes():
                self._connect(now)
                live = now >= self._live_from
                touched = self._cache.apply(update, now=now - self._lag if live else now, live=live)
                self._counters.add(events=touched.states)
                if self._leads:  # counts only changes that this watcher has handled as the leader
                    self.states_seen += touched.states
                self._touch(touched, live=live)
                self._queue.read(self._cache.revision)
            case Disconnected():
                self.connected, self._is_cut = False, True
                _log.warning("etcd.disconnected", reason=update.reason)

    def _replace(self, message: Snapshot, now: float) -> Iterator[None]:
        """Read a listing, piece by piece."""
        replaced = Replaced()
        yield from self._cache.replacing(message.listing, replaced)
        self._live_from = now + self._cache.fresh_for
        self._was_listed = True
        self.leader_gone |= replaced.leader_gone
        self._expired_told.intersection_update(self._cache.expired)
        self._tell_expired(replaced.expired)
        self._queue.outdate_all()  # targets that are plainly settled now get no new decision
        yield from self._use_dependencies(replaced.targets, everything=True)
        for waiting in self._cache.waits.waiting():  # no decision tells of one that came while nothing was heard
            self._queue.add(waiting, Priority.CATCHUP)
        self._queue.read(self._cache.revision)

    def _connect(self, now: float) -> None:
        """Begin to follow again. Changes after a gap are not live at first: they may be old."""
        if self._is_cut:
            self._is_cut = False
            self._live_from = now + self._cache.fresh_for
            if not self._was_listed:
                self._connected()

    def _connected(self) -> None:
        self.connected = True
        _log.info("etcd.connected", revision=self._cache.revision)

    def _touch(self, touched: Touched, *, live: bool) -> None:
        self.leader_gone |= touched.leader_gone
        for reader in self._readers:
            reader.note(touched.targets | touched.recorded)
        if touched.expired or self._expired_told:
            self._expired_told.difference_update(one for one in touched.targets if one not in self._cache.expired)
            self._tell_expired(touched.expired)
        self._propagation.touch(touched.targets, recorded=touched.recorded, live=live)
        for waiting in touched.waits:
            self._queue.add(waiting, Priority.LIVE if live else Priority.CATCHUP)
        if touched.dependencies or touched.producers or self._knows_not_all_sensors(touched.waits):
            self._reading = self._use_dependencies(self._cache.snapshot())
        if touched.held:
            self._propagation.touch((), recorded=unsettled_of(touched.held, self._propagation.unsettled()), live=live)
        if touched.watermarks:
            known = self._cache.targets()
            self._propagation.touch(self._propagation.partitions_of(touched.watermarks, known), live=live)

    def _knows_not_all_sensors(self, names: set[Target]) -> bool:
        """Whether a sensor among these waits connects pipelines that nothing has connected before."""
        graph, waits = self._propagation.graph, self._cache.waits
        found = (waits.get(name) for name in names)
        return any(seen in waits.sensors(seen.ref.run) and edge_of(seen) not in graph.sensors for seen in found if seen)

    def _tell_expired(self, expired: set[Target]) -> None:
        unheard_of = expired - self._expired_told
        self._counters.add(expired=len(unheard_of))
        for target in unheard_of:
            watermark = self._cache.watermark(target.pipeline)
            removed_up_to = watermark.queued_at if watermark is not None else None
            _log.warning(
                "state.expired",
                pipeline=str(target.pipeline),
                partition=target.partition,
                removed_up_to=removed_up_to and format_instant(removed_up_to),
            )
        self._expired_told |= unheard_of

    def _use_dependencies(self, targets: Sequence[Target], *, everything: bool = False) -> Iterator[None]:
        """Use the published dependencies, piece by piece; parameters as in :meth:`Propagation.exchange_graph`."""
        yield
        known, waits = self._propagation.graph, self._cache.waits
        revisions = {owner: one.revision for owner, one in self._cache.published.items()}
        is_as_published = revisions == self._revisions and self.graph_problem is None
        graph = known if is_as_published and not everything else self._merge(known)
        is_known = graph is known
        graph = graph.with_sensors(self._cache.connections())
        if is_known and not everything and graph.sensors == known.sensors:
            return
        has_problem = self.graph_problem is not None
        were_withheld, waits.are_withheld = waits.are_withheld, waits.are_withheld and has_problem
        if not is_known and not has_problem:
            _log.info("dependencies.loaded", pipelines=len(graph), revision=self._cache.revision)
        self._scheduling.use(graph)
        self.writes_heartbeats = is_asked_for(graph)
        yield
        self._propagation.exchange_graph(graph, targets, everything=everything)
        self._revisions = revisions
        # Late targets are decided about too: they may have left the graph.
        self._propagation.touch((), recorded=self._scheduling.late(), live=False)
        if were_withheld and not waits.are_withheld:
            self._propagation.touch((), recorded=waits.runs_of_sensors(), live=False)
            for waiting in waits.waiting():
                self._queue.add(waiting, Priority.CATCHUP)

    def _merge(self, known: Graph) -> Graph:
        """The graph of the published documents; ``known``, if they cannot be used, and the last readable ones cannot
        either."""
        graph, problems = _merged(self._cache.published)
        self.graph_problem = in_a_line(problems) or None
        if not problems:
            return graph
        _log.error("dependencies.refused", reason=self.graph_problem, remedy="the last good ones stay in force")
        graph, still_wrong = _merged(self._cache.readable())
        return known if still_wrong else graph


def _outcome(decision: Decision) -> str:
    """What a decision says, in a word, for :class:`Counters`."""
    if decision.skips:
        return "skip"
    if decision.ignored:
        return "ignore"
    return "fire" if decision.fires else str(decision.readiness)


def _merged(published: Mapping[str, Published]) -> tuple[Graph, list[str]]:
    """As :func:`merge`; a cycle is a problem like any other, and leaves no graph."""
    try:
        return merge(published)
    except CycleFound as error:
        return Graph(), [f"the published dependencies close a cycle: {error}"]
