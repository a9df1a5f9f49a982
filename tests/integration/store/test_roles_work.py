"""Each role can do its whole work, through the code that does it in service, on an etcd that asks who somebody is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from coordinator.airflow_plugin import sender as deliver
from coordinator.airflow_plugin.activity import Activity
from coordinator.airflow_plugin.announcing import Announcer
from coordinator.airflow_plugin.outbox import Event, Outbox
from coordinator.airflow_provider.wait_watch import WaitWatch
from coordinator.cli.failures import ExitCode
from coordinator.commands.emit import write_event
from coordinator.commands.report import write_report
from coordinator.config.etcd import EtcdSettings
from coordinator.config.reporter import ReporterSettings
from coordinator.config.retention import RetentionSettings
from coordinator.config.settings import Settings
from coordinator.model.assets.events import AssetEventDocument
from coordinator.model.references import PipelineRef, Target, WaitRef
from coordinator.model.runstate import RunStateDocument, State, Verdict
from coordinator.model.waits import Completion, Wait, WaitStatus, dump_wait, passed
from coordinator.store import securing
from coordinator.store.connection import EtcdStore, connect
from coordinator.store.keys import Keys
from coordinator.store.port import AccessDenied, KeyValue, Put, Transaction
from coordinator.store.users import ROOT, Users
from tests.command_line import Cli
from tests.command_line import cli as cli
from tests.integration.controller.service import write_config
from tests.integration.controller.waiting import until
from tests.integration.controller.worlds import ServedWorld
from tests.integration.store.secured import SecuredEtcd
from tests.worlds.world import PARTITION

KEYS = Keys()
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
ENVIRONMENTS = '[environments.default]\nurl = "http://127.0.0.1:1"\n[environments.team_b]\nurl = "http://127.0.0.1:1"\n'


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[SecuredEtcd]:
    with SecuredEtcd(tmp_path / "secured") as server:
        server.secure()
        yield server


def target(name: str, partition: str = PARTITION) -> Target:
    return Target(PipelineRef.parse(name), partition)


def document(state: State, *, minutes: int = 0) -> RunStateDocument:
    return RunStateDocument(state=state, run_id="nightly", queued_at=NOON + timedelta(minutes=minutes))


def test_a_reporter_reports_new_repeated_and_late_and_for_nobody_else(etcd: SecuredEtcd) -> None:
    store = etcd.connect("rep")
    where = target("team_b/load")
    assert write_report(store, KEYS, where, document(State.RUNNING)) is Verdict.NEW
    assert write_report(store, KEYS, where, document(State.SUCCESS)) is Verdict.NEW
    assert write_report(store, KEYS, where, document(State.SUCCESS)) is Verdict.REPEAT
    assert write_report(store, KEYS, where, document(State.RUNNING)) is Verdict.OUTDATED
    assert write_report(store, KEYS, where, document(State.FAILED, minutes=-1)) is Verdict.OUTDATED
    for other in ("load", "team_b2/load", "team_a/load"):
        with pytest.raises(AccessDenied, match="permission denied"):
            write_report(store, KEYS, target(other), document(State.SUCCESS))
    store.close()


@pytest.mark.promise("assets")
def test_a_reporter_tells_of_its_asset_events_and_of_no_others(etcd: SecuredEtcd) -> None:
    store = etcd.connect("rep")
    event = AssetEventDocument(uri="s3://lake/orders", timestamp=datetime(2026, 11, 20, tzinfo=UTC))
    assert write_event(store, KEYS, "team_b", "event", event) is Verdict.NEW
    assert write_event(store, KEYS, "team_b", "event", event) is Verdict.REPEAT
    for other in ("team_a", "team_b2"):
        with pytest.raises(AccessDenied, match="permission denied"):
            write_event(store, KEYS, other, "event", event)
    store.close()


def test_a_sensor_writes_its_wait_and_hears_the_answer_and_reports_nothing(etcd: SecuredEtcd) -> None:
    key = KEYS.wait(WaitRef(target("team_b/load"), "nightly", "sensor", -1))
    wait = Wait(WaitStatus.WAITING, target("rates"), task_instance="id")
    root, store = etcd.connect(ROOT), etcd.connect("sensors")
    watch = WaitWatch(etcd.connect("sensors"), KEYS, "team_b")
    try:
        watch.write(key, wait)
        written = root.get(key)
        assert written is not None
        assert store.get(key) == written
        answer = dump_wait(passed(wait, Completion(7, State.SUCCESS), datetime.now(UTC)))
        root.commit(Transaction((), (Put(key, answer),)))

        async def hears() -> None:
            async for value in watch.values(key):
                if value == answer:
                    return

        asyncio.run(asyncio.wait_for(hears(), 30))
        with pytest.raises(AccessDenied, match="permission denied"):
            write_report(store, KEYS, target("team_b/load"), document(State.SUCCESS))
    finally:
        watch.close()
        store.close()
        root.close()


def test_a_reporter_needs_no_more_for_the_command_line_and_the_outbox(
    etcd: SecuredEtcd, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = etcd.config("rep")
    command = ("report", "team_b/load", "success", "-p", PARTITION, "--run-id", "nightly", "--attempt", "1")
    assert cli(*command, "-c", config).exit_code == ExitCode.OK
    refused = cli("report", "load", "success", "-p", PARTITION, "-c", config)
    assert refused.exit_code == ExitCode.REFUSED
    assert "the roles granted to it" in refused.stderr
    outbox = Outbox(tmp_path / "outbox")
    outbox.directory.mkdir()
    for minutes, state in enumerate((State.RUNNING, State.SUCCESS)):
        partition = f"2026-11-2{minutes}"
        outbox.put(Event(environment="team_b", dag_id="load", partition=partition, document=document(state)))
    monkeypatch.setenv("COORDINATOR_CONFIG", str(config))
    monkeypatch.setenv("COORDINATOR_REPORTER__ENVIRONMENT", "team_b")
    assert deliver.main(["--outbox", str(outbox.directory)]) == 0
    root = etcd.connect(ROOT)
    assert len(root.list(KEYS.states_of(PipelineRef("team_b", "load"))).items) == 3
    root.close()


@pytest.mark.promise("reporting")
def test_events_of_an_environment_that_was_renamed_hold_up_no_others(
    etcd: SecuredEtcd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One under the old name, then five good ones; and once the sender itself goes by a name that etcd denies."""
    outbox = Outbox(tmp_path / "outbox")
    for number, environment in enumerate(("old", *["team_b"] * 5)):
        outbox.put(
            Event(environment=environment, dag_id="load", partition=str(number), document=document(State.SUCCESS))
        )
    monkeypatch.setenv("COORDINATOR_CONFIG", str(etcd.config("rep")))
    monkeypatch.setenv("COORDINATOR_REPORTER__ENVIRONMENT", "team_b")
    assert deliver.main(["--outbox", str(outbox.directory)]) == 1, "something is left"
    assert (outbox.pending(), len(outbox.parked.names())) == ([], 1)
    (parked,) = outbox.parked.all()
    assert "belongs to the environment 'old', and this sender reports for 'team_b'" in parked.why.reason
    monkeypatch.setenv("COORDINATOR_REPORTER__ENVIRONMENT", "old")
    assert deliver.main(["--outbox", str(outbox.directory)]) == 1
    (parked,) = outbox.parked.all()
    assert "permission denied" in parked.why.reason
    assert outbox.replay(parked.name, environment="team_b")
    monkeypatch.setenv("COORDINATOR_REPORTER__ENVIRONMENT", "team_b")
    assert deliver.main(["--outbox", str(outbox.directory)]) == 0
    root = etcd.connect(ROOT)
    assert len(root.list(KEYS.states_of(PipelineRef("team_b", "load"))).items) == 6
    root.close()


def test_a_reporter_shows_that_it_is_there_and_only_for_its_own_environment(etcd: SecuredEtcd, tmp_path: Path) -> None:
    def settings(environment: str) -> Settings:
        return Settings(etcd=etcd.settings_of("rep"), reporter=ReporterSettings(environment=environment))

    outbox = Outbox(tmp_path / "outbox")
    view = etcd.connect("view")

    def reporters(environment: str) -> list[KeyValue]:
        return view.list(KEYS.every("reporter", environment)).items

    with Announcer(outbox, Activity(), settings=lambda: settings("team_b"), every=0.05) as announcer:
        until(lambda: announcer.renewals >= 3, "it has written its key, left a sign and renewed its lease")
        assert len(reporters("team_b")) == 1
        assert view.get(KEYS.reporter_seen("team_b")) is not None
    assert reporters("team_b") == [], "a reporter may give its lease back"
    with Announcer(outbox, Activity(), settings=lambda: settings("team_a"), every=0.05) as denied:
        until(lambda: denied.failures >= 2, "etcd denies it")
    assert (reporters("team_a"), denied.renewals) == ([], 0)
    view.close()


class Person:
    """Somebody at the command line."""

    def __init__(self, cli: Cli, etcd: SecuredEtcd, user: str, directory: Path) -> None:
        self._cli = cli
        self._config = etcd.config(user, ENVIRONMENTS)
        self._directory = directory

    def __call__(self, *arguments: object) -> Any:
        return self._cli(*arguments, "-c", self._config)

    def does(self, *arguments: object, code: ExitCode = ExitCode.OK) -> str:
        result = self(*arguments)
        assert result.exit_code == code, result.stdout + result.stderr
        return str(result.stdout)

    def may_not(self, *arguments: object) -> None:
        result = self(*arguments)
        assert result.exit_code == ExitCode.REFUSED, result.stdout + result.stderr
        assert "permission denied" in result.stderr

    def file(self, document: object) -> Path:
        file = self._directory / "new.json"
        file.write_text(json.dumps(document))
        return file


def test_an_owner_plans_and_publishes_its_document_and_no_other(etcd: SecuredEtcd, cli: Cli, tmp_path: Path) -> None:
    owner = Person(cli, etcd, "own", tmp_path)
    first = owner.file({"team_b/mail": "load"})
    owner.does("plan", first, "--owner", "team_b", "--offline")
    owner.does("apply", first, "--owner", "team_b", "--offline", "--yes", "--reason", "T-1")
    owner.does("apply", first, "--owner", "team_b", "--check")
    second = owner.file({"team_b/mail": ["load", "team_b/check"]})
    owner.does("apply", second, "--owner", "team_b", "--check", code=ExitCode.DIFFERENT)
    owner.does("apply", second, "--owner", "team_b", "--offline", "--yes", "--reason", "T-2")
    assert "T-1" in owner.does("dependencies", "log", "--owner", "team_b")
    owner.may_not("apply", owner.file({"load": "extract"}), "--owner", "default", "--offline", "--yes")
    owner.may_not("hold", "team_b/mail", "--reason", "why not")
    owner.may_not("mark", "team_b/mail", PARTITION, "success", "--new-partition", "--yes")
    owner.may_not("report", "team_b/mail", "success", "-p", PARTITION)


@pytest.fixture
def scene(etcd: SecuredEtcd, tmp_path: Path, cli: Cli) -> SecuredEtcd:
    """load has run, and so has team_b/mail, which waits for it; check waits for a release (rerun: hold)."""
    root = Person(cli, etcd, ROOT, tmp_path)
    central = root.file({"check": {"upstream": "load", "rerun": "hold"}})
    root.does("apply", central, "--offline", "--yes")
    root.does("apply", root.file({"team_b/mail": "load"}), "--owner", "team_b", "--offline", "--yes")
    for name in ("load", "check", "team_b/mail"):
        root.does("report", name, "success", "-p", PARTITION, "--run-id", "nightly", "--attempt", "1")
    return etcd


def test_an_operator_holds_releases_reruns_marks_fills_and_forgets(
    scene: SecuredEtcd, cli: Cli, tmp_path: Path
) -> None:
    operator = Person(cli, scene, "ops", tmp_path)
    for name in ("load", "team_b/mail"):
        operator.does("hold", name, "--reason", "bad file")
        operator.does("release", name, "--yes")
        operator.does("rerun", name, PARTITION, "--downstream", "--yes")
        operator.does("mark", name, PARTITION, "failed", "--yes", "--force")
    operator.does("release", "check", PARTITION, "--force")
    operator.does("mark", "load", "a-slip", "failed", "--new-partition", "--yes")
    operator.does("forget", "load", "a-slip", "--downstream", "--yes")
    operator.does("fill", "load", "--yes")
    assert operator.does("acts").count("bad file") == 2
    operator.may_not("apply", operator.file({"load": "extract"}), "--owner", "default", "--offline", "--yes")


def test_an_operator_of_one_environment_touches_no_other(scene: SecuredEtcd, cli: Cli, tmp_path: Path) -> None:
    operator = Person(cli, scene, "ops-b", tmp_path)
    operator.does("hold", "team_b/mail", "--reason", "bad file")
    operator.does("release", "team_b/mail", "--yes")
    operator.does("rerun", "team_b/mail", PARTITION, "--yes")
    operator.does("mark", "team_b/mail", PARTITION, "failed", "--yes", "--force")
    operator.may_not("hold", "load", "--reason", "why not")
    operator.may_not("rerun", "load", PARTITION, "--downstream", "--yes")
    operator.may_not("mark", "load", PARTITION, "failed", "--yes")
    operator.may_not("release", "check", PARTITION, "--force")
    operator.may_not("forget", "load", PARTITION, "--downstream", "--yes")


def test_a_viewer_sees_everything_and_changes_nothing(scene: SecuredEtcd, cli: Cli, tmp_path: Path) -> None:
    viewer = Person(cli, scene, "view", tmp_path)
    assert "no watcher leads" in viewer.does("status", "--all", code=ExitCode.PROBLEM)
    viewer.does("explain", "team_b/mail", PARTITION)
    viewer.does("acts")
    viewer.does("dependencies", "show")
    viewer.does("plan", viewer.file({"team_b/mail": "load"}), "--owner", "team_b", "--offline")
    viewer.may_not("apply", viewer.file({"team_b/mail": "check"}), "--owner", "team_b", "--offline", "--yes")
    viewer.may_not("hold", "load", "--reason", "why not")
    viewer.may_not("rerun", "load", PARTITION, "--downstream", "--yes")
    viewer.may_not("mark", "load", PARTITION, "failed", "--yes")
    viewer.may_not("report", "load", "success", "-p", PARTITION)
    found = json.loads(viewer("doctor", "-d", viewer.file({"team_b/mail": "load"}), "--json").stdout)["findings"]
    assert [one for one in found if "etcd" in one["subject"] and one["grade"] == "problem"] == []


class SecuredWorld(ServedWorld):
    """The watcher has its own user, and each environment reports as its reporter. ``self`` looks on as root."""

    def __init__(self, server: SecuredEtcd, looking: EtcdSettings, directory: Path, *, reporters: bool = True) -> None:
        super().__init__(looking, directory)
        self._watcher = server.settings_of("watcher")
        self._own_stores: dict[str, EtcdStore] = {}
        if reporters:
            for environment, user in (("default", "rep-default"), ("team_b", "rep")):
                self._own_stores[environment] = connect(server.settings_of(user))
                self._stack.callback(self._own_stores[environment].close)

    def config(self) -> Path:
        # So short that a sweep has something to remove: a partition, and what people did.
        retention = RetentionSettings(
            max_partitions=1, min_age=timedelta(), every=timedelta(seconds=1), acts=timedelta()
        )
        settings = self.settings.model_copy(update={"etcd": self._watcher, "retention": retention})
        return write_config(self.directory / "coordinator.toml", settings)

    def report(self, where: Target, document: RunStateDocument) -> None:
        store = self._own_stores.get(where.pipeline.environment, self.store)
        write_report(store, self.keys, where, document)


@pytest.mark.promise("roles")
def test_the_watcher_runs_waves_obeys_people_and_sweeps_as_its_own_user(
    etcd: SecuredEtcd, cli: Cli, tmp_path: Path
) -> None:
    """All that it ever writes: states, records, its document, orders, watermarks, acts, heartbeats, its lease."""
    with SecuredWorld(etcd, etcd.settings_of(ROOT), tmp_path) as world:
        world.dependencies({"A": {"upstream": "R", "catchup": "latest"}, "team_b/B": "A", "D": ["A", "team_b/B"]})
        watcher = world.serve()
        operator = Person(cli, etcd, "ops", tmp_path)
        old = "2026-11-19T00:00:00Z"
        world.complete("R", partition=old)
        world.until_done("A", "team_b/B", "D", partition=old, runs=1)
        operator.does("rerun", "A", old, "--downstream", "--yes")
        world.until_done("A", "team_b/B", "D", partition=old, runs=2)
        operator.does("hold", "D", "--reason", "for a while")
        operator.does("release", "D", "--yes")
        world.complete("R")
        world.until_done("A", "team_b/B", "D", runs=1)
        gone = [key(target("A", old)) for key in (KEYS.state, KEYS.trigger, KEYS.order)]
        until(lambda: all(world.store.get(key) is None for key in gone), "the old partition is removed")
        until(lambda: not world.store.list(KEYS.acts).items, "what people did is removed")
        for key in (KEYS.watermark(PipelineRef("default", "D")), KEYS.retention, KEYS.heartbeat, KEYS.leader):
            assert world.store.get(key) is not None, key
        assert world.counts("A", "team_b/B", "D") == {"A": 1, "team_b/B": 1, "D": 1}
        assert world.counts("A", "team_b/B", "D", partition=old) == {"A": 2, "team_b/B": 2, "D": 2}
        watcher.terminate()
        assert watcher.wait() == 0
        assert world.store.get(KEYS.leader) is None, "it gave its lease back"
        assert "denied" not in watcher.log()


@pytest.mark.promise("roles")
def test_authentication_can_be_turned_on_under_a_running_watcher(tmp_path: Path) -> None:
    """First everybody gets a user, then it is turned on; docs/security.md says so."""
    with SecuredEtcd(tmp_path / "etcd") as server:
        open_to_all = EtcdSettings(endpoints=[server.endpoint])
        with SecuredWorld(server, open_to_all, tmp_path, reporters=False) as world:
            world.dependencies({"A": "R"})
            watcher = world.serve()
            world.complete("R")
            world.until_done("A", runs=1)
            server.secure()
            world.store.close()
            world.store = server.connect(ROOT)
            world._stack.callback(world.store.close)
            world.complete("R", wave=2)
            world.until_done("A", runs=2)
            assert watcher.events("trigger.blocked") == []
            assert watcher.is_running()
        with Users(server.settings_of(ROOT)) as users:
            assert users.authentication_is_on()
            assert securing.holders(users, ["coordinator-watcher"]) == {"coordinator-watcher": ["watcher"]}


def test_nobody_can_lock_everybody_out(tmp_path: Path) -> None:
    with SecuredEtcd(tmp_path / "etcd") as server, Users(EtcdSettings(endpoints=[server.endpoint])) as users:
        with pytest.raises(securing.CannotEnable, match="etcdctl user add root"):
            securing.enable_authentication(users)
        users.add_user(ROOT, server.password_of(ROOT))
        with pytest.raises(securing.CannotEnable, match="has not the role root"):
            securing.enable_authentication(users)
        assert not users.authentication_is_on()
