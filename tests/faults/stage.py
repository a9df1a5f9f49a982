"""The real parts: an etcd of one or three members, environments, watchers and senders as processes, and the lines
between them."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from coordinator.airflow_plugin.outbox import Event, Outbox
from coordinator.config.airflow import AirflowSettings
from coordinator.config.etcd import EtcdSettings
from coordinator.config.settings import Settings
from coordinator.config.watcher import WatcherSettings
from coordinator.controller.state.problems import shown
from coordinator.model.decide import Obstacle
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunState, RunStateDocument, State, read_run_state
from coordinator.model.trigger import Status, TriggerRecord
from coordinator.model.view import Readiness
from coordinator.reading.reading import Reading, read
from coordinator.runners.port import ObservedRun
from coordinator.store.connection import connect
from coordinator.store.keys import Keys
from coordinator.store.port import StoreError, StoreUnavailable
from coordinator.store.presence import read_presence
from tests.etcd_cluster import Cluster
from tests.faults.chronicle import Chronicle
from tests.faults.line import Line, Way
from tests.faults.sender import Sender
from tests.faults.witness import Witness
from tests.faults.witnessed_airflow import Happened, WitnessedAirflow
from tests.integration.controller.service import Service, write_config
from tests.integration.controller.waiting import until
from tests.simulation.checkers import CHECKERS
from tests.simulation.history import History
from tests.worlds.simulated_airflow import partition_of

ENVIRONMENTS = ("default", "team_b")

DRILL, WATCHERS, REPORTERS = "drill", "watchers", "reporters"
"""The parties that connect to etcd."""

LIFE = 3600.0
"""Seconds after which a watcher ends by itself, whatever has become of the drill."""

COMES_TO_REST = 60.0
"""Seconds after the end of a fault within which everything must have happened that it held up."""

WATCHER = WatcherSettings(
    lease_ttl=3,
    look_timeout=0.5,
    follow_after=1.5,
    blocked_retry=1.0,
    backoff_initial=0.05,
    backoff_max=1.0,
    # Never: what is only found by looking at everything again would hide what has been overlooked.
    reexamine_every=1e7,
)
SUCCEEDED_WITHIN = WATCHER.lease_ttl + 6.0
"""Seconds within which another one leads, once nothing of the leader reaches etcd any more. A keep-alive may have
arrived right before; etcd looks for leases that have ended twice a second; the rest is for a busy machine."""
READ_AGAIN = 2
"""So often, where etcd does not answer the drill itself in time."""
REQUEST_TIMEOUT = 1.2
ETCD_TIMEOUT = 1.0


@dataclass
class Replica:
    """A watcher process, and its lines: to each member of etcd, and to each environment."""

    service: Service
    to_etcd: list[Line]
    to_airflow: dict[str, Line]

    @property
    def name(self) -> str:
        return self.service.watcher_id


class Stage:
    """Use as a context manager.

    :param members: of etcd.
    :param etcd_arguments: more arguments for each member.
    :param watchers: so many run at first.
    :param behind: see :class:`~tests.faults.chronicle.Chronicle`.
    :param sabotage: what is broken in the watchers, see :mod:`tests.faults.sabotage`.
    :param watcher: the settings of each.
    :param max_in_flight: requests that it may send to each environment at the same time.
    :param patience: seconds after the end of a fault within which everything must have happened that it held up.
    :ivar observed_ago: how old what the listeners report from now on is, by its ``observed_at``.
    """

    def __init__(
        self,
        directory: Path,
        *,
        members: int = 1,
        etcd_arguments: Sequence[str] = (),
        watchers: int = 2,
        behind: float = 1.0,
        sabotage: str | None = None,
        patience: float = COMES_TO_REST,
        watcher: WatcherSettings = WATCHER,
        max_in_flight: int = 8,
    ) -> None:
        self.directory = directory
        self.keys = Keys()
        self.history = History(checkers=list(CHECKERS))
        self.chronicle = Chronicle(self.keys, behind=behind)
        self.cluster = self._make_cluster(members, etcd_arguments)
        self.replicas: list[Replica] = []
        self._watchers = watchers
        self._sabotage = sabotage
        self.patience = patience
        self._watcher_settings = watcher
        self._max_in_flight = max_in_flight
        self._names = 0
        self._stack = contextlib.ExitStack()
        self.observed_ago = timedelta()
        self._reported = dict.fromkeys(ENVIRONMENTS, 0)

    def __enter__(self) -> Stage:
        with contextlib.ExitStack() as stack:
            self._build(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *details: object) -> None:
        self._stack.close()

    def _build(self, stack: contextlib.ExitStack) -> None:
        stack.enter_context(self.cluster)
        self._prepare_etcd()
        self.etcd_settings = self._etcd_settings(DRILL, self.cluster.endpoints)
        self.store = stack.enter_context(contextlib.closing(connect(self.etcd_settings)))
        self.airflows = {name: self._make_airflow(name) for name in ENVIRONMENTS}
        for airflow in self.airflows.values():
            stack.callback(airflow.close)
        self.password = self.directory / "airflow.password"
        self.password.write_text(next(iter(self.airflows.values())).password)
        self.file = self.directory / "dependencies.json"
        self.file.write_text("{}")
        self.reporters_to_etcd = [stack.enter_context(Line(member.port)) for member in self.cluster.members]
        self._build_reporters(stack)
        self.witness = self._new_witness()
        stack.callback(lambda: self.witness.close())
        stack.callback(self._end_watchers)
        self._stack = stack
        for _ in range(self._watchers):
            self.add_watcher()
        self.await_health()

    def closes(self, close: Callable[[], object]) -> None:
        """Call this in the end, before anything else is closed."""
        self._stack.callback(close)

    # -- what another kind of stage may do in another way ------------------------------------------------------------

    def _make_cluster(self, members: int, arguments: Sequence[str]) -> Cluster:
        return Cluster(self.directory / "etcd", members, arguments=arguments)

    def _prepare_etcd(self) -> None:
        """etcd runs, and nobody has used it yet."""

    def _etcd_settings(self, who: str, endpoints: list[str]) -> EtcdSettings:
        """How one of the parties connects to etcd: :data:`DRILL`, :data:`WATCHERS` or :data:`REPORTERS`."""
        del who
        return EtcdSettings(endpoints=endpoints, timeout=ETCD_TIMEOUT)

    def _make_airflow(self, name: str) -> WitnessedAirflow:
        return WitnessedAirflow(name, self._saw_airflow)

    def _environment(self, url: str, airflow: WitnessedAirflow) -> AirflowSettings:
        """How a watcher reaches an environment at an address."""
        return AirflowSettings(
            url=url,
            username=airflow.username,
            password_file=self.password,
            request_timeout=REQUEST_TIMEOUT,
            max_in_flight=self._max_in_flight,
        )

    def _module(self, watcher: str) -> Sequence[str]:
        """What is run as the watcher of this name."""
        del watcher
        return ("coordinator.cli",) if self._sabotage is None else ("tests.faults.sabotage", self._sabotage)

    # -- watchers ----------------------------------------------------------------------------------------------------

    def add_watcher(self, *, wait: bool = False) -> Replica:
        """Start another one. :param wait: until it follows etcd."""
        self._names += 1
        name = f"watcher-{self._names}"
        to_etcd = [self._stack.enter_context(Line(member.port)) for member in self.cluster.members]
        to_airflow = {
            environment: self._stack.enter_context(Line(airflow.port)) for environment, airflow in self.airflows.items()
        }
        service = self._serve(name, to_etcd, to_airflow)
        replica = Replica(service, to_etcd, to_airflow)
        self.replicas.append(replica)
        if wait:
            until(lambda: _is_ready(service), f"{name} follows etcd", limit=COMES_TO_REST)
        return replica

    def _serve(self, name: str, to_etcd: list[Line], to_airflow: Mapping[str, Line]) -> Service:
        settings = Settings(
            etcd=self._etcd_settings(WATCHERS, [f"127.0.0.1:{line.port}" for line in to_etcd]),
            environments={
                environment: self._environment(airflow.url_for(name, to_airflow[environment].port), airflow)
                for environment, airflow in self.airflows.items()
            },
            watcher=self._watcher_settings,
        )
        config = write_config(self.directory / f"{name}.toml", settings)
        return Service(
            config,
            "--dependencies",
            str(self.file),
            "--max-runtime",
            str(LIFE),
            log=self.directory / f"{name}.log",
            watcher_id=name,
            module=self._module(name),
        )

    def restart(self, replica: Replica) -> None:
        """Start a watcher again that has been killed, under the same name and over the same lines."""
        replica.service.end()
        replica.service = self._serve(replica.name, replica.to_etcd, replica.to_airflow)

    def leader(self) -> Replica:
        """The watcher that leads, by the key in etcd. :raises AssertionError: none does."""
        until(lambda: self._leader() is not None, "a watcher leads", limit=COMES_TO_REST)
        found = self._leader()
        assert found is not None
        return found

    def standby(self) -> Replica:
        """One that does not lead."""
        leader = self.leader()
        return next(replica for replica in self.replicas if replica is not leader)

    def leader_besides(self, gone: Replica, *, within: float = SUCCEEDED_WITHIN) -> Replica:
        """Who leads after this one.

        :param within: seconds. Not heeded with several members of etcd: a new leader among them, after it was them
            that were struck, gives every lease its whole time again.
        :raises AssertionError: nobody does.
        """
        limit = within if len(self.cluster.members) == 1 else COMES_TO_REST
        until(lambda: self._leader() not in (None, gone), f"another one than {gone.name} leads", limit=limit)
        return self.leader()

    def _leader(self) -> Replica | None:
        key = self.store.get(self.keys.leader)
        name = read_presence(key.value).id if key is not None else None
        return next((replica for replica in self.replicas if replica.name == name), None)

    def _end_watchers(self) -> None:
        for replica in self.replicas:
            replica.service.end()

    # -- reporters ---------------------------------------------------------------------------------------------------

    def _build_reporters(self, stack: contextlib.ExitStack) -> None:
        endpoints = [f"127.0.0.1:{line.port}" for line in self.reporters_to_etcd]
        settings = Settings(etcd=self._etcd_settings(REPORTERS, endpoints))
        config = write_config(self.directory / "reporters.toml", settings)
        before = os.environ.get("COORDINATOR_CONFIG")
        os.environ["COORDINATOR_CONFIG"] = str(config)  # the senders inherit it
        stack.callback(_restore, "COORDINATOR_CONFIG", before)
        self.outboxes: dict[str, Outbox] = {}
        self.senders: dict[str, Sender] = {}
        for name, airflow in self.airflows.items():
            directory = self.directory / f"outbox-{name}"
            self.outboxes[name], self.senders[name] = Outbox(directory), Sender(directory, name)
            airflow.on_state(lambda run, name=name: self._report(name, run))  # type: ignore[misc]
        stack.callback(self._end_senders)

    def _report(self, environment: str, run: ObservedRun) -> None:
        """As the listener inside Airflow: keep it, and wake the sender."""
        document = RunStateDocument(
            state=run.state,
            run_id=run.run_id,
            queued_at=run.queued_at,
            observed_at=datetime.now(UTC) - self.observed_ago,
        )
        event = Event(environment=environment, dag_id=run.dag_id, partition=partition_of(run), document=document)
        self.outboxes[environment].put(event)
        self.senders[environment].wake()
        self._reported[environment] += 1

    def sender_process(self, environment: str) -> Any:
        """The process that delivers for an environment, if there is one."""
        return self.senders[environment]._child

    def _end_senders(self) -> None:
        for sender in self.senders.values():
            sender.end()

    # -- what is asked of it -----------------------------------------------------------------------------------------

    def publish(self, document: Mapping[str, Any]) -> None:
        """Write the file, and wait until it is published."""
        self.file.write_text(json.dumps(document))
        until(lambda: self.is_published(document), "the document is published", limit=COMES_TO_REST)

    def is_published(self, document: Mapping[str, Any]) -> bool:
        """Whether etcd has a document that declares the same pipelines."""
        graph = self._read().propagation.graph
        return all(PipelineRef.parse(name) in set(graph) for name in document)

    def _read(self) -> Reading:
        """What stands in etcd. On a machine with much else to do an answer may come too late, once or twice."""
        for _ in range(READ_AGAIN):
            with contextlib.suppress(StoreUnavailable):
                return read(self.store, self.keys)
        return read(self.store, self.keys)

    def targets_in(self, status: Status) -> list[Target]:
        """Whose trigger records say this."""
        cache = self._read().cache
        records = {target: cache.record(target) for target in cache.targets()}
        return [
            target
            for target, seen in records.items()
            if seen is not None and isinstance(seen.value, TriggerRecord) and seen.value.status is status
        ]

    def knows(self, target: Target, run: ObservedRun) -> bool:
        """Whether this state of a run stands in etcd."""
        found = self.store.get(self.keys.state(target))
        state = read_run_state(found.value) if found is not None else None
        return isinstance(state, RunState) and (state.state, state.attempt.queued_at) == (run.state, run.queued_at)

    def intents(self) -> set[str]:
        """The tokens of what has been written down, and whose outcome has not."""
        cache = self._read().cache
        seen = (cache.record(target) for target in cache.targets())
        records = (one.value for one in seen if one is not None and isinstance(one.value, TriggerRecord))
        return {record.token for record in records if record.status is Status.INTENT}

    def await_health(self) -> None:
        """Every watcher that is to run follows etcd, and one of them leads. :raises AssertionError: not in time."""

        def healthy() -> bool:
            running = [replica.service for replica in self.replicas]
            return all(map(_is_ready, running)) and sum(_leads(service) for service in running) == 1

        until(healthy, "every watcher follows etcd, and one leads", limit=COMES_TO_REST, every=0.05)

    def await_rest(self, limit: float | None = None) -> None:
        """Everything has happened that can, and has been told to the history.

        :raises AssertionError: it still goes on.
        :raises PromiseBroken: a checker says so.
        """
        reasons: list[str] = []

        def rests() -> bool:
            reasons[:] = [self._restless() or self._restless() or ""]
            return not reasons[0]

        try:
            until(rests, "everything is at rest", limit=limit or self.patience, every=0.1)
        except AssertionError as error:
            self.chronicle.tell(self.history)
            raise AssertionError(f"{error}: {reasons[0]}") from None
        self.chronicle.tell(self.history)
        assert self.witness.gap is None, self.witness.gap

    def witness_is_up_to_date(self) -> bool:
        """Whether everything that stands in etcd has been seen."""
        return self.witness.revision >= max(
            (item.mod_revision for item in self.store.list(self.keys.root).items), default=0
        )

    def see_anew(self) -> None:
        """etcd was replaced or restored: wait for rest, and begin another history from its present contents.

        :raises AssertionError: it does not come to rest.
        """
        self.witness.close()
        until(
            lambda: not self._goes_on() and not self._goes_on(), "everything is at rest", limit=COMES_TO_REST, every=0.1
        )
        self.chronicle = Chronicle(self.keys, behind=self.chronicle.behind)
        self.witness = self._new_witness()
        self.history = self.chronicle.begin(self.store.list(self.keys.root), self._all_runs())
        self.history.checkers = list(CHECKERS)

    def _new_witness(self) -> Witness:
        return Witness(self.etcd_settings, self.keys, self.chronicle.saw_etcd).start()

    def _saw_airflow(self, happened: Happened) -> None:
        self.chronicle.saw_airflow(happened)

    def _all_runs(self) -> list[tuple[str, ObservedRun]]:
        return [
            (name, run)
            for name, airflow in self.airflows.items()
            for dag_id in airflow.model.dag_ids
            for run in airflow.runs(dag_id)
        ]

    def _restless(self) -> str | None:
        """Why it is not at rest, or not all of it has been seen."""
        if (reason := self._goes_on()) is not None:
            return reason
        return None if self.witness_is_up_to_date() else "not all has been seen"

    def _goes_on(self) -> str | None:
        for name, airflow in self.airflows.items():
            with airflow.changed:
                going = [f"{run.dag_id} {run.state}" for run in airflow.model.unfinished()]
                told = sum(run.state is not State.QUEUED for run in airflow.history)
            if going:
                return f"runs of {name} go on: {going}"
            if airflow.failures:
                return f"reporting fails: {airflow.failures[0]}"
            if self._reported[name] < told or self.outboxes[name].pending():
                return f"reports of {name} wait: {len(self.outboxes[name].pending())}"
        try:
            reading = read(self.store, self.keys)
        except StoreError as error:
            return f"etcd: {error}"
        propagation = reading.propagation
        busy = [str(one) for one in propagation.unsettled() if propagation.readiness(one) is Readiness.BUSY]
        if busy:
            return f"busy: {busy}"
        blocked = [str(one) for one in propagation.unsettled() if Obstacle.BLOCKED in propagation.decide(one).obstacles]
        if blocked:
            return f"blocked, and not yet tried again: {blocked}"
        if (problems := shown(reading.problems, reading.cache.problems)).count:
            return f"problems: {list(problems.in_words())}"
        return None


def pause(seconds: float) -> None:
    """Let a fault last: its length is part of what is tried out, and nothing is waited for."""
    threading.Event().wait(seconds)


def set_all(lines: list[Line], way: Way) -> None:
    """All of them do this from now on."""
    for line in lines:
        line.set(way)


def _is_ready(service: Service) -> bool:
    assert service.is_running(), (
        f"{service.watcher_id} ended with {service.process.returncode}:\n{service.log()[-3000:]}"
    )
    return service.is_ready()


def _leads(service: Service) -> bool:
    return service.leads()


def _restore(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value
