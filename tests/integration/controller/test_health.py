"""``/healthz``, ``/readyz`` and ``/metrics`` of a watcher that runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from coordinator.config.etcd import EtcdSettings
from coordinator.store.embedded import EmbeddedEtcd, free_port
from tests.integration.controller.service import Service
from tests.integration.controller.waiting import until
from tests.integration.controller.worlds import ServedWorld


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedEtcd]:
    """Not started yet."""
    server = EmbeddedEtcd(tmp_path / "etcd", port=free_port())
    yield server
    server.stop()


def test_a_watcher_is_ready_while_it_follows_etcd_and_alive_all_the_time(server: EmbeddedEtcd, tmp_path: Path) -> None:
    with ServedWorld(EtcdSettings(endpoints=[server.endpoint], timeout=1.0), tmp_path) as world:
        world.dependencies({"A": "R"})
        watcher = world.launch()
        until(lambda: _listens(watcher), "it listens")
        assert watcher.get("/readyz") == (503, "unready"), "nothing is read"
        assert watcher.get("/healthz") == (200, "alive")
        metrics = watcher.metrics()
        assert [metrics.value(one) for one in ("connected", "leader", "revision")] == [0, 0, 0]
        server.start()
        until(watcher.is_ready, "it has read etcd")
        assert watcher.get("/readyz?verbose") == (200, "ready")
        until(watcher.leads, "it leads")
        metrics = watcher.metrics()
        assert (metrics.value("connected"), metrics.value("problems")) == (1, 0)
        assert metrics.value("revision") >= 1
        server.kill()
        until(lambda: not watcher.is_ready(), "it has noticed that etcd is away")
        assert watcher.get("/readyz") == (503, "unready")
        assert watcher.get("/healthz") == (200, "alive"), "that is no reason to restart it"
        server.start()
        until(watcher.is_ready, "it follows again")
        world.complete("R")
        world.until_done("A", runs=1)


def test_two_watchers_on_one_address_the_second_says_so_and_ends(served: ServedWorld, tmp_path: Path) -> None:
    served.dependencies({"A": "R"})
    first = served.serve()
    second = Service(served.config(), log=tmp_path / "second.log", address=first.address)
    served.services.append(second)
    assert second.wait() == 2
    assert "http.listen" in second.log()
    assert "Traceback" not in second.log()
    assert first.is_ready()


def _listens(watcher: Service) -> bool:
    try:
        watcher.get("/healthz")
    except requests.ConnectionError:
        return False
    return True
