"""Ends the processes that this one has started when this one is gone, also after ``kill -9``.

A process that is killed cannot clean up, and Linux's PR_SET_PDEATHSIG reaches children only, not the workers that
Airflow's scheduler and API server fork. So a tiny program reads process groups from a pipe. Each started process
writes its own group there before it becomes the program that was asked for, and holds the pipe open until then: no
kill comes between a start and its entry. The pipe ends when this process ends; the program then kills these groups.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

_PROGRAM = """
import os, signal, sys
groups = set()
for line in sys.stdin:
    word, group = line.split()
    (groups.add if word == "add" else groups.discard)(int(group))
for group in groups:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass
"""

_LAUNCHER = """
import os, sys
os.write(int(sys.argv[1]), f"add {os.getpid()}\\n".encode())
os.close(int(sys.argv[1]))
os.execvp(sys.argv[2], sys.argv[2:])
"""
"""Runs in the child before the program: a group leader, whose number is the group's."""


class OrphanGuard:
    """Use as a context manager, or call :meth:`close`: both kill what has not been ended."""

    def __init__(self) -> None:
        self._program = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for us, not for it
        )
        assert self._program.stdin is not None
        self._pipe = self._program.stdin

    def start(
        self, command: Sequence[str], *, log: Path, env: Mapping[str, str], cwd: Path | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a program in a process group of its own. Its output is appended to ``log``."""
        with log.open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(self._pipe.fileno()), *command],
                env=env,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(self._pipe.fileno(),),
            )

    def end(self, process: subprocess.Popen[bytes], *, patience: float) -> None:
        """End a process and its group: SIGTERM, and SIGKILL after ``patience`` seconds.

        The group is killed also when its leader has ended: nobody else ends what it leaves behind.
        """
        if patience > 0:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(patience)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self._pipe.write(f"discard {process.pid}\n".encode())  # its number may be given to another group
        self._pipe.flush()

    def close(self) -> None:
        self._pipe.close()
        self._program.wait()

    def __enter__(self) -> OrphanGuard:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
