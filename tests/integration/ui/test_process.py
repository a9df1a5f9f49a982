"""The process: begins with its address, ends when it is told to, and stays while etcd is away or slow."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pytest
import requests

from coordinator.config.etcd import EtcdSettings
from coordinator.model.runstate import State
from coordinator.store.connection import connect
from coordinator.store.embedded import EmbeddedEtcd
from coordinator.store.keys import Keys
from tests.certificates import Authority
from tests.integration.ui.conftest import DOCUMENT, Etcd, K, Serve

PATH = f"/api/v1/explain/default/publish/{quote(K, safe='')}"


@pytest.fixture
def own_etcd(tmp_path: Path) -> Iterator[EmbeddedEtcd]:
    """A real etcd that this test may stop and freeze."""
    with EmbeddedEtcd(tmp_path / "own-etcd") as server:
        yield server


@pytest.fixture
def own_world(own_etcd: EmbeddedEtcd, keys: Keys) -> None:
    store = connect(EtcdSettings(endpoints=[own_etcd.endpoint], prefix=keys.prefix))
    etcd = Etcd(store, keys)
    etcd.publish(DOCUMENT)
    etcd.report("reference", State.SUCCESS)
    store.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_well_when_it_is_told_to(
    serve: Serve, etcd_server: EmbeddedEtcd, keys: Keys, number: signal.Signals
) -> None:
    ui = serve(etcd_server.endpoint, keys)
    assert ui.get("/healthz").text == "alive\n"
    assert ui.end(number) == 0


@pytest.mark.usefixtures("own_world")
def test_while_etcd_is_away_it_says_since_when_and_goes_on_afterwards(
    serve: Serve, own_etcd: EmbeddedEtcd, keys: Keys
) -> None:
    ui = serve(own_etcd.endpoint, keys)
    assert ui.get(PATH).status_code == 200
    own_etcd.stop()
    began = datetime.now(UTC).replace(microsecond=0)
    first = ui.get("/api/v1/explain/default/other")  # another question: an answer is good for a second
    error = first.json()["error"]
    assert (first.status_code, error["kind"]) == (503, "etcd_away")
    assert first.headers["Retry-After"] == "2"
    since = datetime.fromisoformat(error["since"])
    assert since >= began
    again = ui.get("/api/v1/explain/default/load").json()["error"]
    assert datetime.fromisoformat(again["since"]) == since, "since it was first missed"
    page = ui.get("/runs/default/publish/r1")
    assert page.status_code == 503
    assert page.content == ui.get("/").content
    assert ui.get("/healthz").status_code == 200
    own_etcd.start()
    until = time.monotonic() + 30
    while (answer := ui.get(PATH)).status_code != 200:
        assert answer.status_code == 503
        assert time.monotonic() < until, answer.text
        time.sleep(0.1)


@pytest.mark.usefixtures("own_world")
def test_while_etcd_does_not_answer_the_page_does_and_it_ends_when_it_is_told_to(
    serve: Serve, own_etcd: EmbeddedEtcd, keys: Keys
) -> None:
    ui = serve(own_etcd.endpoint, keys)
    assert ui.get(PATH).status_code == 200
    own_etcd.freeze()
    try:
        with ThreadPoolExecutor(40) as pool:
            asked = [pool.submit(ui.get, f"/api/v1/explain/default/publish?limit={limit}") for limit in range(1, 41)]
            assert ui.get("/").status_code == 200, "the page itself needs no etcd"
            kinds = [one.result().json()["error"]["kind"] for one in asked]
        assert set(kinds) <= {"busy", "etcd_away", "slow"}
        assert "busy" in kinds, "not more wait than there are places for"
        assert ui.end() == 0
    finally:
        own_etcd.thaw()


def test_an_address_that_is_taken_is_said(serve: Serve, etcd_server: EmbeddedEtcd, keys: Keys, tmp_path: Path) -> None:
    ui = serve(etcd_server.endpoint, keys)
    config = tmp_path / "empty.toml"
    config.write_text("")
    command = [sys.executable, "-m", "coordinator.cli", "ui", "-c", str(config), "--listen", str(ui.port)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert f"ui.listen: cannot listen on '127.0.0.1:{ui.port}'" in done.stderr


def test_it_speaks_tls_with_a_certificate(serve: Serve, etcd_server: EmbeddedEtcd, keys: Keys, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("server")
    ui = serve(etcd_server.endpoint, keys, f'[ui]\ncert = "{pair.cert}"\nkey = "{pair.key}"\n')
    assert ui.url.startswith("https://")
    assert ui.get("/healthz", verify=str(authority.cert)).status_code == 200


def test_behind_a_proxy_its_addresses_begin_with_the_path_of_its_url(
    serve: Serve, etcd_server: EmbeddedEtcd, world: Etcd
) -> None:
    ui = serve(etcd_server.endpoint, world.keys, '[ui]\nurl = "https://host.example/coordinator"\n')
    assert ui.url.endswith("/coordinator")
    page = ui.get("/explain/default/publish").text
    assert 'src="/coordinator/static/app.js"' in page
    assert ui.get("/static/app.js").status_code == 200
    run = "/runs/team_b/extract/manual__2026-11-20T00%3A00%3A00%2B00%3A00"
    expected = "/coordinator/explain/team_b/extract/2026-11-20T00%3A00%3A00Z"
    assert ui.get(run).headers["Location"] == expected
    stripped = ui.url.removesuffix("/coordinator")  # by a proxy that takes the path away
    answer = requests.get(stripped + run, allow_redirects=False, timeout=30, proxies={"http": ""})
    assert answer.headers["Location"] == expected
