"""The reconciler: examines what a change touches, and sees to it that every trigger comes to its end.

One thread calls :meth:`Reconciler.step`. A step takes in what has arrived, examines the targets that this
touches until nothing is left to do, writes to etcd in as few transactions as possible, and lets requests out.
It holds nothing that could not be found again in etcd and the environments: a successor starts from there.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta

import structlog

from coordinator.errors import LeadershipLost
from coordinator.model.decide import Decision, Obstacle
from coordinator.model.dependencies import Rerun
from coordinator.model.graph import CycleFound, Graph
from coordinator.model.owners import merge
from coordinator.model.partitions import format_instant
from coordinator.model.references import Target
from coordinator.model.standings import Standings
from coordinator.model.trigger import Status, TriggerRecord
from coordinator.model.view import Standing
from coordinator.settings import RetentionSettings, WatcherSettings
from coordinator.store.keys import Keys
from coordinator.store.leadership import Leadership
from coordinator.store.port import Changes, Store
from coordinator.store.reflector import Disconnected, Snapshot
from coordinator.watcher import records
from coordinator.watcher.agenda import Agenda
from coordinator.watcher.attendance import Attendance, Attended, attended_up_to
from coordinator.watcher.cache import Cache, Touched, unsettled_of
from coordinator.watcher.catching_up import Absence, CatchingUp, Skip, is_asked_for
from coordinator.watcher.clock import Clock
from coordinator.watcher.counters import Counters
from coordinator.watcher.decision_log import DecisionLog
from coordinator.watcher.flights import Flights
from coordinator.watcher.lanes import Backoff, EffectDone, Lane, LookDone
from coordinator.watcher.lateness import Lateness
from coordinator.watcher.ledger import Ledger
from coordinator.watcher.limits import EnvironmentLimits, Limits, ages_of_starts
from coordinator.watcher.looks import Looks
from coordinator.watcher.observer import Observer
from coordinator.watcher.rechecks import Rechecks
from coordinator.watcher.retention import Sweeper
from coordinator.watcher.starter import Starter

Message = Snapshot | Changes | Disconnected | EffectDone | LookDone

_log = structlog.get_logger(__name__)

ETCD_RETRY = 0.5
"""Seconds before a write is tried again after etcd gave no answer."""

STOOD_STILL = 2.0
"""Seconds between two steps after which this watcher must have been suspended: it is called every second."""

SLICE = 32
"""Targets examined before what they gave is written and sent: under load the first request need not wait for the
last decision, and about so many records with their inputs fit into one transaction."""

_WAITING = (Status.INTENT, Status.SENT, Status.BLOCKED)
"""Records that wait for something."""


class Reconciler:
    """See the module.

    :param lanes: the ways into the environments, by name.
    :param environment_limits: what each of them bears, where it has limits.
    :param leadership: the present leadership of this watcher, if it leads.
    :param who: this watcher's name, for records and reports.
    :param leader_gone: called when the leader key has been deleted: time to campaign.
    :param may_begin: asked whether everything is prepared for a term, by the create revision of its leader key.
    :param decisions: where decisions are written down for people.
    :param retention: which old partitions to remove; ``None``: nothing is ever removed.
    """

    def __init__(
        self,
        *,
        store: Store,
        keys: Keys,
        lanes: Mapping[str, Lane],
        leadership: Callable[[], Leadership | None],
        settings: WatcherSettings,
        clock: Clock,
        who: str,
        leader_gone: Callable[[], None] = lambda: None,
        may_begin: Callable[[int], bool] = lambda _: True,
        decisions: DecisionLog | None = None,
        retention: RetentionSettings | None = None,
        environment_limits: Mapping[str, EnvironmentLimits] | None = None,
    ) -> None:
        self._lanes = lanes
        self._leader_gone = leader_gone
        self._may_begin = may_begin
        self._leadership = leadership
        self._settings = settings
        self._clock = clock
        self._who = who
        self.cache = Cache(keys, fresh_for=settings.fresh_for)
        self.standings = Standings(Graph(), self.cache, now=clock.now())
        self._rechecks = Rechecks()
        self.limits = Limits(environment_limits or {})
        self._catching_up = CatchingUp(self.standings)
        self._attendance = Attendance(store, keys, missed_after=settings.missed_after)
        self._leaves_marks = False
        self.counters = Counters()
        self._lateness = Lateness(self.counters, unsure=timedelta(seconds=2 * settings.lease_ttl))
        self.agenda = Agenda()
        self.ledger = Ledger(
            store,
            keys,
            cache=self.cache,
            standings=self.standings,
            agenda=self.agenda,
            touched=self._schedule,
            refused=self._not_written,
            decisions=decisions,
        )
        self._looks = Looks(self.cache, lanes, agenda=self.agenda, timeout=settings.look_timeout)
        self.flights = Flights(
            lanes,
            standings=self.standings,
            ledger=self.ledger,
            agenda=self.agenda,
            looked=self._looks.has_looked,
            backoff=Backoff(initial=settings.backoff_initial, longest=settings.backoff_max),
            blocked_retry=settings.blocked_retry,
        )
        self._starter = Starter(
            lanes,
            cache=self.cache,
            standings=self.standings,
            looks=self._looks,
            ledger=self.ledger,
            agenda=self.agenda,
            flights=self.flights,
            limits=self.limits,
            clock=clock,
            who=who,
        )
        self._observer = Observer(
            cache=self.cache,
            standings=self.standings,
            looks=self._looks,
            ledger=self.ledger,
            agenda=self.agenda,
            follow_after=settings.follow_after,
            look_timeout=settings.look_timeout,
            who=who,
        )
        self._sweeper = None
        if retention is not None:
            self._sweeper = Sweeper(
                store=store, keys=keys, cache=self.cache, standings=self.standings, limits=retention, clock=clock
            )
        self._expired_told: set[Target] = set()
        self._refused_until: dict[Target, float] = {}
        self.graph_problem: str | None = None
        self.connected = False
        self.states_seen = 0
        self._live_from = 0.0
        self._stepped_at = clock.monotonic()
        self._reexamine_at = 0.0
        self._term: int | None = None
        self._lost_term: int | None = None

    # -- what the service calls ------------------------------------------------------------------------------------

    @property
    def leads(self) -> bool:
        """Whether this watcher decides and writes: it leads, and has read all that its predecessor wrote."""
        return self._term is not None

    def step(self, messages: Iterable[Message]) -> None:
        """Take in what has arrived and do all that can be done now."""
        self.standings.now = self._clock.now()
        now = self._clock.monotonic()
        if now - self._stepped_at > STOOD_STILL:
            self._live_from = now + self._settings.fresh_for  # what comes in may have lain in the open watch for long
        self._stepped_at = now
        for message in messages:
            self._take(message)
        if due := self._rechecks.due(self.standings.now):
            self._schedule(self.standings.refresh(due))
        now = self._clock.monotonic()
        self._check_term(now)
        if not self.leads:
            self.agenda.drop_now()
            return
        if not self._catch_up(now):
            return
        if now >= self._reexamine_at:
            self._examine_everything(now, self.standings.unsettled())
        self._lateness.say(self.standings.decide, now=self.standings.now)
        self.agenda.pass_time(now)
        written = self._flush(now)  # what looks brought to light comes before what is decided on it
        self._let_in(now)
        while written and (self.agenda or self.ledger):
            for target, decision in itertools.islice(self.agenda.take(), SLICE):
                self._examine(decision or self.standings.decide(target), now)
            written = self._flush(now)
            self._let_in(now)
            self._pump(now)
        self._observer.ask(now)
        self._pump(now)
        self._sweep(now)

    def _sweep(self, now: float) -> None:
        """A piece of retention's work, when there is nothing better to do."""
        if self._sweeper is None or self._term is None or self.agenda or self.ledger or self.flights.draining:
            return
        try:
            self._sweeper.step(now, self._term)
        except LeadershipLost as error:
            _log.warning("leader.fenced", reason=str(error))
            self._lost_term = self._term

    def _let_in(self, now: float) -> None:
        for target in self.limits.admit(now):
            self.agenda.now(target)

    def _pump(self, now: float) -> None:
        for lane in self._lanes.values():
            lane.pump(now)

    def wake_at(self) -> float | None:
        """Monotonic seconds at which time alone gives something to do."""
        if not self.leads:
            return None
        if (next_piece := self._catching_up.next_at()) is not None:
            return next_piece  # before that nothing else is done, whatever else is due
        times = [lane.next_at() for lane in self._lanes.values()]
        times += [self.agenda.next_at(), self._observer.next_at(), self._reexamine_at, self._recheck_at()]
        times.append(self.limits.next_at())
        times.append(self._attendance.next_at() if self._leaves_marks else None)
        times.append(self._sweeper.next_at(self._clock.monotonic()) if self._sweeper is not None else None)
        return min((at for at in times if at is not None), default=None)

    def _recheck_at(self) -> float | None:
        at = self._rechecks.next_at()
        return None if at is None else self._clock.monotonic() + (at - self._clock.now()).total_seconds()

    def is_idle(self) -> bool:
        """Nothing waits to be examined, written, asked or sent. Runs on their way in Airflow do not count."""
        waits = self.agenda or self.agenda.waits_for_revision() or self.ledger or self.flights
        return not waits and all(lane.is_idle() for lane in self._lanes.values())

    def drain(self) -> None:
        """From now on start nothing new; outcomes of what is under way are still written down."""
        self.flights.draining = True
        for lane in self._lanes.values():
            lane.forget()

    def is_drained(self) -> bool:
        """Nothing is under way any more, and its outcomes are written."""
        waits = self.flights.being_written() or self.ledger
        return not waits and not any(lane.is_busy() for lane in self._lanes.values())

    # -- taking in ---------------------------------------------------------------------------------------------------

    def _take(self, message: Message) -> None:
        now = self._clock.monotonic()
        match message:
            case Snapshot():
                self._connect(now, after_a_gap=True)
                if self._sweeper is not None:
                    self._sweeper.start_over()
                touched = self.cache.replace(message.listing)
                self._expired_told.intersection_update(self.cache.expired)
                self._touch(touched)
                self.agenda.read(self.cache.revision)
            case Changes():
                self._connect(now, after_a_gap=False)
                touched = self.cache.apply(message, now=now, live=now >= self._live_from)
                if self.leads:  # what is listed, or seen while another leads, is nothing that this one has done
                    self.states_seen += touched.states
                self._touch(touched)
                self.agenda.read(self.cache.revision)
            case Disconnected():
                self.connected = False
                _log.warning("etcd.disconnected", reason=message.reason)
            case EffectDone():
                self._lanes[message.environment].finished(message, now)
                self.flights.take(message, now)
            case LookDone():
                self._lanes[message.environment].finished(message, now)
                self._observer.take(message)

    def _connect(self, now: float, *, after_a_gap: bool) -> None:
        """What comes after a gap is not live at first: it may have lain there for long."""
        if after_a_gap or not self.connected:
            self._live_from = now + self._settings.fresh_for
        if not self.connected:
            self.connected = True
            _log.info("etcd.connected", revision=self.cache.revision)

    def _touch(self, touched: Touched) -> None:
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
            targets |= unsettled_of(touched.held, self.standings.unsettled())
        if touched.floors:
            targets |= self.standings.partitions_of(touched.floors, self.cache.targets())
        self._schedule(self.standings.refreshing(targets, recorded=touched.recorded))

    def _tell_expired(self, touched: Touched) -> None:
        self._expired_told.difference_update(one for one in touched.targets if one not in self.cache.expired)
        unheard_of = touched.expired - self._expired_told
        self.counters.add(expired=len(unheard_of))
        for target in unheard_of:
            floor = self.cache.floor(target.pipeline)
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
            graph, problems = merge(self.cache.published)
        except CycleFound as error:
            problems = [f"the published dependencies close a cycle: {error}"]
        self.graph_problem = "; ".join(problems) or None
        if problems:
            _log.error("dependencies.refused", reason=self.graph_problem, remedy="the last good ones stay in force")
            return set()
        _log.info("dependencies.loaded", pipelines=len(graph), revision=self.cache.revision)
        self.limits.obey(graph)
        self._leaves_marks = is_asked_for(graph)
        # What is late is decided about too: it may have left the graph.
        return self.standings.exchange_graph(graph, self.cache.targets()) | set(self._lateness.targets())

    def _schedule(self, decisions: Iterable[Decision]) -> None:
        """Put on the agenda what may need something done; what is settled and waits for nothing does not."""
        led_by_another = not self.leads and self.cache.leader is not None
        for decision in decisions:
            self._rechecks.note((decision,))
            self._lateness.note((decision,), now=self.standings.now, under_a_leader=led_by_another)
            self.limits.note(decision)
            target = decision.target
            record = self._record(target)
            if (
                decision.standing is not Standing.SETTLED
                or (record is not None and record.status in _WAITING)
                or self._looks.has_ticket(target)
                or self.limits.knows(target)
                or decision.ignored
            ):
                self.agenda.now(target, decision)

    def _record(self, target: Target) -> TriggerRecord | None:
        seen = self.cache.record(target)
        return seen.value if seen is not None and isinstance(seen.value, TriggerRecord) else None

    # -- leading -----------------------------------------------------------------------------------------------------

    def _check_term(self, now: float) -> None:
        leadership = self._leadership()
        term = leadership.create_revision if leadership is not None else None
        if term is not None and (term == self._lost_term or term > self.cache.revision):
            term = None
        if term is not None and self._term is None and not self._may_begin(term):
            term = None
        if term == self._term:
            return
        self._term = term
        for part in (self.agenda, self.ledger, self.flights, self._looks, self._observer, self._catching_up):
            part.clear()
        self.limits.forget_waiting()
        self._refused_until.clear()
        if self._sweeper is not None:
            self._sweeper.clear()
        for lane in self._lanes.values():
            lane.forget()
            lane.term = term
        if term is None:
            _log.warning("leader.stopped")
            return
        _log.info("leader.started", term=term, revision=self.cache.revision)
        if self.limits.has_rates:
            self.limits.recall(ages_of_starts(self.cache, self.standings.now), now)
        attended = attended_up_to(self.cache.attended, present=term)
        missed_before = self.standings.now - timedelta(seconds=self._settings.missed_after)
        self._catching_up.begin(Absence(after=attended, until=term, before=missed_before))
        self._attendance.begin_term()
        self._examine_everything(now, self.standings.unsettled_by_age())

    def _catch_up(self, now: float) -> bool:
        """Give up what was missed and is not to be made up for. Whether that is done: nothing starts before."""
        if self.flights.draining:
            return True
        if not self._catching_up.give_up(lambda skips: self._write_skips(skips, now), now=now):
            return False
        if self._leaves_marks and self._term is not None:
            attended = Attended(self.cache.revision, self._clock.now())
            try:
                self._attendance.mark(attended, term=self._term, now=now)
            except LeadershipLost as error:
                _log.warning("leader.fenced", reason=str(error))
                self._lost_term = self._term
                return False
        return True

    def _write_skips(self, skips: Sequence[Skip], now: float) -> bool:
        for skip in skips:
            self._skip(skip.decision, skip.reason, then=lambda _: self.counters.add(skipped_catching_up=1))
        targets = [skip.decision.target for skip in skips]
        return self._flush(now) and all(self.cache.record(one) or self._catching_up.is_refused(one) for one in targets)

    def _skip(self, decision: Decision, reason: str, *, then: Callable[[int], None]) -> None:
        record = self._record(decision.target)
        skipped = records.skipped(decision, record, reason, who=self._who, when=self._clock.now())
        self.ledger.record(decision.target, skipped, then=then)

    def _examine_everything(self, now: float, unsettled: Iterable[Target]) -> None:
        """All that waits for something: what a new leader takes over, and what might have been overlooked."""
        self._reexamine_at = now + self._settings.reexamine_every
        for target in unsettled:
            self.agenda.now(target)
        for target in self.cache.targets():
            record = self._record(target)
            if record is not None and (record.status in _WAITING or record.skipped or self._ignores(target)):
                self.agenda.now(target)

    def _flush(self, now: float) -> bool:
        """Write what is to be written. Returns whether to go on deciding."""
        if self._term is None:
            return False
        try:
            unknown = self.ledger.flush(self._term)
        except LeadershipLost:
            self._lost_term = self._term
            return False
        if unknown:
            self._looks.clear()  # what they saw may not have been written
        for target in unknown:
            self.agenda.at(now + ETCD_RETRY, target)
        return not unknown

    # -- examining ---------------------------------------------------------------------------------------------------

    def _examine(self, decision: Decision, now: float) -> None:
        target, record = decision.target, self._record(decision.target)
        self._observer.watch_over(decision, record, now)
        if not (decision.ready and decision.obstacles <= {Obstacle.BLOCKED}):
            self.limits.leave(target)
        if record is not None and record.status is Status.INTENT:
            self.flights.bring_on(decision, record, now)
            return
        self.flights.drop(target)
        if record is not None and record.status is Status.SENT:
            if Obstacle.IN_FLIGHT not in decision.obstacles:
                self.ledger.record(target, records.done(record))
        elif self.flights.draining:
            pass
        elif decision.skips:
            assert decision.due_by is not None
            reason = f"it is late: it was due by {format_instant(decision.due_by)}"
            self._skip(decision, reason, then=lambda _: self.counters.add(skipped_late=1))
        elif decision.ignored and record is not None and not decision.obstacles:
            self.ledger.record(target, records.ignored(record, decision.inputs), decision=decision)
        elif decision.ready and decision.obstacles <= {Obstacle.BLOCKED}:
            retry_at = self._refused_until.get(target, now)
            if Obstacle.BLOCKED in decision.obstacles:
                retry_at = max(retry_at, self.flights.blocked_until(target))
            if now < retry_at:
                self.agenda.at(retry_at, target)
            else:
                self._refused_until.pop(target, None)
                self._starter.start(decision, record, now, came_in=self._came_in(decision))
        else:
            self._looks.drop(target)
            if record is not None and record.status is Status.BLOCKED and not decision.due:
                self.ledger.record(target, records.withdrawn(record, "it is not due any more"))

    def _came_in(self, decision: Decision) -> bool:
        """Whether it became due while this watcher led: by a completion, or an order, that came since."""
        assert self._term is not None
        return max((used.revision for used in decision.inputs.values()), default=decision.order) > self._term

    def _not_written(self, target: Target) -> None:
        """etcd refuses to write something about it."""
        self._catching_up.refuse(target)
        self.limits.leave(target)
        self._refused_until[target] = self._clock.monotonic() + self._settings.blocked_retry
        self.agenda.at(self._refused_until[target], target)

    def _ignores(self, target: Target) -> bool:
        node = self.standings.graph.node(target.pipeline)
        return node is not None and node.downstream.rerun is Rerun.IGNORE
