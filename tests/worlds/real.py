"""The same world on a real etcd, with HTTP servers in place of Airflow and the watcher as it runs in service."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from coordinator.config.airflow import AirflowSettings
from coordinator.config.etcd import EtcdSettings
from coordinator.config.items import RowFiles
from coordinator.config.publication import PublicationSettings
from coordinator.config.retention import RetentionSettings
from coordinator.config.settings import Settings
from coordinator.config.watcher import WatcherSettings
from coordinator.controller.service import FileToPublish, Watcher
from coordinator.errors import LeadershipLost
from coordinator.model.durations import parse_duration
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunState, RunStateDocument, State, read_run_state, shown_queued_at
from coordinator.runners.airflow import AirflowRunner
from coordinator.runners.port import ObservedRun
from coordinator.store.connection import connect
from coordinator.store.keys import Keys
from tests.airflow_model.runs import Partitioning, Run
from tests.standin.airflow import StandInAirflow
from tests.worlds.etcd_world import EtcdWorld
from tests.worlds.files import as_bytes
from tests.worlds.simulated_airflow import dag_of, logical_date_of, name_of, partition_of
from tests.worlds.world import PARTITION

PATIENCE = 30.0
"""Seconds within which everything that can happen must have happened."""

AT_ONCE = 0.0
"""How long a run takes by itself."""


class WatcherUnderTest(Watcher):
    """A watcher that a test can kill or freeze at a point that no signal would hit: right before a request."""

    before_request: Callable[[WatcherUnderTest], None]

    def launch(self) -> None:
        self._frozen = threading.Event()
        self._thawed = threading.Event()
        self._dead = False
        self._thread = threading.Thread(target=self.run, name=self.watcher_id, daemon=True)
        self._thread.start()

    def kill(self) -> None:
        """Leave everything as it is: no request, no write, no resignation."""
        self._dead = True
        self._candidate._held = None
        self.stop()

    def freeze(self) -> None:
        """Stand still until :meth:`thaw`: no turn, no keep-alive."""
        self._frozen.set()
        step = self._candidate.step

        def stand_still() -> float:
            self._thawed.wait()
            self._candidate.step = step  # type: ignore[method-assign]
            return step()

        self._candidate.step = stand_still  # type: ignore[method-assign]
        self._thawed.wait()

    def thaw(self) -> None:
        self._thawed.set()

    def join(self) -> None:
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), f"{self.watcher_id} does not stop"

    def rests(self, down: set[str]) -> bool:
        """Nothing is left to do but for environments that are away."""
        reconciler = self.reconciler
        return (
            self._inbox.is_empty()
            and not (reconciler.queue or reconciler.ledger or reconciler.queue.waits_for_revision())
            and all(one.is_idle() for one in reconciler._dispatchers.all() if one.environment not in down)
            and all(at.pipeline.environment in down for at in reconciler.reconcile.requests.targets())
            and all(at.pipeline.environment in down for at in reconciler.queue.waiting())
        )

    def _guard(self, seconds: float, term: int | None) -> None:
        self.before_request(self)
        if self._dead:
            raise LeadershipLost("killed")
        super()._guard(seconds, term)

    def _turn(self) -> None:
        if self._frozen.is_set():
            self._thawed.wait()
        super()._turn()

    def _drain(self) -> None:
        if not self._dead:
            super()._drain()


class RealWorld(EtcdWorld):
    """Use as a context manager.

    :param old: every environment is an Airflow 2.
    :param observed: nothing reports.
    """

    def __init__(self, etcd: EtcdSettings, directory: Path, *, old: bool = False, observed: bool = False) -> None:
        super().__init__(connect(etcd), Keys(etcd.prefix))
        self._stack = contextlib.ExitStack()
        self._stack.callback(self.store.close)
        self.airflows = {name: self._stack.enter_context(StandInAirflow(old=old)) for name in ("default", "team_b")}
        self._old = old
        self._observed = observed
        self._unheard: set[str] = set()
        self._file = directory / "dependencies.json"
        self.settings = Settings(
            etcd=etcd,
            environments={
                name: AirflowSettings(
                    kind="airflow2" if old else "airflow",
                    url=airflow.base_url,
                    username=airflow.username,
                    password_file=_written(directory / f"{name}.password", airflow.password),
                    request_timeout=1.0,
                    observe=observed,
                    plugin=False,  # the stand-ins report in their own way
                )
                for name, airflow in self.airflows.items()
            },
            items={"tables": RowFiles(directory=_made(directory.absolute() / "tables"))},
            watcher=WatcherSettings(
                lease_ttl=2,
                look_timeout=0.5,
                follow_after=1.0,
                follow_tasks_after=0.1,
                observe_every=0.1,
                observe_idle=0.2,
                blocked_retry=0.5,
                backoff_initial=0.05,
                backoff_max=0.3,
            ),
        )
        self._by_hand: set[str] = set()
        self._partitioned: set[str] = set()
        self._known: set[str] = set()
        self._down: set[str] = set()
        self._kill_for: str | None = None
        self._freeze_for: str | None = None
        self._frozen: WatcherUnderTest | None = None
        self._reported = dict.fromkeys(self.airflows, 0)
        self._count = 0
        self._watchers: list[WatcherUnderTest] = []
        self.watcher: WatcherUnderTest | None = None
        for environment, airflow in self.airflows.items():
            airflow.on_state(lambda run, environment=environment: self._report(environment, run), queued=True)

    def __enter__(self) -> RealWorld:
        return self

    def __exit__(self, *_: object) -> None:
        for watcher in self._watchers:
            watcher.thaw()
            watcher.stop()
        for watcher in self._watchers:
            watcher.join()
        self._stack.close()
        for airflow in self.airflows.values():
            assert not airflow.failures, airflow.failures

    # -- World ---------------------------------------------------------------------------------------------------

    def dependencies(self, document: Mapping[str, Any]) -> None:
        for name in _names_in(document):
            self._declare(name)
        before = self.store.get(self.keys.dependencies("default"))
        self._file.write_text(json.dumps(document))
        if self.watcher is None and self._count == 0:
            self.start_watcher()
        if self.watcher is None:
            return

        def published() -> bool:
            now = self.store.get(self.keys.dependencies("default"))
            if now is None or (before is not None and now.mod_revision == before.mod_revision):
                return False
            self.watermark = max(self.watermark, now.mod_revision)
            return True

        self._await(published, "the document is published")
        self.settle()

    def rows(self, content: object, *, partition: str = PARTITION) -> None:
        source = self.settings.items["tables"]
        path = source.directory / (quote(partition, safe=":+~") + ".json")
        if content is None:
            path.unlink(missing_ok=True)
        else:
            whole = path.with_suffix(".new")
            whole.write_bytes(as_bytes(content))
            whole.rename(path)

    def by_hand(self, *names: str) -> None:
        self._by_hand.update(names)
        for name in names:
            self._declare(name)

    def by_itself(self, *names: str) -> None:
        self._by_hand.difference_update(names)
        for name in names:
            self._declare(name)

    def partitioned(self, name: str) -> None:
        self._partitioned.add(name)
        self._declare(name)

    def trigger(self, name: str, *, partition: str = PARTITION, run_id: str | None = None) -> str:
        airflow, dag_id = self._of(name)
        logical_date = None if run_id is not None else logical_date_of(partition)
        key = partition if logical_date is None else None
        run_id = run_id or f"scheduled__{partition}"
        airflow.trigger_by_hand(dag_id, run_id, logical_date=logical_date, partition_key=key)
        return run_id

    def test_by_hand(self, name: str, *, partition: str = PARTITION) -> None:
        airflow, dag_id = self._of(name)
        airflow.test_by_hand(dag_id, f"manual__{partition}", logical_date=logical_date_of(partition))

    def clear(self, name: str, *, partition: str = PARTITION) -> None:
        airflow, dag_id = self._of(name)
        airflow.clear_by_hand(dag_of(dag_id), self._newest(name, partition).run_id)

    def newest_run(self, name: str, partition: str) -> Run:
        airflow, dag_id = self._of(name)
        with airflow.changed:
            return airflow.model.get(dag_of(dag_id), self._newest(name, partition).run_id)

    def all_below(self, name: str, task: str) -> set[str]:
        airflow, dag_id = self._of(name)
        with airflow.changed:
            return airflow.model.dags[dag_id].all_below([task]) - {task}

    def now(self) -> datetime:
        return datetime.now(UTC)

    def has_tasks(self, name: str, **below: str) -> None:
        airflow, dag_id = self._of(name)
        with airflow.changed:
            airflow.model.dag(dag_id, below={task: tuple(others.split()) for task, others in below.items()})

    def task(self, name: str, task_id: str, *states: str | None, partition: str = PARTITION) -> None:
        airflow, dag_id = self._of(name)
        with airflow.changed:
            airflow.model.set_task(dag_of(dag_id), self._newest(name, partition).run_id, task_id, *states)

    def clear_tasks(self, name: str, *task_ids: str, partition: str = PARTITION) -> None:
        airflow, dag_id = self._of(name)
        with airflow.changed:
            airflow.model.clear_tasks(dag_of(dag_id), self._newest(name, partition).run_id, task_ids)

    def start(self, name: str, *, partition: str = PARTITION, run_id: str | None = None) -> None:
        airflow, dag_id = self._of(name)
        airflow.start(dag_of(dag_id), run_id or self._newest(name, partition, State.QUEUED).run_id)

    def finish(
        self, name: str, state: str = "success", *, partition: str = PARTITION, run_id: str | None = None
    ) -> None:
        airflow, dag_id = self._of(name)
        airflow.finish(dag_of(dag_id), run_id or self._newest(name, partition, State.RUNNING).run_id, State(state))

    def set_state(self, name: str, state: str, *, partition: str = PARTITION) -> None:
        airflow, dag_id = self._of(name)
        airflow.set_state(dag_of(dag_id), self._newest(name, partition).run_id, State(state))

    def delete_run(self, name: str, *, partition: str = PARTITION) -> None:
        airflow, dag_id = self._of(name)
        airflow.delete(dag_of(dag_id), self._newest(name, partition).run_id)

    def down(self, environment: str) -> None:
        self._down.add(environment)
        self.airflows[environment].down()

    def up(self, environment: str) -> None:
        self.airflows[environment].up()
        self._down.discard(environment)

    def pass_time(self) -> None:
        """Freshness is a matter of the watcher's own clock: a second of it must really pass."""
        time.sleep(self.settings.watcher.fresh_for + 0.1)

    def silence(self, *environments: str) -> None:
        self._unheard.update(environments)

    def retain(self, **limits: Any) -> None:
        self.settings = self.settings.model_copy(update={"retention": RetentionSettings(**limits)})
        self.stop_watcher()
        self.start_watcher()

    def resume_within(self, duration: str) -> None:
        publication = PublicationSettings(resume_within=parse_duration(duration))
        self.settings = self.settings.model_copy(update={"publication": publication})
        self.stop_watcher()
        self.start_watcher()

    def stop_watcher(self) -> None:
        if self.watcher is not None:
            self.watcher.kill()
            self.watcher.join()
            self.watcher = None

    def start_watcher(self) -> None:
        self._count += 1
        store = connect(self.settings.etcd)
        self._stack.callback(store.close)
        runners = {}
        for name, environment in self.settings.airflows.items():
            runners[name] = AirflowRunner(name, environment)
            self._stack.callback(runners[name].close)
        self.watcher = WatcherUnderTest(
            self.settings,
            store=store,
            runners=runners,
            file=FileToPublish(self._file),
            watcher_id=f"watcher-{self._count}",
        )
        self.watcher.before_request = self._before_request
        self._watchers.append(self.watcher)
        self.watcher.launch()
        watcher = self.watcher
        self._await(lambda: watcher.reconciler.leads, "the watcher leads")

    def kill_before_request(self, name: str) -> None:
        self._kill_for = name

    def freeze_before_request(self, name: str) -> None:
        self._freeze_for = name

    def thaw(self) -> None:
        assert self._frozen is not None
        self._frozen.thaw()
        self._frozen = None

    def settle(self) -> None:
        asked = {name: len(airflow.requests_of("tasks")) for name, airflow in self.airflows.items()}
        listed = {name: len(airflow.requests_of("list")) for name, airflow in self.airflows.items()}
        self._await(
            lambda: self._tasks_are_seen(asked) and self._runs_are_seen(listed) and self._rests_for_a_while(),
            "everything is at rest",
        )

    def settle_until(self, holds: Callable[[], bool], what: str) -> None:
        self._await(holds, what)

    def runs(self, name: str, *, partition: str = PARTITION) -> int:
        airflow, dag_id = self._of(name)
        history = [run for run in airflow.history if name_of(run) == dag_id and partition_of(run) == partition]
        return sum(run.state is State.RUNNING for run in history)

    def all_runs(self, name: str, *, partition: str = PARTITION) -> list[ObservedRun]:
        airflow, dag_id = self._of(name)
        return [
            run for run in airflow.runs(dag_of(dag_id)) if name_of(run) == dag_id and partition_of(run) == partition
        ]

    def requests(self, name: str, *, partition: str = PARTITION) -> int:
        airflow, dag_id = self._of(name)
        runs = {run.run_id for run in airflow.runs(dag_id) if partition_of(run) == partition}
        return sum(
            (request.kind == "trigger" or (request.kind in ("clear", "clear_tasks") and request.run_id in runs))
            and request.dag_id == dag_id
            and request.status == 200
            for request in airflow.requests
        )

    # -- behind it -------------------------------------------------------------------------------------------------

    def _rests_for_a_while(self) -> bool:
        """At rest, twice in a row: between two looks a report may be on its way from one part to the next."""
        for _ in range(2):
            if not self._rests():
                return False
            time.sleep(0.05)
        return self._rests()

    def _rests(self) -> bool:
        for environment, airflow in self.airflows.items():
            with airflow.changed:
                unfinished = [PipelineRef(environment, run.dag_id) for run in airflow.model.unfinished()]
                waiting = [one for one in unfinished if str(one) not in self._by_hand]
                if waiting or self._reported[environment] < len(airflow.history):
                    return False
        watcher = self.watcher  # another thread may end it meanwhile
        if watcher is None:
            return True
        if not self._states_are_those_of_the_runs():
            return False
        newest = max((item.mod_revision for item in self.store.list(self.keys.root).items), default=0)
        cache = watcher.reconciler.cache
        return watcher.reconciler.leads and cache.revision >= max(newest, self.watermark) and watcher.rests(self._down)

    def _runs_are_seen(self, listed: Mapping[str, int]) -> bool:
        """Whether changes that happened since are seen where nothing reports.

        :param listed: how often each environment had been asked for its runs before.
        """
        if not self._observed or self.watcher is None:
            return True
        up = self.airflows.keys() - self._down
        return all(len(self.airflows[one].requests_of("list")) >= listed[one] + 3 for one in up)

    def _states_are_those_of_the_runs(self) -> bool:
        """Whether etcd says of every run what its environment shows, where nothing reports."""
        if not self._observed or self.watcher is None:
            return True
        for name in self.airflows.keys() - self._down:
            with self.airflows[name].changed:
                runs = [*self.airflows[name].model.runs.values()]
            for run in runs:
                found = self.store.get(self.keys.state(Target(PipelineRef(name, name_of(run)), partition_of(run))))
                state = read_run_state(found.value) if found is not None else None
                if isinstance(state, RunState) and state.attempt.run_id == run.run_id and state.state is not run.state:
                    return False
        return True

    def _tasks_are_seen(self, asked: Mapping[str, int]) -> bool:
        """Whether a look at the followed tasks has begun since. :param asked: how many looks there had been."""
        if self.watcher is None:
            return True
        tasks = self.watcher.reconciler._observer._tasks._following
        followed = {task.pipeline.environment for task in list(tasks._followed)}
        return all(len(self.airflows[one].requests_of("tasks")) >= asked[one] + 2 for one in followed - self._down)

    def _await(self, holds: Callable[[], bool], what: str) -> None:
        until = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < until, f"not within {PATIENCE} s: {what}"
            time.sleep(0.02)

    def _before_request(self, watcher: WatcherUnderTest) -> None:
        if self.is_intended(self._kill_for):
            self._kill_for = None
            watcher.kill()
            self.watcher = None
        elif self.is_intended(self._freeze_for):
            self._freeze_for = None
            self._frozen, self.watcher = watcher, None
            watcher.freeze()

    def _declare(self, name: str) -> None:
        airflow, dag_id = self._of(name)
        keys = Partitioning.AT_RUNTIME if name in self._partitioned else None
        airflow.dag(dag_id, auto=None if name in self._by_hand else AT_ONCE, keys=keys)

    def _newest(self, name: str, partition: str, *states: State) -> ObservedRun:
        airflow, dag_id = self._of(name)
        found = [
            run
            for run in airflow.runs(dag_of(dag_id))
            if name_of(run) == dag_id and partition_of(run) == partition and (not states or run.state in states)
        ]
        assert found, f"no run of {name} in {partition} that is {' or '.join(states) or 'there'}"
        return max(found, key=lambda run: run.queued_at.timestamp() if run.queued_at else 0.0)

    def _report(self, environment: str, run: ObservedRun) -> None:
        pipeline = PipelineRef(environment, name_of(run))
        queued_at = run.start_date or run.end_date if self._old else shown_queued_at(run.queued_at, run.end_date)
        document = RunStateDocument(
            state=run.state,
            run_id=run.run_id,
            queued_at=queued_at,
            end_date=run.end_date,
            observed_at=datetime.now(UTC),
        )
        is_silent = self._observed or environment in self._unheard
        if run.state is not State.QUEUED and not is_silent:  # no listener in Airflow hears of queued
            self.report(Target(pipeline, partition_of(run)), document)
        self._reported[environment] += 1

    def _of(self, name: str) -> tuple[StandInAirflow, str]:
        pipeline = PipelineRef.parse(name)
        return self.airflows[pipeline.environment], pipeline.dag_id


def _made(directory: Path) -> Path:
    directory.mkdir(exist_ok=True)
    return directory


def _written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def _names_in(document: object) -> set[str]:
    """All pipelines that a document of the cases names."""
    match document:
        case str():
            return {document}
        case list():
            return set().union(*map(_names_in, document))
        case {"asset": _}:
            return set()
        case dict():
            inner = {
                key: value
                for key, value in document.items()
                if key not in ("at_least", "rerun", "settle", "items", "conf")
            }
            keys = set(inner) - {"upstream", "any", "all", "of", "pipeline", "on"}
            return keys.union(*(_names_in(value) for value in inner.values()))
    return set()
