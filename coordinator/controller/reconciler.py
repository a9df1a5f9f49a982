"""The core of the service, without threads: handles messages, and sees to it that every trigger ends.

One thread calls :meth:`Reconciler.step`. A step handles messages, examines some of the targets in the work queue,
writes to etcd in as few transactions as possible, and sends requests. It examines at most :data:`SLICE` targets, so
that messages that arrive meanwhile are handled soon. Everything that it keeps can be found again in etcd and in the
environments: a successor starts from there.

To *examine* a target means to take its next step (:mod:`coordinator.model.lifecycle`). The way of one run::

    etcd -> inbox -> event handling (cache) -> model.propagation (decide) -> work queue
         -> model.lifecycle (next step) -> reconcile -> ledger -> dispatcher -> outcome -> work queue
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import chain

import structlog

from coordinator.config.settings import RetentionSettings, WatcherSettings
from coordinator.controller.backoff import Backoff
from coordinator.controller.clock import Clock
from coordinator.controller.counters import Counters
from coordinator.controller.decision_log import DecisionLog
from coordinator.controller.dispatch.dispatchers import Dispatchers
from coordinator.controller.dispatch.jobs import ChangesSeen, EffectDone, LookDone
from coordinator.controller.leading.catching_up import CatchingUp, Skip
from coordinator.controller.leading.term import Term
from coordinator.controller.measures import Measures
from coordinator.controller.messages import Message
from coordinator.controller.pace import Pace
from coordinator.controller.queue.postponed import Postponed
from coordinator.controller.queue.rechecks import Rechecks
from coordinator.controller.queue.work_queue import Priority, WorkQueue
from coordinator.controller.reconcile.asset_states import AssetStates
from coordinator.controller.reconcile.breakage import RETRY_BROKEN_AFTER, Breakage
from coordinator.controller.reconcile.environment_poller import EnvironmentPoller, Polling
from coordinator.controller.reconcile.event_handling import EventHandler
from coordinator.controller.reconcile.lateness import Lateness
from coordinator.controller.reconcile.ledger import Ledger
from coordinator.controller.reconcile.observer import Observer
from coordinator.controller.reconcile.reconcile import Policy, Reconcile
from coordinator.controller.reconcile.review import Review
from coordinator.controller.reconcile.scheduling import Scheduling
from coordinator.controller.reconcile.task_observer import TaskObserver
from coordinator.controller.reconcile.trigger_log import TriggerLog
from coordinator.controller.reconcile.upstream_checks import Checks
from coordinator.controller.reconcile.waits import WaitController
from coordinator.controller.retention.sweeper import Sweeper
from coordinator.controller.state.cache import Cache
from coordinator.controller.state.heartbeat import HeartbeatWriter
from coordinator.controller.writes import (
    RETRY_AFTER,
    Lost,
    RecordWrite,
    Result,
    StateWrite,
    Unanswered,
    WaitWrite,
    Write,
    WriteRefused,
    Written,
)
from coordinator.errors import LeadershipLost
from coordinator.model.decide import Decision, Obstacle
from coordinator.model.graph import Graph
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.publishing.publication import Publication
from coordinator.model.references import Target
from coordinator.model.trigger import Status, TriggerRecord
from coordinator.model.view import Readiness, readable_record
from coordinator.model.waits import WaitStatus
from coordinator.store.keys import Keys
from coordinator.store.leadership import Leadership
from coordinator.store.port import Store

_log = structlog.get_logger(__name__)

SLICE = 32
"""Targets examined in one step. About so many records with their inputs fit into one transaction, and a live target
waits no longer than that for its turn."""

SWEEP_EVERY = 1.0
"""Seconds after which retention gets a turn although there is other work."""


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a watcher.

    :ivar who: its name, for records and reports.
    :ivar observed: the names of the environments in which nothing reports.
    :ivar retention: which old partitions to remove; ``None``: nothing is ever removed.
    :ivar decisions: the decision log; ``None``: there is none.
    :ivar may_begin: returns whether everything is prepared for a term, given the create revision of its leader key.
    :ivar pace: how much is handled and decided about in one step.
    """

    settings: WatcherSettings
    who: str
    observed: frozenset[str] = frozenset()
    retention: RetentionSettings | None = None
    decisions: DecisionLog | None = None
    may_begin: Callable[[int], bool] = field(default=lambda _: True)
    pace: Pace = field(default_factory=Pace)


class Reconciler:
    """See the module.

    :param leadership: the present leadership of this watcher, if it leads.
    """

    def __init__(
        self,
        *,
        store: Store,
        keys: Keys,
        dispatchers: Dispatchers,
        leadership: Callable[[], Leadership | None],
        clock: Clock,
        options: Options,
    ) -> None:
        settings, who = options.settings, options.who
        self._clock = clock
        self._settings = settings
        self._dispatchers = dispatchers
        self.counters = Counters()
        self.queue = WorkQueue()
        self.cache = Cache(keys, fresh_for=settings.fresh_for)
        self.propagation = Propagation(Graph(), self.cache, now=clock.now())
        self.breakage = Breakage(self.counters)
        self.ledger = Ledger(store, keys, self.cache, who=who)
        self._trigger_log = TriggerLog(self.counters, self.cache, clock, options.decisions)
        self._checks = Checks(self.cache, self.propagation, dispatchers, self.queue, timeout=settings.look_timeout)
        self.reconcile = Reconcile(
            self.propagation,
            self.cache,
            queue=self.queue,
            dispatchers=dispatchers,
            checks=self._checks,
            ledger=self.ledger,
            policy=Policy(
                who=who,
                clock=clock,
                backoff=Backoff(initial=settings.backoff_initial, longest=settings.backoff_max),
                blocked_retry=settings.blocked_retry,
                log=self._trigger_log,
            ),
        )
        tasks = TaskObserver(self.cache, self.ledger, every=settings.follow_tasks_after)
        self._waits = WaitController(
            self.propagation,
            self.cache,
            checks=self._checks,
            ledger=self.ledger,
            queue=self.queue,
            tasks=tasks,
            every=settings.follow_after,
        )
        self._observer = Observer(
            self.propagation,
            self.cache,
            checks=self._checks,
            ledger=self.ledger,
            tasks=tasks,
            waits=self._waits,
            every=settings.follow_after,
        )
        self.environment_poller = EnvironmentPoller(
            self.cache,
            store=store,
            keys=keys,
            dispatchers=dispatchers,
            ledger=self.ledger,
            polling=Polling(options.observed, settings.observe_every, settings.observe_idle),
        )
        self.asset_states = AssetStates(self.propagation, self.cache, self.ledger)
        self._sweeper = None
        if options.retention is not None:
            self._sweeper = Sweeper(
                store=store,
                keys=keys,
                cache=self.cache,
                propagation=self.propagation,
                limits=options.retention,
                clock=clock,
            )
        self._rechecks = Rechecks()
        self._lateness = Lateness(self.counters, unsure=timedelta(seconds=2 * settings.lease_ttl))
        self._events = EventHandler(
            self.cache,
            self.propagation,
            queue=self.queue,
            scheduling=Scheduling(
                self.propagation,
                self.queue,
                waits=self.cache.waits,
                reconcile=self.reconcile,
                dispatchers=dispatchers,
                rechecks=self._rechecks,
                lateness=self._lateness,
                breakage=self.breakage,
            ),
            readers=[self.asset_states, *([self._sweeper] if self._sweeper is not None else [])],
            counters=self.counters,
            pace=options.pace,
        )
        self._answers: deque[EffectDone | LookDone | ChangesSeen] = deque()
        self._postponed = Postponed(self.propagation)
        self._catching_up = CatchingUp(self.propagation, options.pace)
        self._heartbeat = HeartbeatWriter(store, keys, missed_after=settings.missed_after)
        self._term = Term(
            leadership=leadership,
            may_begin=options.may_begin,
            cache=self.cache,
            propagation=self.propagation,
            catching_up=self._catching_up,
            heartbeat=self._heartbeat,
            missed_after=settings.missed_after,
        )
        self._review = Review(self.cache, self.propagation)
        self._reexamine_at = 0.0
        self._write_at = 0.0
        self._swept_at = 0.0
        self._queue_empty_at = clock.monotonic()
        self._answered = True

    # -- what the service calls ------------------------------------------------------------------------------------

    @property
    def leads(self) -> bool:
        """Whether this watcher writes and sends: it is the leader, and has read everything that its predecessor
        wrote."""
        return self._term.number is not None

    @property
    def connected(self) -> bool:
        """Whether the watch is alive."""
        return self._events.connected

    @property
    def is_behind(self) -> bool:
        """Whether it has more updates than it can handle just now, so that further ones should wait."""
        return self._events.is_behind

    @property
    def is_reading(self) -> bool:
        """Whether it is reading a listing or a graph: until that is done it does nothing else."""
        return self._events.is_reading

    @property
    def has_decided(self) -> bool:
        """Whether everything that has arrived is handled and decided about."""
        return self._events.is_done

    @property
    def graph_problem(self) -> str | None:
        """Why the newest dependencies are not used; the last good ones stay in force."""
        return self._events.graph_problem

    @property
    def states_seen(self) -> int:
        """Changes of run states that came while this watcher led."""
        return self._events.states_seen

    def step(self, messages: Iterable[Message], *, lag: float = 0.0) -> bool:
        """Handle messages, and do some of what can be done now; :meth:`wake_at` tells when to go on.

        :param lag: seconds since the oldest of the updates among the messages was read from etcd.
        :returns: whether the leader key was deleted, or belongs to another watcher: time to campaign, or to find out.
        """
        try:
            return self._step(messages, lag)
        finally:
            self._trigger_log.flush()

    def _step(self, messages: Iterable[Message], lag: float) -> bool:
        self.propagation.now = self._clock.now()
        self._events.begin_step(self._clock.monotonic(), lag=lag, leads=self.leads)
        for message in messages:
            if isinstance(message, EffectDone | LookDone | ChangesSeen):
                self._answers.append(message)
            else:
                self._events.take(message)
        if not self._events.is_reading:
            self._take_answers(self._clock.monotonic())
            if due := self._rechecks.due(self.propagation.now):
                self.propagation.touch((), recorded=due)
        self._events.go_on(self._clock.monotonic(), takes_updates=self._takes_updates())
        now = self._clock.monotonic()
        if self._term.changes(is_ready=self._events.is_caught_up):
            self._begin_or_end_term(now)
        if not self.leads:
            self.queue.drop_ready()
        elif not self._events.is_reading:
            self._lead(now)
        if not self.queue:
            self._queue_empty_at = now
        return self._events.leader_gone or self._term.is_lost

    def wake_at(self) -> float | None:
        """Monotonic seconds at which the passing of time gives something to do."""
        catches_up = self._catching_up.next_at() is not None and not self._takes_updates()
        waits_for_etcd = self.leads and self.propagation.is_drained and catches_up
        if self._answers or (not self._events.is_done and not waits_for_etcd):
            return self._clock.monotonic()
        if not self.leads:
            return None
        writes = self._write_at if self.queue or self.ledger else None
        if self.reconcile.draining:
            return writes  # while draining, nothing else waits for a time
        if (next_piece := self._catching_up.next_at()) is not None:
            return next_piece  # nothing else is done before that, whatever is due
        times = [
            writes,
            self._write_at if self._review else None,
            self._dispatchers.next_at(),
            self.queue.next_at(),
            self._checks.next_at(),
            self._observer.next_at(),
            self.environment_poller.next_at(),
            self.asset_states.next_at(),
            self._reexamine_at,
            self._recheck_at(),
            self._heartbeat.next_at() if self._events.writes_heartbeats else None,
            self._sweeper.next_at(self._clock.monotonic()) if self._sweeper is not None else None,
        ]
        return min((at for at in times if at is not None), default=None)

    def is_idle(self) -> bool:
        """Whether nothing waits to be examined, written, asked or sent. Runs that go on in Airflow do not count."""
        if not self._events.is_done or self._postponed or self._answers:
            return False
        waits = self.queue or self.queue.waits_for_revision() or self.ledger or self.reconcile.requests or self._review
        return not waits and self._dispatchers.is_idle()

    def problems(self) -> dict[str, str]:
        """What environments have shown to be wrong, and no key in etcd, by place. Any thread may ask."""
        of_environments = {f"environment {name}": what for name, what in self.environment_poller.problems().items()}
        return of_environments | dict(self._observer.problems)

    def measures(self) -> Measures:
        """Its state in numbers. Any thread may ask."""
        unsettled = self.propagation.unsettled_readiness()
        stuck = [target for target, readiness in unsettled if readiness is Readiness.STUCK]
        records = (readable_record(self.cache.record(target)) for target in stuck)
        published = {owner: one.value for owner, one in list(self.cache.published.items())}
        now, waits, cursors = self._clock.now(), self.cache.waits.values(), dict(self.cache.cursors)
        environments = self._dispatchers.measures()
        waiting_since = [one.since for one in waits if one.status is WaitStatus.WAITING and one.since is not None]
        return Measures(
            queue=self.queue.depths(),
            queue_age=self._clock.monotonic() - self._queue_empty_at if self.queue else 0.0,
            unsettled={"busy": len(unsettled) - len(stuck), "stuck": len(stuck)},
            blocked=sum(record is not None and record.status is Status.BLOCKED for record in records),
            late=len(self._lateness),
            held=self.cache.held,
            publications={owner: one.version for owner, one in published.items() if isinstance(one, Publication)},
            sensors={str(answer): sum(one.status is answer for one in waits) for answer in WaitStatus},
            longest_wait=max((now - min(waiting_since)).total_seconds(), 0.0) if waiting_since else 0.0,
            unobserved={name: (now - cursors[name]).total_seconds() for name in environments if name in cursors},
            environments=environments,
        )

    def drain(self) -> None:
        """From now on start nothing new; outcomes of requests that are under way are still written."""
        self.reconcile.draining = True
        self.queue.clear()  # a successor examines everything
        self._review.clear()
        self._postponed.clear()
        self._dispatchers.forget()
        for target in self.reconcile.requests.targets():
            self.queue.add(target)

    def is_drained(self) -> bool:
        """Whether no request is under way any more, and all outcomes are written."""
        return not (self.reconcile.requests.being_written() or self.ledger or self._dispatchers.is_busy())

    # -- the parts of a step ---------------------------------------------------------------------------------------

    def _take_answers(self, now: float) -> None:
        """Handle the answers of environments. Not while a listing is read: the cache is incomplete then."""
        while self._answers:
            message = self._answers.popleft()
            if isinstance(message, ChangesSeen):
                if self.leads:
                    self.environment_poller.take(message, now)
                continue
            if (dispatcher := self._dispatchers.get(message.environment)) is not None:
                dispatcher.finished(message, now)
            if isinstance(message, EffectDone):
                try:
                    self.reconcile.answered(message, now)
                except Exception as error:  # noqa: BLE001 - it is logged, and shown
                    self._contain(message.target, error, now)
            else:
                self._observer.take(message)

    def _begin_or_end_term(self, now: float) -> None:
        for part in (
            self.queue,
            self.ledger,
            self.reconcile,
            self._observer,
            self._catching_up,
            self._review,
            self._postponed,
        ):
            part.clear()
        self.breakage.begin_term()
        if self._sweeper is not None:
            self._sweeper.clear()
        number = self._term.number
        self._dispatchers.begin_term(number, self.cache, now=now, at=self.propagation.now)
        self.reconcile.term = number or 0
        if number is None:
            _log.warning("leader.stopped")
            return
        self.reconcile.ask_from = now + self._term.predecessor_may_send_for()
        self._term.begin()
        self.environment_poller.begin_term(now)
        self._observer.begin_term(now)
        self.asset_states.start_over()
        self._examine_everything(now, self.propagation.unsettled_by_age())

    def _lead(self, now: float) -> None:
        draining = self.reconcile.draining
        if not draining and not self._has_caught_up(now):
            return
        if now >= self._reexamine_at and not draining:
            self._examine_everything(now, self.propagation.unsettled())
        self._lateness.say(self.propagation)
        self.asset_states.step(now)
        self.queue.pass_time(now)
        self._checks.pass_time(now)
        self._work(now)
        for target in self._review.piece():
            self.queue.add(target, Priority.CATCHUP)
        self._observer.ask(now)
        if not draining:
            self.environment_poller.ask(now)
        self._pump(now)
        if (term := self._term.number) is not None and not self._term.is_lost:
            self._term.fenced(lambda: self.environment_poller.write_cursors(term, now))
        self._sweep(now)

    def _work(self, now: float) -> None:
        """Examine targets from the queue, until none is left or there are enough for one step."""
        enough = SLICE
        written = self._flush(now)  # states that looks have shown are written before decisions that use them
        self._admit(now)
        for target, priority in self._postponed.take_final():
            self.queue.add(target, priority, first=True)
        while written and enough and (self.queue or self.ledger):
            for target, decision in self.queue.take(enough):
                enough -= 1
                self._examine(target, decision, now)
            written = self._flush(now)
            self._pump(now)
            self._events.propagate()
            self._admit(now)

    def _examine(self, target: Target, decision: Decision | None, now: float) -> None:
        """Do what is to be done about a target. A mistake about one does not stop the others.

        :param decision: the newest one, if it was kept; ``None``: it is made again.
        """
        if self.breakage.waits(target, now):
            return  # it is in the queue for then
        try:
            if target in self.cache.waits:
                self._observer.examine_wait(target, now)
            elif not self.reconcile.conclude(target, self._record(target)):
                if not self.propagation.is_final(target):
                    self._postponed.add(target, self.queue.took)
                    return
                decision = decision or self.propagation.decide(target)
                if Obstacle.BROKEN in decision.obstacles:
                    if target not in self.breakage:
                        self.propagation.touch((), recorded=(target,))  # what depends on it must see that it is stuck
                    self.reconcile.stop(target)
                    return
                self._act_on(decision, now)
        except Exception as error:  # noqa: BLE001 - it is logged, and shown
            self._contain(target, error, now)
        else:
            self.breakage.forget(target, acted=True)

    def _act_on(self, decision: Decision, now: float) -> None:
        """Do what a decision about a target asks for, unless it has still to be given up."""
        target = decision.target
        if (skip := self._catching_up.to_be_given_up(target)) is not None and not self.reconcile.draining:
            if not self.reconcile.is_put_off(target, now):
                self._give_up(skip)
            return
        record = self._record(target)
        self._observer.follow(decision, record, now)
        self.reconcile.examine(decision, record, now)
        if self.reconcile.is_waiting(target):
            self.queue.keep(decision)  # for when its turn, or the answer, comes

    def _contain(self, target: Target, error: Exception, now: float) -> None:
        """Try again later. Meanwhile the target gives up its slot, which others need."""
        self.breakage.contain(target, error, until=now + RETRY_BROKEN_AFTER)
        self.reconcile.stop(target)
        self.queue.add(target, Priority.CATCHUP, after=now + RETRY_BROKEN_AFTER)

    def _pump(self, now: float) -> None:
        if not self._term.is_lost:
            for target, token in self._dispatchers.pump(now, known_revision=self.ledger.known_revision):
                self.reconcile.not_sent(target, token)

    def _admit(self, now: float) -> None:
        for target, priority in self._dispatchers.admit(now):
            self.queue.add(target, priority, first=True)

    def _examine_everything(self, now: float, unsettled: Iterable[Target]) -> None:
        """Examine all targets that wait for something: a new leader takes them over, and none may be overlooked."""
        self._reexamine_at = now + self._settings.reexamine_every
        self.queue.outdate_all()  # a mistake in what was kept must not last
        self.propagation.recount()
        for target in chain(unsettled, self.cache.waits.waiting()):
            self.queue.add(target, Priority.CATCHUP)
        self._review.begin()

    def _has_caught_up(self, now: float) -> bool:
        """Whether everything that was missed has been given up. Giving up a target changes what is due below it, which
        is decided about before anything else is given up."""
        if self._catching_up and not self.propagation.is_drained:
            return False
        return self._term.has_caught_up(
            lambda skips: self._write_skips(skips, now), writes_heartbeats=self._events.writes_heartbeats, now=now
        )

    def _takes_updates(self) -> bool:
        return self._catching_up.takes_updates(self.cache.revision)

    def _write_skips(self, skips: Sequence[Skip], now: float) -> bool:
        for skip in skips:
            self._give_up(skip)
        targets = [skip.decision.target for skip in skips]
        return self._flush(now) and all(self.cache.record(one) or self._catching_up.is_refused(one) for one in targets)

    def _give_up(self, skip: Skip) -> None:
        record = self._record(skip.decision.target)
        self.reconcile.give_up(skip.decision, record, skip.reason, counts="skipped_catching_up")

    def _sweep(self, now: float) -> None:
        """Do a piece of retention's work: when there is no other work, and now and then under any load."""
        sweeper, term = self._sweeper, self._term.number
        if sweeper is None or term is None or self.ledger or self.reconcile.draining or not self._events.is_done:
            return
        if self.queue and now < self._swept_at + SWEEP_EVERY:
            return
        self._swept_at = now
        self._term.fenced(lambda: sweeper.step(now, term))

    def _recheck_at(self) -> float | None:
        at = self._rechecks.next_at()
        return None if at is None else self._clock.monotonic() + (at - self._clock.now()).total_seconds()

    def _record(self, target: Target) -> TriggerRecord | None:
        return readable_record(self.cache.record(target))

    # -- writing ---------------------------------------------------------------------------------------------------

    def _flush(self, now: float) -> bool:
        """Write what is in the ledger. Returns whether to go on examining."""
        if (term := self._term.number) is None:
            return False
        self._answered = True
        try:
            for write, result in self.ledger.flush(term):
                try:
                    self._came_of(write, result, now)
                except Exception as error:  # noqa: BLE001 - it is logged, and shown
                    self._contain(write.target, error, now)
        except LeadershipLost as error:
            self._term.lose(error)
            self._answered = False
        if not self._answered:
            self._write_at = now + RETRY_AFTER
        return self._answered

    def _came_of(self, write: Write, result: Result, now: float) -> None:
        target, subject = write.target, write.subject
        match result, subject:
            case Written(revision), RecordWrite():
                self._recorded(target, subject, revision, now)
            case ((Written(revision) | Lost(revision)), StateWrite(askers)):
                self._checks.hold_until(askers, revision)
                for asker in askers:
                    self.queue.add(asker, after_revision=revision)
            case Lost(revision), WaitWrite():
                self.queue.add(target, after_revision=revision)
            case Written(), WaitWrite():
                pass
            case Lost(revision), RecordWrite():
                self._catching_up.read_up_to(revision)
                self.queue.add(target, after_revision=revision)
            case WriteRefused(reason), _:
                _log.error("etcd.refused", pipeline=str(target.pipeline), partition=target.partition, reason=reason)
                self.cache.problems.note(write.operation.key, f"etcd refuses to write it: {reason}")
                self._catching_up.refuse(target)
                for asker in subject.askers if isinstance(subject, StateWrite) else (target,):
                    self._refused(asker, write, now)
            case Unanswered(reason), _:
                if self._answered:
                    _log.warning("etcd.unavailable", reason=reason)
                    self._checks.clear()  # a state that they saw may not have been written
                self._answered = False
                self.queue.add(target, after=now + RETRY_AFTER)
                self._wake(subject, now + RETRY_AFTER)

    def _refused(self, waiting: Target, write: Write, now: float) -> None:
        """etcd refuses to write a state that a target waits for. The observation of its input counts nevertheless: the
        target is not started on the older state in etcd. Its own run that has ended is another case: it would be seen
        again after each pause."""
        if waiting == write.target and self._checks.own_run_has_ended(waiting):
            self.queue.add(waiting, after=now + RETRY_AFTER)
        else:
            self._checks.drop(waiting)
            self.reconcile.refused_by_etcd(waiting, now)

    def _recorded(self, target: Target, write: RecordWrite, revision: int, now: float) -> None:
        # The cache gets it at once: that can only make more targets look busy.
        self.cache.note_record(target, write.record, revision)
        self.queue.outdate(target)
        if write.record.status is not Status.INTENT or self.propagation.readiness(target) is not Readiness.BUSY:
            self.propagation.touch((), recorded=(target,))
        # Otherwise it was due and is in flight now: busy as before, so nothing depends on it again.
        self.reconcile.written(target, write.record, now)
        self._trigger_log.written(target, write, revision)
        if write.counts is not None:
            self.counters.add(**{write.counts: 1})

    def _wake(self, subject: RecordWrite | StateWrite | WaitWrite, at: float) -> None:
        if isinstance(subject, StateWrite):
            for asker in subject.askers:
                self.queue.add(asker, after=at)
