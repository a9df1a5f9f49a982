"""Commands of this host, in a directory of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command_line import cli  # noqa: F401 - a fixture
from tests.integration.commands.playground import Commands


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Commands]:
    directory = tmp_path / "commands"
    directory.mkdir(mode=0o700)
    commands = Commands(directory, tmp_path / "notes")
    yield commands
    commands.end()
