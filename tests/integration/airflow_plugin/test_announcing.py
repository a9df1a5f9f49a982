"""A sender shows that it is there, on a lease; what it says is what ``status`` shows."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import pytest

from coordinator.airflow_plugin.activity import Activity
from coordinator.airflow_plugin.announcing import Announcer
from coordinator.airflow_plugin.identity import AirflowIdentity
from coordinator.airflow_plugin.outbox import Event, Outbox
from coordinator.cli.failures import ExitCode
from coordinator.config.etcd import EtcdSettings
from coordinator.config.reporter import ReporterSettings
from coordinator.config.settings import Settings
from coordinator.model.reporters import LastSeen, ReporterStatus, read_last_seen, read_reporter
from coordinator.model.runstate import RunStateDocument, State
from coordinator.store.connection import EtcdStore
from coordinator.store.embedded import EmbeddedEtcd
from coordinator.store.keys import Keys
from coordinator.store.port import Delete, KeyValue, Put, Transaction
from tests.command_line import Cli
from tests.command_line import cli as cli

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
DEADLINE = 30.0
OFTEN = 0.05
T = TypeVar("T")


def eventually(look: Callable[[], T], what: str) -> T:
    until = time.monotonic() + DEADLINE
    while not (found := look()):
        assert time.monotonic() < until, f"not within {DEADLINE} s: {what}"
        time.sleep(0.01)
    return found


def event(number: int, state: State = State.SUCCESS) -> Event:
    document = RunStateDocument(state=state, run_id=f"run_{number}", queued_at=NOON, observed_at=NOON)
    return Event(environment="sales", dag_id="load", partition=str(number), document=document)


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    outbox = Outbox(tmp_path / "outbox")
    outbox.prepare()
    return outbox


class Announced:
    """One announced sender, and its keys in etcd."""

    def __init__(self, outbox: Outbox, store: EtcdStore, settings: EtcdSettings) -> None:
        self.outbox = outbox
        self.activity = Activity()
        self.store = store
        self.keys = Keys(settings.prefix)
        self.announcer = Announcer(
            outbox,
            self.activity,
            airflow=AirflowIdentity("3.3.2", "http://airflow.sales:8080"),
            settings=lambda: Settings(etcd=settings, reporter=ReporterSettings(environment="sales")),
            every=OFTEN,
        )

    def key(self) -> KeyValue | None:
        return self.store.get(self.keys.reporter("sales", self.announcer.name))

    def status(self) -> ReporterStatus | None:
        found = self.key()
        status = read_reporter(found.value) if found is not None else None
        return status if isinstance(status, ReporterStatus) else None

    def says(self, what: Callable[[ReporterStatus], bool], why: str) -> ReporterStatus:
        def look() -> ReporterStatus | None:
            status = self.status()
            return status if status is not None and what(status) else None

        return eventually(look, why)  # type: ignore[return-value]

    def seen(self) -> KeyValue | None:
        return self.store.get(self.keys.reporter_seen("sales"))


@pytest.fixture
def announced(outbox: Outbox, etcd: EtcdStore, etcd_settings: EtcdSettings) -> Announced:
    return Announced(outbox, etcd, etcd_settings)


def test_it_says_which_airflow_it_is_and_is_gone_when_it_leaves(announced: Announced) -> None:
    with announced.announcer:
        status = announced.says(lambda _: True, "it is there")
        assert (status.airflow_version, status.airflow_url) == ("3.3.2", "http://airflow.sales:8080")
        assert (status.pid, status.outbox) == (os.getpid(), str(announced.outbox.directory))
        assert (status.backlog, status.oldest, status.parked, status.recent) == (0, None, 0, ())
        assert announced.key().lease != 0  # type: ignore[union-attr]
    assert announced.key() is None
    seen = announced.seen()
    assert seen is not None, "that it was there is remembered"
    assert seen.lease == 0
    last = read_last_seen(seen.value)
    assert isinstance(last, LastSeen)
    assert last.reporter == announced.announcer.name


def test_it_says_what_waits_what_is_parked_and_what_it_reported_last(announced: Announced) -> None:
    with announced.announcer:
        announced.says(lambda _: True, "it is there")
        before = datetime.now(UTC)
        for number in range(3):
            announced.outbox.put(event(number))
        waiting = announced.says(lambda status: status.backlog == 3, "the backlog")
        assert waiting.oldest is not None
        assert abs((waiting.oldest - before).total_seconds()) < 5
        for number in range(5):
            announced.activity.note(event(number, State.RUNNING))
            announced.activity.note(event(number, State.SUCCESS))
        recent = announced.says(lambda status: len(status.recent) == 3 and status.recent[0].run_id == "run_4", "runs")
        assert [(run.run_id, run.state) for run in recent.recent] == [
            ("run_4", "success"),
            ("run_3", "success"),
            ("run_2", "success"),
        ]


def test_it_writes_nothing_while_it_has_nothing_new_to_say(announced: Announced) -> None:
    with announced.announcer:
        announced.says(lambda _: True, "it is there")
        eventually(announced.seen, "and has left a sign")
        before = (announced.key(), announced.seen())
        renewed = announced.announcer.renewals
        eventually(lambda: announced.announcer.renewals >= renewed + 5, "it has renewed its lease")
        assert (announced.key(), announced.seen()) == before


def test_several_reporters_of_one_environment_leave_one_sign(
    announced: Announced, outbox: Outbox, etcd: EtcdStore, etcd_settings: EtcdSettings
) -> None:
    other = Announced(outbox, etcd, etcd_settings)
    with announced.announcer:
        first = eventually(announced.seen, "the sign")
        with other.announcer:
            other.says(lambda _: True, "the other one is there")
            renewed = other.announcer.renewals
            eventually(lambda: other.announcer.renewals >= renewed + 2, "it has gone on")
            assert announced.seen() == first


def test_a_lease_that_was_lost_is_replaced(announced: Announced, etcd: EtcdStore) -> None:
    with announced.announcer:
        announced.says(lambda _: True, "it is there")
        lost = announced.key()
        assert lost is not None
        etcd.revoke_lease(lost.lease)
        found = eventually(announced.key, "it is there again")
        assert found is not None
        assert found.lease != lost.lease


def test_it_comes_back_by_itself_after_etcd_was_away(outbox: Outbox, tmp_path: Path) -> None:
    from coordinator.store.connection import connect

    with EmbeddedEtcd(tmp_path / "etcd") as server:
        settings = EtcdSettings(endpoints=[server.endpoint])
        store = connect(settings)
        announced = Announced(outbox, store, settings)
        with announced.announcer:
            announced.says(lambda _: True, "it is there")
            server.kill()
            outbox.put(event(1))
            server.restart()
            announced.says(lambda status: status.backlog == 1, "it says something new")
        store.close()


def test_an_etcd_that_denies_the_key_or_is_away_ends_nothing(outbox: Outbox) -> None:
    settings = EtcdSettings(endpoints=["127.0.0.1:1"], timeout=0.2)
    announcer = Announcer(outbox, Activity(), settings=lambda: Settings(etcd=settings), every=OFTEN)
    with announcer:
        eventually(lambda: announcer.failures >= 3, "it goes on trying")


@pytest.fixture
def config(tmp_path: Path, etcd_settings: EtcdSettings) -> Path:
    file = tmp_path / "coordinator.toml"
    file.write_text(
        f"[etcd]\nendpoints = {json.dumps(etcd_settings.endpoints)}\nprefix = '{etcd_settings.prefix}'\n"
        "[environments.sales]\nurl = 'http://127.0.0.1:1'\n[environments.finance]\nurl = 'http://127.0.0.1:1'\n"
    )
    return file


def shown(cli: Cli, config: Path) -> tuple[dict[str, str], dict[str, str]]:
    """The problems with reporters, and how each environment is heard from."""
    result = json.loads(cli("status", "-c", config, "--json").stdout)
    hearing = {one["environment"]: one["hearing"] for one in result["reporters"]}
    return {place: text for place, text in result["problems"].items() if place.startswith("reporters ")}, hearing


def test_status_tells_who_is_heard_who_fell_silent_and_who_never_spoke(
    cli: Cli, config: Path, announced: Announced, tmp_path: Path
) -> None:
    document = tmp_path / "dependencies.json"
    document.write_text(json.dumps({"finance/daily": "sales/load"}))
    assert cli("apply", document, "-c", config, "--offline", "--yes").exit_code == ExitCode.OK
    with announced.announcer:
        announced.says(lambda _: True, "it is there")
        problems, hearing = shown(cli, config)
        assert hearing == {"finance": "never heard", "sales": "heard"}
        assert list(problems) == ["reporters finance"]
        assert "COORDINATOR_REPORTER__ENVIRONMENT=finance" in problems["reporters finance"]
        table = cli("status", "-c", config, "--all").stdout
        assert "3.3.2 http://airflow.sales:8080" in table
    long_ago = LastSeen(at=NOON, reporter="r", host="airflow-7").to_value()
    announced.store.commit(Transaction((), (Put(announced.keys.reporter_seen("sales"), long_ago),)))
    problems, hearing = shown(cli, config)
    assert hearing == {"finance": "never heard", "sales": "silent"}
    assert "(airflow-7)" in problems["reporters sales"]
    assert cli("status", "-c", config).exit_code == ExitCode.PROBLEM


def test_status_shows_reporters_under_a_name_that_nobody_knows(cli: Cli, config: Path, announced: Announced) -> None:
    wrong = announced.keys.reporter("sale", "r")
    value = ReporterStatus(host="h", pid=1, since=NOON, written_at=NOON).to_value()
    announced.store.commit(Transaction((), (Put(wrong, value),)))
    assert "reporters call their environment sale" in cli("status", "-c", config).stdout
    announced.store.commit(Transaction((), (Delete(wrong),)))
    assert "reporters call their environment" not in cli("status", "-c", config).stdout


def test_an_environment_without_the_plugin_is_not_missed(cli: Cli, config: Path, tmp_path: Path) -> None:
    config.write_text(config.read_text() + "plugin = false\n")
    document = tmp_path / "dependencies.json"
    document.write_text(json.dumps({"finance/daily": "finance/load"}))
    assert cli("apply", document, "-c", config, "--offline", "--yes").exit_code == ExitCode.OK
    assert shown(cli, config) == ({}, {"sales": "never heard"})
