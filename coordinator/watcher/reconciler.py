"""The reconciler: examines what a change touches, and sees to it that every trigger comes to its end.

One thread calls :meth:`Reconciler.step`. A step takes in what has arrived, examines some of the targets that are to be
examined, writes to etcd in as few transactions as possible, and lets requests out. It is short, however much there is
to do (:data:`SLICE`): what arrives meanwhile is taken in before the next one.
It holds nothing that could not be found again in etcd and the environments: a successor starts from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta

import structlog

from coordinator.model.decide import Decision, Obstacle
from coordinator.model.graph import Graph
from coordinator.model.references import Target
from coordinator.model.standings import Standings
from coordinator.model.trigger import TriggerRecord
from coordinator.settings import RetentionSettings, WatcherSettings
from coordinator.store.keys import Keys
from coordinator.store.leadership import Leadership
from coordinator.store.port import Store
from coordinator.watcher.agenda import Agenda
from coordinator.watcher.attendance import Attendance
from coordinator.watcher.breakage import RETRY, Breakage
from coordinator.watcher.cache import Cache
from coordinator.watcher.catching_up import CatchingUp, Skip
from coordinator.watcher.clock import Clock
from coordinator.watcher.counters import Counters
from coordinator.watcher.decision_log import DecisionLog
from coordinator.watcher.examiner import Examiner
from coordinator.watcher.flights import Flights
from coordinator.watcher.intake import Intake, Message
from coordinator.watcher.lanes import Backoff, Lane
from coordinator.watcher.lateness import Lateness
from coordinator.watcher.ledger import Ledger
from coordinator.watcher.limits import EnvironmentLimits, Limits, ages_of_starts
from coordinator.watcher.looks import Looks
from coordinator.watcher.observer import Observer
from coordinator.watcher.pace import Pace
from coordinator.watcher.postponed import Postponed
from coordinator.watcher.rechecks import Rechecks
from coordinator.watcher.retention import Sweeper
from coordinator.watcher.review import Review
from coordinator.watcher.rooms import Rooms
from coordinator.watcher.starter import Starter
from coordinator.watcher.term import Term

__all__ = ["ETCD_RETRY", "SLICE", "Message", "Reconciler"]

_log = structlog.get_logger(__name__)

ETCD_RETRY = 0.5
"""Seconds before a write is tried again after etcd gave no answer."""

SLICE = 32
"""Targets examined in one step. About so many records with their inputs fit into one transaction, and what is fresh
waits no longer than that for its turn."""


class Reconciler:
    """See the module.

    :param lanes: the ways into the environments, by name.
    :param environment_limits: what each of them bears, where it has limits.
    :param leadership: the present leadership of this watcher, if it leads.
    :param who: this watcher's name, for records and reports.
    :param leader_gone: called when the leader key has been deleted, or is another's: time to campaign, or to find out.
    :param may_begin: asked whether everything is prepared for a term, by the create revision of its leader key.
    :param decisions: where decisions are written down for people.
    :param retention: which old partitions to remove; ``None``: nothing is ever removed.
    :param pace: how much is taken in and decided about in one step.
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
        pace: Pace | None = None,
    ) -> None:
        self._lanes = lanes
        self._clock = clock
        self._reexamine_every = settings.reexamine_every
        self.counters = Counters()
        self.breakage = Breakage(self.counters)
        self.agenda = Agenda()
        self.cache = Cache(keys, fresh_for=settings.fresh_for)
        self.standings = Standings(Graph(), self.cache, now=clock.now())
        self.limits = Limits(environment_limits or {})
        self._rechecks = Rechecks()
        self._rooms = Rooms(lanes)
        self._lateness = Lateness(self.counters, unsure=timedelta(seconds=2 * settings.lease_ttl))
        pace = pace or Pace()
        self._catching_up = CatchingUp(self.standings, pace)
        self._attendance = Attendance(store, keys, missed_after=settings.missed_after)
        self._term = Term(
            leadership=leadership,
            may_begin=may_begin,
            cache=self.cache,
            standings=self.standings,
            catching_up=self._catching_up,
            attendance=self._attendance,
            clock=clock,
            missed_after=settings.missed_after,
            lost=leader_gone,
        )
        self.ledger = Ledger(
            store,
            keys,
            cache=self.cache,
            standings=self.standings,
            agenda=self.agenda,
            refused=self._not_written,
            decisions=decisions,
        )
        self._looks = Looks(self.cache, lanes, agenda=self.agenda, timeout=settings.look_timeout)
        self.flights = Flights(
            lanes,
            standings=self.standings,
            ledger=self.ledger,
            agenda=self.agenda,
            looks=self._looks,
            backoff=Backoff(initial=settings.backoff_initial, longest=settings.backoff_max),
            blocked_retry=settings.blocked_retry,
        )
        self._starter = Starter(
            lanes,
            cache=self.cache,
            standings=self.standings,
            looks=self._looks,
            ledger=self.ledger,
            flights=self.flights,
            limits=self.limits,
            rooms=self._rooms,
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
        self._examiner = Examiner(
            cache=self.cache,
            agenda=self.agenda,
            ledger=self.ledger,
            looks=self._looks,
            flights=self.flights,
            starter=self._starter,
            observer=self._observer,
            counters=self.counters,
            term=lambda: self._term.number,
            blocked_retry=settings.blocked_retry,
        )
        self._sweeper = None
        if retention is not None:
            self._sweeper = Sweeper(
                store=store, keys=keys, cache=self.cache, standings=self.standings, limits=retention, clock=clock
            )
        self._intake = Intake(
            lanes,
            cache=self.cache,
            standings=self.standings,
            agenda=self.agenda,
            rechecks=self._rechecks,
            lateness=self._lateness,
            limits=self.limits,
            rooms=self._rooms,
            looks=self._looks,
            flights=self.flights,
            observer=self._observer,
            sweeper=self._sweeper,
            counters=self.counters,
            settings=settings,
            leads=lambda: self.leads,
            leader_gone=leader_gone,
            now=clock.monotonic(),
            pace=pace,
            breakage=self.breakage,
        )
        self._postponed = Postponed(self.standings)
        self._review = Review(self.cache, self.standings)
        self._reexamine_at = 0.0
        self._write_at = 0.0

    # -- what the service calls ------------------------------------------------------------------------------------

    @property
    def leads(self) -> bool:
        """Whether this watcher decides and writes: it leads, and has read all that its predecessor wrote."""
        return self._term.number is not None

    @property
    def connected(self) -> bool:
        """Whether the watch is alive."""
        return self._intake.connected

    @property
    def is_behind(self) -> bool:
        """Whether it has more to take in than it can just now: what else etcd tells should wait."""
        return self._intake.is_behind

    @property
    def is_reading(self) -> bool:
        """Whether it is reading a listing: its cache stands between two worlds."""
        return self._intake.is_reading

    @property
    def has_decided(self) -> bool:
        """Whether everything that has arrived is taken in and decided about."""
        return self._intake.is_done

    @property
    def graph_problem(self) -> str | None:
        """Why the newest dependencies are not obeyed; the last good ones are."""
        return self._intake.graph_problem

    @property
    def states_seen(self) -> int:
        """Changes of run states that came while this watcher led."""
        return self._intake.states_seen

    def step(self, messages: Iterable[Message], *, lag: float = 0.0) -> None:
        """Take in what has arrived, and do some of what can be done now; :meth:`wake_at` tells when to go on.

        :param lag: seconds since the oldest of what etcd tells was read.
        """
        self.standings.now = self._clock.now()
        self._intake.begin_step(self._clock.monotonic(), lag=lag)
        for message in messages:
            self._intake.take(message, self._clock.monotonic())
        self._intake.let_time_decide()
        self._intake.go_on(self._clock.monotonic(), takes_updates=not self._catching_up)
        now = self._clock.monotonic()
        if self._term.changes(is_ready=self._intake.is_caught_up):
            self._begin_or_end_term(now)
        if not self.leads:
            self.agenda.drop_now()
            return
        if self._intake.is_reading:
            return
        if not self.flights.draining and not self._has_caught_up(now):
            return
        if now >= self._reexamine_at and not self.flights.draining:
            self._examine_everything(now, self.standings.unsettled())
        self._lateness.say(self.standings, now=self.standings.now)
        self.agenda.pass_time(now)
        self._work(now)
        for target in self._review.piece():
            self.agenda.backlog(target)
        self._observer.ask(now)
        self._pump(now)
        self._sweep(now)

    def wake_at(self) -> float | None:
        """Monotonic seconds at which time alone gives something to do."""
        waits_for_etcd = self.leads and self.standings.is_drained and self._catching_up.next_at() is not None
        if not self._intake.is_done and not waits_for_etcd:
            return self._clock.monotonic()
        if not self.leads:
            return None
        if self.flights.draining:
            return self._write_at if self.agenda or self.ledger else None  # for nothing else there is a moment any more
        if (next_piece := self._catching_up.next_at()) is not None:
            return next_piece  # before that nothing else is done, whatever else is due
        times = [lane.next_at() for lane in self._lanes.values()]
        times += [self.agenda.next_at(), self._observer.next_at(), self._reexamine_at, self._recheck_at()]
        times.append(self._write_at if self.agenda or self.ledger or self._review else None)
        times.append(self.limits.next_at())
        times.append(self._attendance.next_at() if self._intake.leaves_marks else None)
        times.append(self._sweeper.next_at(self._clock.monotonic()) if self._sweeper is not None else None)
        return min((at for at in times if at is not None), default=None)

    def is_idle(self) -> bool:
        """Nothing waits to be examined, written, asked or sent. Runs on their way in Airflow do not count."""
        if not self._intake.is_done or self._postponed:
            return False
        waits = self.agenda or self.agenda.waits_for_revision() or self.ledger or self.flights or self._review
        return not waits and all(lane.is_idle() for lane in self._lanes.values())

    def drain(self) -> None:
        """From now on start nothing new; outcomes of what is under way are still written down."""
        self.flights.draining = True
        self.agenda.clear()  # a successor examines everything
        self._review.clear()
        self._postponed.clear()
        for lane in self._lanes.values():
            lane.forget()
        for target in self.flights.targets():
            self.agenda.now(target)

    def is_drained(self) -> bool:
        """Nothing is under way any more, and its outcomes are written."""
        waits = self.flights.being_written() or self.ledger
        return not waits and not any(lane.is_busy() for lane in self._lanes.values())

    # -- the parts of a step ---------------------------------------------------------------------------------------

    def _begin_or_end_term(self, now: float) -> None:
        for part in (
            self.agenda,
            self.ledger,
            self.flights,
            self._rooms,
            self._observer,
            self._catching_up,
            self._review,
            self._postponed,
        ):
            part.clear()
        self._looks.forget()
        self._examiner.clear()
        self.limits.forget_waiting()
        if self._sweeper is not None:
            self._sweeper.clear()
        for lane in self._lanes.values():
            lane.forget()
            lane.term = self._term.number
        if not self.leads:
            _log.warning("leader.stopped")
            return
        if self.limits.has_rates:
            self.limits.recall(ages_of_starts(self.cache, self.standings.now), now)
        self._term.begin()
        self._examine_everything(now, self.standings.unsettled_by_age())

    def _has_caught_up(self, now: float) -> bool:
        """Whether what was missed has been given up. What is given up changes what is due below it: that is decided
        about before anything else is given up."""
        if self._catching_up and not self.standings.is_drained:
            return False
        return self._term.has_caught_up(
            lambda skips: self._write_skips(skips, now), leaves_marks=self._intake.leaves_marks, now=now
        )

    def _work(self, now: float) -> None:
        """Examine what is to be examined, until nothing is left or it is enough for one step."""
        enough = SLICE
        written = self._flush(now)  # what looks brought to light comes before what is decided on it
        self._let_in(now)
        for target, fresh in self._postponed.take_final():
            self.agenda.resume(target, fresh=fresh)
        while written and enough and (self.agenda or self.ledger):
            for target, decision in self.agenda.take(enough):
                enough -= 1
                if self.standings.is_final(target) or self.flights.has_outcome(target):
                    self._examine(target, decision or self.standings.decide(target), now)
                else:
                    self._postponed.add(target, fresh=self.agenda.took_fresh)
            written = self._flush(now)
            self._intake.propagate()
            self._let_in(now)
            self._pump(now)

    def _examine(self, target: Target, decision: Decision, now: float) -> None:
        """A mistake about one target does not stop the others."""
        if Obstacle.BROKEN in decision.obstacles and not self.flights.has_outcome(target):
            if target not in self.breakage:
                self.standings.touch((), recorded=(target,))  # what depends on it must see that it is stuck
            return
        try:
            self._examiner.examine(decision, now)
        except Exception as error:  # noqa: BLE001 - it is logged, and shown
            self.breakage.note(target, error)
            self.agenda.at(now + RETRY, target, patient=True)
        else:
            self.breakage.forget(target)

    def _pump(self, now: float) -> None:
        if not self._term.is_lost:
            self.flights.pump(now)

    def _let_in(self, now: float) -> None:
        for target in self.limits.admit(now):
            self.agenda.now(target)
        for target, fresh in self._rooms.admit():
            self.agenda.resume(target, fresh=fresh)

    def _examine_everything(self, now: float, unsettled: Iterable[Target]) -> None:
        """All that waits for something: what a new leader takes over, and what might have been overlooked."""
        self._reexamine_at = now + self._reexamine_every
        self.standings.recount()
        for target in unsettled:
            self.agenda.backlog(target)
        self._review.begin()

    def _write_skips(self, skips: Sequence[Skip], now: float) -> bool:
        for skip in skips:
            seen = self.cache.record(skip.decision.target)
            record = seen.value if seen is not None and isinstance(seen.value, TriggerRecord) else None
            self._starter.give_up(
                skip.decision, record, skip.reason, then=lambda _: self.counters.add(skipped_catching_up=1)
            )
        targets = [skip.decision.target for skip in skips]
        return self._flush(now) and all(self.cache.record(one) or self._catching_up.is_refused(one) for one in targets)

    def _flush(self, now: float) -> bool:
        """Write what is to be written. Returns whether to go on deciding."""
        if (term := self._term.number) is None:
            return False
        unknown: list[Target] = []
        if not self._term.fenced(lambda: unknown.extend(self.ledger.flush(term))):
            self._write_at = now + ETCD_RETRY
            return False
        if unknown:
            self._looks.clear()  # what they saw may not have been written
            self._write_at = now + ETCD_RETRY
        for target in unknown:
            self.agenda.at(now + ETCD_RETRY, target)
        return not unknown

    def _sweep(self, now: float) -> None:
        """A piece of retention's work, when there is nothing better to do."""
        sweeper, term = self._sweeper, self._term.number
        if sweeper is None or term is None or self.agenda or self.ledger or self.flights.draining:
            return
        if not self._intake.is_done:
            return
        self._term.fenced(lambda: sweeper.step(now, term))

    def _recheck_at(self) -> float | None:
        at = self._rechecks.next_at()
        return None if at is None else self._clock.monotonic() + (at - self._clock.now()).total_seconds()

    def _not_written(self, target: Target) -> None:
        """etcd refuses to write something about it."""
        self._catching_up.refuse(target)
        self._examiner.refuse(target, self._clock.monotonic())
