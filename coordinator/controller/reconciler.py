"""The core of the service, without threads: handles messages, and sees to it that every trigger ends.

One thread calls :meth:`Reconciler.step`. A step handles messages, examines some of the targets in the work queue,
writes to etcd in as few transactions as possible, and sends requests. It examines at most :data:`SLICE` targets, so
that messages that arrive meanwhile are handled soon. Everything that it keeps can be found again in etcd and in the
environments: a successor starts from there.

To *examine* a target means to take its next step (:mod:`coordinator.model.lifecycle`). The way of one run::

    etcd -> inbox -> event handling (cache) -> model.propagation (decide) -> work queue -> examiner
         -> model.lifecycle (next step) -> reconcile -> ledger -> writer -> dispatcher -> outcome -> work queue
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import chain

import structlog

from coordinator.controller.building import Options, build
from coordinator.controller.clock import Clock
from coordinator.controller.dispatch.dispatchers import Dispatchers
from coordinator.controller.dispatch.jobs import ChangesSeen, Effect, EffectDone, LookDone
from coordinator.controller.leading.catching_up import Skip
from coordinator.controller.measures import Measures
from coordinator.controller.messages import Message
from coordinator.controller.queue.work_queue import Priority
from coordinator.model.references import Target
from coordinator.store.keys import Keys
from coordinator.store.leadership import Leadership
from coordinator.store.port import Store

_log = structlog.get_logger(__name__)

SLICE = 32
"""Targets examined in one step. About so many records with their inputs fit into one transaction, and a live target
waits no longer than that for its turn."""

SWEEP_EVERY = 1.0
"""Seconds after which retention gets a turn although there is other work."""


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
        parts = build(
            store=store, keys=keys, dispatchers=dispatchers, leadership=leadership, clock=clock, options=options
        )
        self.counters = parts.counters
        self.queue = parts.queue
        self.cache = parts.cache
        self.propagation = parts.propagation
        self.ledger = parts.ledger
        self.reconcile = parts.reconcile
        self.breakage = parts.breakage
        self.environment_poller = parts.environment_poller
        self.asset_states = parts.asset_states
        self._clock = clock
        self._dispatchers = dispatchers
        self._checks = parts.checks
        self._trigger_log = parts.trigger_log
        self._observer = parts.observer
        self._sweeper = parts.sweeper
        self._rechecks = parts.rechecks
        self._lateness = parts.lateness
        self._timeouts = parts.timeouts
        self._events = parts.events
        self._catching_up = parts.catching_up
        self._heartbeat = parts.heartbeat
        self._term = parts.term
        self._postponed = parts.postponed
        self._examiner = parts.examiner
        self._writer = parts.writer
        self._review = parts.review
        self._measuring = parts.measuring
        self._answers: deque[EffectDone | LookDone | ChangesSeen] = deque()
        self._reexamine_every = options.settings.reexamine_every
        self._reexamine_at = 0.0
        self._swept_at = 0.0
        self._reads_assets_up_to = 0

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
        self._measuring.note_queue(now)
        return self._events.leader_gone or self._term.is_lost

    def wake_at(self) -> float | None:
        """Monotonic seconds at which the passing of time gives something to do."""
        catches_up = self._catching_up.next_at() is not None and not self._takes_updates()
        waits_for_etcd = self.leads and self.propagation.is_drained and catches_up
        if self._answers or (not self._events.is_done and not waits_for_etcd):
            return self._clock.monotonic()
        if not self.leads:
            return None
        writes = self._writer.retry_at if self.queue or self.ledger else None
        if self.reconcile.draining:
            return writes  # while draining, nothing else waits for a time
        if (next_piece := self._catching_up.next_at()) is not None:
            return next_piece  # nothing else is done before that, whatever is due
        times = [
            writes,
            self._writer.retry_at if self._review else None,
            self._dispatchers.next_at(),
            self.queue.next_at(),
            self._checks.next_at(),
            self._observer.next_at(),
            self._timeouts.next_at(),
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
        own_runs = self.reconcile.own_runs.problems(self._clock.monotonic())
        return of_environments | dict(self._observer.problems) | dict(own_runs)

    def measures(self) -> Measures:
        """Its state in numbers. Any thread may ask."""
        return self._measuring.measures()

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
                    part = self._timeouts if message.effect is Effect.STOP else self.reconcile
                    part.answered(message, now)
                except Exception as error:  # noqa: BLE001 - it is logged, and shown
                    self.breakage.contain(message.target, error, now)
            else:
                self._observer.take(message)

    def _begin_or_end_term(self, now: float) -> None:
        for part in (
            self.queue,
            self.ledger,
            self.reconcile,
            self._observer,
            self._timeouts,
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
            self._timeouts.ask(now)
            self.environment_poller.ask(now)
        self._pump(now)
        if (term := self._term.number) is not None and not self._term.is_lost:
            self._term.fenced(lambda: self.environment_poller.write_cursors(term, now))
        self._sweep(now)

    def _work(self, now: float) -> None:
        """Examine targets from the queue, until none is left or there are enough for one step."""
        enough = SLICE
        written = self._writer.flush(now)  # states that looks have shown are written before decisions that use them
        self._admit(now)
        self._postponed.requeue_final()
        while written and enough and (self.queue or self.ledger):
            for target, decision in self.queue.take(enough):
                enough -= 1
                self._examiner.examine(target, decision, now)
            written = self._writer.flush(now)
            self._pump(now)
            self._events.propagate()
            self._admit(now)

    def _pump(self, now: float) -> None:
        if not self._term.is_lost:
            for target, token in self._dispatchers.pump(now, known_revision=self.ledger.known_revision):
                self.reconcile.not_sent(target, token)

    def _admit(self, now: float) -> None:
        for target, priority in self._dispatchers.admit(now):
            self.queue.add(target, priority, first=True)

    def _examine_everything(self, now: float, unsettled: Iterable[Target]) -> None:
        """Examine all targets that wait for something: a new leader takes them over, and none may be overlooked."""
        self._reexamine_at = now + self._reexamine_every
        self.queue.outdate_all()  # a mistake in what was kept must not last
        self.propagation.recount()
        for target in chain(unsettled, self.cache.waits.waiting()):
            self.queue.add(target, Priority.CATCHUP)
        self._review.begin()

    def _has_caught_up(self, now: float) -> bool:
        """Whether everything that was missed has been given up. Giving up a target changes what is due below it, which
        is decided about before anything else is given up."""
        if self._catching_up and not (self._has_taken_in_assets(now) and self.propagation.is_drained):
            return False
        return self._term.has_caught_up(
            lambda skips: self._write_skips(skips, now), writes_heartbeats=self._events.writes_heartbeats, now=now
        )

    def _has_taken_in_assets(self, now: float) -> bool:
        """Whether the asset events that came while nobody led are in the states of their assets: what waits for them
        was missed, too."""
        if self.asset_states.has_backlog():
            self.asset_states.step(now)
            self._writer.flush(now)
            self._reads_assets_up_to = self.ledger.known_revision
            self._catching_up.read_up_to(self._reads_assets_up_to)
        return self.cache.revision >= self._reads_assets_up_to and not self.asset_states.has_backlog()

    def _takes_updates(self) -> bool:
        return self._catching_up.takes_updates(self.cache.revision)

    def _write_skips(self, skips: Sequence[Skip], now: float) -> bool:
        for skip in skips:
            self.reconcile.give_up(skip, counts="skipped_catching_up")
        targets = [skip.decision.target for skip in skips]
        written = self._writer.flush(now)
        return written and all(self.cache.record(one) or self._catching_up.is_refused(one) for one in targets)

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
