"""``coordinator ui`` where it cannot serve."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from coordinator.cli.failures import ExitCode
from tests.command_line import Cli
from tests.command_line import cli as cli


def test_without_the_extra_it_says_what_to_install(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("coordinator.ui")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    result = cli("ui")
    assert result.exit_code == ExitCode.USAGE
    assert "uvicorn is not installed" in result.stderr
    assert "'.[ui]'" in result.stderr


@pytest.mark.parametrize("arguments", [("--listen", "nowhere"), ("--listen", "127.0.0.1:http")])
def test_an_address_that_is_none_is_refused(cli: Cli, arguments: tuple[str, ...]) -> None:
    result = cli("ui", *arguments)
    assert result.exit_code == ExitCode.USAGE, result.output
    assert "is not an address" in result.stderr


def test_certificates_that_cannot_be_read_are_named(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "coordinator.toml"
    file.write_text('[ui]\ncert = "/nowhere/cert.pem"\nkey = "/nowhere/key.pem"\nlisten = "127.0.0.1:0"\n')
    result = cli("ui", "-c", file)
    assert result.exit_code == ExitCode.USAGE
    assert "ui: cert, key or client_ca cannot be read" in result.stderr
