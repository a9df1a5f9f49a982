"""The wakeup pipe wakes at once, never blocks the writer, and shows whether a sender listens."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from coordinator.airflow_plugin.wakeup_pipe import WakeupPipe, WakeUps, ask_to_retire, wake_up


def test_without_a_sender_nobody_listens(tmp_path: Path) -> None:
    assert not wake_up(tmp_path, client=1)
    assert not wake_up(tmp_path / "missing", client=1)
    assert not ask_to_retire(tmp_path)


def test_a_ring_wakes_the_listener_at_once_and_says_for_whom(tmp_path: Path) -> None:
    with WakeupPipe(tmp_path) as wakeup_pipe:
        heard: list[WakeUps] = []
        listener = threading.Thread(target=lambda: heard.append(wakeup_pipe.wait(30)), daemon=True)
        listener.start()
        began = time.monotonic()
        assert wake_up(tmp_path, client=4711)
        listener.join(30)
        assert heard == [WakeUps(frozenset({4711}))]
        assert time.monotonic() - began < 5


def test_wake_ups_before_the_wait_are_not_lost_and_count_together(tmp_path: Path) -> None:
    with WakeupPipe(tmp_path) as wakeup_pipe:
        wake_up(tmp_path, client=1)
        wake_up(tmp_path, client=2)
        ask_to_retire(tmp_path)
        assert wakeup_pipe.wait(0) == WakeUps(frozenset({1, 2}), retire=True)
        assert wakeup_pipe.wait(0) == WakeUps()


def test_after_the_sender_is_gone_nobody_listens_and_the_next_one_can(tmp_path: Path) -> None:
    with WakeupPipe(tmp_path):
        assert wake_up(tmp_path, client=1)
    assert not wake_up(tmp_path, client=1)
    with WakeupPipe(tmp_path) as wakeup_pipe:
        assert wakeup_pipe.wait(0) == WakeUps(), "wake-ups for an earlier sender are not for this one"
        assert wake_up(tmp_path, client=1)


def test_a_sender_that_does_not_answer_does_not_block_the_scheduler(tmp_path: Path) -> None:
    with WakeupPipe(tmp_path) as wakeup_pipe:
        for _ in range(20_000):  # more than a pipe holds
            assert wake_up(tmp_path, client=1234567)
        while wakeup_pipe.wait(0).clients:
            pass


def test_a_path_longer_than_a_unix_socket_may_have_is_no_obstacle(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["a-directory-with-a-rather-long-name"] * 6)
    deep.mkdir(parents=True)
    with WakeupPipe(deep) as wakeup_pipe:
        assert wake_up(deep, client=7)
        assert wakeup_pipe.wait(0).clients == {7}


def test_rubbish_in_the_pipe_is_no_client(tmp_path: Path) -> None:
    with WakeupPipe(tmp_path) as wakeup_pipe:
        with (tmp_path / "wakeup_pipe").open("wb", buffering=0) as pipe:
            pipe.write(b"0 -1 x 99999999999999 \xff 12\n")
        assert wakeup_pipe.wait(0).clients == {12}


def test_something_else_of_that_name_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "wakeup_pipe").write_text("mine")
    with pytest.raises(FileExistsError):
        WakeupPipe(tmp_path)
    assert (tmp_path / "wakeup_pipe").read_text() == "mine"
