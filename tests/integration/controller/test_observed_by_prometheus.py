"""deploy/prometheus and deploy/grafana ask a watcher for nothing that it does not tell."""

from __future__ import annotations

from tests.integration.controller.service import Service
from tests.integration.controller.telling_watcher import watcher as watcher
from tests.prometheus_files import OF_PROMETHEUS, alerts, expressions_of_the_dashboard, labels_in, metrics_in

PAGE = "coordinator_ui_"
"""How the metrics of the page begin: tests/integration/ui/test_metrics.py."""


def test_every_metric_and_label_in_the_rules_and_the_dashboard_exists(watcher: Service) -> None:
    found = watcher.metrics()
    asked = [*(alert.expr for alert in alerts()), *expressions_of_the_dashboard()]
    named = {name for expr in asked for name in metrics_in(expr) if not name.startswith(PAGE)}
    assert len(named) > 20
    assert named - found.labels.keys() == set()
    for expr in asked:
        metrics = metrics_in(expr) & found.labels.keys()
        known = {label for name in metrics for label in found.labels[name]}
        if metrics:
            assert labels_in(expr) <= known | OF_PROMETHEUS, expr


def test_the_dashboard_shows_every_metric_that_has_an_environment(watcher: Service) -> None:
    shown = {name for expr in expressions_of_the_dashboard() for name in metrics_in(expr)}
    by_environment = {name for name, labels in watcher.metrics().labels.items() if "environment" in labels}
    assert by_environment - shown == set()
