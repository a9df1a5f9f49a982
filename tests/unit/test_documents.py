"""What the documents say is so: links lead somewhere, named tests and files exist, every log event is explained."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main

from coordinator.cli import app
from coordinator.model.parsing import parse_document
from coordinator.model.trigger import Status
from coordinator.settings import load_settings

REPOSITORY = Path(__file__).parents[2]
DOCUMENTS = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md")])
README = REPOSITORY / "README.md"
WIDTH = 120


def _text(name: str) -> str:
    return (REPOSITORY / name).read_text(encoding="utf-8")


def _without_code(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def _anchors(document: Path) -> set[str]:
    """Of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", _without_code(document.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_every_link_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", _without_code(document.read_text(encoding="utf-8"))):
        if "://" in target:
            continue
        place, _, anchor = target.partition("#")
        linked = document.parent / place if place else document
        assert linked.exists(), target
        if anchor:
            assert anchor in _anchors(linked), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_every_line_fits(document: Path) -> None:
    lines = document.read_text(encoding="utf-8").splitlines()
    tables = [line for line in lines if line.startswith("|")]  # a row cannot be broken
    assert [line for line in lines if len(line) > WIDTH and line not in tables] == []


def _named_tests(text: str) -> Iterator[tuple[str, str | None]]:
    """Each file of tests that is named, with each test named after it."""
    file = None
    for path, name in re.findall(r"`(tests/[\w/]+\.py)?(?:::(\w+))?`", text):
        file = path or file
        if file is not None and (path or name):
            yield file, name or None


def test_every_test_that_a_guarantee_names_exists() -> None:
    named = list(_named_tests(_text("docs/guarantees.md")))
    assert len(named) > 40, "the pattern finds them"
    for file, name in named:
        functions = {node.name for node in ast.parse(_text(file)).body if isinstance(node, ast.FunctionDef)}
        assert name is None or name in functions, f"{file}::{name}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_every_file_of_ours_that_is_named_exists(document: Path) -> None:
    for path in re.findall(
        r"`((?:coordinator|tests|dags|docs|docker|benchmarks)/[\w./-]+)`", document.read_text("utf-8")
    ):
        assert (REPOSITORY / path).exists(), path


def _events_of_the_code() -> set[str]:
    events = {f"trigger.{status}" for status in Status}  # written as f"trigger.{record.status}"
    for file in REPOSITORY.glob("coordinator/**/*.py"):
        if "demo" in file.relative_to(REPOSITORY).parts:
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.args and _logs(node.func):
                event = node.args[0]
                if isinstance(event, ast.Constant) and isinstance(event.value, str):
                    events.add(event.value)
    return events


def _logs(function: ast.expr) -> bool:
    if isinstance(function, ast.Name):
        return function.id == "log_record"
    return (
        isinstance(function, ast.Attribute)
        and isinstance(function.value, ast.Name)
        and function.value.id in {"log", "_log"}
        and function.attr in {"debug", "info", "warning", "error", "exception"}
    )


def test_every_log_event_is_explained_and_no_other() -> None:
    section = _text("docs/operating.md").partition("\n## Log events\n")[2].partition("\n## ")[0]
    first_columns = re.findall(r"^\| (`.+?`) \|", section, re.MULTILINE)
    explained = {event for column in first_columns for event in re.findall(r"`([^`]+)`", column)}
    assert explained == _events_of_the_code()


def test_the_commands_of_the_readme_are_those_that_exist() -> None:
    table = set(re.findall(r"^\| `coordinator (\w+)", README.read_text(encoding="utf-8"), re.MULTILINE))
    assert table == set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


def test_the_dependencies_of_the_readme_are_good() -> None:
    (example,) = re.findall(r"^```json\n(.*?)^```$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert parse_document(example, source="README.md").keys()
    assert len(parse_document(example, source="README.md")) == len(json.loads(example))


def test_the_example_configuration_is_good_and_bears_sqlite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_DEFAULT_PASSWORD", "secret")
    settings = load_settings(REPOSITORY / "coordinator.toml")
    assert settings.environments["default"].password("default") == "secret"
    assert settings.environments["default"].max_in_flight == 1
    assert settings.etcd.endpoints == ["127.0.0.1:2379"]
