"""The sender's log on a full disk."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from coordinator.airflow_plugin.lossy_log import LossyLog


@contextmanager
def full_disk(size: int = 0) -> Iterator[None]:
    """No file of this process can grow beyond so many bytes."""
    _, hard = before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_cannot_be_written_is_counted_once_there_is_room_again(tmp_path: Path) -> None:
    file = tmp_path / "log"
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    log = LossyLog(descriptor)
    print("before", file=log, flush=True)
    with full_disk():
        print("lost", file=log, flush=True)
        print("lost too", file=log, flush=True)
    print("half a \udc80 character", file=log, flush=True)
    print("after", file=log, flush=True)
    os.close(descriptor)
    assert file.read_text().splitlines() == [
        "before",
        "(2 lines before this one could not be written)",
        "half a \\udc80 character",
        "after",
    ]


@pytest.mark.promise("reporting")
def test_a_line_of_which_only_the_beginning_fits_is_lost_and_spoils_no_other(tmp_path: Path) -> None:
    file = tmp_path / "log"
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    log = LossyLog(descriptor)
    with full_disk(4):
        print("only its beginning", file=log, flush=True)
        print("lost", file=log, flush=True)
    print("after", file=log, flush=True)
    print("and on", file=log, flush=True)
    os.close(descriptor)
    lines = file.read_text().splitlines()
    assert lines == ["only", "(2 lines before this one could not be written)", "after", "and on"]
