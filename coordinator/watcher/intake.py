"""Taking in: what etcd tells becomes facts, decisions, and entries of the work queue.

Standing by, a watcher takes in the same as a leader, so that it can take over with the next step.
"""

from __future__ import annotations

import structlog

from coordinator.model.graph import CycleFound
from coordinator.model.owners import merge
from coordinator.model.partitions import format_instant
from coordinator.model.references import Target
from coordinator.model.standings import Standings
from coordinator.store.port import Changes
from coordinator.store.reflector import Disconnected, Snapshot
from coordinator.watcher.cache import Cache, Touched, unsettled_of
from coordinator.watcher.catching_up import is_asked_for
from coordinator.watcher.counters import Counters
from coordinator.watcher.dispatchers import Dispatchers
from coordinator.watcher.retention import Sweeper
from coordinator.watcher.scheduling import Scheduling
from coordinator.watcher.work_queue import Priority, WorkQueue

STOOD_STILL = 2.0
"""Seconds between two steps after which this watcher must have been suspended: it is called every second. What was read
so long ago has not just happened either: there is more to take in than it can."""

_log = structlog.get_logger(__name__)


class Intake:
    """See the module. Used by the deciding thread only.

    :param sweeper: retention, if there is one.
    :param fresh_for: seconds for which what follows a gap does not count as live.
    :ivar leads: whether this watcher decides and writes; set by the reconciler.
    :ivar leader_gone: the leader key has been deleted since this was last reset: time to campaign.
    :ivar graph_problem: why the newest dependencies are not obeyed; the last good ones are.
    :ivar connected: the watch is alive.
    :ivar states_seen: changes of run states that came while this watcher led.
    :ivar leaves_marks: some pipeline's ``catchup`` asks when a watcher was there.
    """

    def __init__(
        self,
        cache: Cache,
        standings: Standings,
        *,
        queue: WorkQueue,
        scheduling: Scheduling,
        dispatchers: Dispatchers,
        sweeper: Sweeper | None,
        counters: Counters,
        fresh_for: float,
    ) -> None:
        self._cache = cache
        self._standings = standings
        self._queue = queue
        self._scheduling = scheduling
        self._dispatchers = dispatchers
        self._sweeper = sweeper
        self._counters = counters
        self._fresh_for = fresh_for
        self._live_from = 0.0
        self._stepped_at: float | None = None
        self._lag = 0.0
        self._expired_told: set[Target] = set()
        self.leads = False
        self.leader_gone = False
        self.graph_problem: str | None = None
        self.connected = False
        self.states_seen = 0
        self.leaves_marks = False

    def begin_step(self, now: float, *, lag: float = 0.0) -> None:
        """:param now: monotonic seconds. :param lag: seconds since what etcd tells in this step was read."""
        stood_still = self._stepped_at is not None and now - self._stepped_at > STOOD_STILL
        if stood_still or lag > STOOD_STILL:
            self._live_from = now + self._fresh_for  # what comes in may have lain in the open watch for long
        self._stepped_at = now
        self._lag = lag

    def take(self, message: Snapshot | Changes | Disconnected, now: float) -> None:
        """Take in what has arrived. :param now: monotonic seconds."""
        match message:
            case Snapshot():
                self._connect(now, after_a_gap=True)
                if self._sweeper is not None:
                    self._sweeper.start_over()
                touched = self._cache.replace(message.listing)
                self._expired_told.intersection_update(self._cache.expired)
                self._touch(touched, live=False)
                self._queue.read(self._cache.revision)
            case Changes():
                self._connect(now, after_a_gap=False)
                live = now >= self._live_from
                touched = self._cache.apply(message, now=now - self._lag if live else now, live=live)
                if self.leads:  # what is listed, or seen while another leads, is nothing that this one has done
                    self.states_seen += touched.states
                self._touch(touched, live=live)
                self._queue.read(self._cache.revision)
            case Disconnected():
                self.connected = False
                _log.warning("etcd.disconnected", reason=message.reason)

    def refresh(self, changed: set[Target], *, recorded: set[Target], live: bool = True) -> None:
        """Decide anew about what has changed, and what that touches.

        :param changed: targets whose state, order or hold is another, or of which time may have changed something.
        :param recorded: targets of which only the record is another.
        :param live: this has just happened; else it has waited, and may wait behind what has.
        """
        self._scheduling.take(
            self._standings.refreshing(changed, recorded=recorded),
            Priority.LIVE if live else Priority.CATCHUP,
            now=self._standings.now,
            led_by_another=not self.leads and self._cache.leader is not None,
        )

    def _connect(self, now: float, *, after_a_gap: bool) -> None:
        """What comes after a gap is not live at first: it may have lain there for long."""
        if after_a_gap or not self.connected:
            self._live_from = now + self._fresh_for
        if not self.connected:
            self.connected = True
            _log.info("etcd.connected", revision=self._cache.revision)

    def _touch(self, touched: Touched, *, live: bool) -> None:
        self.leader_gone |= touched.leader_gone
        if self._sweeper is not None:
            self._sweeper.note(touched.targets | touched.recorded)
        if touched.expired or self._expired_told:
            self._tell_expired(touched)
        targets = touched.targets
        if touched.dependencies:
            targets |= self._rebuild_graph()
        if touched.held:
            targets |= unsettled_of(touched.held, self._standings.unsettled())
        if touched.floors:
            targets |= self._standings.partitions_of(touched.floors, self._cache.targets())
        self.refresh(targets, recorded=touched.recorded, live=live)

    def _tell_expired(self, touched: Touched) -> None:
        self._expired_told.difference_update(one for one in touched.targets if one not in self._cache.expired)
        unheard_of = touched.expired - self._expired_told
        self._counters.add(expired=len(unheard_of))
        for target in unheard_of:
            floor = self._cache.floor(target.pipeline)
            removed_up_to = floor.queued_at if floor is not None else None
            _log.warning(
                "state.expired",
                pipeline=str(target.pipeline),
                partition=target.partition,
                removed_up_to=removed_up_to and format_instant(removed_up_to),
            )
        self._expired_told |= unheard_of

    def _rebuild_graph(self) -> set[Target]:
        """Go on with the published dependencies. Returns what they may decide otherwise."""
        try:
            graph, problems = merge(self._cache.published)
        except CycleFound as error:
            problems = [f"the published dependencies close a cycle: {error}"]
        self.graph_problem = "; ".join(problems) or None
        if problems:
            _log.error("dependencies.refused", reason=self.graph_problem, remedy="the last good ones stay in force")
            return set()
        _log.info("dependencies.loaded", pipelines=len(graph), revision=self._cache.revision)
        for target in self._dispatchers.obey(graph):
            self._queue.add(target, Priority.CATCHUP)
        self.leaves_marks = is_asked_for(graph)
        # What is late is decided about too: it may have left the graph.
        return self._standings.exchange_graph(graph, self._cache.targets()) | set(self._scheduling.late())
