"""A world in memory, on virtual time: the real rule, reconciler and dispatchers against an etcd in memory."""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from coordinator.commands.emit import write_event
from coordinator.config.publication import PublicationSettings
from coordinator.config.retention import RetentionSettings
from coordinator.config.watcher import WatcherSettings
from coordinator.controller.building import Options
from coordinator.controller.dispatch.dispatcher import EnvironmentLimits
from coordinator.controller.dispatch.dispatchers import Dispatchers
from coordinator.controller.dispatch.jobs import ChangesSeen, EffectDone, LookDone
from coordinator.controller.inbox import Inbox
from coordinator.controller.leading.guarding import refuse_unless_leading
from coordinator.controller.pace import Pace
from coordinator.controller.reconciler import Reconciler
from coordinator.model.assets.events import AssetEventDocument, new_event_id
from coordinator.model.documents import parse_document
from coordinator.model.durations import parse_duration
from coordinator.model.publishing.publication import Publication, dump_publication, read_publication
from coordinator.model.publishing.resuming import Terms, publish
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunStateDocument, State, shown_queued_at
from coordinator.runners.port import ObservedRun
from coordinator.store.election import Candidate
from coordinator.store.keys import Keys
from coordinator.store.memory import MemoryEtcd, MemoryStore
from coordinator.store.port import Put, Store
from coordinator.store.reflector import Reflector
from tests.airflow_model.assets import AssetEvent
from tests.airflow_model.runs import Change, Partitioning, Run, What
from tests.worlds.etcd_world import EtcdWorld
from tests.worlds.files import FilesInMemory
from tests.worlds.simulated_airflow import (
    DirectLine,
    DirectRunner,
    SimulatedAirflow,
    dag_of,
    logical_date_of,
    name_of,
    partition_of,
)
from tests.worlds.world import PARTITION

EPOCH = datetime(2026, 11, 21, tzinfo=UTC)

REQUESTS = 4
"""Requests at once in each environment."""

TICK = 1.0
"""Seconds that pass when there is nothing to do."""


class VirtualClock:
    """Time that passes only when told to."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self.seconds)


class StandStill(BaseException):
    """The watcher goes no further than this."""


class SimulatedWatcher:
    """One watcher: what the service is around the reconciler, without threads."""

    def __init__(self, world: SimulatedWorld, name: str) -> None:
        self._world = world
        self._store: Store = MemoryStore(world.etcd)
        self._inbox = Inbox(bound=sys.maxsize, clock=world.clock.monotonic)  # nobody could wait for room
        self._reflector = self._new_reflector()
        self._jobs: deque[Callable[[], EffectDone | LookDone | ChangesSeen]] = deque()
        self.frozen = False
        self.is_unanswered = False
        """The answers of environments are still on their way."""
        self.lag = 0.0
        """Seconds for which what etcd tells has waited, before it came into the inbox."""
        self.candidate = Candidate(self._store, world.keys, watcher_id=name, ttl=10, clock=world.clock.monotonic)
        settings = world.settings
        usual = EnvironmentLimits(requests=REQUESTS)
        self.dispatchers = Dispatchers.make(
            {name: DirectRunner(DirectLine(airflow, world.clock.now)) for name, airflow in world.airflows.items()},
            {environment: world.environment_limits.get(environment, usual) for environment in world.airflows},
            settings=settings,
            executor=self,
            guard=self._guard,
            now=world.clock.now,
            files=world.files,
        )
        self.reconciler = Reconciler(
            store=self._store,
            keys=world.keys,
            dispatchers=self.dispatchers,
            leadership=self.candidate.leadership,
            clock=world.clock,
            options=Options(
                settings=settings, who=name, retention=world.retention, pace=world.pace, observed=world.observed
            ),
        )

    def effect(self, environment: str, job: Callable[[], EffectDone]) -> None:
        del environment
        self._jobs.append(job)

    def look(self, environment: str, job: Callable[[], LookDone | ChangesSeen]) -> None:
        del environment
        self._jobs.append(job)

    def turn(self) -> bool:
        """One turn: read the watch, run a job, step. Returns whether there was anything to do."""
        if self.frozen:
            return False
        self.candidate.step()
        while (update := self._reflector.step(0)) is not None:
            self._inbox.put_update(update)
        if self._jobs and not self.is_unanswered:
            try:
                self._inbox.put_answer(self._jobs[0]())
            except StandStill:
                return True
            self._jobs.popleft()
        messages = self._inbox.take(0.0, updates=not self.reconciler.is_behind)
        wake_at = self.reconciler.wake_at()
        due = wake_at is not None and wake_at <= self._world.clock.seconds
        self.reconciler.step(messages, lag=self.lag + self._inbox.lag)
        mistakes = self.reconciler.breakage.problems()
        assert self._world.allows_mistakes or not mistakes, mistakes
        assert not self.reconciler.counters.miscounted
        is_asking = self._jobs and not self.is_unanswered
        return bool(messages or is_asking or due or not self._inbox.is_empty())

    def list_again(self) -> None:
        """The watch has fallen behind a compaction."""
        self._reflector = self._new_reflector()

    def _new_reflector(self) -> Reflector:
        return Reflector(self._store, self._world.keys.root, clock=self._world.clock.monotonic)

    def _guard(self, seconds: float, term: int | None) -> None:
        self._world.before_request(self)
        refuse_unless_leading(self.candidate.leadership(), seconds=seconds, term=term)


class SimulatedWorld(EtcdWorld):
    """:param environments: their names.

    :param environment_limits: how many runs, and how fast, each environment bears.
    :param observed: nothing reports.

    :cvar pace: how much a watcher takes in and decides about in one step.
    :ivar allows_mistakes: else it is a failure of the test when the watcher contains one.
    """

    pace = Pace(seconds=float("inf"))

    def __init__(
        self,
        *,
        environment_limits: Mapping[str, EnvironmentLimits] | None = None,
        environments: Sequence[str] = ("default", "team_b"),
        observed: bool = False,
    ) -> None:
        self.environment_limits = environment_limits or {}
        self.clock = VirtualClock()
        self.etcd = MemoryEtcd(clock=self.clock.monotonic)
        super().__init__(MemoryStore(self.etcd), Keys())
        self.settings = WatcherSettings()
        self.retention: RetentionSettings | None = None
        self.publication = PublicationSettings()
        self.allows_mistakes = False
        self.files = FilesInMemory()
        self.airflows: dict[str, SimulatedAirflow] = {}
        for environment in environments:
            self.airflows[environment] = SimulatedAirflow(
                now=self._tick, changed=lambda change, environment=environment: self._note(environment, change)
            )
            self.airflows[environment].assets.told = partial(self._tell, environment)
        self._by_hand: set[str] = set()
        self.observed = frozenset(self.airflows) if observed else frozenset()
        self._silent = set(self.observed)
        self._kill_for: str | None = None
        self._freeze_for: str | None = None
        self._frozen: SimulatedWatcher | None = None
        self._count = 0
        self.standbys: list[SimulatedWatcher] = []
        self.checks: list[Callable[[], None]] = []
        self.watcher: SimulatedWatcher | None = None
        self.start_watcher()

    # -- World ---------------------------------------------------------------------------------------------------

    def dependencies(self, document: Mapping[str, Any]) -> None:
        self.publish(document)
        self.settle()

    def publish(self, document: Mapping[str, Any]) -> None:
        """As :meth:`dependencies`, without waiting."""
        key = self.keys.dependencies("default")
        present = self.store.get(key)
        previous = read_publication(present.value, source=key) if present is not None else None
        assert previous is None or isinstance(previous, Publication)
        parsed = parse_document(json.dumps(document), source="case")
        terms = Terms(self.clock.now(), self.publication.resume_within)
        publication = publish(parsed, previous, present.mod_revision if present is not None else 0, terms)
        self.write(Put(key, dump_publication(publication)))

    def rows(self, content: object, *, partition: str = PARTITION) -> None:
        self.files.put(partition, content)

    def by_hand(self, *names: str) -> None:
        self._by_hand.update(names)

    def by_itself(self, *names: str) -> None:
        self._by_hand.difference_update(names)

    def partitioned(self, name: str) -> None:
        airflow, dag_id = self._of(name)
        airflow.dag(dag_id, keys=Partitioning.AT_RUNTIME)

    def trigger(self, name: str, *, partition: str = PARTITION, run_id: str | None = None) -> str:
        airflow, dag_id = self._of(name)
        # Two runs in one partition cannot share a logical date in Airflow: the partition is the key then.
        logical_date = None if run_id is not None else logical_date_of(partition)
        key = partition if logical_date is None else None
        run_id = run_id or f"scheduled__{partition}"
        airflow.create(dag_id, run_id, logical_date=logical_date, partition_key=key)
        return run_id

    def test_by_hand(self, name: str, *, partition: str = PARTITION) -> None:
        airflow, dag_id = self._of(name)
        airflow.test(dag_id, f"manual__{partition}", logical_date=logical_date_of(partition))

    def clear(self, name: str, *, partition: str = PARTITION) -> None:
        airflow, dag_id = self._of(name)
        airflow.clear(dag_of(dag_id), airflow.newest(dag_id, partition).run_id)

    def newest_run(self, name: str, partition: str) -> Run:
        airflow, dag_id = self._of(name)
        return airflow.newest(dag_id, partition)

    def all_below(self, name: str, task: str) -> set[str]:
        airflow, dag_id = self._of(name)
        return airflow.dags[dag_id].all_below([task]) - {task}

    def has_tasks(self, name: str, **below: str) -> None:
        airflow, dag_id = self._of(name)
        airflow.dag(dag_id, below={task: tuple(others.split()) for task, others in below.items()})

    def task(self, name: str, task_id: str, *states: str | None, partition: str = PARTITION) -> None:
        airflow, dag_id = self._of(name)
        airflow.set_task(dag_of(dag_id), airflow.newest(dag_id, partition).run_id, task_id, *states)

    def clear_tasks(self, name: str, *task_ids: str, partition: str = PARTITION) -> None:
        airflow, dag_id = self._of(name)
        airflow.clear_tasks(dag_of(dag_id), airflow.newest(dag_id, partition).run_id, task_ids)

    def start(self, name: str, *, partition: str = PARTITION, run_id: str | None = None) -> None:
        airflow, dag_id = self._of(name)
        airflow.begin(dag_of(dag_id), run_id or airflow.newest(dag_id, partition, State.QUEUED).run_id)
        self._turn_all()

    def finish(
        self, name: str, state: str = "success", *, partition: str = PARTITION, run_id: str | None = None
    ) -> None:
        airflow, dag_id = self._of(name)
        airflow.end(dag_of(dag_id), run_id or airflow.newest(dag_id, partition, State.RUNNING).run_id, State(state))
        self._turn_all()

    def set_state(self, name: str, state: str, *, partition: str = PARTITION) -> None:
        airflow, dag_id = self._of(name)
        airflow.set_state(dag_of(dag_id), airflow.newest(dag_id, partition).run_id, State(state))

    def delete_run(self, name: str, *, partition: str = PARTITION) -> None:
        airflow, dag_id = self._of(name)
        airflow.delete(dag_of(dag_id), airflow.newest(dag_id, partition).run_id)

    def down(self, environment: str) -> None:
        self.airflows[environment].is_down = True

    def up(self, environment: str) -> None:
        self.airflows[environment].is_down = False

    def pass_time(self) -> None:
        self.clock.seconds += 5.0

    def silence(self, *environments: str) -> None:
        self._silent.update(environments)

    def retain(self, **limits: Any) -> None:
        self.retention = RetentionSettings(**limits)
        self.stop_watcher()
        self.start_watcher()

    def resume_within(self, duration: str) -> None:
        self.publication = PublicationSettings(resume_within=parse_duration(duration))
        self.stop_watcher()
        self.start_watcher()

    def stop_watcher(self) -> None:
        self.watcher = None

    def start_watcher(self) -> None:
        self._count += 1
        self.watcher = SimulatedWatcher(self, f"watcher-{self._count}")

    def start_standby(self) -> None:
        """Another watcher, which follows along until nobody else leads."""
        self._count += 1
        self.standbys.append(SimulatedWatcher(self, f"watcher-{self._count}"))

    def kill_before_request(self, name: str) -> None:
        self._kill_for = name

    def freeze_before_request(self, name: str) -> None:
        self._freeze_for = name

    def thaw(self) -> None:
        assert self._frozen is not None
        self._frozen.frozen = False

    def settle(self) -> None:
        until = self.clock.seconds + 60
        for _ in range(100_000):
            if self._turn_all() or self._airflow_goes_on():
                continue
            self.clock.seconds += TICK
            if self.clock.seconds > until:
                return
        raise AssertionError("the world does not come to rest")

    def settle_until(self, holds: Callable[[], bool], what: str) -> None:
        until = self.clock.seconds + 600
        while not holds():
            self.tick_once()
            assert self.clock.seconds < until, f"not within ten minutes: {what}"

    def tick_once(self) -> None:
        """One turn of everything, so that a test can end things in the middle."""
        if not self._turn_all() and not self._airflow_goes_on():
            self.clock.seconds += TICK

    def live_until(self, moment: datetime, *, step: float = 2.0) -> None:
        """Everything goes on until this moment exactly.

        :param step: seconds; well below the ten of a leader's lease.
        """
        while self.clock.now() < moment:
            while self._turn_all() or self._airflow_goes_on():
                pass
            self.clock.seconds = min(self.clock.seconds + step, (moment - EPOCH).total_seconds())
        while self._turn_all():
            pass

    def runs(self, name: str, *, partition: str = PARTITION) -> int:
        airflow, dag_id = self._of(name)
        return airflow.started.count((dag_id, partition))

    def all_runs(self, name: str, *, partition: str = PARTITION) -> list[ObservedRun]:
        airflow, dag_id = self._of(name)
        return [run for run in airflow.runs.values() if name_of(run) == dag_id and partition_of(run) == partition]

    def requests(self, name: str, *, partition: str = PARTITION) -> int:
        airflow, dag_id = self._of(name)
        return airflow.effects.count((dag_id, partition))

    def forget_faults(self) -> None:
        """Faults that have not struck yet will not; a frozen watcher goes on."""
        self._kill_for = self._freeze_for = None
        if self._frozen is not None:
            self.thaw()

    # -- behind it -------------------------------------------------------------------------------------------------

    def before_request(self, watcher: SimulatedWatcher) -> None:
        """Called by a watcher right before it sends."""
        if self.is_intended(self._kill_for):
            self._kill_for = None
            self.watcher = None
            raise StandStill
        if self.is_intended(self._freeze_for):
            self._freeze_for = None
            self._frozen, self.watcher = watcher, None
            watcher.frozen = True
            raise StandStill

    def _turn_all(self) -> bool:
        turned = [self._frozen.turn() if self._frozen is not None else False]
        turned += [standby.turn() for standby in self.standbys]
        turned.append(self.watcher.turn() if self.watcher is not None else False)
        for check in self.checks:
            check()
        return any(turned)

    def _airflow_goes_on(self) -> bool:
        for environment, airflow in self.airflows.items():
            for run in airflow.unfinished():
                pipeline = PipelineRef(environment, name_of(run))
                if not self._by_hand.isdisjoint((str(pipeline), str(pipeline.fanned_out))) or airflow.is_down:
                    continue
                if run.state is State.QUEUED:
                    airflow.begin(run.dag_id, run.run_id)
                else:
                    airflow.end(run.dag_id, run.run_id, State.SUCCESS)
                return True
        return False

    def _note(self, environment: str, change: Change) -> None:
        if change.what in (What.BEGUN, What.ENDED, What.SET):
            self._report(environment, change.run)

    def _report(self, environment: str, run: ObservedRun) -> None:
        """As a listener would."""
        if environment in self._silent or run.state is State.QUEUED:
            return
        pipeline = PipelineRef(environment, name_of(run))
        document = RunStateDocument(
            state=run.state,
            run_id=run.run_id,
            queued_at=shown_queued_at(run.queued_at, run.end_date),
            end_date=run.end_date,
            observed_at=self._tick(),
        )
        self.report(Target(pipeline, partition_of(run)), document)

    def _tell(self, environment: str, uri: str, emitted: AssetEvent) -> None:
        """As a listener and a sender would."""
        if environment in self._silent:
            return
        dag_id, run_id, task_id = emitted.source or (None, None, None)
        document = AssetEventDocument(
            uri=uri,
            dag_id=dag_id,
            run_id=run_id,
            task_id=task_id,
            map_index=-1,
            partition_key=emitted.partition_key,
            extra=dict(emitted.extra),
            timestamp=emitted.timestamp,
        )
        write_event(self.store, self.keys, environment, new_event_id(document), document)

    def now(self) -> datetime:
        return self._tick()

    def _tick(self) -> datetime:
        self.clock.seconds += 0.001
        return self.clock.now()

    def _of(self, name: str) -> tuple[SimulatedAirflow, str]:
        pipeline = PipelineRef.parse(name)
        return self.airflows[pipeline.environment], pipeline.dag_id
