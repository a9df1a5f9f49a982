"""deploy/prometheus and deploy/grafana: what promtool says of them, and what they leave out.

That every metric in them exists is shown where a real watcher and a real page are scraped:
tests/integration/controller/test_observed_by_prometheus.py and tests/integration/ui/test_metrics.py.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest
import yaml

from coordinator.version import __version__
from tests.prometheus_files import (
    OF_PROMETHEUS,
    RULES,
    TESTS_OF_RULES,
    Alert,
    alerts,
    dashboard,
    expressions_of_the_dashboard,
    labels_in,
    panels,
    promtool,
)

PANELS_THAT_ANSWER = {"Is it well?", "What waits, since when?", "Which environment is slow?"}


def test_the_rules_are_good() -> None:
    found = promtool("check", "rules", "--lint-fatal", RULES)
    assert found.returncode == 0, found.stdout + found.stderr


def test_each_alert_fires_and_stays_quiet_as_its_series_say() -> None:
    found = promtool("test", "rules", TESTS_OF_RULES)
    assert found.returncode == 0, found.stdout + found.stderr


def test_each_alert_has_series_of_which_it_fires_and_series_of_which_it_does_not() -> None:
    expected: dict[str, set[bool]] = defaultdict(set)
    for test in yaml.safe_load(TESTS_OF_RULES.read_text("utf-8"))["tests"]:
        (asked,) = test["promql_expr_test"]
        found = re.fullmatch(r'ALERTS\{alertname="(\w+)", alertstate="firing"\}', asked["expr"])
        assert found is not None, asked["expr"]
        expected[found[1]].add(bool(asked["exp_samples"]))
    assert expected == {alert.name: {True, False} for alert in alerts()}


@pytest.mark.parametrize("changed", [("> 900", "> 90000"), ("== 0", "== 7"), ("for: 30m", "for: 50m")])
def test_a_changed_rule_is_noticed(changed: tuple[str, str], tmp_path: Path) -> None:
    """The tests of the rules can fail."""
    rules, tests = RULES.read_text("utf-8"), TESTS_OF_RULES.read_text("utf-8")
    assert changed[0] in rules
    (tmp_path / "rules.yaml").write_text(rules.replace(*changed))
    (tmp_path / "test.yaml").write_text(tests.replace("../../deploy/prometheus/coordinator.rules.yaml", "rules.yaml"))
    assert promtool("test", "rules", tmp_path / "test.yaml").returncode != 0


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert.name)
def test_an_alert_says_what_it_means_what_to_do_and_where_more_stands(alert: Alert) -> None:
    assert alert.name.startswith("Coordinator")
    assert alert.labels["severity"] in {"critical", "warning"}
    assert alert.annotations.keys() == {"summary", "action", "runbook"}
    assert alert.annotations["summary"][-1] != "."
    assert alert.annotations["action"][-1] == "."


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert.name)
def test_an_alert_names_only_labels_that_its_expression_keeps(alert: Alert) -> None:
    named = set(re.findall(r"\$labels\.(\w+)", " ".join(alert.annotations.values())))
    grouped = re.search(r"by \(([^)]*)\)", alert.expr)
    kept = {one.strip() for one in grouped[1].split(",")} - {"le"} if grouped else {"job", "instance"}
    assert named <= kept


def test_every_question_of_the_dashboard_can_be_asked(tmp_path: Path) -> None:
    rules = [{"record": f"asked:{number}", "expr": expr} for number, expr in enumerate(expressions_of_the_dashboard())]
    assert len(rules) > 20
    file = tmp_path / "asked.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    found = promtool("check", "rules", file)
    assert found.returncode == 0, found.stdout + found.stderr


def test_the_dashboard_names_no_datasource_of_its_own() -> None:
    variables = {one["name"]: one for one in dashboard()["templating"]["list"]}
    assert variables.keys() == {"datasource", "environment"}
    assert variables["datasource"]["type"] == "datasource"
    expected = {"type": "prometheus", "uid": "${datasource}"}
    assert variables["environment"]["datasource"] == expected
    for panel in panels():
        assert panel["datasource"] == expected, panel["title"]
        assert all(target["datasource"] == expected for target in panel["targets"]), panel["title"]
    assert dashboard()["id"] is None


def test_the_dashboard_begins_with_three_questions_and_each_panel_says_what_it_shows() -> None:
    rows = [panel["title"] for panel in dashboard()["panels"] if panel["type"] == "row"]
    assert set(rows[:3]) == PANELS_THAT_ANSWER
    assert all(panel["description"] for panel in panels())
    titles = [panel["title"] for panel in panels()]
    assert len(titles) == len(set(titles))


def test_panels_do_not_overlap_and_fit_the_width() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24, panel["title"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


def test_what_has_an_environment_is_shown_for_the_chosen_ones() -> None:
    """A variable that some panels do not use would show numbers of others beside them."""
    for panel in panels():
        for target in panel["targets"]:
            if "environment" in labels_in(target["expr"]):
                assert 'environment=~"$environment"' in target["expr"], panel["title"]


def test_neither_file_names_a_version_or_an_unknown_label() -> None:
    for expr in (*expressions_of_the_dashboard(), *(alert.expr for alert in alerts())):
        assert __version__ not in expr
        assert labels_in(expr) <= OF_PROMETHEUS | {
            "environment",
            "kind",
            "outcome",
            "owner",
            "readiness",
            "entries",
            "reason",
        }
