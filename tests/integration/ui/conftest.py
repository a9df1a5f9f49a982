"""``coordinator ui`` as a process, on a free port, before a real etcd; and a client that sends what it is told to."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

from coordinator.commands.report import write_report
from coordinator.config.etcd import EtcdSettings
from coordinator.model.documents import parse_document
from coordinator.model.publishing.publication import Publication, dump_publication
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunStateDocument, State
from coordinator.store.connection import EtcdStore, connect
from coordinator.store.embedded import EmbeddedEtcd
from coordinator.store.keys import Keys
from coordinator.store.port import Put, Transaction
from tests.browser import chromium, executable
from tests.command_line import cli as cli
from tests.e2e.required import required

if TYPE_CHECKING:
    from playwright.sync_api import Browser

K = "2026-11-20T00:00:00Z"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
EVIL = "<img src=x onerror=alert(1)>"
DOCUMENT = {
    "load": "team_b/extract",
    "publish": ["load", "reference"],
    "other": [{"pipeline": "team_b/extract", "on": "done"}],
}


@dataclass(frozen=True)
class Ui:
    """A page that is served. ``url``: its address, without a ``/`` at its end."""

    process: subprocess.Popen[str]
    url: str

    @property
    def port(self) -> int:
        return int(self.url.split("/")[2].rpartition(":")[2])

    def get(self, path: str, **options: Any) -> requests.Response:
        """Without following redirects, and through no proxy."""
        given = {"allow_redirects": False, "timeout": 30, "proxies": {"http": "", "https": ""}, **options}
        return requests.get(self.url + path, **given)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(20)


Serve = Callable[..., Ui]


def serving(config: Path, *arguments: str) -> Iterator[Ui]:
    """Serve, until the iterator goes on; then it must end by itself, and well."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COORDINATOR_")}
    command = [sys.executable, "-u", "-m", "coordinator.cli", "ui", "--config", str(config), *arguments]
    if "--listen" not in arguments:
        command += ["--listen", "127.0.0.1:0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ)
    assert process.stdout is not None
    try:
        said = process.stdout.readline()
        found = re.search(r"https?://\S+", said)
        assert found is not None, said
        yield Ui(process, found[0].rstrip("/"))
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def write_config(file: Path, endpoint: str, prefix: str, more: str = "") -> Path:
    file.write_text(f'[etcd]\nendpoints = ["{endpoint}"]\nprefix = "{prefix}"\ntimeout = 2\n{more}')
    return file


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """``serve(endpoint, keys, more)``: a page of its own, with more settings; ended with the test."""
    with ExitStack() as stack:

        def start(endpoint: str, keys: Keys, more: str = "", *arguments: str) -> Ui:
            config = write_config(tmp_path / f"{uuid.uuid4().hex}.toml", endpoint, keys.prefix, more)
            return stack.enter_context(contextmanager(serving)(config, *arguments))

        yield start


class Etcd:
    """What stands in etcd for the tests of a module."""

    def __init__(self, store: EtcdStore, keys: Keys) -> None:
        self.store = store
        self.keys = keys

    def put(self, key: str, value: bytes) -> int:
        return self.store.commit(Transaction((), (Put(key, value),))).revision

    def publish(self, document: dict[str, Any]) -> int:
        parsed = parse_document(json.dumps(document), source="test")
        return self.put(self.keys.dependencies("default"), dump_publication(Publication(parsed, {})))

    def report(
        self, pipeline: PipelineRef | str, state: State, *, partition: str = K, run_id: str = "r1", day: int = 0
    ) -> int:
        ref = pipeline if isinstance(pipeline, PipelineRef) else PipelineRef.parse(pipeline)
        target = Target(ref, partition)
        at = NOON + timedelta(days=day)
        document = RunStateDocument(state=state, run_id=run_id, queued_at=at, observed_at=at + timedelta(hours=1))
        write_report(self.store, self.keys, target, document)
        written = self.store.get(self.keys.state(target))
        assert written is not None
        return written.mod_revision


@pytest.fixture(scope="module")
def world(etcd_server: EmbeddedEtcd) -> Iterator[Etcd]:
    """Published dependencies and some runs, under a prefix of the module's own."""
    keys = Keys(f"/test-{uuid.uuid4().hex}")
    store = connect(EtcdSettings(endpoints=[etcd_server.endpoint], prefix=keys.prefix))
    etcd = Etcd(store, keys)
    etcd.publish(DOCUMENT)
    etcd.report("reference", State.SUCCESS)
    etcd.report("team_b/extract", State.FAILED, run_id="manual__2026-11-20T00:00:00+00:00")
    etcd.report(PipelineRef(EVIL, f"{EVIL}/x"), State.SUCCESS, partition=f"{EVIL}:%2F/1", run_id=EVIL)
    yield etcd
    store.close()


@pytest.fixture(scope="module")
def config(world: Etcd, etcd_server: EmbeddedEtcd, tmp_path_factory: pytest.TempPathFactory) -> Path:
    more = """
    [ui]
    url = "https://coordinator.example:8443"
    [environments.team_b]
    url = "http://airflow-b:8080"
    web_url = "https://team-b.example/airflow"
    [environments.default]
    kind = "airflow2"
    url = "http://127.0.0.1:8080"
    """
    file = tmp_path_factory.mktemp("ui") / "coordinator.toml"
    return write_config(file, etcd_server.endpoint, world.keys.prefix, more)


@pytest.fixture(scope="module")
def ui(config: Path) -> Iterator[Ui]:
    """One page for the tests of a module."""
    yield from serving(config)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium. Where it or Playwright is missing, that is said; in CI it is a failure."""
    try:
        import playwright.sync_api  # noqa: F401 - it is looked for
    except ModuleNotFoundError:
        required("Playwright", "the extra 'dev'")
    if executable() is None:
        required("Chromium", "chromium (Debian: apt-get install chromium)")
    with chromium() as found:
        yield found
