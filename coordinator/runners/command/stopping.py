"""Stopping an attempt of a command: its supervisor ends it, with all that it has started.

``stop.json`` says that it was to be stopped: then the note of the run says so. An attempt that no supervisor has taken
is taken here, in the name of no process, so that it never begins. Where the supervisor was killed, the process group of
the command is ended.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from datetime import UTC, datetime

from coordinator.runners.command.atomic import write_new
from coordinator.runners.command.processes import is_alive
from coordinator.runners.command.run_files import Attempt, claim_of, command_of
from coordinator.runners.command.supervisor import EXIT, GRACE, STOP, STOPPED, SUPERVISOR

AGAIN_AFTER = GRACE + 5.0
"""Seconds after which a supervisor is told again: a second signal leaves the command no time to end well."""


def end(attempt: Attempt) -> None:
    """Stop an attempt that has not ended. It may be called again.

    :raises OSError: a file cannot be written. :raises ValueError: one is damaged.
    """
    is_told = not _write(attempt, STOP, {"stopped_at": _now()})
    if not attempt.is_claimed:
        _write(attempt, SUPERVISOR, {"process": {}, "claimed_at": _now()})
    claim = claim_of(attempt)
    assert claim is not None
    if not claim.process:
        _write(attempt, EXIT, {"code": None, "signal": None, "reason": STOPPED, "ended_at": _now()})
    elif is_alive(claim.process):
        if not (is_told and _age(attempt) < AGAIN_AFTER):
            _signal(claim.process["pid"], signal.SIGTERM, group=False)
    elif (command := command_of(attempt)) is not None and is_alive(command.process):
        _signal(command.process["pid"], signal.SIGKILL, group=True)


def _write(attempt: Attempt, name: str, document: dict[str, object]) -> bool:
    """Write a file of an attempt. Returns whether it was not there yet."""
    try:
        write_new(attempt.directory / name, document)
    except FileExistsError:
        return False
    return True


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _age(attempt: Attempt) -> float:
    """Seconds since it was first told to stop. Where clocks were set, it may be any number."""
    return abs(time.time() - (attempt.directory / STOP).stat().st_mtime)


def _signal(pid: int, number: signal.Signals, *, group: bool) -> None:
    with contextlib.suppress(ProcessLookupError):  # it has just ended
        (os.killpg if group else os.kill)(pid, number)
