"""``coordinator.report`` from many processes, and after fork()."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import coordinator
from coordinator.commands.report import make_document, write_report
from coordinator.config.etcd import EtcdSettings
from coordinator.config.settings import Settings
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import InvalidReport, RunState, State, Verdict, read_run_state
from coordinator.store.connection import EtcdStore, connect
from coordinator.store.embedded import EmbeddedEtcd
from coordinator.store.keys import Keys

TARGET = Target(PipelineRef("default", "a"), "2026-11-20")


def test_a_report_from_anywhere_is_written_where_the_coordinator_reads_it(
    etcd: EtcdStore, keys: Keys, etcd_settings: EtcdSettings
) -> None:
    settings = Settings(etcd=etcd_settings)
    verdict = coordinator.report("team_b/a", "success", partition="2026/11", run_id="r", attempt=1, settings=settings)
    assert verdict is Verdict.NEW
    kv = etcd.get(keys.state(Target(PipelineRef("team_b", "a"), "2026/11")))
    assert kv is not None
    assert kv.value == b'{"state":"success","run_id":"r","attempt":1}'
    again = coordinator.report("team_b/a", "success", partition="2026/11", run_id="r", attempt=1, settings=settings)
    assert again is Verdict.REPEAT


def test_the_settings_are_found_as_everywhere(
    etcd: EtcdStore, keys: Keys, etcd_settings: EtcdSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "coordinator.toml"
    file.write_text(f'[etcd]\nendpoints = ["{etcd_settings.endpoints[0]}"]\nprefix = "{keys.prefix}"\n')
    monkeypatch.setenv("COORDINATOR_CONFIG", str(file))
    assert coordinator.report("a", State.FAILED, partition="2026-11-20") is Verdict.NEW
    kv = etcd.get(keys.state(TARGET))
    assert kv is not None
    assert kv.value == b'{"state":"failed"}'


@pytest.mark.parametrize(("pipeline", "partition"), [("", "k"), ("a/", "k"), ("a", "")])
def test_a_report_on_nothing_is_refused(etcd_settings: EtcdSettings, pipeline: str, partition: str) -> None:
    with pytest.raises(InvalidReport):
        coordinator.report(pipeline, "success", partition=partition, settings=Settings(etcd=etcd_settings))


@pytest.mark.promise("late-reports")
def test_of_many_reports_at_once_the_newest_attempt_stands(etcd: EtcdStore, keys: Keys) -> None:
    began = datetime(2026, 11, 20, tzinfo=UTC)
    reports = [
        make_document(state, run_id="r", queued_at=began + timedelta(minutes=number))
        for number in range(20)
        for state in ("running", "success")
    ]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda document: write_report(etcd, keys, TARGET, document), reversed(reports)))
        list(pool.map(lambda document: write_report(etcd, keys, TARGET, document), reports))
    kv = etcd.get(keys.state(TARGET))
    assert kv is not None
    found = read_run_state(kv.value)
    assert isinstance(found, RunState)
    assert (found.state, found.attempt.queued_at) == (State.SUCCESS, began + timedelta(minutes=19))


def test_a_report_made_while_etcd_is_restarted_arrives(own_etcd: EmbeddedEtcd) -> None:
    store = connect(own_etcd.settings)
    document = make_document("success", run_id="r", attempt=1)
    own_etcd.kill()
    with ThreadPoolExecutor(1) as pool:
        outcome = pool.submit(write_report, store, Keys(), TARGET, document)
        own_etcd.start()
        assert outcome.result(30) is Verdict.NEW
    store.close()


def test_it_can_be_called_after_a_fork_of_a_process_that_has_reported(etcd_settings: EtcdSettings, keys: Keys) -> None:
    """In a process of its own, because forking one with threads is what nobody should do."""
    script = f"""
import os, sys, warnings
import coordinator
from coordinator.config.etcd import EtcdSettings
from coordinator.config.settings import Settings
settings = Settings(etcd=EtcdSettings(endpoints={etcd_settings.endpoints!r}, prefix={keys.prefix!r}))
coordinator.report("parent", "success", partition="k", settings=settings)
warnings.simplefilter("ignore", DeprecationWarning)
children = []
for number in range(4):
    child = os.fork()
    if not child:
        status = 1
        try:
            coordinator.report(f"child{{number}}", "success", partition="k", settings=settings, within=10)
            status = 0
        finally:
            os._exit(status)
    children.append(child)
codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
coordinator.report("parent", "failed", partition="k", settings=settings)
sys.exit(any(codes))
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
    store = connect(etcd_settings)
    assert len(store.list(keys.root + "state/").items) == 5
    store.close()


_SAYS = """
import sys, time
import coordinator
from coordinator.config.etcd import EtcdSettings
from coordinator.config.settings import Settings
from coordinator.store.port import StoreUnavailable
settings = Settings(etcd=EtcdSettings(endpoints=[sys.argv[1]], prefix=sys.argv[2], timeout=1))
try:
    coordinator.report("p", "success", partition="k", settings=settings, within=float(sys.argv[3]))
except StoreUnavailable:
    sys.exit(3)
"""


def say_nothing(endpoint: str, prefix: str, *, within: float) -> int:
    done = subprocess.run(
        [sys.executable, "-c", _SAYS, endpoint, prefix, str(within)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("", ""), "a library prints nothing"
    return done.returncode


def test_reporting_prints_nothing_whether_etcd_is_there_or_not(etcd_settings: EtcdSettings, keys: Keys) -> None:
    assert say_nothing(etcd_settings.endpoints[0], keys.prefix, within=10) == 0
    assert say_nothing("127.0.0.1:1", keys.prefix, within=1.5) == 3
