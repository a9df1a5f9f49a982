"""A watcher process on virtual time: what ``watcher.service`` is around the reconciler, each thread as events.

Everything that decides or writes is the real thing: reconciler, dispatchers, candidate, reflector. A process can be
killed, or stand still, between any two events and at the points inside of them that :class:`Points` names.
"""

from __future__ import annotations

import enum
import random
import sys
from collections import deque
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, cast

from coordinator.config.publication import PublicationSettings
from coordinator.controller.building import Options
from coordinator.controller.dispatch.dispatcher import EnvironmentLimits
from coordinator.controller.dispatch.dispatchers import Dispatchers
from coordinator.controller.dispatch.jobs import ChangesSeen, EffectDone, LookDone
from coordinator.controller.inbox import Inbox
from coordinator.controller.leading.dag_checks import DagChecks
from coordinator.controller.leading.guarding import refuse_unless_leading
from coordinator.controller.leading.publisher import Publisher, Writer
from coordinator.controller.leading.watched_file import WatchedFile
from coordinator.controller.messages import Message
from coordinator.controller.pace import Pace
from coordinator.controller.reconciler import Reconciler
from coordinator.model.publishing.guard import Known
from coordinator.model.publishing.owners import CENTRAL_OWNER
from coordinator.model.references import PipelineRef
from coordinator.store.election import Callbacks, Candidate
from coordinator.store.memory import MemoryStore, MemoryWatch
from coordinator.store.port import Census, Changes, Committed, KeyValue, Listing, Page, StoreUnavailable, Transaction
from coordinator.store.presence import read_presence
from coordinator.store.reflector import Disconnected, Reflector
from tests.simulation.history import UNSEEN, PromiseBroken

if TYPE_CHECKING:
    from tests.simulation.stage import Stage

TICK = 1.0
"""As the service: so often it looks around at least."""

PACES = (1, 3, 5000, 5000)
"""How much is taken in and decided about in one step; in most plays, all of it."""

REQUEST_TIMEOUT = 5.0
LEASE = 10


class Point(enum.StrEnum):
    """Where a process can be killed or stand still, besides between two events
    (docs/architecture.md#firing-exactly-once).
    """

    BEFORE_COMMIT = "before commit"
    AFTER_COMMIT = "after commit"
    BEFORE_REQUEST = "before request"
    AFTER_REQUEST = "after request"
    BEFORE_KEEPALIVE = "before keepalive"


class Killed(BaseException):
    """``kill -9``: nothing of the process catches this."""

    def __init__(self, process: WatcherProcess) -> None:
        super().__init__(process.name)
        self.process = process


class _CutWatch(MemoryWatch):
    """A watch over a line that may be cut."""

    process: WatcherProcess

    def receive(self, timeout: float) -> Changes | None:
        self.process.reach_etcd()
        return super().receive(timeout)


class ProcessStore(MemoryStore):
    """This process's client of etcd."""

    def __init__(self, process: WatcherProcess, stage: Stage) -> None:
        super().__init__(stage.etcd)
        self._process = process
        self._stage = stage

    def list(
        self, prefix: str, *, through: str = "", revision: int = 0, largest: Callable[[str], int] | None = None
    ) -> Listing:
        self._process.reach_etcd()
        return super().list(prefix, through=through, revision=revision, largest=largest)

    def pages(self, prefix: str, *, pinned: bool = False) -> Iterator[Page]:
        self._process.reach_etcd()
        return super().pages(prefix, pinned=pinned)

    def census(self, prefix: str, *, newer_than: int) -> Census:
        self._process.reach_etcd()
        return super().census(prefix, newer_than=newer_than)

    def get(self, key: str, *, revision: int = 0) -> KeyValue | None:
        self._process.reach_etcd()
        return super().get(key, revision=revision)

    def watch(self, prefix: str, *, from_revision: int) -> MemoryWatch:
        self._process.reach_etcd()
        watch = _CutWatch(self._stage.etcd, prefix, from_revision)
        watch.process = self._process
        return watch

    def grant_lease(self, ttl: int) -> int:
        self._process.reach_etcd()
        return super().grant_lease(ttl)

    def refresh_lease(self, lease: int, *, quorum_key: str) -> int:
        self._stage.pass_point(self._process, Point.BEFORE_KEEPALIVE)
        self._process.reach_etcd()
        return super().refresh_lease(lease, quorum_key=quorum_key)

    def revoke_lease(self, lease: int) -> None:
        self._process.reach_etcd()
        super().revoke_lease(lease)

    def commit(self, transaction: Transaction) -> Committed:
        if not any(self._stage.is_ledger_key(operation.key) for operation in transaction.then):
            self._process.reach_etcd()
            answer = super().commit(transaction)
            if answer.succeeded:
                self._stage.etcd_changed()
            return answer
        self._stage.pass_point(self._process, Point.BEFORE_COMMIT)
        self._process.reach_etcd()
        fault = self._stage.faults.of_commit(transaction)
        if fault == "not written":
            raise StoreUnavailable("no answer")
        leads = self._stage.leads(self._process)
        answer = super().commit(transaction)
        if answer.succeeded:
            self._stage.witness(self._process, transaction, answer, leads=leads)
        self._stage.pass_point(self._process, Point.AFTER_COMMIT)
        if fault == "written":
            raise StoreUnavailable("no answer")
        return answer


class _AllThere:
    """Every environment has every DAG."""

    def known(self, pipelines: Collection[PipelineRef]) -> Known:
        del pipelines
        return Known()


class _Pool:
    """Threads of one kind for one environment: so many jobs at once."""

    def __init__(self, process: WatcherProcess, size: int) -> None:
        self._process = process
        self._free = size
        self._waiting: deque[Callable[[], EffectDone | LookDone | ChangesSeen]] = deque()

    def submit(self, job: Callable[[], EffectDone | LookDone | ChangesSeen]) -> None:
        self._waiting.append(job)
        self._next()

    def _next(self) -> None:
        if self._free and self._waiting:
            self._free -= 1
            job = self._waiting.popleft()
            self._process.after(self._process.stage.latency("thread"), lambda: self._run(job))

    def _run(self, job: Callable[[], EffectDone | LookDone | ChangesSeen]) -> None:
        stage = self._process.stage
        stage.answer_after = stage.latency("answer")
        message = job()
        self._process.after(stage.answer_after, lambda: self._answered(message))

    def _answered(self, message: EffectDone | LookDone | ChangesSeen) -> None:
        self._process.post(message)
        self._free += 1
        self._next()


class WatcherProcess:
    """See the module.

    :ivar host: where it runs, and its file is.
    :ivar publisher: of that file, if there is one.
    :ivar frozen_until: monotonic seconds; it stands still until then.
    :ivar cut_until: etcd cannot be reached from here until then.
    :ivar deaf_until: what the watch delivers is not read until then.
    """

    def __init__(self, stage: Stage, name: str, host: int) -> None:
        self.stage = stage
        self.name = name
        self.host = host
        self.alive = True
        self.frozen_until = self.cut_until = self.deaf_until = 0.0
        self._busy_until = 0.0
        self._is_inside = False
        self._read_to: list[tuple[float, int]] = []
        self._deferred: list[Callable[[], None]] = []
        clock, settings = stage.watchers_clock, stage.settings
        store = ProcessStore(self, stage)
        self._inbox = Inbox(bound=sys.maxsize, clock=clock.monotonic)  # nobody could wait for room
        self._wake_at = self._read_at = self._candidate_at = float("inf")
        self._effects = {name: _Pool(self, stage.plan.limit) for name in stage.airflows}
        self._looks = {name: _Pool(self, 1) for name in stage.airflows}
        self.candidate = Candidate(
            store,
            stage.keys,
            watcher_id=name,
            ttl=LEASE,
            clock=clock.monotonic,
            callbacks=Callbacks(on_change=self._wake),
        )
        self._reflector = Reflector(
            store, stage.keys.root, backoff=lambda failures: min(2.0, 0.1 * 2.0**failures), clock=clock.monotonic
        )
        limits = EnvironmentLimits(
            requests=stage.plan.limit,
            request_timeout=REQUEST_TIMEOUT,
            max_runs_in_flight=stage.plan.runs_in_flight,
            max_starts_per_minute=stage.plan.starts_per_minute,
        )
        dispatchers = Dispatchers.make(
            {environment: stage.runner(self, environment) for environment in stage.airflows},
            dict.fromkeys(stage.airflows, limits),
            settings=settings,
            executor=self,
            guard=self._guard,
            now=clock.now,
        )
        by_seed = random.Random(f"pace {stage.plan.seed}").choice(PACES)
        self.reconciler = Reconciler(
            store=store,
            keys=stage.keys,
            dispatchers=dispatchers,
            leadership=self.candidate.leadership,
            clock=clock,
            options=Options(
                settings=settings,
                who=name,
                observed=frozenset(stage.plan.observed),
                retention=stage.retention,
                may_begin=lambda term: self.publisher is None or self.publisher.may_begin(term),
                pace=Pace(units=stage.plan.pace or by_seed, seconds=float("inf")),
            ),
        )
        self.publisher = self._publisher(store) if stage.rollout is not None else None
        self._campaign()
        self._read_soon(0.0)

    @property
    def knows(self) -> int:
        """The etcd revision up to which it has read."""
        return self.reconciler.cache.revision

    @property
    def knew(self) -> int:
        """The etcd revision up to which it had read a good while ago."""
        then = self.stage.clock.seconds - UNSEEN
        return max((revision for at, revision in self._read_to if at <= then), default=0)

    # -- what the stage does to it -----------------------------------------------------------------------------------

    def die(self) -> None:
        self.alive = False

    def freeze(self, seconds: float) -> None:
        self.frozen_until = max(self.frozen_until, self.stage.clock.seconds + seconds)

    def stand_still(self, seconds: float) -> None:
        """It is frozen in the middle of something, and all the others go on meanwhile."""
        self.freeze(seconds)
        self._is_inside = True
        self.stage.clock.run_until(self.frozen_until, stop=lambda: not self.alive)
        self._is_inside = False
        deferred, self._deferred = self._deferred, []
        for event in deferred:
            self.stage.clock.after(0.0, event)

    def thaw(self) -> None:
        """Everything that it suffers from is over."""
        self.frozen_until = self.cut_until = self.deaf_until = 0.0

    def reach_etcd(self) -> None:
        """:raises StoreUnavailable: it cannot be reached just now."""
        if self.stage.clock.seconds < max(self.cut_until, self.stage.etcd_away_until):
            raise StoreUnavailable("connection refused")

    def hear(self, lag: float) -> None:
        """Something has changed in etcd."""
        self._read_soon(lag)

    # -- the executor's port -----------------------------------------------------------------------------------------

    def effect(self, environment: str, job: Callable[[], EffectDone]) -> None:
        self._effects[environment].submit(job)

    def look(self, environment: str, job: Callable[[], LookDone | ChangesSeen]) -> None:
        self._looks[environment].submit(job)

    # -- its threads -------------------------------------------------------------------------------------------------

    def after(self, pause: float, event: Callable[[], None]) -> None:
        """As ``Clockwork.after``, for something that this process does: not while it stands still, not once dead."""

        def happens() -> None:
            if not self.alive:
                return
            if self._is_inside:
                self._deferred.append(happens)
            elif self.stage.clock.seconds < self.frozen_until:
                self.stage.clock.at(self.frozen_until + 0.0001, happens)
            else:
                event()

        self.stage.clock.after(pause, happens)

    def post(self, message: Message) -> None:
        if isinstance(message, EffectDone | LookDone | ChangesSeen) and "unexpectedly" in str(message.error):
            raise PromiseBroken("nothing raises", str(message.error))
        if isinstance(message, EffectDone | LookDone | ChangesSeen):
            self._inbox.put_answer(message)
        else:
            self._inbox.put_update(message)
        self._wake()

    def _wake(self) -> None:
        self._turn_at(max(self.stage.clock.seconds + self.stage.latency("thread"), self._busy_until))

    def _turn_at(self, when: float) -> None:
        if when < self._wake_at:
            self._wake_at = when
            self.after(when - self.stage.clock.seconds, lambda: self._turn(when))

    def _turn(self, when: float) -> None:
        if when != self._wake_at:
            return  # another turn was due before
        self._wake_at = float("inf")
        self._publish()
        messages = self._inbox.take(0.0, updates=not self.reconciler.is_behind)
        if self.reconciler.step(messages, lag=self._inbox.lag):
            self._campaign()
        self._refuse_mistakes()
        if self.reconciler.leads and self.stage.leads(self):
            self.stage.history.led.append((self.name, self.stage.clock.seconds, self.knows))
        if not self._read_to or self._read_to[-1][1] != self.knows:
            self._read_to.append((self.stage.clock.seconds, self.knows))
        wake_at = self.reconciler.wake_at()
        now = self.stage.clock.seconds
        self._busy_until = now + self.stage.plan.step_lasts
        if not self._inbox.is_empty():
            wake_at = now
        self._turn_at(now + TICK if wake_at is None else min(now + TICK, max(self._busy_until, wake_at)))

    def _publisher(self, store: ProcessStore) -> Publisher:
        stage = self.stage
        assert stage.rollout is not None
        return Publisher(
            WatchedFile(stage.rollout.files[self.host], set(stage.airflows)),
            owner=CENTRAL_OWNER,
            cache=self.reconciler.cache,
            settings=PublicationSettings(resume_within=stage.resume_within),
            checks=cast(DagChecks, _AllThere()),
            writer=Writer(store, stage.keys, self.name, stage.watchers_clock),
        )

    def _publish(self) -> None:
        """As the service does before each step."""
        if self.publisher is None or self.reconciler.is_reading:
            return
        leadership = self.candidate.leadership() if self.reconciler.leads else None
        term = leadership.create_revision if leadership is not None else None
        self.publisher.take_turn(term=term, connected=self.reconciler.connected)

    def _refuse_mistakes(self) -> None:
        """Mistakes are contained, and counted wide conditions are decided about again: neither may happen here."""
        for problem in self.reconciler.breakage.problems().items():
            raise PromiseBroken("nothing raises", " ".join(problem))
        if self.reconciler.counters.miscounted:
            raise PromiseBroken("counts are those of the decision", f"{self.reconciler.counters.miscounted} were not")

    def _read_soon(self, pause: float) -> None:
        when = max(self.stage.clock.seconds + pause, self.deaf_until)
        if when < self._read_at:
            self._read_at = when
            self.after(when - self.stage.clock.seconds, lambda: self._read(when))

    def _read(self, when: float) -> None:
        if when != self._read_at:
            return
        self._read_at = float("inf")
        if self.stage.clock.seconds < self.deaf_until:
            self._read_soon(0.0)
            return
        while (update := self._reflector.step(0)) is not None:
            self.post(update)
            if isinstance(update, Disconnected):
                self._read_soon(self._reflector.retry_in)
                return
        self._read_soon(3.0)

    def _campaign(self) -> None:
        self._step_candidate_at(self.stage.clock.seconds)

    def _step_candidate_at(self, when: float) -> None:
        if when < self._candidate_at:
            self._candidate_at = when
            self.after(when - self.stage.clock.seconds, lambda: self._step_candidate(when))

    def _step_candidate(self, when: float) -> None:
        if when != self._candidate_at:
            return
        self._candidate_at = float("inf")
        self._step_candidate_at(self.stage.clock.seconds + max(0.01, self.candidate.step()))

    def _guard(self, seconds: float, term: int | None) -> None:
        self.stage.pass_point(self, Point.BEFORE_REQUEST)
        refuse_unless_leading(self.candidate.leadership(), seconds=seconds, term=term)


def leader_of(value: bytes) -> str:
    """Whose leader key this is."""
    return read_presence(value).id
