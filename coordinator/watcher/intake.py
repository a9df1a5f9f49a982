"""Taking in: what etcd tells and environments answer becomes facts, decisions, and entries of the agenda.

Standing by, a watcher takes in the same as a leader, so that it can take over with the next step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import structlog

from coordinator.model.decide import Decision
from coordinator.model.graph import CycleFound
from coordinator.model.owners import merge
from coordinator.model.partitions import format_instant
from coordinator.model.references import Target
from coordinator.model.standings import Standings
from coordinator.model.trigger import Status, TriggerRecord
from coordinator.model.view import Standing
from coordinator.settings import WatcherSettings
from coordinator.store.port import Changes
from coordinator.store.reflector import Disconnected, Snapshot
from coordinator.watcher.agenda import Agenda
from coordinator.watcher.cache import Cache, Touched, unsettled_of
from coordinator.watcher.catching_up import is_asked_for
from coordinator.watcher.counters import Counters
from coordinator.watcher.flights import Flights
from coordinator.watcher.lanes import EffectDone, Lane, LookDone
from coordinator.watcher.lateness import Lateness
from coordinator.watcher.limits import Limits
from coordinator.watcher.looks import Looks
from coordinator.watcher.observer import Observer
from coordinator.watcher.rechecks import Rechecks
from coordinator.watcher.retention import Sweeper
from coordinator.watcher.rooms import Rooms

Message = Snapshot | Changes | Disconnected | EffectDone | LookDone

WAITING = (Status.INTENT, Status.SENT, Status.BLOCKED)
"""Records that wait for something."""

STOOD_STILL = 2.0
"""Seconds between two steps after which this watcher must have been suspended: it is called every second. What was read
so long ago has not just happened either: there is more to take in than it can."""

_log = structlog.get_logger(__name__)


class Intake:
    """See the module. Used by the deciding thread only.

    :param leads: whether this watcher decides and writes.
    :param leader_gone: called when the leader key has been deleted: time to campaign.
    :ivar graph_problem: why the newest dependencies are not obeyed; the last good ones are.
    :ivar connected: the watch is alive.
    :ivar states_seen: changes of run states that came while this watcher led.
    :ivar leaves_marks: some pipeline's ``catchup`` asks when a watcher was there.
    """

    def __init__(
        self,
        lanes: Mapping[str, Lane],
        *,
        cache: Cache,
        standings: Standings,
        agenda: Agenda,
        rechecks: Rechecks,
        lateness: Lateness,
        limits: Limits,
        rooms: Rooms,
        looks: Looks,
        flights: Flights,
        observer: Observer,
        sweeper: Sweeper | None,
        counters: Counters,
        settings: WatcherSettings,
        leads: Callable[[], bool],
        leader_gone: Callable[[], None],
        now: float,
    ) -> None:
        self._lanes = lanes
        self._cache = cache
        self._standings = standings
        self._agenda = agenda
        self._rechecks = rechecks
        self._lateness = lateness
        self._limits = limits
        self._rooms = rooms
        self._looks = looks
        self._flights = flights
        self._observer = observer
        self._sweeper = sweeper
        self._counters = counters
        self._fresh_for = settings.fresh_for
        self._leads = leads
        self._leader_gone = leader_gone
        self._live_from = 0.0
        self._stepped_at = now
        self._lag = 0.0
        self._expired_told: set[Target] = set()
        self.graph_problem: str | None = None
        self.connected = False
        self.states_seen = 0
        self.leaves_marks = False

    def begin_step(self, now: float, *, lag: float = 0.0) -> None:
        """:param now: monotonic seconds. :param lag: seconds since what etcd tells in this step was read."""
        if now - self._stepped_at > STOOD_STILL or lag > STOOD_STILL:
            self._live_from = now + self._fresh_for  # what comes in may have lain in the open watch for long
        self._stepped_at = now
        self._lag = lag

    def take(self, message: Message, now: float) -> None:
        """Take in what has arrived. :param now: monotonic seconds."""
        match message:
            case Snapshot():
                self._connect(now, after_a_gap=True)
                if self._sweeper is not None:
                    self._sweeper.start_over()
                touched = self._cache.replace(message.listing)
                self._expired_told.intersection_update(self._cache.expired)
                self._touch(touched, live=False)
                self._agenda.read(self._cache.revision)
            case Changes():
                self._connect(now, after_a_gap=False)
                live = now >= self._live_from
                touched = self._cache.apply(message, now=now - self._lag if live else now, live=live)
                if self._leads():  # what is listed, or seen while another leads, is nothing that this one has done
                    self.states_seen += touched.states
                self._touch(touched, live=live)
                self._agenda.read(self._cache.revision)
            case Disconnected():
                self.connected = False
                _log.warning("etcd.disconnected", reason=message.reason)
            case EffectDone():
                self._lanes[message.environment].finished(message, now)
                self._flights.take(message, now)
            case LookDone():
                self._lanes[message.environment].finished(message, now)
                self._observer.take(message)

    def let_time_decide(self) -> None:
        """Decide again what time alone may change."""
        if due := self._rechecks.due(self._standings.now):
            self.schedule(self._standings.refresh(due))

    def schedule(self, decisions: Iterable[Decision], *, live: bool = True) -> None:
        """Put on the agenda what may need something done; what is settled and waits for nothing does not.

        :param live: this has just happened; else it has waited, and may wait behind what has.
        """
        led_by_another = not self._leads() and self._cache.leader is not None
        put = self._agenda.now if live else self._agenda.backlog
        for decision in decisions:
            self._rechecks.note((decision,))
            self._lateness.note((decision,), now=self._standings.now, under_a_leader=led_by_another)
            self._limits.note(decision)
            target = decision.target
            record = self._record(target)
            if (
                decision.standing is not Standing.SETTLED
                or (record is not None and record.status in WAITING)
                or self._looks.has_ticket(target)
                or self._limits.knows(target)
                or self._rooms.knows(target)
                or decision.ignored
            ):
                put(target, decision)

    def _connect(self, now: float, *, after_a_gap: bool) -> None:
        """What comes after a gap is not live at first: it may have lain there for long."""
        if after_a_gap or not self.connected:
            self._live_from = now + self._fresh_for
        if not self.connected:
            self.connected = True
            _log.info("etcd.connected", revision=self._cache.revision)

    def _touch(self, touched: Touched, *, live: bool) -> None:
        if touched.leader_gone:
            self._leader_gone()
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
        self.schedule(self._standings.refreshing(targets, recorded=touched.recorded), live=live)

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
        self._limits.obey(graph)
        self.leaves_marks = is_asked_for(graph)
        # What is late is decided about too: it may have left the graph.
        return self._standings.exchange_graph(graph, self._cache.targets()) | set(self._lateness.targets())

    def _record(self, target: Target) -> TriggerRecord | None:
        seen = self._cache.record(target)
        return seen.value if seen is not None and isinstance(seen.value, TriggerRecord) else None
