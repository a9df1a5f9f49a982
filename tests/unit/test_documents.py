"""What the documents say is so: links lead somewhere, named tests and files exist, every log event is explained."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

import tests.faults.strikes  # noqa: F401 - fills the registry
from coordinator.cli import app
from coordinator.config.loading import load_settings
from coordinator.model.documents import parse_document
from coordinator.model.documents.forms import AIRFLOWS, CONDITIONS, ENTRY, MAPPERS, STARTS
from coordinator.model.partitions import MOST_MEMBERS
from coordinator.model.trigger import Status
from coordinator.model.view import Readiness
from coordinator.reading.attention import Matter
from tests.command_line import cli as cli
from tests.faults.registry import FAULTS
from tests.worlds import condition_cases, partition_cases

REPOSITORY = Path(__file__).parents[2]
DOCUMENTS = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md")])
CODE = sorted(
    one for part in ("coordinator", "tests", "benchmarks", "dags") for one in REPOSITORY.glob(f"{part}/**/*.py")
)
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


def test_every_citation_in_the_code_leads_to_a_heading() -> None:
    """As ``docs/architecture.md#keys`` in a docstring."""
    cited: set[tuple[str, str]] = set()
    for code in (*CODE, REPOSITORY / "pyproject.toml"):
        cited.update(re.findall(r"\b(docs/[\w/.-]+\.md)(?:#([\w-]+))?", code.read_text(encoding="utf-8")))
    assert ("docs/architecture.md", "the-rule") in cited
    nowhere = {
        f"{name}#{anchor}"
        for name, anchor in cited
        if not (REPOSITORY / name).exists() or (anchor and anchor not in _anchors(REPOSITORY / name))
    }
    assert nowhere == set()


def test_no_code_cites_a_design_that_is_not_here() -> None:
    citing = [code for code in CODE if re.search("design " + "section", code.read_text(encoding="utf-8"))]
    assert citing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_every_line_fits(document: Path) -> None:
    lines = document.read_text(encoding="utf-8").splitlines()
    tables = [line for line in lines if line.startswith("|")]  # a row cannot be broken
    assert [line for line in lines if len(line) > WIDTH and line not in tables] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_every_file_of_ours_that_is_named_exists(document: Path) -> None:
    for path in re.findall(
        r"`((?:coordinator|tests|dags|docs|docker|benchmarks)/[\w./-]+)`", document.read_text("utf-8")
    ):
        assert (REPOSITORY / path).exists(), path


def _events_of_the_code() -> set[str]:
    events = {f"trigger.{status}" for status in Status}  # written as f"trigger.{record.status}"
    for file in REPOSITORY.glob("coordinator/**/*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.args and _logs(node.func):
                event = node.args[0]
                if isinstance(event, ast.Constant) and isinstance(event.value, str):
                    events.add(event.value)
    return events


def _logs(function: ast.expr) -> bool:
    if not isinstance(function, ast.Attribute):
        return False
    return function.attr == "say" or (
        isinstance(function.value, ast.Name)
        and function.value.id in {"log", "_log"}
        and function.attr in {"debug", "info", "warning", "error", "exception"}
    )


@pytest.mark.slow
def test_every_log_event_has_a_name_of_two_words_with_a_dot_between() -> None:
    for event in _events_of_the_code():
        assert re.fullmatch(r"[a-z_]+\.[a-z_]+(: .*)?", event), event


@pytest.mark.slow
def test_every_log_event_is_explained_and_no_other() -> None:
    section = _text("docs/log-events.md").partition("\n## Log events\n")[2].partition("\n## ")[0]
    first_columns = re.findall(r"^\| (`.+?`) \|", section, re.MULTILINE)
    explained = {event for column in first_columns for event in re.findall(r"`([^`]+)`", column)}
    assert explained == _events_of_the_code()


def test_the_commands_in_the_table_are_those_that_exist() -> None:
    table = set(re.findall(r"^\| `coordinator (\w+)", _text("docs/commands.md"), re.MULTILINE))
    assert table == set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["README.md", "docs/airflow.md", "docs/dependencies.md"])
def test_the_dependencies_in_an_example_are_good(name: str) -> None:
    examples = re.findall(r"^ *```json\n(.*?)^ *```$", _text(name), re.MULTILINE | re.DOTALL)
    assert examples
    for example in examples:
        assert parse_document(example, source=name).keys()
        assert len(parse_document(example, source=name)) == len(json.loads(example))


@pytest.mark.parametrize("name", ["README.md", "docs/airflow.md"])
def test_the_settings_in_an_example_are_good(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example, *others = re.findall(r"^ *```toml\n(.*?)^ *```$", _text(name), re.MULTILINE | re.DOTALL)
    monkeypatch.setenv("AIRFLOW_DEFAULT_PASSWORD", "secret")
    (tmp_path / "coordinator.toml").write_text(re.sub("^ +", "", example, flags=re.MULTILINE), encoding="utf-8")
    assert load_settings(tmp_path / "coordinator.toml").airflows["default"].password("default") == "secret"
    for other in others:
        (tmp_path / "coordinator.toml").write_text(other, encoding="utf-8")
        assert load_settings(tmp_path / "coordinator.toml").environments


def test_the_example_configuration_is_good_and_bears_sqlite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_DEFAULT_PASSWORD", "secret")
    settings = load_settings(REPOSITORY / "coordinator.toml")
    assert settings.airflows["default"].password("default") == "secret"
    assert settings.environments["default"].max_in_flight == 1
    assert settings.etcd.endpoints == ["127.0.0.1:2379"]


# docs/dependencies.md

Rows = list[dict[str, str]]


def _tables(text: str) -> Iterator[Rows]:
    """Every table, row by row, by its heads."""
    for lines in re.findall(r"(?:^\|.*\|$\n?)+", text, re.MULTILINE):
        head, _, *rows = ([cell.strip() for cell in line.strip("|").split(" | ")] for line in lines.splitlines())
        yield [dict(zip(head, row, strict=True)) for row in rows]


DEPENDENCIES = list(_tables(_text("docs/dependencies.md")))
ROWS = [row for rows in DEPENDENCIES for row in rows]
TEST = re.compile(r"`((?:test|case)_\w+)`")


def _cells(head: str) -> list[str]:
    """What stands first in the cells of the columns with a head, without its backticks."""
    cells = [row[head] for row in ROWS if head in row]
    assert cells, f"no table has a column {head!r}"
    return [cell.strip("`") for cell in cells]


def _accepted(document: dict[str, Any]) -> None:
    assert parse_document(json.dumps(document), source="docs/dependencies.md")


@pytest.mark.slow
@pytest.mark.parametrize(("document", "least"), [("docs/dependencies.md", 60), ("docs/migrate.md", 25)])
def test_every_row_names_tests_that_exist(document: str, least: int) -> None:
    there = {
        node.name
        for file in (*REPOSITORY.glob("tests/**/*.py"), REPOSITORY / "coordinator/runners/testing.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
    }
    named = set(TEST.findall(_text(document)))
    assert len(named) > least, "the pattern finds them"
    assert named - there == set()
    rows = [row for rows in _tables(_text(document)) for row in rows]
    assert [row for row in rows if "shown by" in row and not TEST.search(row["shown by"])] == []


def test_every_case_of_conditions_and_partitions_stands_in_the_documents() -> None:
    by_hand = ast.parse(_text("tests/unit/model/mapping/test_rows.py")).body
    rows = {node.name for node in by_hand if isinstance(node, ast.FunctionDef)}
    assert {*condition_cases.CASES, *partition_cases.CASES, *rows} - set(
        TEST.findall(_text("docs/dependencies.md"))
    ) == set()


@pytest.mark.parametrize("entry", _cells("entry"))
def test_an_entry_of_the_documents_is_accepted(entry: str) -> None:
    _accepted({"D": json.loads(entry)})


@pytest.mark.parametrize("upstream", _cells("`upstream`"))
def test_a_condition_of_the_documents_is_accepted(upstream: str) -> None:
    _accepted({"D1": {"upstream": json.loads(upstream)}})


@pytest.mark.parametrize("partition", _cells("`partition`"))
def test_a_mapping_of_the_documents_is_accepted(partition: str) -> None:
    _accepted({"D": [{"pipeline": "A", "partition": json.loads(partition)}]})


@pytest.mark.parametrize("policy", _cells("policy"))
def test_a_policy_of_the_documents_is_accepted(policy: str) -> None:
    _accepted({"D": {"upstream": "A", **json.loads(f"{{{policy}}}")}})


def test_the_documents_leave_out_no_word_that_a_file_can_say() -> None:
    text = _text("docs/dependencies.md")
    forms = [ENTRY, *CONDITIONS.values(), *MAPPERS.values()]
    words = {field.name for form in forms for field in form.fields} | (MAPPERS.keys() - STARTS.keys())
    words |= {word for field in ENTRY.fields for word in field.takes.get("enum", ())}
    assert {word for word in words if not re.search(rf"[\"`]{word}[\"`]", text)} == set()
    assert {name for name in AIRFLOWS if name not in text and not name.startswith("StartOf")} == set()


def test_the_windows_of_the_documents_are_those_that_exist() -> None:
    shown = {row["`window`"].strip("`"): row["`every`"] for row in ROWS if "`window`" in row}
    assert shown == {str(window): ", ".join(f"`{one}`" for one in of) for window, of in MOST_MEMBERS.items()}


def test_the_table_of_faults_names_those_that_are_played() -> None:
    """With how often each was survived: ``make faults`` prints the table (``--markdown``)."""
    section = _text("docs/evidence.md").partition("\n## Faults\n")[2].partition("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line.startswith("|")
    ]
    told = {name: (group, asserts) for group, name, asserts, _ in rows[2:]}
    assert told == {name: (fault.group, fault.asserts) for name, fault in FAULTS.items()}
    assert all(re.fullmatch(r"[1-9]\d* times", survived) for _, _, _, survived in rows[2:])


def test_the_glossary_has_every_word_that_status_and_explain_say_of_a_pipeline() -> None:
    rows = re.findall(r"^\| (\*\*.+?) \|", _text("docs/glossary.md"), re.MULTILINE)
    explained = {word for row in rows for word in re.findall(r"\*\*(.+?)\*\*", row)}
    shown = {str(word) for words in (Readiness, Status, Matter) for word in words}
    asked = {"partition", "wave", "consumed", "gap", "lag", "ready", "catch up", "forget"}
    assert shown | asked <= explained


def test_the_help_names_the_glossary() -> None:
    group = typer.main.get_command(app)
    assert "docs/glossary.md" in (group.epilog or "")
    for command in ("explain", "status"):
        assert "docs/glossary.md" in (group.commands[command].help or "")  # type: ignore[attr-defined]
