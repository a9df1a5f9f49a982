"""The files of deploy/ for Prometheus and Grafana, as tests read them, and promtool."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.required import required

ROOT = Path(__file__).parents[1]
RULES = ROOT / "deploy" / "prometheus" / "coordinator.rules.yaml"
TESTS_OF_RULES = ROOT / "tests" / "prometheus" / "coordinator.test.yaml"
DASHBOARD = ROOT / "deploy" / "grafana" / "coordinator.json"

OF_PROMETHEUS = {"job", "instance", "le", "alertname", "alertstate", "severity"}
"""Labels that no watcher gives its metrics."""

_NAME = re.compile(r"\bcoordinator_\w+")


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert rule."""

    name: str
    expr: str
    labels: dict[str, str]
    annotations: dict[str, str]


def alerts() -> list[Alert]:
    """The alert rules."""
    rules = [rule for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"] for rule in group["rules"]]
    return [Alert(rule["alert"], rule["expr"], rule["labels"], rule["annotations"]) for rule in rules]


def dashboard() -> dict[str, Any]:
    """The dashboard."""
    found = json.loads(DASHBOARD.read_text("utf-8"))
    assert isinstance(found, dict)
    return found


def panels() -> list[dict[str, Any]]:
    """Its panels that show something, and no rows."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def expressions_of_the_dashboard() -> list[str]:
    """What its panels and variables ask for, with values in place of variables."""
    asked = [target["expr"] for panel in panels() for target in panel["targets"]]
    for variable in dashboard()["templating"]["list"]:
        if variable["type"] == "query":
            asked.append(re.sub(r"^label_values\((.+), *\w+\)$", r"\1", variable["query"]["query"]))
    return [one.replace("$__rate_interval", "5m").replace("$environment", ".*") for one in asked]


def metrics_in(expression: str) -> set[str]:
    """The names of the coordinator's metrics in an expression, without the endings of a histogram's series."""
    return {re.sub(r"_(bucket|count|sum)$", "", name) for name in _NAME.findall(expression)}


def labels_in(expression: str) -> set[str]:
    """The labels that an expression selects or groups by."""
    grouped = re.findall(r"\b(?:by|on|without|group_left|ignoring) *\(([^)]*)\)", expression)
    names = {name.strip() for names in grouped for name in names.split(",") if name.strip()}
    return names | {name for braces in re.findall(r"\{([^}]*)\}", expression) for name in _selected(braces)}


def _selected(braces: str) -> Iterator[str]:
    yield from re.findall(r'(\w+) *(?:=~|!~|!=|=) *"', braces)


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run promtool. Its absence is said, and in CI it is a failure."""
    program = shutil.which("promtool")
    if program is None:
        required("promtool, for deploy/prometheus and deploy/grafana,", "prometheus (apt-get install prometheus)")
    return subprocess.run(
        [program, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
