"""The reconciler: examines what a change touches, and brings every trigger to its end (design section 5).

One thread calls :meth:`Reconciler.step`. A step takes in what has arrived, examines the targets that this
touches until nothing is left to do, writes to etcd in as few transactions as possible, and lets requests out.
It holds nothing that could not be found again in etcd and the environments: a successor starts from there.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping

import structlog

from coordinator.errors import LeadershipLost
from coordinator.model.decide import Decision, Obstacle
from coordinator.model.graph import CycleFound, Graph
from coordinator.model.judgement import all_inputs
from coordinator.model.references import Target
from coordinator.model.runstate import RunState
from coordinator.model.standings import Standings
from coordinator.model.trigger import Status, TriggerRecord, dump_record
from coordinator.model.view import Standing
from coordinator.runners.port import (
    EnvironmentUnavailable,
    Foreign,
    Happened,
    NotHappened,
    ObservedRun,
    Refused,
    RunRef,
)
from coordinator.settings import WatcherSettings
from coordinator.store.keys import Keys
from coordinator.store.leadership import Leadership
from coordinator.store.port import (
    Changes,
    CreateRevisionIs,
    Delete,
    ModRevisionIs,
    Put,
    Store,
    StoreUnavailable,
)
from coordinator.store.reflector import Disconnected, Snapshot
from coordinator.watcher import records
from coordinator.watcher.cache import Cache, Touched, unsettled_of
from coordinator.watcher.clock import Clock
from coordinator.watcher.flights import Flight, Stage
from coordinator.watcher.following import Following
from coordinator.watcher.graphs import merge
from coordinator.watcher.lanes import Backoff, Effect, EffectDone, Lane, LookDone
from coordinator.watcher.looks import Answer, Looks, Ticket
from coordinator.watcher.observations import Weight, document_of, weigh
from coordinator.watcher.writes import Write, commit

Message = Snapshot | Changes | Disconnected | EffectDone | LookDone

_log = structlog.get_logger(__name__)

ETCD_RETRY = 0.5
"""Seconds before a write is tried again after etcd gave no answer."""

OWN_RUN_RETRY = 0.5
"""Seconds before a run that must end before it can be cleared is looked at again."""

_ALIVE = (Status.INTENT, Status.SENT, Status.BLOCKED)
"""Records that wait for something."""


class Reconciler:
    """See the module.

    :param leadership: the present leadership of this watcher, if it leads.
    :param who: this watcher's name, for records and reports.
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
    ) -> None:
        self._store = store
        self._keys = keys
        self._lanes = lanes
        self._leadership = leadership
        self._settings = settings
        self._clock = clock
        self._who = who
        self.cache = Cache(keys, fresh_for=settings.fresh_for)
        self.standings = Standings(Graph(), self.cache)
        self.graph_problem: str | None = None
        self.connected = False
        self.states_seen = 0
        self._live_from = 0.0
        self._term: int | None = None
        self._lost_term: int | None = None
        self._draining = False
        self._queue: dict[Target, Decision | None] = {}
        self._later: list[tuple[float, Target]] = []
        self._at_revision: list[tuple[int, Target]] = []
        self._writes: list[Write] = []
        self._flights: dict[Target, Flight] = {}
        self._retry_blocked_at: dict[Target, float] = {}
        self._looks = Looks(self.cache, lanes, timeout=settings.look_timeout)
        self._following = Following(every=settings.follow_after)
        self._backoff = Backoff(initial=settings.backoff_initial, longest=settings.backoff_max)
        self._reexamine_at = 0.0

    # -- what the service calls ------------------------------------------------------------------------------

    @property
    def leads(self) -> bool:
        """Whether this watcher decides and writes: it leads, and has read all that its predecessor wrote."""
        return self._term is not None

    def step(self, messages: Iterable[Message]) -> None:
        """Take in what has arrived and do all that can be done now."""
        for message in messages:
            self._take(message)
        now = self._clock.monotonic()
        self._check_term(now)
        if not self.leads:
            self._queue.clear()
            return
        self._flush()  # what looks brought to light comes before what is decided on it
        self._queue_due(now)
        while self._queue or self._writes:
            while self._queue:
                target, decision = next(iter(self._queue.items()))
                del self._queue[target]
                self._examine(decision or self.standings.decide(target), now)
            if not self._flush():
                break
        for target, ref in self._following.due(now):
            self._follow(target, ref, now)
        for lane in self._lanes.values():
            lane.pump(now)

    def wake_at(self) -> float | None:
        """Monotonic seconds at which time alone gives something to do."""
        if not self.leads:
            return None
        times = [lane.next_at() for lane in self._lanes.values()]
        times += [self._following.next_at(), self._later[0][0] if self._later else None, self._reexamine_at]
        return min((at for at in times if at is not None), default=None)

    def drain(self) -> None:
        """From now on start nothing new; outcomes of what is under way are still written down."""
        self._draining = True
        for lane in self._lanes.values():
            lane.forget()

    def is_drained(self) -> bool:
        """Nothing is under way any more, and its outcomes are written."""
        settled = all(flight.stage is not Stage.SETTLED for flight in self._flights.values())
        return settled and not self._writes and not any(lane.is_busy() for lane in self._lanes.values())

    def is_idle(self) -> bool:
        """Nothing is queued, being written, asked or sent; runs in flight in their environments do not count."""
        out = self._queue or self._writes or self._flights or self._at_revision
        return not out and all(lane.is_idle() for lane in self._lanes.values())

    # -- taking in -------------------------------------------------------------------------------------------

    def _take(self, message: Message) -> None:
        now = self._clock.monotonic()
        match message:
            case Snapshot():
                self._live_from = now + self._settings.fresh_for
                self._touch(self.cache.replace(message.listing))
                self._connect()
            case Changes():
                self._touch(self.cache.apply(message, now=now, live=now >= self._live_from))
                self._connect()
            case Disconnected():
                # What comes after a gap is not live: it may have lain there for long.
                self._live_from = float("inf")
                self.connected = False
                _log.warning("etcd.disconnected", reason=message.reason)
            case EffectDone():
                self._lanes[message.environment].finished(message, now)
                self._take_outcome(message, now)
            case LookDone():
                self._lanes[message.environment].finished(message, now)
                if message.error is not None:
                    _log.warning("look.failed", environment=message.environment, reason=str(message.error))
                for answer in self._looks.answered(message):
                    self._take_answer(answer)

    def _connect(self) -> None:
        if not self.connected:
            self._live_from = self._clock.monotonic() + self._settings.fresh_for
            self.connected = True
            _log.info("etcd.connected", revision=self.cache.revision)
        while self._at_revision and self._at_revision[0][0] <= self.cache.revision:
            self._queue[heapq.heappop(self._at_revision)[1]] = None

    def _touch(self, touched: Touched) -> None:
        self.states_seen += touched.states
        if touched.dependencies:
            self._rebuild_graph()
        targets = touched.targets
        if touched.held:
            targets |= unsettled_of(touched.held, self.standings.unsettled())
        self._enqueue(self.standings.refresh(targets))

    def _rebuild_graph(self) -> None:
        try:
            graph, problems = merge(self.cache.published)
        except CycleFound as error:
            self.graph_problem = f"the published dependencies close a cycle: {error}"
            _log.error("dependencies.refused", reason=self.graph_problem, remedy="the last good ones stay in force")
            return
        self.graph_problem = "; ".join(problems) or None
        if problems:
            _log.error("dependencies.refused", reason=self.graph_problem, remedy="the last good ones stay in force")
            return
        _log.info("dependencies.loaded", pipelines=len(graph), revision=self.cache.revision)
        self._enqueue(self.standings.replace_graph(graph, self.cache.targets()))

    def _enqueue(self, decisions: Iterable[Decision]) -> None:
        for decision in decisions:
            target = decision.target
            if (
                decision.standing is not Standing.SETTLED
                or self._status(target) in _ALIVE
                or self._looks.has_ticket(target)
            ):
                self._queue[target] = decision

    def _status(self, target: Target) -> Status | None:
        record = self._record(target)
        return record.status if record is not None else None

    def _record(self, target: Target) -> TriggerRecord | None:
        seen = self.cache.record(target)
        return seen.value if seen is not None and isinstance(seen.value, TriggerRecord) else None

    # -- leading ---------------------------------------------------------------------------------------------

    def _check_term(self, now: float) -> None:
        leadership = self._leadership()
        term = None
        if (
            leadership is not None
            and leadership.create_revision != self._lost_term
            and self.cache.revision >= leadership.create_revision
        ):
            term = leadership.create_revision
        if term == self._term:
            return
        self._term = term
        self._flights.clear()
        self._writes.clear()
        self._later.clear()
        self._at_revision.clear()
        self._retry_blocked_at.clear()
        self._looks.clear()
        self._following.clear()
        for lane in self._lanes.values():
            lane.forget()
        if term is None:
            _log.warning("leader.stopped")
            return
        _log.info("leader.started", term=term, revision=self.cache.revision)
        self._queue_everything(now)

    def _queue_everything(self, now: float) -> None:
        """A new leader takes over every intent, and looks at all that waits for something."""
        self._reexamine_at = now + self._settings.reexamine_every
        for target in self.standings.unsettled():
            self._queue.setdefault(target)
        for target in self.cache.targets():
            if self._status(target) in _ALIVE:
                self._queue.setdefault(target)

    def _queue_due(self, now: float) -> None:
        if now >= self._reexamine_at:
            self._queue_everything(now)
        while self._later and self._later[0][0] <= now:
            self._queue.setdefault(heapq.heappop(self._later)[1])

    def _examine_at(self, at: float, target: Target) -> None:
        heapq.heappush(self._later, (at, target))

    def _examine_at_revision(self, revision: int, targets: Iterable[Target]) -> None:
        for target in targets:
            if revision <= self.cache.revision:
                self._queue[target] = None
            else:
                heapq.heappush(self._at_revision, (revision, target))

    # -- examining -------------------------------------------------------------------------------------------

    def _examine(self, decision: Decision, now: float) -> None:
        target, record = decision.target, self._record(decision.target)
        self._watch_over(decision, record, now)
        if record is not None and record.status is Status.INTENT:
            self._bring_on(decision, record, now)
            return
        self._flights.pop(target, None)
        if record is not None and record.status is Status.SENT:
            if Obstacle.IN_FLIGHT not in decision.obstacles:
                self._write_record(target, records.done(record))
            return
        if self._draining:
            return
        if decision.ready and decision.obstacles <= {Obstacle.BLOCKED}:
            retry_at = self._retry_blocked_at.get(target, now)
            if Obstacle.BLOCKED in decision.obstacles and now < retry_at:
                self._examine_at(retry_at, target)
            else:
                self._fire(decision, record, now)
            return
        self._looks.drop(target)
        if record is not None and record.status is Status.BLOCKED and not decision.due:
            self._write_record(target, records.withdrawn(record, "it is not due any more"))

    def _fire(self, decision: Decision, record: TriggerRecord | None, now: float) -> None:
        """Look, then write the intent (design section 5, points 1 and 2)."""
        target = decision.target
        if target.pipeline.environment not in self._lanes:
            self._block_without_environment(decision, record, now)
            return
        ticket = self._looked(decision, records.existing_run_id(record), now)
        if ticket is None:
            return
        existing = None
        if ticket.own is not None:
            if not ticket.own_seen:
                # Its own environment gave no answer: nothing can be started there now.
                self._looks.drop(target)
                self._examine_at(max(self._lanes[target.pipeline.environment].not_before, now + OWN_RUN_RETRY), target)
                return
            if ticket.own_run is not None:
                if not ticket.own_run.state.is_terminal:
                    self._looks.drop(target)
                    self._examine_at(now + OWN_RUN_RETRY, target)
                    return
                existing = records.ExistingRun(ticket.own_run.run_id, ticket.own_run.queued_at)
        self._looks.drop(target)
        self._write_intent(decision, records.intend(decision, record, existing, who=self._who, when=self._clock.now()))

    def _looked(self, decision: Decision, own_run_id: str | None, now: float) -> Ticket | None:
        """The answered ticket of a decision; ``None`` while something is still to be heard or read."""
        ticket = self._looks.ticket(decision, own_run_id, now=now)
        if ticket.waiting:
            if now < ticket.deadline:
                self._examine_at(ticket.deadline, decision.target)
            return None  # past the deadline it waits for its own environment alone, whose answer wakes it
        if self.cache.revision < ticket.not_before_revision:
            self._examine_at_revision(ticket.not_before_revision, (decision.target,))
            return None
        return ticket

    def _block_without_environment(self, decision: Decision, record: TriggerRecord | None, now: float) -> None:
        target = decision.target
        reason = f"no environment {target.pipeline.environment!r} is configured; add [environments.<name>] for it"
        intent = records.intend(decision, record, None, who=self._who, when=self._clock.now())
        self._retry_blocked_at[target] = now + self._settings.blocked_retry
        self._examine_at(now + self._settings.blocked_retry, target)
        if record is None or record.last_error != reason:
            self._write_record(target, records.blocked(intent, reason))

    # -- intents and their outcomes ---------------------------------------------------------------------------

    def _write_intent(self, decision: Decision, record: TriggerRecord) -> None:
        grounds = tuple(
            ModRevisionIs(self._keys.state(target), consumed.revision) for target, consumed in decision.inputs.items()
        )

        def committed(revision: int) -> None:
            target = decision.target
            request = records.request_of(self.standings.graph, target, record)
            self._flights[target] = Flight(record, revision, request, Stage.OUT)
            self._lanes[target.pipeline.environment].start(target, request)
            _log_record("trigger.intent", target, record)

        self._write_record(decision.target, record, grounds=grounds, then=committed)

    def _write_record(
        self,
        target: Target,
        record: TriggerRecord,
        *,
        grounds: tuple[ModRevisionIs, ...] = (),
        then: Callable[[int], None] | None = None,
    ) -> None:
        seen = self.cache.record(target)

        def committed(revision: int) -> None:
            self.cache.note_record(target, record, revision)
            if then is not None:
                then(revision)
            else:
                _log_record(f"trigger.{record.status}", target, record)
            self._enqueue(self.standings.refresh((target,)))

        self._writes.append(
            Write(
                target=target,
                operation=Put(self._keys.trigger(target), dump_record(record)),
                expected=seen.revision if seen is not None else 0,
                grounds=grounds,
                committed=committed,
                lost=lambda revision: self._examine_at_revision(revision, (target,)),
            )
        )

    def _bring_on(self, decision: Decision, record: TriggerRecord, now: float) -> None:
        """Bring an intent nearer to its outcome; one without a flight is a predecessor's, or was in doubt."""
        target = decision.target
        flight = self._flights.get(target)
        lane = self._lanes.get(target.pipeline.environment)
        if lane is None:
            self._write_record(target, records.blocked(record, "its environment is not configured any more"))
            return
        if flight is None or flight.record.token != record.token:
            seen = self.cache.record(target)
            assert seen is not None
            request = records.request_of(self.standings.graph, target, record)
            flight = self._flights[target] = Flight(record, seen.revision, request, Stage.ASK)
            _log_record("trigger.taken_over", target, record)
        if now < flight.not_before:
            self._examine_at(flight.not_before, target)
            return
        if self._draining and flight.stage is not Stage.SETTLED:
            return  # a successor asks what became of it
        match flight.stage:
            case Stage.ASK:
                flight.stage = Stage.OUT
                lane.ask(target, flight.request)
            case Stage.RETHINK:
                self._rethink(decision, flight, lane, now)
            case Stage.SETTLED:
                assert flight.outcome is not None
                self._write_record(target, flight.outcome)
            case Stage.OUT:
                pass

    def _rethink(self, decision: Decision, flight: Flight, lane: Lane, now: float) -> None:
        """It is known not to have happened: decide again, and repeat it only if the decision is the same."""
        same = (
            decision.ready
            and decision.obstacles <= {Obstacle.IN_FLIGHT}
            and records.same_inputs(decision.inputs, flight.record.inputs)
        )
        if not same:
            self._settle(decision.target, flight, records.withdrawn(flight.record, "the decision has changed"))
        elif self._looked(decision, None, now) is not None:
            self._looks.drop(decision.target)
            flight.stage = Stage.OUT
            lane.start(decision.target, flight.request)

    def _settle(self, target: Target, flight: Flight, outcome: TriggerRecord) -> None:
        flight.stage, flight.outcome, flight.not_before = Stage.SETTLED, outcome, 0.0
        self._queue[target] = None

    def _take_outcome(self, message: EffectDone, now: float) -> None:
        target = message.target
        flight = self._flights.get(target)
        if flight is None or flight.record.token != message.token:
            return  # of another term, or overtaken by somebody else's write
        record = flight.record
        match message.outcome:
            case Happened(run):
                self._settle(target, flight, records.sent(record, run))
            case Foreign(run):
                self._settle(target, flight, records.adopted(record, run))
            case Refused(status, answer):
                self._retry_blocked_at[target] = now + self._settings.blocked_retry
                self._examine_at(now + self._settings.blocked_retry, target)
                self._settle(target, flight, records.blocked(record, f"{status}: {answer}"))
            case NotHappened(reason, True):
                self._settle(target, flight, records.without_run(record, reason))
            case NotHappened():
                # Asked without having tried (a takeover): think at once. Tried in vain: after a pause.
                self._pause(target, flight, Stage.RETHINK, now, failed=message.effect is Effect.START)
            case None if isinstance(message.error, EnvironmentUnavailable):
                _log_record("trigger.unanswered", target, record, reason=str(message.error))
                self._pause(target, flight, Stage.ASK, now, failed=True)
            case None if isinstance(message.error, LeadershipLost):
                self._pause(target, flight, Stage.RETHINK, now, failed=True)
            case None:
                # The environment will not even tell (credentials, rights): it may have happened. Ask again slowly.
                _log_record("trigger.unanswered", target, record, reason=str(message.error))
                flight.stage, flight.not_before = Stage.ASK, now + self._settings.blocked_retry
                self._examine_at(flight.not_before, target)

    def _pause(self, target: Target, flight: Flight, stage: Stage, now: float, *, failed: bool) -> None:
        flight.stage = stage
        if failed:
            flight.failures += 1
            flight.not_before = now + self._backoff.pause(flight.failures)
        self._examine_at(flight.not_before, target)

    # -- what environments show --------------------------------------------------------------------------------

    def _take_answer(self, answer: Answer) -> None:
        waits_for_write = False
        for subject in answer.subjects:
            if answer.run is None:
                waits_for_write |= self._run_is_gone(subject, answer.ref, answer.askers)
            else:
                waits_for_write |= self._observe(subject, answer.run, answer.askers)
        if not waits_for_write:
            for asker in answer.askers:
                self._queue[asker] = None

    def _observe(self, subject: Target, run: ObservedRun, askers: frozenset[Target]) -> bool:
        seen = self.cache.state(subject)
        in_flight = Obstacle.IN_FLIGHT in self.standings.decide(subject).obstacles
        before = run.state.is_terminal and self._following.end_seen(subject)
        weight = weigh(seen.value if seen else None, run, in_flight=in_flight, seen_before=before)
        if weight is not Weight.REPORT:
            return False
        document = document_of(run, reported_by=f"coordinator/{self._who}", observed_at=self._clock.now())
        _log.info("state.observed", pipeline=str(subject.pipeline), partition=subject.partition, state=str(run.state))
        self._write_state(subject, Put(self._keys.state(subject), document.to_value()), askers)
        return True

    def _run_is_gone(self, subject: Target, ref: RunRef, askers: frozenset[Target]) -> bool:
        """A run that was deleted is "not yet" (design section 5, point 5)."""
        record = self._record(subject)
        if (
            record is not None
            and record.status is Status.SENT
            and record.run_id == ref.run_id
            and Obstacle.IN_FLIGHT in self.standings.decide(subject).obstacles
        ):
            self._write_record(subject, records.done(record, note=f"run {ref.run_id} was deleted"))
        seen = self.cache.state(subject)
        if seen is None or not isinstance(seen.value, RunState) or seen.value.attempt.run_id != ref.run_id:
            return False
        _log.warning("state.run_deleted", pipeline=str(subject.pipeline), partition=subject.partition, run=ref.run_id)
        self._write_state(subject, Delete(self._keys.state(subject)), askers)
        return True

    def _write_state(self, subject: Target, operation: Put | Delete, askers: frozenset[Target]) -> None:
        """Report on a pipeline's behalf. It comes back through the watch: a state that is ahead of the rest of
        the cache could make a downstream look ready whose other inputs are due for the same reason."""
        seen = self.cache.state(subject)

        def known(revision: int) -> None:
            self._looks.hold_until(askers, revision)
            self._examine_at_revision(revision, askers)

        self._writes.append(
            Write(
                target=subject,
                operation=operation,
                expected=seen.revision if seen is not None else 0,
                committed=known,
                lost=known,
            )
        )

    def _watch_over(self, decision: Decision, record: TriggerRecord | None, now: float) -> None:
        """Follow what may not report, and drop what reports or matters to nobody."""
        self._following.want(decision.target, self._run_to_follow(decision, record), now=now)
        if decision.standing is Standing.STUCK and decision.judged is not None:
            for one in all_inputs(decision.judged):
                if one.mendable and one.seen is not None and isinstance(one.seen.value, RunState):
                    attempt = one.seen.value.attempt
                    if attempt.run_id is not None and attempt.queued_at is not None:
                        ref = RunRef(one.target.pipeline.dag_id, attempt.run_id)
                        self._following.want(one.target, ref, now=now)

    def _run_to_follow(self, decision: Decision, record: TriggerRecord | None) -> RunRef | None:
        dag_id = decision.target.pipeline.dag_id
        if (
            record is not None
            and record.status is Status.SENT
            and record.run_id is not None
            and Obstacle.IN_FLIGHT in decision.obstacles
        ):
            return RunRef(dag_id, record.run_id)
        seen = self.cache.state(decision.target)
        if seen is not None and isinstance(seen.value, RunState) and not seen.value.state.is_terminal:
            attempt = seen.value.attempt
            if attempt.run_id is not None and attempt.queued_at is not None:
                return RunRef(dag_id, attempt.run_id)
        return None

    def _follow(self, target: Target, ref: RunRef, now: float) -> None:
        seen = self.cache.state(target)
        failed = seen is not None and isinstance(seen.value, RunState) and seen.value.state.is_terminal
        waited_for = any(
            self.standings.standing(dependent) is Standing.STUCK
            for dependent in self.standings.graph.dependents(target)
        )
        if failed and not waited_for and self._status(target) is not Status.SENT:
            self._following.want(target, None, now=now)
        else:
            self._looks.follow(target, ref, timeout=self._settings.look_timeout)

    # -- writing -----------------------------------------------------------------------------------------------

    def _flush(self) -> bool:
        """Write what is to be written. Returns whether etcd answered."""
        writes, self._writes = self._writes, []
        if not writes or self._term is None:
            return True
        fence = CreateRevisionIs(self._keys.leader, self._term)
        try:
            commit(self._store, fence, writes)
        except LeadershipLost as error:
            _log.warning("leader.fenced", reason=str(error))
            self._lost_term = self._term
            return False
        except StoreUnavailable as error:
            # Each of them may have been written or not. The watch will tell; decide again then.
            _log.warning("etcd.unavailable", reason=str(error), writes=len(writes))
            self._looks.clear()
            at = self._clock.monotonic() + ETCD_RETRY
            for write in writes:
                self._examine_at(at, write.target)
            return False
        return True


def _log_record(event: str, target: Target, record: TriggerRecord, **more: str) -> None:
    _log.info(
        event,
        pipeline=str(target.pipeline),
        partition=target.partition,
        sequence=record.sequence,
        wave=record.wave,
        action=str(record.action),
        run_id=record.run_id,
        **({"reason": record.last_error} if record.last_error else {}),
        **more,
    )
