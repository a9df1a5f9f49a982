"""``coordinator graph`` of what is published in a real etcd."""

from __future__ import annotations

import json
from pathlib import Path

from coordinator.cli.failures import ExitCode
from tests.command_line import Cli


def test_the_published_dependencies_are_shown(cli: Cli, config: Path, tmp_path: Path) -> None:
    assert "there are no dependencies" in cli("graph", "-c", config).stdout
    file = tmp_path / "dependencies.json"
    file.write_text(json.dumps({"report": "load", "mail": "report"}))
    assert cli("apply", file, "--yes", "-c", config).exit_code == ExitCode.OK
    shown = cli("graph", "report", "-c", config)
    assert shown.stdout.splitlines() == ["load", "└── report", "    └── mail"]
    assert json.loads(cli("graph", "-c", config, "--json").stdout)["problems"] == {}
