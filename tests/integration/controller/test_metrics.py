"""``/metrics`` of a watcher that runs."""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from coordinator.controller.clock import SystemClock
from coordinator.controller.metrics import WatcherMetrics
from coordinator.store.etcd_requests import EtcdRequests
from tests.integration.controller.service import Service
from tests.integration.controller.telling_watcher import BACKLOG, WAITED
from tests.integration.controller.telling_watcher import watcher as watcher
from tests.integration.controller.waiting import until
from tests.integration.controller.worlds import FaultyWorld, ServedWorld
from tests.metrics import Scrape
from tests.standin.faults import Fault
from tests.worlds.world import PARTITION

DOCUMENT = Path(__file__).parents[3] / "docs" / "metrics.md"


def documented() -> dict[str, set[str]]:
    """The metrics of the table, with their labels."""
    section = DOCUMENT.read_text(encoding="utf-8").partition("\n## Metrics\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(coordinator_\w+)` \|([^|]*)\|", section, re.MULTILINE)
    return {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}


@pytest.fixture
def switching() -> Iterator[None]:
    """Threads take turns far more often than usual."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(usual)


def test_every_metric_is_documented_and_every_documented_one_is_there(watcher: Service) -> None:
    assert watcher.metrics().labels == documented()


@pytest.mark.promise("http")
def test_no_label_has_a_partition_a_run_or_a_pipeline(watcher: Service) -> None:
    text = watcher.get("/metrics")[1]
    assert PARTITION[:10] not in text
    assert "coordinator__" not in text, "no run_id"
    labels = {label for of_metric in watcher.metrics().labels.values() for label in of_metric}
    assert labels == {"entries", "environment", "kind", "outcome", "owner", "readiness", "reason", "status", "version"}


@pytest.mark.promise("http")
def test_environments_that_are_not_configured_make_no_series(served: ServedWorld) -> None:
    served.dependencies({"A": "R"})
    watcher = served.serve()

    def name(environments: int) -> None:
        upstream = [f"named_{number:05}/R" for number in range(environments)]
        document = {"version": 1, "dependencies": {"team_b/B": {"upstream": {"any": upstream}}}}
        served.put(served.keys.dependencies("team_b"), json.dumps(document).encode())
        until(lambda: watcher.metrics().value("other_environments") == environments, "all are counted")

    def series() -> set[str]:
        return {line.split()[0] for line in watcher.get("/metrics")[1].splitlines() if not line.startswith("#")}

    name(2)
    before = series()
    name(10_000)
    assert series() == before


def test_metrics_say_how_a_watcher_and_its_environments_are_doing(watcher: Service, served: ServedWorld) -> None:
    found = watcher.metrics()
    state = [found.value(one) for one in ("leader", "connected", "held_pipelines", "late_partitions", "late_total")]
    assert state == [1, 1, 1, 1, 1]
    assert found.value("revision") >= served.watermark
    assert found.value("partitions", environment="team_b", readiness="stuck") >= 1
    assert found.value("blocked_partitions", environment="team_b") == 1
    assert found.value("blocked_partitions", environment="default") == 0
    assert found.value("late_partitions", environment="default") == 1
    assert found.value("publication_version", owner="default") == 1
    assert found.value("events_total") >= 4, "R and A began and ended"
    assert found.value("decisions_total") >= 4
    assert found.value("decisions_total", outcome="fire") >= 2, "A and B"
    assert found.value("decisions_total", outcome="settled") >= 1
    assert [*found.values("decisions_total", outcome="skip")] == [0], "it is there before it happens"
    assert found.value("request_seconds_count", environment="default", kind="start") == 1
    assert 0 < found.value("request_seconds_sum", environment="default", kind="start") < 60
    for kind in ("range", "txn", "lease"):
        assert found.value("etcd_request_seconds_count", kind=kind, outcome="answered") >= 1
    assert 0 < found.value("etcd_request_seconds_sum") < 60
    assert found.value("differing_files") == 0

    def outcomes(metric: str, **labels: str) -> dict[str, float]:
        outcomes = ("fire", "sent", "done", "blocked", "answered", "refused", "unanswered")
        return {one: count for one in outcomes if (count := found.value(metric, outcome=one, **labels))}

    assert outcomes("triggers_total", environment="default") == {"fire": 1, "sent": 1, "done": 1}
    assert found.value("trigger_seconds_count", environment="default") == 1
    assert 0 < found.value("trigger_seconds_sum") < 60
    assert outcomes("triggers_total", environment="team_b").keys() == {"fire", "blocked"}
    assert outcomes("requests_total", environment="default", kind="start") == {"answered": 1}
    assert outcomes("requests_total", environment="team_b", kind="start").keys() == {"refused"}
    assert found.value("reporters", environment="default") == 1
    assert found.value("reporter_backlog_events", environment="default") == BACKLOG
    assert found.value("reporter_parked_events", environment="default") == 1
    assert 7 <= found.value("reporter_age_seconds", environment="default") < 120
    assert WAITED <= found.value("reporter_oldest_event_seconds", environment="default") < WAITED + 120
    assert WAITED <= found.value("reporter_last_event_seconds", environment="default") < WAITED + 120
    assert [found.value("sensors", status=one) for one in ("waiting", "passed", "refused")] == [1, 0, 0]
    assert WAITED <= found.value("sensor_wait_seconds") < WAITED + 120
    assert WAITED <= found.value("observed_age_seconds", environment="default") < WAITED + 120


def test_a_standby_says_that_it_does_not_lead(watcher: Service, served: ServedWorld) -> None:
    standby = served.serve(leads=False)
    assert (standby.metrics().value("leader"), standby.metrics().value("connected")) == (0, 1)
    assert watcher.metrics().value("leader") == 1
    assert standby.metrics().value("triggers_total") == 0


def test_an_environment_that_does_not_answer_is_counted(served: ServedWorld) -> None:
    served.dependencies({"A": "R"})
    watcher = served.serve()
    served.airflows["default"].faults.always("trigger", Fault.answer(503))
    served.complete("R")

    def unanswered(found: Scrape) -> bool:
        in_all = found.value("requests_total", environment="default", outcome="unanswered")
        return in_all >= 2 and found.value("requests_unanswered", environment="default") >= 1

    until(lambda: unanswered(watcher.metrics()), "two requests have had no answer")
    assert watcher.metrics().value("problems", kind="environment") == 1
    assert watcher.metrics().value("queue_depth") >= 1, "it is tried again"
    assert watcher.metrics().value("due_partitions", environment="default") == 1
    before = watcher.metrics().value("oldest_due_seconds", environment="default")
    until(lambda: watcher.metrics().value("oldest_due_seconds", environment="default") > before, "it waits longer")
    served.airflows["default"].faults.clear()
    served.until_done("A", runs=1)
    assert watcher.metrics().value("due_partitions") == 0
    assert watcher.metrics().value("oldest_due_seconds") == 0
    until(lambda: watcher.metrics().value("requests_unanswered") == 0, "it answers again")


def test_what_is_due_and_waits_for_a_limit_is_counted_until_it_is_taken_out(served: ServedWorld) -> None:
    served.by_hand("A")
    served.dependencies({"A": {"upstream": "R", "max_in_flight": 1}})
    watcher = served.serve()
    for day in (20, 21, 22):
        served.complete("R", partition=f"2026-11-{day}T00:00:00Z")
    until(lambda: watcher.metrics().value("due_partitions", environment="default") == 2, "two wait for the first")
    assert watcher.metrics().value("due_partitions", environment="team_b") == 0
    assert watcher.metrics().value("oldest_due_seconds", environment="default") > 0
    served.dependencies({"other": "R"})
    until(lambda: watcher.metrics().value("due_partitions") == 0, "nothing waits for R any more")
    assert watcher.metrics().value("oldest_due_seconds") == 0


def test_a_standby_knows_what_is_due_while_nobody_leads(served: ServedWorld) -> None:
    served.by_hand("A")
    served.dependencies({"A": {"upstream": "R", "max_in_flight": 1}})
    served.serve()
    standby = served.serve(leads=False)
    for day in (20, 21):
        served.complete("R", partition=f"2026-11-{day}T00:00:00Z")
    until(lambda: standby.metrics().value("due_partitions", environment="default") == 1, "the standby decides, too")


def test_watchers_with_different_files_are_counted(served: ServedWorld) -> None:
    served.dependencies({"A": "R"})
    watcher = served.serve()
    other = served.directory / "other.json"
    other.write_text(json.dumps({"A": "S"}))
    standby = served.launch("--dependencies", str(other))
    until(standby.is_ready, "it follows etcd")
    for one in (watcher, standby):
        until(lambda one=one: one.metrics().value("differing_files") == 1, "their files differ")  # type: ignore[misc]


def test_revisions_that_etcd_has_named_and_the_watcher_has_not_read_are_its_lag(world: FaultyWorld) -> None:
    world.dependencies({"A": "R"})
    watcher, requests = world.watcher, EtcdRequests()
    assert watcher is not None
    metrics = WatcherMetrics(watcher, SystemClock(), requests)

    def lag() -> float:
        (found,) = (metric for metric in metrics.collect() if metric.name == "coordinator_watch_lag_revisions")
        return float(found.samples[0].value)

    assert lag() == 0
    read = watcher.reconciler.cache.revision
    requests.revision = read + 7
    assert lag() == 7 - (watcher.reconciler.cache.revision - read)
    requests.revision = 1  # etcd was restored
    assert lag() == 0


@pytest.mark.usefixtures("switching")
def test_metrics_are_read_at_any_moment_while_the_watcher_works(world: FaultyWorld) -> None:
    world.dependencies({"A": "R", "B": "A", "team_b/C": ["A", "B"]})
    watcher = world.watcher
    assert watcher is not None
    metrics, over = WatcherMetrics(watcher, SystemClock()), threading.Event()

    def read() -> int:
        reads = 0
        while not over.is_set():
            assert {sample.name for metric in metrics.collect() for sample in metric.samples}
            reads += 1
        return reads

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read)
        try:
            days = [f"2026-10-{day:02}T00:00:00Z" for day in range(1, 21)]
            for day in days:
                world.complete("R", partition=day)
            for day in days:
                world.until_done("A", "B", "team_b/C", partition=day, runs=1)
        finally:
            over.set()
        reads = reading.result(30)
    assert reads > len(days)
    assert watcher.reconciler.counters.triggers["default", "sent"] == 2 * len(days)
