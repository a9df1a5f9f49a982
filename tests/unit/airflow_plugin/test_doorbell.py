"""The doorbell wakes at once, never blocks the one who rings, and tells whether anybody listens."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from coordinator.airflow_plugin.wakeup_pipe import Doorbell, Rings, ask_to_retire, ring


def test_without_a_deliverer_nobody_listens(tmp_path: Path) -> None:
    assert not ring(tmp_path, keeper=1)
    assert not ring(tmp_path / "missing", keeper=1)
    assert not ask_to_retire(tmp_path)


def test_a_ring_wakes_the_listener_at_once_and_says_for_whom(tmp_path: Path) -> None:
    with Doorbell(tmp_path) as doorbell:
        heard: list[Rings] = []
        listener = threading.Thread(target=lambda: heard.append(doorbell.wait(30)), daemon=True)
        listener.start()
        began = time.monotonic()
        assert ring(tmp_path, keeper=4711)
        listener.join(30)
        assert heard == [Rings(frozenset({4711}))]
        assert time.monotonic() - began < 5


def test_rings_before_the_wait_are_not_lost_and_count_together(tmp_path: Path) -> None:
    with Doorbell(tmp_path) as doorbell:
        ring(tmp_path, keeper=1)
        ring(tmp_path, keeper=2)
        ask_to_retire(tmp_path)
        assert doorbell.wait(0) == Rings(frozenset({1, 2}), retire=True)
        assert doorbell.wait(0) == Rings()


def test_after_the_deliverer_is_gone_nobody_listens_and_the_next_one_can(tmp_path: Path) -> None:
    with Doorbell(tmp_path):
        assert ring(tmp_path, keeper=1)
    assert not ring(tmp_path, keeper=1)
    with Doorbell(tmp_path) as doorbell:
        assert doorbell.wait(0) == Rings(), "rings for an earlier deliverer are not for this one"
        assert ring(tmp_path, keeper=1)


def test_a_deliverer_that_does_not_answer_does_not_block_the_scheduler(tmp_path: Path) -> None:
    with Doorbell(tmp_path) as doorbell:
        for _ in range(20_000):  # more than a pipe holds
            assert ring(tmp_path, keeper=1234567)
        while doorbell.wait(0).keepers:
            pass


def test_a_path_longer_than_a_unix_socket_may_have_is_no_obstacle(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["a-directory-with-a-rather-long-name"] * 6)
    deep.mkdir(parents=True)
    with Doorbell(deep) as doorbell:
        assert ring(deep, keeper=7)
        assert doorbell.wait(0).keepers == {7}


def test_rubbish_in_the_pipe_is_no_keeper(tmp_path: Path) -> None:
    with Doorbell(tmp_path) as doorbell:
        with (tmp_path / "doorbell").open("wb", buffering=0) as pipe:
            pipe.write(b"0 -1 x 99999999999999 \xff 12\n")
        assert doorbell.wait(0).keepers == {12}


def test_something_else_of_that_name_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "doorbell").write_text("mine")
    with pytest.raises(FileExistsError):
        Doorbell(tmp_path)
    assert (tmp_path / "doorbell").read_text() == "mine"
