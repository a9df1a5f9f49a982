"""The stage: an etcd, environments with runs, reporters and watcher processes, all on one virtual clock."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from itertools import pairwise
from typing import Any

from coordinator.commands.last_readable import with_last_readable
from coordinator.commands.proposal import Proposal, Signature
from coordinator.commands.publish import apply, read_publications
from coordinator.commands.report import write_report
from coordinator.config.retention import RetentionSettings
from coordinator.config.watcher import WatcherSettings
from coordinator.model.dependencies import Document
from coordinator.model.documents import parse_document
from coordinator.model.hold import Hold, dump_hold
from coordinator.model.order import GivenOrder, Order, dump_order, read_order
from coordinator.model.publishing.owners import CENTRAL_OWNER
from coordinator.model.publishing.publication import Publication, read_publication
from coordinator.model.publishing.resuming import Terms
from coordinator.model.references import PipelineRef, Target
from coordinator.model.retention.watermark import read_watermark
from coordinator.model.runstate import RunState, RunStateDocument, State, Unreadable
from coordinator.model.states import read_state
from coordinator.model.trigger import TriggerRecord, read_record
from coordinator.model.waits import read_wait
from coordinator.runners.port import ObservedRun, StartRequest
from coordinator.store.keys import DependenciesKey, HoldKey, Keys, OrderKey, StateKey, TriggerKey, WaitKey, WatermarkKey
from coordinator.store.memory import MemoryEtcd, MemoryStore
from coordinator.store.port import Committed, Delete, Put, Transaction
from tests.airflow_model.runs import Change, Run, What
from tests.simulation.airflow import FaultyLine, WatchedRunner
from tests.simulation.assets import Assets
from tests.simulation.clockwork import Clockwork, WallClock
from tests.simulation.faults import Faults
from tests.simulation.files import Rollout
from tests.simulation.history import (
    PERSON,
    EffectMade,
    Happening,
    History,
    HoldWritten,
    OrderGiven,
    PromiseBroken,
    Published,
    RecordWritten,
    RunChanged,
    StateWritten,
    TaskChanged,
    WaitAnswered,
)
from tests.simulation.plan import Plan
from tests.simulation.process import LEASE, Killed, Point, WatcherProcess, leader_of
from tests.simulation.retries import STOPPED
from tests.simulation.sensors import DAG as SENSORS_DAG
from tests.simulation.sensors import Sensors
from tests.simulation.tasks import outcomes
from tests.worlds.simulated_airflow import SimulatedAirflow, partition_of

ENVIRONMENTS = ("default", "team_b")

QUIET = 30.0
"""Virtual seconds without a change after which everything is at rest: longer than every pause of the watcher's."""

RESTLESS = 900.0
"""Virtual seconds after which it is said never to come to rest."""

LATENCIES = {
    "thread": (0.0, 0.002),
    "answer": (0.005, 0.08),
    "watch": (0.0005, 0.006),
    "report": (0.001, 0.05),
    "queue": (0.02, 0.5),
    "run": (0.05, 2.0),
    "task": (0.02, 0.8),
}
"""Virtual seconds, from and to."""

SETTINGS = WatcherSettings(
    follow_after=2.0,
    blocked_retry=10.0,
    backoff_max=8.0,
    missed_after=8.0,
    observe_every=1.0,
    observe_idle=4.0,
    # Never: what is only found by looking at everything again would hide what has been overlooked.
    reexamine_every=3e7,
)


class _OwnStore(MemoryStore):
    """The etcd client of people and reporters."""

    def __init__(self, stage: Stage, by: str) -> None:
        super().__init__(stage.etcd)
        self._stage = stage
        self._by = by

    def commit(self, transaction: Transaction) -> Committed:
        answer = super().commit(transaction)
        if answer.succeeded:
            self._stage.witness(None, transaction, answer, leads=False, by=self._by)
        return answer


class Stage:
    """:ivar answer_after: seconds until the answer to what is being asked arrives; set by the line.

    :ivar queue_delay: seconds for which the next run that is made waits in its queue, where a person says so.
    """

    def __init__(self, plan: Plan, history: History) -> None:
        self.plan = plan
        self.history = history
        self.settings = SETTINGS
        self.retention = None
        if plan.retention is not None:
            self.retention = RetentionSettings(
                max_age=timedelta(seconds=plan.retention), min_age=timedelta(seconds=35), every=timedelta(seconds=20)
            )
        self.dice = random.Random(plan.seed)
        self.clock = Clockwork(self._dispatch)
        self.watchers_clock = WallClock(self.clock)
        self.etcd = MemoryEtcd(clock=self.clock.monotonic)
        self.keys = Keys()
        self.store = _OwnStore(self, PERSON)
        self.etcd_away_until = 0.0
        self.answer_after = 0.0
        self.queue_delay: float | None = None
        self.fails: frozenset[str] = frozenset()
        self.changed_at = self.clock.seconds
        self.reports = _OwnStore(self, "reporter")
        self._sending: tuple[WatcherProcess, StartRequest] | None = None
        self._stopping: WatcherProcess | None = None
        self._by_hand = False
        self._may_send_until: dict[str, float] = {}
        self.airflows = {name: self._airflow(name) for name in ENVIRONMENTS}
        self.sensors = Sensors(self)
        self.assets = Assets(self)
        self.faults = Faults(self)
        self.processes: list[WatcherProcess] = []
        self._names = 0
        self.document = {name: dict(entry) for name, entry in plan.document.items()}
        self.owners = list(plan.owners)
        self.resume_within = timedelta(seconds=plan.resume_within) if plan.resume_within else timedelta(days=7)
        self.rollout: Rollout | None = None
        self._editions: list[tuple[Document, dict[str, Any]]] = []
        if plan.late_files is not None:
            self.rollout = Rollout(plan.watchers, self._edition(self.document))
        else:
            self.publish()
        for host in range(plan.watchers):
            self.add_watcher(host)

    # -- time --------------------------------------------------------------------------------------------------------

    def latency(self, kind: str) -> float:
        return self.dice.uniform(*LATENCIES[kind])

    def rest(self) -> None:
        """Let everything happen that happens by itself. :raises PromiseBroken: it goes on for ever."""
        until = self.clock.seconds + RESTLESS
        self.changed_at = self.clock.seconds
        while self.clock.seconds < self.changed_at + QUIET:
            if self.clock.seconds > until:
                raise PromiseBroken("it comes to rest", f"still busy after {RESTLESS:g} s")
            self.clock.run_until(self.changed_at + QUIET)
            if self.assets and self.assets.are_on_the_way():
                self.changed_at = self.clock.seconds

    def note(self, what: str, detail: str = "") -> None:
        self.history.add(Happening(self.clock.seconds, what, detail))

    def _dispatch(self, event: Callable[[], None]) -> None:
        try:
            event()
        except Killed as killed:
            killed.process.die()

    # -- watchers ----------------------------------------------------------------------------------------------------

    @property
    def alive(self) -> list[WatcherProcess]:
        return [process for process in self.processes if process.alive]

    @property
    def leader(self) -> WatcherProcess | None:
        return next((process for process in self.alive if process.reconciler.leads and self.leads(process)), None)

    def add_watcher(self, host: int = 0) -> None:
        self._names += 1
        self.processes = self.alive
        self.processes.append(WatcherProcess(self, f"watcher-{self._names}", host))

    def leads(self, process: WatcherProcess) -> bool:
        """Whether the leader key in etcd is this process's."""
        leader = self.etcd.get(self.keys.leader)
        return leader is not None and leader_of(leader.value) == process.name

    def may_send(self, process: WatcherProcess) -> bool:
        """Whether it leads, or may not know yet that somebody has deleted its leader key: its lease goes on."""
        return self.leads(process) or self.clock.seconds < self._may_send_until.get(process.name, 0.0)

    def delete_leader(self) -> None:
        """Somebody deletes the leader key."""
        if (process := self.leader) is not None:
            self._may_send_until[process.name] = self.clock.seconds + LEASE
        self.put(Delete(self.keys.leader))

    def kill(self, process: WatcherProcess, restart_after: float) -> None:
        process.die()
        self.clock.after(restart_after, lambda: self.add_watcher(process.host))

    def pass_point(self, process: WatcherProcess, point: Point) -> None:
        """A process is here: what has been laid in wait for it strikes now. :raises Killed: it did."""
        struck = self.faults.at_point(point)
        if struck is None:
            return
        self.note(f"{struck.do} {point}", process.name)
        if struck.do == "kill":
            self.kill(process, float(struck.value))
            raise Killed(process)
        process.stand_still(float(struck.value))
        if not process.alive:
            raise Killed(process)

    # -- etcd --------------------------------------------------------------------------------------------------------

    def is_ledger_key(self, key: str) -> bool:
        """Whether it holds a state, a trigger record or dependencies, not a lease of somebody's."""
        words = ("trigger/", "state/", "task/", "wait/")
        prefixes = *(self.keys.root + word for word in words), self.keys.dependencies("")
        return key.startswith(prefixes)

    def etcd_changed(self) -> None:
        for process in self.processes:
            process.hear(self.latency("watch"))

    def witness(
        self,
        process: WatcherProcess | None,
        transaction: Transaction,
        answer: Committed,
        *,
        leads: bool,
        by: str = PERSON,
    ) -> None:
        """A transaction has been applied."""
        now, revision = self.clock.seconds, answer.revision
        self.changed_at = now
        self.etcd_changed()
        for operation in transaction.then:
            value = operation.value if isinstance(operation, Put) else None
            match self.keys.parse(operation.key):
                case StateKey(target) if self.assets.concerns(target.pipeline):
                    known = read_state(target, value) if value is not None else None
                    assert not isinstance(known, Unreadable)
                    self.assets.state_written(target, known, revision)
                    self._check_writer(process, leads=leads)
                case TriggerKey(target) if self.assets.concerns(target.pipeline):
                    kept = read_record(value) if value is not None else None
                    assert not isinstance(kept, Unreadable)
                    self.assets.record_written(target, kept, process)
                    self._check_writer(process, leads=leads)
                case StateKey(target):
                    state = read_state(target, value) if value is not None else None
                    assert state is None or isinstance(state, RunState)
                    writer = process.name if process else by
                    self.history.add(StateWritten(now, target, state, revision, writer, leads or process is None))
                case TriggerKey(target):
                    record = read_record(value) if value is not None else None
                    assert record is None or isinstance(record, TriggerRecord)
                    knows, knew = (process.knows, process.knew) if process else (0, 0)
                    writer = process.name if process else by
                    self.history.add(RecordWritten(now, target, record, revision, writer, leads, knows, knew))
                case WaitKey(ref):
                    wait = read_wait(value) if value is not None else None
                    assert not isinstance(wait, Unreadable)
                    if wait is not None and process is not None:
                        read = process.knows, process.knew
                        self.history.add(WaitAnswered(now, wait.upstream, wait, process.name, leads, *read))
                    self.sensors.answered(ref, wait)
                case WatermarkKey(pipeline) if value is not None:
                    watermark = read_watermark(value)
                    assert not isinstance(watermark, Unreadable)
                    self.history.watermarks[pipeline] = watermark
                case OrderKey(target) if value is not None:
                    given = read_order(value)
                    assert isinstance(given, GivenOrder)
                    self.history.add(OrderGiven(now, target, given.order.value, revision))
                case DependenciesKey(owner) if value is not None:
                    self._published(owner, value, revision, process.name if process else by)
                case HoldKey(pipeline):
                    self.history.add(HoldWritten(now, pipeline, value is not None, revision))

    def _check_writer(self, process: WatcherProcess | None, *, leads: bool) -> None:
        if process is not None and not leads:
            raise PromiseBroken("only the leader writes", f"{process.name} wrote while it did not lead")

    def put(self, operation: Put | Delete) -> int:
        if isinstance(operation, Delete) and self.etcd.get(operation.key) is None:
            return self.etcd.revision  # nothing is deleted, and nothing happens
        return self.store.commit(Transaction((), (operation,))).revision

    def hold(self, pipeline: PipelineRef, held: bool) -> None:
        key = self.keys.hold(pipeline)
        self.put(Put(key, dump_hold(Hold(why="a test", who="it"))) if held else Delete(key))

    def order(self, target: Target, order: Order) -> None:
        self.put(Put(self.keys.order(target), dump_order(GivenOrder(order, who="it", why="a test"))))

    def publish(self) -> None:
        """A person publishes the documents as they are now, one after the other; or brings the watchers a file."""
        if self.rollout is not None:
            assert self.plan.late_files is not None
            edition = self._edition(self.document)
            self.rollout.edit(edition, self.clock.after, self.plan.late_files)
            return
        for owner in self.owners:
            others = [other for other in self.owners if other != owner]

            def is_mine(environment: str, owner: str = owner, others: Collection[str] = others) -> bool:
                return environment == owner or (owner == CENTRAL_OWNER and environment not in others)

            mine = {
                name: entry for name, entry in self.document.items() if is_mine(PipelineRef.parse(name).environment)
            }
            text = self._edition(mine, is_mine)
            self._apply(owner, parse_document(text, source="plan"))

    def apply_newest(self) -> None:
        """A person publishes what the newest file says."""
        self._apply(CENTRAL_OWNER, self._editions[-1][0], len(self._editions) if self.plan.serials else None)

    def overwrite(self, owner: str) -> bool:
        """Somebody overwrites a published document with rubbish. Returns whether there was one."""
        key = self.keys.dependencies(owner)
        if self.etcd.get(key) is None:
            return False
        self.put(Put(key, b"rubbish"))
        return True

    def is_overwritten(self) -> bool:
        """Whether a published document cannot be read."""
        published = read_publications(self.store, self.keys).by_owner.values()
        return any(isinstance(one.value, Unreadable) for one in published)

    def repair(self) -> None:
        """A person publishes again what was overwritten, where no watcher does."""
        if self.rollout is None and self.is_overwritten():
            self.publish()

    def _apply(self, owner: str, document: Document, serial: int | None = None) -> None:
        now = self.clock.now()
        base = with_last_readable(read_publications(self.store, self.keys), owner, self.store, self.keys)
        proposal = Proposal(owner, document, base, Terms(now, self.resume_within), serial)
        assert not proposal.objections(), proposal.objections()
        apply(self.store, self.keys, proposal, Signature(PERSON, now))

    def _edition(self, document: dict[str, Any], is_mine: Callable[[str], bool] = lambda _: True) -> str:
        """Another document that people have made, as text. :param is_mine: which environments' pipelines it names."""
        if self.plan.late_files is not None:  # else two of them could say the same, and be one to a watcher
            marked = next(iter(document))
            document = {**document, marked: {**document[marked], "conf": {"edition": len(self._editions)}}}
        whole = self.assets.added_to(document, is_mine)
        text = json.dumps(whole)
        self._editions.append((parse_document(text, source="plan"), json.loads(json.dumps(document))))
        return json.dumps({"serial": len(self._editions), **whole}) if self.plan.serials else text

    @property
    def edition(self) -> int:
        """The document that people have made last."""
        return len(self._editions) - 1

    def _published(self, owner: str, value: bytes, revision: int, by: str) -> None:
        publication = read_publication(value, source=owner)
        if not isinstance(publication, Publication):
            return  # a person's doing: see overwrite
        assert publication.published_at is not None
        number = max(number for number, (one, _) in enumerate(self._editions) if one == publication.document)
        now, document = self.clock.seconds, self._editions[number][1]
        at, within = publication.published_at, self.resume_within
        self.history.add(Published(now, document, revision, owner, at, within, number, by))

    # -- environments ------------------------------------------------------------------------------------------------

    def _airflow(self, environment: str) -> SimulatedAirflow:
        airflow = SimulatedAirflow(now=self.clock.tick, changed=lambda change: self._changed(environment, change))
        airflow.behind = self.history.clocks_behind.get(environment, timedelta(0))
        for name, shape in self.plan.tasks.items():
            if (pipeline := PipelineRef.parse(name)).environment == environment:
                names = list(shape["tasks"])
                below = {task: (follower,) for task, follower in pairwise(names)}
                airflow.dag(pipeline.dag_id, below={**below, names[-1]: ()})
        return airflow

    def _changed(self, environment: str, change: Change) -> None:
        """What an environment holds has changed."""
        if change.run.dag_id == SENSORS_DAG:
            if change.what is What.CLEARED and self._sending is not None:
                self._acted(environment, change.before, change.run)
            self.sensors.changed(change)
            return
        if self.assets.concerns(PipelineRef(environment, change.run.dag_id)):
            self._waiter_changed(environment, change)
            return
        if change.what is not What.DELETED:
            self._tell_of_tasks(environment, change.run)
        match change.what:
            case What.CREATED | What.CLEARED:
                self._plan_run(environment, change.run)
                if self._sending is not None and not self._by_hand:
                    self._acted(environment, change.before, change.run)
            case What.BEGUN | What.ENDED:
                self._ran(environment, change.run, by="itself")
            case What.SET if self._stopping is not None and not self._by_hand:
                leads = self.may_send(self._stopping)
                self._ran(environment, change.run, by="the leader" if leads else self._stopping.name)
            case What.SET:
                self._ran(environment, change.run, by=PERSON)

    def _waiter_changed(self, environment: str, change: Change) -> None:
        """A run of what waits for an asset has changed."""
        self.changed_at = self.clock.seconds
        target = target_of(environment, change.run)
        if change.what in (What.CREATED, What.CLEARED):
            self.assets.started(target)
            self._plan_run(environment, change.run)
        elif environment not in (*self.plan.silent, *self.plan.observed):
            document = RunStateDocument(
                state=change.run.state,
                run_id=change.run.run_id,
                queued_at=change.run.queued_at,
                observed_at=self.clock.tick(),
            )
            self.clock.after(self.latency("report"), lambda: self.deliver(target, document))

    def check_sender(self) -> None:
        """:raises PromiseBroken: who sends just now does not lead."""
        if self._sending is not None and not self.may_send(self._sending[0]):
            raise PromiseBroken("only the leader sends", f"{self._sending[0].name} sent while it did not lead")

    def target_of(self, environment: str, run: ObservedRun) -> Target:
        """The pipeline and the partition of a run."""
        return target_of(environment, run)

    @contextmanager
    def by_hand(self) -> Iterator[None]:
        """What happens in an environment meanwhile is a person's doing, even if a watcher is frozen as it sends."""
        self._by_hand = True
        try:
            yield
        finally:
            self._by_hand = False

    def runner(self, process: WatcherProcess, environment: str) -> WatchedRunner:
        """A watcher's way into an environment."""

        def sending(request: StartRequest) -> None:
            self._sending = process, request

        def stopping() -> None:
            self._stopping = process

        def sent() -> None:
            self._sending = self._stopping = None
            self.pass_point(process, Point.AFTER_REQUEST)

        line = FaultyLine(
            self.airflows[environment],
            lambda question: self.faults.of_request(environment, question),
            self.clock.now,
        )
        return WatchedRunner(line, sending=sending, sent=sent, stopping=stopping)

    def _acted(self, environment: str, before: ObservedRun | None, run: ObservedRun) -> None:
        assert self._sending is not None
        process, request = self._sending
        self.changed_at = self.clock.seconds
        self.history.add(
            EffectMade(
                self.clock.seconds,
                target_of(environment, run),
                request.action,
                request.token,
                run,
                before,
                process.name,
                self.may_send(process),
                process.knew,
            )
        )

    def _plan_run(self, environment: str, run: ObservedRun) -> None:
        """It waits in the queue, and then begins; a running one that was cleared goes on."""
        delay, self.queue_delay = self.queue_delay, None
        if run.state is State.QUEUED:
            delay = self.latency("queue") if delay is None else delay
            self.clock.after(delay, lambda: self._begin(environment, run))
        else:
            self._work(environment, run)

    def _begin(self, environment: str, run: ObservedRun) -> None:
        if self._is_current(environment, run, State.QUEUED):
            if self.faults.is_dead(environment):
                self.clock.after(1.0, lambda: self._begin(environment, run))
                return
            self.airflows[environment].begin(run.dag_id, run.run_id)
            self._work(environment, run)

    def _work(self, environment: str, run: ObservedRun) -> None:
        """A run goes on: with its tasks, one after another, and then it ends."""
        tasks = self.plan.tasks.get(str(PipelineRef(environment, run.dag_id)))
        if tasks is None:
            self.clock.after(self.latency("run"), lambda: self._end(environment, run))
        else:
            self.clock.after(self.latency("task"), lambda: self._step(environment, run, tasks))

    def _step(self, environment: str, run: ObservedRun, tasks: Mapping[str, Any]) -> None:
        """The next task begins, or one more of its instances ends; or all have ended, and so does the run."""
        if not self._is_current(environment, run, State.RUNNING):
            return
        airflow = self.airflows[environment]
        if self.faults.is_dead(environment):
            self.clock.after(1.0, lambda: self._step(environment, run, tasks))
            return
        present = airflow.get(run.dag_id, run.run_id)
        ends = outcomes(tasks, fails=str(PipelineRef(environment, run.dag_id)) in self.fails)
        for name, words in ends.items():
            ended = [one.state for one in present.tasks[name] if one.end_date is not None]
            if len(ended) == len(words):
                continue
            begun = any(one.start_date is not None for one in present.tasks[name])
            left = ["running"] * (len(words) - len(ended))
            if begun or words[0] in ("skipped", "upstream_failed"):
                left[0] = words[len(ended)]
            airflow.set_task(run.dag_id, run.run_id, name, *ended, *left)
            self._tell_of_tasks(environment, airflow.get(run.dag_id, run.run_id))
            self.clock.after(self.latency("task"), lambda: self._step(environment, run, tasks))
            return
        self._end(environment, run)

    def _tell_of_tasks(self, environment: str, run: Run) -> None:
        for task, truth in self.history.tasks.take(target_of(environment, run), run, self.clock.seconds):
            self.history.add(TaskChanged(self.clock.seconds, task, truth))

    def _end(self, environment: str, run: ObservedRun) -> None:
        if self._is_current(environment, run, State.RUNNING):
            if self.faults.is_dead(environment):
                self.clock.after(1.0, lambda: self._end(environment, run))
                return
            fails = str(PipelineRef(environment, run.dag_id)) in self.fails
            self.assets.end(environment, run, fails=fails)
            self.airflows[environment].end(run.dag_id, run.run_id, State.FAILED if fails else State.SUCCESS)

    def _is_current(self, environment: str, run: ObservedRun, state: State) -> bool:
        present = self.airflows[environment].runs.get((run.dag_id, run.run_id))
        return present is not None and present.queued_at == run.queued_at and present.state is state

    def _ran(self, environment: str, run: ObservedRun, *, by: str) -> None:
        """A run has changed its state: Airflow tells its listeners."""
        self.changed_at = self.clock.seconds
        target = target_of(environment, run)
        what = "begun" if run.state is State.RUNNING else "ended"
        if by != "itself":
            what = "set by hand" if by == PERSON else STOPPED
        self.history.add(RunChanged(self.clock.seconds, target, what, run, by))
        if environment in self.plan.observed:
            self.note("state that nothing reports")
        if environment in (*self.plan.silent, *self.plan.observed):
            return
        document = RunStateDocument(
            state=run.state, run_id=run.run_id, queued_at=run.queued_at, observed_at=self.clock.tick()
        )
        for delay in self.faults.of_report(target, run, by_hand=by == PERSON):
            self.clock.after(delay, lambda: self.deliver(target, document))

    def deliver(self, target: Target, document: RunStateDocument) -> None:
        """A report arrives, or waits while etcd is away."""
        if self.clock.seconds < self.etcd_away_until:
            self.clock.after(1.0, lambda: self.deliver(target, document))
            return
        write_report(self.reports, self.keys, target, document)

    def runs_of(self, target: Target) -> list[ObservedRun]:
        """The runs in a partition, newest first."""
        airflow = self.airflows[target.pipeline.environment]
        runs = [
            run
            for run in airflow.runs.values()
            if run.dag_id == target.pipeline.dag_id and partition_of(run) == target.partition
        ]
        return sorted(runs, key=lambda run: str(run.queued_at), reverse=True)


def target_of(environment: str, run: ObservedRun) -> Target:
    return Target(PipelineRef(environment, run.dag_id), partition_of(run))
