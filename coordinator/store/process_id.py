"""The identity of a process, so that another one on the same machine can prove that it has ended.

A process number alone proves nothing: it may be given to another process later, and in a container it is valid for that
container only. So it is compared only where machine, boot and namespaces are the same, and together with the start time
of the process. Anything that is unknown, or differs, proves nothing either.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_NAMESPACES = ("pid", "time")
"""The first determines the numbers of processes, the second their start times."""

_START_TIME = 22
"""The field's number in ``/proc/<pid>/stat`` (proc(5)), in clock ticks since boot."""

_LONGEST = 200


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A process.

    :ivar boot: the boot id of the machine's kernel, ``/proc/sys/kernel/random/boot_id``.
    :ivar namespaces: the namespaces in which its number and its start time are valid.
    :ivar started: clock ticks since boot.
    """

    host: str
    boot: str
    namespaces: str
    pid: int
    started: int

    def is_beside(self, other: ProcessId) -> bool:
        """Whether both see the same processes under the same numbers. (A kernel reuses the number of a namespace only
        when that namespace has gone with all its processes.)"""
        return (self.host, self.boot, self.namespaces) == (other.host, other.boot, other.namespaces)

    @classmethod
    def of_this_process(cls) -> ProcessId | None:
        """The identity of this process; ``None``: this system does not provide all of it."""
        pid = os.getpid()
        try:
            # A /proc of other namespaces than ours would show other processes under our numbers.
            if os.readlink(_PROC / "self") != str(pid):
                return None
            boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
            namespaces = " ".join(os.readlink(_PROC / "self/ns" / name) for name in _NAMESPACES)
            started = _start_time(pid)
        except (OSError, ValueError):
            return None
        return cls(socket.gethostname(), boot, namespaces, pid, started) if boot and pid > 0 else None


def read_process_id(found: object) -> ProcessId | None:
    """A process from JSON; ``None`` for an invalid value."""
    if not isinstance(found, Mapping):
        return None
    host, boot, namespaces = (found.get(name) for name in ("host", "boot", "namespaces"))
    pid, started = found.get("pid"), found.get("started")
    if not (isinstance(host, str) and isinstance(boot, str) and isinstance(namespaces, str)):
        return None
    if any(not text or len(text) > _LONGEST for text in (host, boot, namespaces)):
        return None
    if type(pid) is not int or type(started) is not int or not 0 < pid < 2**31 or not 0 < started < 2**63:
        return None
    return ProcessId(host, boot, namespaces, pid, started)


def is_gone(process: ProcessId | None) -> bool:
    """Whether a process has provably ended. A stopped process has not."""
    ours = ProcessId.of_this_process()
    return process is not None and ours is not None and ours.is_beside(process) and not _runs(process)


def lives_here(process: ProcessId | None) -> bool:
    """Whether a process exists on this machine, running or hanging, as far as can be seen."""
    ours = ProcessId.of_this_process()
    return process is not None and ours is not None and ours.is_beside(process) and _runs(process)


def _runs(process: ProcessId) -> bool:
    try:
        os.kill(process.pid, 0)  # sends no signal; unlike /proc, it never hides the processes of other users
    except ProcessLookupError:
        return False
    except OSError:  # it is another user's, so it exists
        pass
    try:
        return _start_time(process.pid) == process.started
    except (OSError, ValueError):
        return True


def _start_time(pid: int) -> int:
    # The second field is the program's name in parentheses, which may hold anything, also parentheses.
    fields = (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    return int(fields[_START_TIME - 3])
