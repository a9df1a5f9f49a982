"""Taking in: what etcd tells and environments answer becomes facts, decisions, and entries of the agenda.

Standing by, a watcher takes in the same as a leader, so that it can take over with the next step.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import structlog

from coordinator.model.decide import Decision, Obstacle
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
from coordinator.watcher.breakage import Breakage
from coordinator.watcher.cache import Cache, Replaced, Touched, unsettled_of
from coordinator.watcher.catching_up import is_asked_for
from coordinator.watcher.counters import Counters
from coordinator.watcher.flights import Flights
from coordinator.watcher.lanes import EffectDone, Lane, LookDone
from coordinator.watcher.lateness import Lateness
from coordinator.watcher.limits import Limits
from coordinator.watcher.looks import Looks
from coordinator.watcher.observer import Observer
from coordinator.watcher.pace import Pace
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
        pace: Pace,
        breakage: Breakage,
    ) -> None:
        self._breakage = breakage
        self._lanes = lanes
        self._pace = pace
        self._inbox: deque[Message] = deque()
        self._reading: Iterator[None] | None = None
        self._was_listed = False
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
        """This has arrived. What etcd tells is taken in when its turn comes: what came before it goes first."""
        if isinstance(message, EffectDone | LookDone) and self._reading is None:
            self._take_in(message, now)
        else:
            self._inbox.append(message)

    @property
    def is_done(self) -> bool:
        """Whether everything that has arrived is taken in and decided about."""
        return not self._inbox and self._reading is None and self._standings.is_drained

    @property
    def is_caught_up(self) -> bool:
        """Whether all that was listed or published has been decided about; perhaps not all that has just happened."""
        return self._reading is None and self._standings.is_caught_up

    @property
    def is_reading(self) -> bool:
        """Whether a listing is being read: until that is done, nothing can be said about anything."""
        return self._reading is not None

    @property
    def is_behind(self) -> bool:
        """Whether something waits to be taken in: more should not be brought."""
        return bool(self._inbox) or self._reading is not None

    def go_on(self, now: float, *, takes_updates: bool = True) -> None:
        """Take in what has arrived, decide anew about what it touches, or do a piece of that.

        :param now: monotonic seconds.
        :param takes_updates: false: decide about what is known, and let what arrives wait.
        """
        budget = self._pace.budget()
        while budget and (self._reading is not None or (self._inbox and takes_updates)):
            budget.spend()
            if self._reading is None:
                self._take_in(self._inbox.popleft(), now)
            elif next(self._reading, self) is self:
                self._reading = None
        self.propagate()
        if self._was_listed and self.is_caught_up:
            self._was_listed = False
            self._connected()

    def propagate(self) -> None:
        """Decide about some of what waits to be decided about."""
        if self._reading is not None or self._standings.is_drained:
            return
        budget = self._pace.budget()
        while budget and not self._standings.is_drained:
            budget.spend()
            if (made := self._standings.decide_next()) is not None:
                self.schedule((made.decision,), live=made.live)
        while self._standings.miscounted:
            target = self._standings.miscounted.pop()
            self._counters.add(miscounted=1)
            _log.error(
                "inputs.miscounted",
                pipeline=str(target.pipeline),
                partition=target.partition,
                remedy="it has been decided about anew; please report it",
            )

    def let_time_decide(self) -> None:
        """Decide again what time alone may change."""
        if self._reading is None and (due := self._rechecks.due(self._standings.now)):
            self._standings.touch((), recorded=due)

    def _take_in(self, message: Message, now: float) -> None:
        match message:
            case Snapshot():
                self.connected = False
                if self._sweeper is not None:
                    self._sweeper.start_over()
                self._reading = self._replace(message, now)
            case Changes():
                self._connect(now)
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

    def schedule(self, decisions: Iterable[Decision], *, live: bool = True) -> None:
        """Put on the agenda what may need something done; what is settled and waits for nothing does not.

        :param live: this has just happened; else it has waited, and may wait behind what has.
        """
        led_by_another = not self._leads() and self._cache.leader is not None
        for decision in decisions:
            self._rechecks.note((decision,))
            if Obstacle.BROKEN in decision.obstacles:
                self._breakage.note(decision.target, self._standings.broken[decision.target])
                self._agenda.outdate(decision.target)
                continue
            self._breakage.forget(decision.target)
            self._lateness.note((decision,), now=self._standings.now, under_a_leader=led_by_another)
            self._limits.note(decision)
            target = decision.target
            record = self._record(target)
            acts = (
                decision.ready
                or decision.ignored
                or decision.skips
                or (record is not None and record.status in WAITING)
                or self._looks.has_ticket(target)
                or self._limits.knows(target)
                or self._rooms.knows(target)
            )
            if live and acts:
                self._agenda.now(target, decision)
            elif acts or decision.standing is not Standing.SETTLED:
                # Below a busy root thousands are due that nothing is to be done about yet.
                self._agenda.backlog(target, decision)
            else:
                self._agenda.outdate(target)

    def _replace(self, message: Snapshot, now: float) -> Iterator[None]:
        """Read a listing, piece by piece."""
        replaced = Replaced()
        yield from self._cache.replacing(message.listing, replaced)
        self._live_from = now + self._fresh_for
        self._was_listed = True
        if replaced.leader_gone:
            self._leader_gone()
        self._expired_told.intersection_update(self._cache.expired)
        self._tell_expired(replaced.expired)
        self._obey_dependencies(replaced.targets, everything=True)
        self._agenda.read(self._cache.revision)

    def _connect(self, now: float) -> None:
        """What comes after a gap is not live at first: it may have lain there for long."""
        if not self.connected and not self._was_listed:
            self._live_from = now + self._fresh_for
            self._connected()

    def _connected(self) -> None:
        self.connected = True
        _log.info("etcd.connected", revision=self._cache.revision)

    def _touch(self, touched: Touched, *, live: bool) -> None:
        if touched.leader_gone:
            self._leader_gone()
        if self._sweeper is not None:
            self._sweeper.note(touched.targets | touched.recorded)
        if touched.expired or self._expired_told:
            self._expired_told.difference_update(one for one in touched.targets if one not in self._cache.expired)
            self._tell_expired(touched.expired)
        self._standings.touch(touched.targets, recorded=touched.recorded, live=live)
        if touched.dependencies:
            self._obey_dependencies(self._cache.snapshot())
        if touched.held:
            self._standings.touch((), recorded=unsettled_of(touched.held, self._standings.unsettled()), live=live)
        if touched.floors:
            known = self._cache.targets()
            self._standings.touch(self._standings.partitions_of(touched.floors, known), live=live)

    def _tell_expired(self, expired: set[Target]) -> None:
        unheard_of = expired - self._expired_told
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

    def _obey_dependencies(self, targets: Sequence[Target], *, everything: bool = False) -> None:
        """Go on with the published dependencies; parameters as in :meth:`Standings.exchange_graph`."""
        try:
            graph, problems = merge(self._cache.published)
        except CycleFound as error:
            problems = [f"the published dependencies close a cycle: {error}"]
        self.graph_problem = "; ".join(problems) or None
        if problems:
            _log.error("dependencies.refused", reason=self.graph_problem, remedy="the last good ones stay in force")
            if not everything:
                return
            graph = self._standings.graph
        else:
            _log.info("dependencies.loaded", pipelines=len(graph), revision=self._cache.revision)
            self._limits.obey(graph)
            self.leaves_marks = is_asked_for(graph)
        self._standings.exchange_graph(graph, targets, everything=everything)
        # What is late is decided about too: it may have left the graph.
        self._standings.touch((), recorded=self._lateness.targets(), live=False)

    def _record(self, target: Target) -> TriggerRecord | None:
        seen = self._cache.record(target)
        return seen.value if seen is not None and isinstance(seen.value, TriggerRecord) else None
