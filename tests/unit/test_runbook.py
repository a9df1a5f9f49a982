"""The runbook has every alert, every cause and problem that ``status`` shows, and every log event at warning or above,
and leads from each to a section that says how to see that it is well again."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.controller.reconcile.trigger_log import WARNINGS
from coordinator.reading.attention import Matter
from tests.prometheus_files import Alert, alerts

ROOT = Path(__file__).parents[2]
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text("utf-8")
LEVELS = {"warning", "error", "exception"}

PROBLEMS = {
    "coordinator/reading/files.py": {"file_problems"},
    "coordinator/reading/misplaced_states.py": {"misplaced_states"},
    "coordinator/reading/replicas.py": {"problems"},
    "coordinator/reading/stale_requests.py": {"stale_requests"},
    "coordinator/controller/leading/misnamed_reporters.py": {"_note"},
    "coordinator/controller/leading/paused_dags.py": {"PLACE"},
    "coordinator/controller/leading/unknown_dags.py": {"PLACE"},
    "coordinator/controller/reconcile/broken_targets.py": {"problems_of"},
    "coordinator/controller/reconcile/own_runs.py": {"problems"},
    "coordinator/controller/reconciler.py": {"problems"},
    "coordinator/controller/service.py": {"_problems", "_found_out"},
    "coordinator/controller/state/problems.py": {"by_kind", "_FOREIGN_KEYS"},
    "coordinator/controller/state/reporters.py": {"problems"},
    "coordinator/controller/state/task_problems.py": {"task_problems"},
    "coordinator/model/waits.py": {"SENSORS"},
    "coordinator/reading/reading.py": {"graph_of"},
    "coordinator/store/presence.py": {"place_of"},
}
"""Where problems get their places: functions, and constants."""

PASS_ON = {
    ("coordinator/controller/reconcile/breakage.py", "problems"),  # of problems_of
    (
        "coordinator/controller/reconcile/environment_poller.py",
        "problems",
    ),  # by environment; the reconciler places them
    ("coordinator/controller/reconcile/observer.py", "problems"),  # of unresumed sensors
    ("coordinator/controller/reconcile/unresumed_sensors.py", "_as_problems"),  # of model/waits.py
    ("coordinator/controller/reconcile/waits.py", "problems"),  # of unresumed sensors
    ("coordinator/store/presence.py", "_problems"),  # what another watcher has written
}
"""Functions that pass on the problems of others, or that place none."""


def section(title: str) -> str:
    """The text below a heading of the second level."""
    return RUNBOOK.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def rows(text: str) -> list[tuple[list[str], str]]:
    """Of each row of a table: what is in backticks in its first cell, and the anchor that its last one leads to."""
    found = re.findall(r"^\| (`.+`) \|.*\(#([\w-]+)\) \|$", text, re.MULTILINE)
    return [(re.findall(r"`([^`]+)`", first), anchor) for first, anchor in found]


def listed(text: str) -> list[str]:
    return [name for names, _ in rows(text) for name in names]


def anchor_of(title: str) -> str:
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


SECTIONS = {
    anchor_of(title): text
    for title, text in re.findall(r"^### (.+)\n((?:(?!^### ).*\n?)*)", section("What to do"), re.MULTILINE)
}


def test_it_has_every_alert_and_no_other() -> None:
    assert listed(section("Alerts")) == [alert.name for alert in alerts()]


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert.name)
def test_an_alert_leads_to_the_section_that_its_row_leads_to(alert: Alert) -> None:
    (row,) = (anchor for names, anchor in rows(section("Alerts")) if names == [alert.name])
    assert alert.annotations["runbook"] == f"docs/runbook.md#{row}"
    assert f"| `{alert.name}` | {alert.labels['severity']} |" in RUNBOOK


def test_it_has_every_cause_that_status_shows_and_no_other() -> None:
    causes = section("What status shows").partition("\nProblems, ")[0]
    assert listed(causes) == [str(matter) for matter in Matter]


# Log events


def _events() -> set[str]:
    """The events that the source logs at warning or above."""
    found = set(WARNINGS)
    for file in ROOT.glob("coordinator/**/*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS:
                owner = node.func.value
                if (
                    isinstance(owner, ast.Name)
                    and owner.id in {"log", "_log"}
                    and isinstance(node.args[0], ast.Constant)
                ):
                    found.add(str(node.args[0].value))
    return found


@pytest.mark.slow
def test_it_has_every_log_event_at_warning_or_above_and_no_other() -> None:
    named = listed(section("Log events"))
    assert len(named) == len(set(named)), "each is in one row"
    assert set(named) == _events()


def test_each_event_of_which_a_section_speaks_exists() -> None:
    """A section that explains an event under an old name would not be found."""
    explained = (ROOT / "docs" / "log-events.md").read_text("utf-8")
    named = set(re.findall(r"`([a-z_]+\.[a-z_]+)`", section("What to do")))
    keys = {
        "dependencies.json",
        "coordinator.toml",
        "compat.etl_state",
        "sender.log",
        "etcd.endpoints",
        "etcd.prefix",
        "etcd.timeout",
    }
    known = set(re.findall(r"`((?:[a-z_]+)\.(?:[a-z_]+))[`:]", explained))
    settings = {name for name in named if name.startswith(("watcher.", "publication.")) and name not in known}
    assert named - known - keys - settings == set()


# Problems


def _template(expression: ast.expr | None) -> str | None:
    """A string, or an f-string with ``<>`` for its parts; a target is written as two."""
    if isinstance(expression, ast.Constant) and isinstance(expression.value, str):
        return expression.value
    if isinstance(expression, ast.Call) and ast.unparse(expression.func) == "str":
        return "<> <>" if ast.unparse(expression.args[0]) == "target" else "<>"
    if isinstance(expression, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "<>" for part in expression.values)
    return None


def _placed(tree: ast.AST) -> Iterator[str]:
    """The keys of dicts, what is called ``place`` or is a constant, and the first parts of what is yielded."""
    for node in ast.walk(tree):
        keys: list[ast.expr | None] = []
        match node:
            case ast.Dict():
                keys = [*node.keys]
            case ast.DictComp():
                keys = [node.key]
            case ast.Assign(targets=[ast.Subscript(slice=key)]):
                keys = [key]
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
                keys = [value for name, value in zip(names, values, strict=True) if ast.unparse(name) == "place"]
            case ast.Assign(targets=[ast.Name(id="place" | "PLACE" | "_FOREIGN_KEYS")]):
                keys = [node.value]
            case ast.Assign(targets=[ast.Name(id="SENSORS")], value=ast.Tuple(elts=values)):
                keys = [*values]
            case ast.Yield(value=ast.Tuple(elts=[first, *_])):
                keys = [first]
            case ast.Return(value=ast.JoinedStr()):
                keys = [node.value]
            case ast.GeneratorExp(elt=ast.Tuple(elts=[first, *_])):
                keys = [first]
        yield from (found for key in keys if (found := _template(key)) is not None)


def _named(tree: ast.Module, name: str) -> ast.AST:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == name and _is_ours(node):
            return node
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return node
    raise AssertionError(f"no {name}")


def _is_ours(function: ast.FunctionDef) -> bool:
    """Whether it returns places, or something else under that name."""
    return function.returns is not None and bool(re.search(r"str|None", ast.unparse(function.returns)))


def _places() -> set[str]:
    found: set[str] = set()
    for file, names in PROBLEMS.items():
        tree = ast.parse((ROOT / file).read_text("utf-8"))
        for name in names:
            placed = set(_placed(_named(tree, name)))
            assert placed, f"{file}: {name} places nothing that this test understands"
            found |= placed
    return {place.removeprefix("watchers/<>: ") for place in found}


def _listed_places() -> set[str]:
    problems = section("What status shows").partition("\nProblems, ")[2].partition("\n\n")[2]
    return {re.sub(r"<\w+>", "<>", place) for place in listed(problems)}


def test_it_has_every_place_of_a_problem_and_no_other() -> None:
    beginnings = ("sensor ", "sensors of ")
    found = {next((one for one in beginnings if place.startswith(one)), place) for place in _listed_places()}
    assert found == _places()


@pytest.mark.slow
def test_no_other_function_makes_problems() -> None:
    """By its name and what it returns: then it belongs into ``PROBLEMS``, or passes on what others make."""
    known = {(file, name) for file, names in PROBLEMS.items() for name in names} | PASS_ON
    found = set()
    for file in ROOT.glob("coordinator/**/*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef) and "problems" in node.name and node.returns is not None:
                returns = ast.unparse(node.returns)
                if re.match(r"(dict|Mapping)\[str, str\]|Iterator\[tuple\[str, str", returns):
                    found.add((str(file.relative_to(ROOT)), node.name))
    assert found - known == set()


# Sections


@pytest.mark.parametrize("title", ["Alerts", "What status shows", "Log events"])
def test_each_row_leads_to_a_section_that_says_how_to_see_that_it_is_well_again(title: str) -> None:
    assert rows(section(title))
    for names, anchor in rows(section(title)):
        assert anchor in SECTIONS, names
        assert "**Well again:**" in SECTIONS[anchor], anchor


def test_metrics_that_it_names_exist() -> None:
    documented = set(re.findall(r"^\| `(coordinator_\w+)`", (ROOT / "docs" / "metrics.md").read_text("utf-8"), re.M))
    named = {re.sub(r"_(count|bucket|sum)$", "", name) for name in re.findall(r"\b(coordinator_\w+)", RUNBOOK)}
    assert named - documented == set()
