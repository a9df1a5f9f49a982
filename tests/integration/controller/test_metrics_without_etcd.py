"""What ``/metrics`` of a watcher says while its etcd does not answer, and afterwards."""

from __future__ import annotations

from pathlib import Path

from coordinator.config.etcd import EtcdSettings
from coordinator.store.embedded import EmbeddedEtcd
from tests.integration.controller.waiting import until
from tests.integration.controller.worlds import ServedWorld


def test_while_etcd_is_frozen_a_watcher_answers_and_says_so(tmp_path: Path) -> None:
    """Both are what alerts look at, and both end by themselves."""
    with EmbeddedEtcd(tmp_path / "etcd") as etcd:
        settings = EtcdSettings(endpoints=[etcd.endpoint], prefix="/frozen", timeout=1.0)
        with ServedWorld(settings, tmp_path) as world:
            world.dependencies({"A": "R"})
            watcher = world.serve()
            before = watcher.metrics().value("etcd_request_seconds_count", outcome="unanswered")
            etcd.freeze()
            try:
                until(lambda: watcher.metrics().value("connected") == 0, "its watch is lost")
                until(
                    lambda: watcher.metrics().value("etcd_request_seconds_count", outcome="unanswered") >= before + 2,
                    "its lease is asked for in vain",
                )
                until(lambda: watcher.metrics().value("leader") == 0, "its lease has ended")
            finally:
                etcd.thaw()
            until(lambda: watcher.metrics().value("connected") == 1, "it has read what there is")
            until(lambda: watcher.metrics().value("leader") == 1, "it leads again")
            until(lambda: watcher.metrics().value("watch_lag_revisions") == 0, "and has read everything")
            world.complete("R")
            world.until_done("A", runs=1)
