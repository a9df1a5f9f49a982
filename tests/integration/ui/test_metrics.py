"""``/metrics`` of the page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from coordinator.store.embedded import EmbeddedEtcd
from coordinator.store.keys import Keys
from tests.integration.ui.conftest import EVIL, Etcd, Serve, Ui
from tests.metrics import Scrape, scrape
from tests.prometheus_files import OF_PROMETHEUS, alerts, expressions_of_the_dashboard, labels_in, metrics_in

DOCUMENT = Path(__file__).parents[3] / "docs" / "metrics.md"


def documented() -> dict[str, set[str]]:
    """The metrics of the page's table, with their labels."""
    section = DOCUMENT.read_text(encoding="utf-8").partition("\n## Metrics of the page\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(coordinator_\w+)` \|([^|]*)\|", section, re.MULTILINE)
    return {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}


@pytest.fixture
def ui(serve: Serve, etcd_server: EmbeddedEtcd, world: Etcd) -> Ui:
    return serve(etcd_server.endpoint, world.keys)


def answers(found: Scrape, **labels: str) -> float:
    return found.value("ui_request_seconds_count", **labels)


def test_every_metric_is_documented_and_every_documented_one_is_there(ui: Ui) -> None:
    assert ui.get("/api/v1/explain/default/publish").status_code == 200
    assert scrape(ui.url).labels == documented()


def test_answers_are_counted_by_kind_and_outcome_and_no_label_has_a_name(ui: Ui) -> None:
    assert ui.get("/").status_code == 200
    assert ui.get("/static/style.css").status_code == 200
    assert ui.get("/api/v1/explain/default/publish").status_code == 200
    assert ui.get(f"/api/v1/explain/default/{EVIL}").status_code == 404
    found = scrape(ui.url)
    assert answers(found, kind="page", outcome="answered") == 1
    assert answers(found, kind="static", outcome="answered") == 1
    assert answers(found, kind="api", outcome="answered") == 1
    assert answers(found, kind="api", outcome="refused") == 1
    assert answers(found, outcome="failed") == 0
    assert found.value("etcd_request_seconds_count", kind="range", outcome="answered") >= 1
    assert found.value("ui_questions") == 0
    text = ui.get("/metrics").text
    assert "publish" not in text
    assert "onerror" not in text


def test_it_is_guarded_as_the_pages_are(ui: Ui) -> None:
    assert ui.get("/metrics", headers={"Host": "evil.example"}).status_code == 421
    answer = ui.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_while_etcd_is_away_it_says_for_how_long(serve: Serve, keys: Keys, tmp_path: Path) -> None:
    with EmbeddedEtcd(tmp_path / "own-etcd") as own:
        ui = serve(own.endpoint, keys)
        assert scrape(ui.url).value("ui_etcd_away_seconds") == 0
        own.stop()
        assert ui.get("/api/v1/explain/default/publish").status_code == 503
        found = scrape(ui.url)
        assert answers(found, kind="api", outcome="failed") == 1
        assert found.value("etcd_request_seconds_count", outcome="unanswered") >= 1
        assert found.value("ui_etcd_away_seconds") >= 0
        later = found.value("ui_etcd_away_seconds")
        while later == 0:  # told in whole seconds
            later = scrape(ui.url).value("ui_etcd_away_seconds")
        assert 0 < later < 60


def test_the_rules_and_the_dashboard_ask_for_nothing_that_the_page_does_not_tell(ui: Ui) -> None:
    assert ui.get("/api/v1/explain/default/publish").status_code == 200
    found = scrape(ui.url)
    asked = [*(alert.expr for alert in alerts()), *expressions_of_the_dashboard()]
    of_the_page = {expr: {one for one in metrics_in(expr) if one.startswith("coordinator_ui_")} for expr in asked}
    assert {name for names in of_the_page.values() for name in names} == {
        name for name in found.labels if name.startswith("coordinator_ui_")
    }
    for expr, names in of_the_page.items():
        if names:
            assert labels_in(expr) <= {label for name in names for label in found.labels[name]} | OF_PROMETHEUS
