"""A configuration of somebody else does not take the memory of the machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from coordinator.cli.failures import ExitCode
from coordinator.dags.configuration import read_configuration
from coordinator.dags.generating import render, rendering
from coordinator.errors import ConfigurationError
from tests.dags_project import TEMPLATE, one_dag, project

MANY = 60
PEAKS = """\
import json, resource, sys
from coordinator.cli.dags import dags
try:
    dags(["check", sys.argv[1]])
finally:
    of = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    print(json.dumps([resource.getrusage(one).ru_maxrss // 1024 for one in of]))
"""


def peaks(file: Path) -> list[int]:
    """How much memory the command and the process of the templates took, in MiB."""
    done = subprocess.run(
        [sys.executable, "-c", PEAKS, file], capture_output=True, text=True, timeout=120, env=os.environ, check=False
    )
    assert done.returncode == ExitCode.OK, done.stderr
    found: list[int] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.slow
@pytest.mark.promise("dags")
def test_long_values_of_many_entries_are_held_once(tmp_path: Path) -> None:
    def configuration(size: int, entries: int) -> str:
        dags = "".join(f"  d{at}: {{template: dag.py.j2}}\n" for at in range(entries))
        return f"name: x\nvalues: {{a: '{'x' * size}', schedule: null}}\nenvironments: {{dev: }}\ndags:\n{dags}"

    least = peaks(project(tmp_path, configuration(1, 1)))
    most = peaks(project(tmp_path, configuration(2_000_000, MANY)))
    assert all(more < before + MANY for more, before in zip(most, least, strict=True)), (least, most)


def test_the_files_together_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "MOST_BYTES", 300)
    file = project(
        tmp_path, one_dag()["configuration"] + "  invoices: {template: dag.py.j2, values: {schedule: null}}\n"
    )
    with pytest.raises(ConfigurationError, match="expected DAG files of at most 300 bytes together, found more; split"):
        render(file, read_configuration(file), ["prod"])


def test_a_mistake_is_said_shortly(tmp_path: Path) -> None:
    file = project(tmp_path, **one_dag(TEMPLATE + "# {{ {}['x' * 100000] }}\n"))
    (finding,) = render(file, read_configuration(file), ["prod"]).findings
    assert "has no attribute 'xxx" in finding.reason
    assert len(finding.reason) < 2_000
