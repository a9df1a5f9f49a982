"""Which process this is, so that another one on the same machine can prove that it has ended.

A process number alone proves nothing: it is given to another process later, and in a container it counts for that
container only. So it is compared only where machine, boot and namespaces are the same, and with the time at which the
process was started. Whatever is unknown, or differs, proves nothing either.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_NAMESPACES = ("pid", "time")
"""Numbers of processes belong to the first, the times at which they were started to the second."""

_START_TIME = 22
"""The field's number in ``/proc/<pid>/stat`` (proc(5)), in clock ticks since boot."""

_LONGEST = 200


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A process.

    :ivar boot: of the machine's kernel, ``/proc/sys/kernel/random/boot_id``.
    :ivar namespaces: in which its number and its start time count.
    :ivar started: clock ticks since boot.
    """

    host: str
    boot: str
    namespaces: str
    pid: int
    started: int

    def is_beside(self, other: ProcessId) -> bool:
        """Whether both see the same processes under the same numbers, or one's namespaces are gone with all in them:
        on one kernel a namespace's number is given again only then."""
        return (self.host, self.boot, self.namespaces) == (other.host, other.boot, other.namespaces)

    @classmethod
    def of_this_process(cls) -> ProcessId | None:
        """``None``: this system does not tell all of it."""
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
    """A process out of JSON; ``None`` for what is none."""
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
    """Whether a process has ended, as far as that can be proved from here. One that is stopped has not."""
    ours = ProcessId.of_this_process()
    return process is not None and ours is not None and ours.is_beside(process) and not _runs(process)


def lives_here(process: ProcessId | None) -> bool:
    """Whether a process runs, or hangs, on this machine, as far as that can be seen from here."""
    ours = ProcessId.of_this_process()
    return process is not None and ours is not None and ours.is_beside(process) and _runs(process)


def _runs(process: ProcessId) -> bool:
    try:
        os.kill(process.pid, 0)  # sends nothing; /proc may hide the processes of other users, this does not
    except ProcessLookupError:
        return False
    except OSError:  # it is somebody else's, so it is there
        pass
    try:
        return _start_time(process.pid) == process.started
    except (OSError, ValueError):
        return True


def _start_time(pid: int) -> int:
    # The second field is the program's name in parentheses, which may hold anything, also parentheses.
    fields = (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    return int(fields[_START_TIME - 3])
