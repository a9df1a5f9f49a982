"""Every benchmark still runs, at its smallest; its times say nothing here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[3]

SMALLEST = {
    "reaction": ("--completions", "10", "--rounds", "1"),
    "handover": ("--keys", "100", "--rounds", "1", "--lease", "2"),
    "reading": ("--keys", "300", "--pipelines", "100", "--only", "explain"),
    "workflow": ("--pipelines", "60", "--fan-in", "20", "--waves", "1"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALLEST)
def test_a_benchmark_runs(name: str) -> None:
    figures = _run(name)
    match name:
        case "reaction":
            assert [row[0] for row in figures["rows"]][-1] == "full load, rate"
            assert figures["completions"] == {"one at a time": 10, "full load": 10}
        case "handover":
            assert {row[1] for row in figures["rows"]} == {"gone", "leads", "wrote"}
        case "reading":
            assert figures["keys"] >= 300
            assert [one["exit_code"] for one in figures["taken"][:2]] == [0, 0]
        case "workflow":
            assert all(rate > 0 for rate in (*figures["floor"], *figures["coordinator"]))


def _run(name: str) -> Any:
    command = [sys.executable, "-m", f"benchmarks.{name}", *SMALLEST[name], "--json"]
    finished = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=240, check=False)
    assert finished.returncode == 0, finished.stderr[-4000:]
    return json.loads(finished.stdout.splitlines()[-1])
