"""Lines get into their file whatever logrotate does with it, and nothing that happens to it stops who writes them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from coordinator.controller import line_file
from coordinator.controller.line_file import LineFile
from coordinator.errors import ConfigurationError


@pytest.fixture(autouse=True)
def _plain_logs() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def line_of(item: str) -> str:
    return item


def eventually(condition: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until, what
        time.sleep(0.01)


def write(destination: str, *items: str) -> None:
    lines = LineFile(destination, line_of)
    lines.start()
    for item in items:
        lines.take(item)
    lines.close()


def test_two_writers_share_a_file_and_every_line_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("from before\n")
    long = {name: [f"{name}{number}-{name * 20_000}" for number in range(50)] for name in "ab"}
    writers = [threading.Thread(target=write, args=(str(path), *items), daemon=True) for items in long.values()]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(10)
    assert sorted(path.read_text().splitlines()) == sorted(["from before", *long["a"], *long["b"]])


@pytest.mark.parametrize("moved", [True, False])
def test_a_file_that_was_moved_or_deleted_is_made_anew(tmp_path: Path, moved: bool) -> None:
    path = tmp_path / "log"
    lines = LineFile(str(path), line_of)
    lines.start()
    lines.take("one")
    eventually(lambda: path.read_text() == "one\n", "the first line")
    if moved:
        path.rename(tmp_path / "log.1")
    else:
        path.unlink()
    lines.take("two")
    lines.close()
    assert path.read_text() == "two\n"
    assert not moved or (tmp_path / "log.1").read_text() == "one\n"


def test_a_directory_that_went_away_costs_lines_until_it_is_back(tmp_path: Path) -> None:
    directory = tmp_path / "logs"
    directory.mkdir()
    path = directory / "log"
    lines = LineFile(str(path), line_of)
    with capture_logs() as logs:
        lines.start()
        path.unlink()
        directory.rmdir()
        for item in ("lost", "lost too"):
            lines.take(item)
        eventually(lambda: lines.lost == 2, "both are counted")
        assert lines.problem is not None
        assert "No such file or directory" in lines.problem
        directory.mkdir()
        lines.take("there")
        eventually(lambda: lines.problem is None, "it is written again")
        lines.close()
    assert path.read_text() == "there\n"
    assert lines.lost == 2
    assert [(entry["event"], entry.get("lost")) for entry in logs] == [
        ("decision_log.losing", None),
        ("decision_log.writing_again", 2),
    ]


def test_a_full_disk_is_said_once_and_counted() -> None:
    lines = LineFile("/dev/full", line_of)
    with capture_logs() as logs:
        lines.start()
        for number in range(100):
            lines.take(str(number))
        lines.close()
    assert lines.lost == 100
    assert [(entry["event"], entry["log_level"], entry["reason"]) for entry in logs] == [
        ("decision_log.losing", "error", "No space left on device")
    ]


def fill_up_after(room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many bytes of the first write find room; the next one fails; then there is room again."""
    really = os.write
    answers: list[int | OSError] = [room, OSError(28, "No space left on device")]

    def write(descriptor: int, data: bytes) -> int:
        answer = answers.pop(0) if answers else len(data)
        if isinstance(answer, OSError):
            raise answer
        return really(descriptor, data[:answer])

    monkeypatch.setattr(os, "write", write)


def test_a_line_cut_short_by_a_full_disk_does_not_swallow_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log"
    lines = LineFile(str(path), line_of)
    fill_up_after(3, monkeypatch)
    with capture_logs():
        lines.start()
        lines.take("first")
        eventually(lambda: lines.lost == 1, "the first is lost")
        lines.take("second")
        lines.close()
    assert path.read_text() == "fir\nsecond\n"


def test_of_lines_that_are_written_together_those_are_lost_that_a_full_disk_did_not_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log"
    lines = LineFile(str(path), line_of)
    fill_up_after(9, monkeypatch)
    with capture_logs():
        for item in ("first", "second", "third"):
            lines.take(item)
        lines.start()
        eventually(lambda: lines.lost == 2, "the second and the third are lost")
        lines.take("fourth")
        lines.close()
    assert path.read_text() == "first\nsec\nfourth\n"


def test_a_pipe_that_nobody_reads_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_file, "ROOM", 50)
    monkeypatch.setattr(line_file, "END_WITHIN", 0.1)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(ConfigurationError, match="cannot be opened"):
        LineFile(str(pipe), line_of)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    lines = LineFile(str(pipe), line_of)
    with capture_logs() as logs:
        lines.start()
        began = time.monotonic()
        for _ in range(1000):
            lines.take("x" * 10_000)
        lines.close()
        assert time.monotonic() - began < 5
    assert lines.lost > 800
    assert [entry["event"] for entry in logs] == ["decision_log.losing"]
    os.close(reader)  # lets the thread go: it is told that the pipe is broken


def test_a_mistake_in_one_line_does_not_end_the_others(tmp_path: Path) -> None:
    path = tmp_path / "log"

    def broken(item: str) -> str:
        if item == "bad":
            raise ValueError("cannot be said")
        return item

    lines = LineFile(str(path), broken)
    with capture_logs() as logs:
        lines.start()
        lines.take("bad")
        lines.take("good")
        lines.close()
    assert path.read_text() == "good\n"
    assert "cannot be said" in logs[0]["reason"]


def test_a_path_that_cannot_be_opened_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"watcher.decision_log: .*/no/log cannot be opened"):
        LineFile(str(tmp_path / "no" / "log"), line_of)
