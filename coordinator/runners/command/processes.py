"""Whether a process that was noted is still alive.

It is known by its number together with its start time and the boot of the machine, so that another process that has got
its number since is not taken for it (:mod:`coordinator.store.process_id`). This needs ``/proc``: Linux.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from coordinator.store.process_id import ProcessId, lives_here, read_process_id

_PROC = Path("/proc")
_STATE, _THREADS = 3, 20
"""The numbers of these fields in ``/proc/<pid>/stat`` (proc(5))."""


def as_json(process: ProcessId) -> dict[str, Any]:
    return asdict(process)


def is_alive(noted: object) -> bool:
    """Whether a process is alive, given what :func:`as_json` has noted of it.

    A process of another boot, or of a container that has gone, has ended. So has one that only waits for its parent to
    read its exit status. The machine may have got another name since: the boot tells machines apart.
    """
    process, ours = read_process_id(noted), ProcessId.of_this_process()
    if process is None or ours is None:
        return False
    return lives_here(replace(process, host=ours.host)) and not _is_zombie(process.pid)


def _is_zombie(pid: int) -> bool:
    """Whether all its threads have ended. (A program whose first thread has ended shows as one, too.)"""
    try:
        fields = (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
        return fields[_STATE - 3] in "ZX" and int(fields[_THREADS - 3]) <= 1
    except (OSError, ValueError, IndexError):
        return False
