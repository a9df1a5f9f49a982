"""What is said about how far a command is."""

from __future__ import annotations

import pytest

from coordinator.cli.progress import Progress


def test_a_command_that_is_soon_done_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress() as progress:
        for at in range(3):
            progress("deploying", at, 3)
    assert capsys.readouterr().err == ""
    assert progress.last == "deploying: 2 of 3 files"


def test_outside_of_a_terminal_there_is_a_line_every_few_seconds(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    with Progress() as progress:
        for at in range(8):
            progress("deploying", at * 1000, 8000)
            now += 1.0
    assert capsys.readouterr().err.splitlines() == [
        "deploying: 1,000 of 8,000 files",
        "deploying: 6,000 of 8,000 files",
    ]


def test_on_a_terminal_one_line_is_kept(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("coordinator.cli.progress.FIRST", 0.0)
    with Progress() as progress:
        progress("deploying", 1, 3)
    assert "deploying: 1 of 3 files" in capsys.readouterr().err
