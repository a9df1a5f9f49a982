"""The real watcher with an etcd in memory, environments that answer at once, and a manual clock.

Only the reconciler's own time is counted, without that of etcd and of the environments.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from benchmarks.scaling.ring import ENVIRONMENTS, HISTORY, KEYS, past_attempt
from coordinator.config.watcher import WatcherSettings
from coordinator.controller.building import Options
from coordinator.controller.dispatch.dispatcher import EnvironmentLimits
from coordinator.controller.dispatch.dispatchers import Dispatchers
from coordinator.controller.dispatch.jobs import ChangesSeen, EffectDone, LookDone
from coordinator.controller.messages import Message
from coordinator.controller.reconciler import Reconciler
from coordinator.model.partitions.instants import partition_of_run
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunStateDocument, State
from coordinator.model.trigger import Action
from coordinator.runners.port import (
    NO_TASKS,
    Changed,
    EnvironmentReport,
    Happened,
    ListPlace,
    Looked,
    NotHappened,
    ObservedRun,
    ObservedTask,
    Outcome,
    Permit,
    RequestRefused,
    Runner,
    RunOrTask,
    RunRef,
    StartRequest,
)
from coordinator.store.leadership import HeldLease, Leadership
from coordinator.store.memory import MemoryEtcd, MemoryStore
from coordinator.store.port import Changes, Committed, Put, Store, Transaction
from coordinator.store.reflector import Snapshot

HARDLY_EVER = 3e7
FOR_EVER = 1e12
START = datetime(2027, 1, 1, tzinfo=UTC)
PASSING = 0.001
"""Seconds that a step takes by the manual clock."""

IN_FLIGHT = 32
"""Requests to one environment at once."""


class HandClock:
    """A manual clock, so that freshness and looks are the same on every machine."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)


class InstantEnvironment(Runner):
    """Starts every run at once. It knows the runs of the history without keeping them.

    :param queued: collects the runs that it has started; ``None``: they are not kept, because they would count as the
        watcher's memory.
    """

    def __init__(self, name: str, clock: HandClock, queued: deque[tuple[str, ObservedRun]] | None) -> None:
        self._name = name
        self._clock = clock
        self._queued = queued
        self._runs: dict[RunRef, ObservedRun] = {}
        self._ticks = 0
        self.starts = 0

    def start(self, request: StartRequest, *, permit: Permit | None = None) -> Outcome:
        del permit  # the guard has been called already
        self.starts += 1
        run = ObservedRun(request.dag_id, request.run_id, State.QUEUED, self._tick(), request.logical_date)
        if request.action is Action.CLEAR:
            present = self._run(RunRef(request.dag_id, request.run_id))
            run = replace(present, state=State.QUEUED, queued_at=self._tick())
        if self._queued is not None:
            self._runs[RunRef(run.dag_id, run.run_id)] = run
            self._queued.append((self._name, run))
        return Happened(run)

    def begun_anew(self, target: Target) -> ObservedRun:
        """A person clears a run of the history."""
        run = replace(self._run(RunRef(target.pipeline.dag_id, HISTORY + target.partition)), queued_at=self._tick())
        self._runs[RunRef(run.dag_id, run.run_id)] = run
        return run

    def observe(self, run: ObservedRun) -> None:
        self._runs[RunRef(run.dag_id, run.run_id)] = run

    def ask(self, request: StartRequest) -> Outcome:
        return NotHappened(f"{request.run_id} was never lost: every answer arrives here")

    def look(self, asked: Sequence[RunOrTask], *, timeout: float) -> Looked:
        del timeout
        # A run that it has started and not kept is refused.
        runs = [ref for ref in asked if isinstance(ref, RunRef)]
        known: dict[RunOrTask, ObservedRun | ObservedTask | None] = {
            ref: self._run(ref) for ref in runs if ref in self._runs or ref.run_id.startswith(HISTORY)
        }
        forgotten = RequestRefused("forgotten", status=403)
        return Looked(known, refused={ref: forgotten for ref in asked if ref not in known})

    def changed_runs(self, since: datetime | None, *, place: ListPlace, timeout: float) -> Changed:
        del since, place, timeout
        return Changed()

    def check(self, dag_ids: Sequence[str], *, tasks: Mapping[str, Collection[str]] = NO_TASKS) -> EnvironmentReport:
        del tasks
        del dag_ids
        return EnvironmentReport(version="instant")

    def close(self) -> None:
        pass

    def _run(self, ref: RunRef) -> ObservedRun:
        known = self._runs.get(ref)
        if known is not None:
            return known
        partition = ref.run_id.removeprefix(HISTORY)
        instant = datetime.fromisoformat(partition)
        return ObservedRun(ref.dag_id, ref.run_id, State.SUCCESS, past_attempt(partition).queued_at, instant)

    def _tick(self) -> datetime:
        self._ticks += 1
        return self._clock.now() + timedelta(microseconds=self._ticks)


class TimedStore(MemoryStore):
    """Counts the time spent in it, to be subtracted."""

    def __init__(self, server: MemoryEtcd) -> None:
        super().__init__(server)
        self.seconds = 0.0

    def commit(self, transaction: Transaction) -> Committed:
        began = time.thread_time()
        try:
            return super().commit(transaction)
        finally:
            self.seconds += time.thread_time() - began


class ForgetfulStore(MemoryStore):
    """Accepts every write and keeps none, so that only the watcher's memory is measured."""

    def __init__(self, revision: int) -> None:
        super().__init__(MemoryEtcd())
        self.revision = revision
        self.seconds = 0.0

    def commit(self, transaction: Transaction) -> Committed:
        del transaction
        self.revision += 1
        return Committed(True, self.revision)


class InstantWatcher:
    """A reconciler, and everything around it, in one thread.

    :param term: create revision of the leader key, if this one leads.
    :ivar seconds: CPU time of the reconciler so far.
    :ivar longest_step: CPU time of the longest step so far.
    :ivar first_request: CPU time of the reconciler when the first request was sent.
    :ivar queued: the runs that it has started, each with its environment.
    """

    def __init__(self, store: TimedStore | ForgetfulStore, *, term: int | None, keeps_runs: bool = True) -> None:
        self.clock = HandClock()
        self.queued: deque[tuple[str, ObservedRun]] = deque()
        self.environments = {
            name: InstantEnvironment(name, self.clock, self.queued if keeps_runs else None) for name in ENVIRONMENTS
        }
        self.seconds = 0.0
        self.longest_step = 0.0
        self.first_request: float | None = None
        self._store = store
        self._began = 0.0
        self._jobs: deque[Callable[[], EffectDone | LookDone | ChangesSeen]] = deque()
        settings = WatcherSettings(reexamine_every=HARDLY_EVER)
        lease = HeldLease(1, asked_at=self.clock.seconds, ttl=FOR_EVER, clock=self.clock.monotonic)
        leadership = None if term is None else Leadership(term, lease)
        dispatchers = Dispatchers.make(
            self.environments,
            dict.fromkeys(ENVIRONMENTS, EnvironmentLimits(requests=IN_FLIGHT, request_timeout=1.0)),
            settings=settings,
            executor=self,
            guard=lambda *_: None,
        )
        self.reconciler = Reconciler(
            store=store,
            keys=KEYS,
            dispatchers=dispatchers,
            leadership=lambda: leadership,
            clock=self.clock,
            options=Options(settings=settings, who="watcher-of-the-benchmark"),
        )

    @property
    def starts(self) -> int:
        """Runs that it has started."""
        return sum(environment.starts for environment in self.environments.values())

    def effect(self, environment: str, job: Callable[[], EffectDone]) -> None:
        del environment
        if self.first_request is None:
            self.first_request = self.seconds + time.thread_time() - self._began
        self._jobs.append(job)

    def look(self, environment: str, job: Callable[[], LookDone | ChangesSeen]) -> None:
        del environment
        self._jobs.append(job)

    def step(self, messages: Iterable[Message]) -> float:
        """Run steps until these messages are decided about, and one more that acts on the decisions.

        :returns: the CPU seconds that they took, without the store's.
        """
        messages = list(messages)
        for message in messages:
            if isinstance(message, Snapshot | Changes):
                self.reconciler.cache.publications.prepare(message)  # the service does this in another thread
        took = self.one_step(messages)
        del messages
        while not self.reconciler.has_decided:
            took += self.one_step(())
        return took

    def stall(self, messages: Iterable[Message]) -> float:
        """The same. Returns the CPU seconds of the longest step."""
        self.longest_step = 0.0
        self.step(messages)
        return self.longest_step

    def one_step(self, messages: Iterable[Message]) -> float:
        """One step of the reconciler. Returns the CPU seconds that it took, without the store's."""
        self.clock.seconds += PASSING
        self._began, in_store = time.thread_time(), self._store.seconds
        self.reconciler.step(messages)
        took = time.thread_time() - self._began - (self._store.seconds - in_store)
        self.seconds += took
        self.longest_step = max(self.longest_step, took)
        return took

    def run_jobs(self) -> bool:
        """Let the environments answer everything. Returns whether there was anything to do."""
        if not self._jobs and not self.reconciler.queue and self.reconciler.has_decided:
            return False
        jobs, self._jobs = self._jobs, deque()
        self.step([job() for job in jobs])
        return True

    def answer(self) -> None:
        """Let the environments answer everything, and handle the answers in one step."""
        jobs, self._jobs = self._jobs, deque()
        if jobs:
            self.one_step([job() for job in jobs])

    def settle(self) -> None:
        while self.run_jobs():
            pass


def report(store: Store, target: Target, state: State, run: ObservedRun, *, at: datetime) -> None:
    """Put a run state as the listener in Airflow would."""
    document = RunStateDocument(
        state=state,
        run_id=run.run_id,
        queued_at=run.queued_at,
        logical_date=run.logical_date,
        start_date=at,
        end_date=at if state.is_terminal else None,
        observed_at=at,
        reported_by=f"airflow-listener/{target.pipeline.environment}",
    )
    store.commit(Transaction((), (Put(KEYS.state(target), document.to_value()),)))


def target_of(environment: str, run: ObservedRun) -> Target:
    partition = partition_of_run(run_id=run.run_id, logical_date=run.logical_date, partition_key=None, conf=run.conf)
    return Target(PipelineRef(environment, run.dag_id), partition)
