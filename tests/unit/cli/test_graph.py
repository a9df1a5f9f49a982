"""``coordinator graph``: every pipeline and every edge, once, in each form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from coordinator.cli.failures import ExitCode
from tests.command_line import Cli

DIAMOND = {
    "orders": "raw",
    "customers": {"upstream": {"pipeline": "raw", "on": "done"}},
    "team_b/report": ["orders", {"pipeline": "customers", "task": "load", "trigger": False}],
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "dependencies.json"


def _shown(cli: Cli, file: Path, document: Any, *arguments: str) -> str:
    file.write_text(json.dumps(document))
    result = cli("graph", *arguments, "--file", file)
    assert result.exit_code == ExitCode.OK, result.stderr
    return str(result.stdout)


def test_a_tree_shows_what_is_below_once(cli: Cli, file: Path) -> None:
    assert _shown(cli, file, {**DIAMOND, "mail": "team_b/report"}).splitlines() == [
        "raw",
        "├── customers  on done",
        "│   └── team_b/report  load as a gate",
        "│       └── mail",
        "└── orders",
        "    └── team_b/report  (see above)",
    ]


def test_what_is_above_and_below_one_is_shown(cli: Cli, file: Path) -> None:
    shown = json.loads(_shown(cli, file, {**DIAMOND, "mail": "team_b/report", "other": "raw"}, "orders", "--json"))
    assert shown["pipelines"] == ["mail", "orders", "raw", "team_b/report"]
    assert [(one["upstream"], one["downstream"]) for one in shown["edges"]] == [
        ("team_b/report", "mail"),
        ("raw", "orders"),
        ("orders", "team_b/report"),
    ]


def test_json_has_what_each_edge_asks_for(cli: Cli, file: Path) -> None:
    edges = json.loads(_shown(cli, file, DIAMOND, "--json"))["edges"]
    assert edges[-2] == {
        "upstream": "customers",
        "task": "load",
        "downstream": "team_b/report",
        "sensor": False,
        "on": "success",
        "mapping": "identity",
        "trigger": False,
    }


@pytest.mark.parametrize("form", ["--dot", "--mermaid"])
def test_names_stay_names(cli: Cli, file: Path, form: str) -> None:
    """A pipeline may be called what means something in the language of the drawing."""
    shown = _shown(cli, file, {'a"];b[x': "c<script>alert(1)</script>", "d\\": "e#quot;&"}, form)
    assert shown.count("-->" if form == "--mermaid" else "->") == 2
    if form == "--mermaid":
        assert "<" not in shown.replace("flowchart LR", "")
        assert 'p0["a#quot;];b[x"]' in shown
        assert "e#35;quot;#amp;" in shown
    else:
        assert '"a\\"];b[x"' in shown
        assert '"d\\\\"' in shown


def test_environments_are_drawn_apart(cli: Cli, file: Path) -> None:
    assert _shown(cli, file, DIAMOND, "--mermaid").count("subgraph") == 2
    dot = _shown(cli, file, DIAMOND, "--dot")
    assert 'label="team_b"' in dot
    assert '"customers" -> "team_b/report" [label="load as a gate", style=dashed];' in dot


def test_a_long_chain_and_a_cycle_back_in_time_end(cli: Cli, file: Path) -> None:
    chain: dict[str, Any] = {f"p{number + 1}": f"p{number}" for number in range(1_100)}
    assert _shown(cli, file, chain).count("\n") == 1_101
    back = {"pipeline": "b", "partition": "-1 day"}
    assert _shown(cli, file, {"a": {"upstream": [back, "raw"]}, "b": "a"}).splitlines() == [
        "raw",
        "└── a",
        "    └── b",
        "        └── a  by -1 day  (see above)",
    ]


def test_what_is_unknown_or_contradicts_itself_is_refused(cli: Cli, file: Path) -> None:
    file.write_text(json.dumps(DIAMOND))
    result = cli("graph", "--dot", "--json", "--file", file)
    assert result.exit_code == ExitCode.USAGE
    assert "exclude each other" in " ".join(result.stderr.split())
    result = cli("graph", "odrers", "--file", file)
    assert result.exit_code == ExitCode.PROBLEM
    assert "no dependency names odrers" in result.stderr
    assert "did you mean orders" in result.stderr
