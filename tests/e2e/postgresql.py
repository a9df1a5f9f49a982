"""A PostgreSQL server of our own, for an Airflow: Debian's programs, a data directory and a socket that are temporary.

It listens on that socket alone, and trusts whoever reaches it: the directory belongs to the server's user, with no
rights for others.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from examples.demo.orphan_guard import OrphanGuard

_DEBIAN = Path("/usr/lib/postgresql")
_UNPRIVILEGED = ("postgres", "nobody")
_START_LIMIT = 60.0
_STOP_PATIENCE = 20.0
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "60",
    "shared_buffers": "32MB",
}
"""Nothing in it outlives a test, so it need not wait for the disk."""


def programs() -> Path | None:
    """The directory with the newest PostgreSQL's ``initdb`` and ``postgres``; ``None`` where there is none."""
    found = shutil.which("postgres")
    if found is not None:
        return Path(found).resolve().parent
    debian = [path.parent for path in _DEBIAN.glob("*/bin/postgres") if path.parts[-3].isdigit()]
    return max(debian, key=lambda path: int(path.parts[-2]), default=None)


class PostgresServer:
    """Use as a context manager.

    :param directory_of_programs: see :func:`programs`.
    :raises AssertionError: a program of PostgreSQL has failed; with its output.
    """

    def __init__(self, directory_of_programs: Path) -> None:
        self._programs = directory_of_programs
        self._user = _server_user()
        # Below /tmp: the path of a socket has 107 characters at most, and the server's user must get there.
        self.directory = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
        if self._user is not None:
            os.chown(self.directory, self._user.pw_uid, self._user.pw_gid)
        self._data = self.directory / "data"
        self._log = self.directory.with_name(f"{self.directory.name}.log")
        self._guard = OrphanGuard()
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, database: str) -> str:
        """SQLAlchemy's URL of a database."""
        return f"postgresql+psycopg2://airflow@/{database}?host={self.directory}"

    def create(self, database: str) -> None:
        self._run("createdb", "--host", str(self.directory), "--username", "airflow", database)

    def __enter__(self) -> PostgresServer:
        try:
            self._run("initdb", "--pgdata", str(self._data), "--username", "airflow", "--auth", "trust", "--no-sync")
            places = ("-D", str(self._data), "-k", str(self.directory))
            settings = (f"-c{name}={value}" for name, value in _SETTINGS.items())
            self._process = self._guard.start(
                [*self._as_user(), self._program("postgres"), *places, *settings],
                log=self._log,
                env=_environment(),
                cwd=self.directory,
            )
            self._wait_until_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGINT)  # a fast shutdown: it waits for no client
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_PATIENCE)
            self._guard.end(self._process, patience=0)
            self._process = None
        self._guard.close()
        shutil.rmtree(self.directory)
        self._log.unlink(missing_ok=True)

    def _wait_until_ready(self) -> None:
        assert self._process is not None
        until = time.monotonic() + _START_LIMIT
        ready = [self._program("pg_isready"), "--quiet", "--host", str(self.directory), "--dbname", "postgres"]
        while subprocess.run(ready, env=_environment(), cwd="/", check=False).returncode != 0:
            assert self._process.poll() is None, f"PostgreSQL has ended: {self._log.read_text()}"
            assert time.monotonic() < until, f"PostgreSQL does not answer: {self._log.read_text()}"
            time.sleep(0.1)

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [*self._as_user(), self._program(program), *arguments],
            env=_environment(),
            cwd="/",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{program} ended with {done.returncode}: {done.stdout}"

    def _program(self, name: str) -> str:
        return str(self._programs / name)

    def _as_user(self) -> list[str]:
        if self._user is None:
            return []
        return ["setpriv", f"--reuid={self._user.pw_uid}", f"--regid={self._user.pw_gid}", "--clear-groups"]


def _server_user() -> pwd.struct_passwd | None:
    """Whom the server runs as, where we are root, as whom it refuses to run."""
    if os.geteuid() != 0:
        return None
    known = {user.pw_name: user for user in pwd.getpwall()}
    return next(known[name] for name in _UNPRIVILEGED if name in known)


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}
