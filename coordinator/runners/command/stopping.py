"""Stopping an attempt of a command: its supervisor ends it, with all that it has started.

``stop.json`` says that it was to be stopped: then the note of the run says so. An attempt that no supervisor has taken
is taken here, so that it never begins. Where the supervisor was killed, the process group of the command is ended.
"""

from __future__ import annotations

import contextlib
import os
import signal
from datetime import UTC, datetime

from coordinator.runners.command.atomic import write_new
from coordinator.runners.command.processes import as_json, is_alive
from coordinator.runners.command.run_files import Attempt, process_of, supervisor_of
from coordinator.runners.command.supervisor import EXIT, STOP, STOPPED, SUPERVISOR
from coordinator.store.process_id import ProcessId


def end(attempt: Attempt) -> None:
    """Stop an attempt that has not ended. It may be called again.

    :raises OSError: a file cannot be written. :raises ValueError: one is damaged.
    """
    now = datetime.now(UTC).isoformat()
    with contextlib.suppress(FileExistsError):
        write_new(attempt.directory / STOP, {"stopped_at": now})
    if not attempt.is_claimed:
        this = ProcessId.of_this_process()
        assert this is not None
        try:
            write_new(attempt.directory / SUPERVISOR, {"process": as_json(this), "claimed_at": now})
        except FileExistsError:
            pass  # a supervisor was quicker
        else:
            write_new(attempt.directory / EXIT, {"code": None, "signal": None, "reason": STOPPED, "ended_at": now})
            return
    supervisor = supervisor_of(attempt)
    if supervisor is not None and is_alive(supervisor):
        _signal(supervisor["pid"], signal.SIGTERM, group=False)
        return
    command = process_of(attempt)
    if command is not None and is_alive(command):
        _signal(command["pid"], signal.SIGKILL, group=True)


def _signal(pid: int, number: signal.Signals, *, group: bool) -> None:
    with contextlib.suppress(ProcessLookupError):  # it has just ended
        (os.killpg if group else os.kill)(pid, number)
