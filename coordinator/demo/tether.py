"""Ties processes to this one: whatever way it ends, they end with it.

A process that is killed cannot clean up, and Linux's PR_SET_PDEATHSIG reaches children only, not the workers that
Airflow's scheduler and API server fork (which would keep locks on its database). So a tiny program holds the end of
a pipe that breaks when we are gone, and then kills the process groups that it was told of.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress

_PROGRAM = """
import os, signal, sys
groups = set()
for line in sys.stdin:
    word, group = line.split()
    (groups.add if word == "tie" else groups.discard)(int(group))
for group in groups:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass
"""


class Tether:
    """Use as a context manager, or call :meth:`close`: either kills what is still tied."""

    def __init__(self) -> None:
        self._program = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for us, not for it
        )

    def tie(self, group: int) -> None:
        """Kill this process group when we are gone."""
        self._say(f"tie {group}\n")

    def untie(self, group: int) -> None:
        """Forget a group that has ended; its number may be given to another one."""
        self._say(f"untie {group}\n")

    def close(self) -> None:
        assert self._program.stdin is not None
        self._program.stdin.close()
        self._program.wait()

    def __enter__(self) -> Tether:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _say(self, line: str) -> None:
        assert self._program.stdin is not None
        self._program.stdin.write(line)
        self._program.stdin.flush()


def end_group(process: subprocess.Popen[bytes], *, patience: float) -> None:
    """End a process and its whole group: SIGTERM, and SIGKILL after ``patience`` seconds.

    The group is killed also when its leader has ended well: what it leaves behind nobody else would end.
    """
    if patience > 0:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
