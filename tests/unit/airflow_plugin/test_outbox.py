"""The outbox's promises: whole files only, in order, and nothing is lost or delivered for good by mistake."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from coordinator.airflow_plugin.outbox import Event, Outbox, UnreadableEvent
from coordinator.model.runstate import RunStateDocument, State


def event(run_id: str, state: State = State.SUCCESS) -> Event:
    return Event(
        environment="default", dag_id="quick", partition=run_id, document=RunStateDocument(state=state, run_id=run_id)
    )


def test_an_event_comes_back_as_it_was_put(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "made" / "when needed")
    put = event("a/b %\n ü")
    assert outbox.read(outbox.put(put)) == put


@pytest.mark.promise("reporting")
def test_events_are_pending_in_the_order_in_which_they_were_put(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    names = [outbox.put(event(str(number))) for number in range(200)]
    assert outbox.pending() == names
    read = [outbox.read(name).about["partition"] for name in outbox.pending()]
    assert read == [str(number) for number in range(200)]


@pytest.mark.promise("reporting", "clock-steps")
def test_the_order_survives_a_clock_that_goes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within one process: a scheduler that is started again counts from the clock that it finds."""
    outbox = Outbox(tmp_path)
    clock = iter([5_000, 4_000, 4_000, 9_000])
    monkeypatch.setattr("coordinator.airflow_plugin.outbox.time.time_ns", lambda: next(clock))
    names = [outbox.put(event(str(number))) for number in range(4)]
    assert outbox.pending() == names


def test_threads_of_an_api_server_never_take_the_same_name(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    threads = [
        threading.Thread(target=lambda: [outbox.put(event("x")) for _ in range(50)], daemon=True) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(outbox.pending()) == 200


_DIES_BEFORE_RENAME = """
import os, signal, sys
from pathlib import Path
from coordinator.model.runstate import RunStateDocument
from coordinator.airflow_plugin.outbox import Event, Outbox

os.rename = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
Outbox(Path(sys.argv[1])).put(
    Event(environment=None, dag_id="d", partition="p", document=RunStateDocument(state="success"))
)
"""


def test_a_writer_killed_before_the_rename_leaves_nothing_that_is_taken_for_an_event(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    kept = outbox.put(event("kept"))
    died = subprocess.run([sys.executable, "-c", _DIES_BEFORE_RENAME, str(tmp_path)], timeout=60, check=False)
    assert died.returncode == -9
    assert len(list(tmp_path.iterdir())) == 2
    assert outbox.pending() == [kept]


def test_what_a_crashed_writer_left_is_swept_once_nobody_can_be_writing_it(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    old, young = tmp_path / "1-1-1.json.tmp", tmp_path / "2-2-2.json.tmp"
    old.write_bytes(b"{")
    young.write_bytes(b"{")
    os.utime(old, (time.time() - 3600, time.time() - 3600))
    outbox.sweep()
    assert [path.name for path in tmp_path.iterdir()] == [young.name]


def test_a_full_disk_is_told_and_leaves_no_half_event(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outbox = Outbox(tmp_path)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("coordinator.airflow_plugin.outbox.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        outbox.put(event("x"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"{", b'{"environment": "e"}', b"\xff\xfe", b"[]", b'"success"'])
def test_a_damaged_file_is_unreadable_and_names_itself(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "1-1-1.json").write_bytes(content)
    with pytest.raises(UnreadableEvent, match=r"1-1-1\.json"):
        Outbox(tmp_path).read("1-1-1.json")


def test_the_age_of_an_event_is_in_its_name(tmp_path: Path) -> None:
    before = time.time()
    written_at = Outbox.written_at(Outbox(tmp_path).put(event("x")))
    assert written_at is not None
    assert before - 0.001 <= written_at <= time.time() + 0.001
    assert Outbox.written_at("repaired-by-hand.json") is None
