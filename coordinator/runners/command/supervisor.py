"""A program: runs the command of one attempt, and keeps its exit status (docs/runners.md#a-run-of-a-command).

``python -m coordinator.runners.command.supervisor ATTEMPT``, with what to run as JSON on its standard input. It starts
a copy of itself in a session of its own, prints :data:`CLAIMED` or :data:`TAKEN` once that copy, or another one, has
the attempt, and ends. The copy outlives the watcher. Whatever is killed at whatever step:

- the attempt belongs to the supervisor that has written ``supervisor.json``, which only one can;
- the command writes ``process.json`` itself and then makes sure that its supervisor still lives, before it becomes the
  program. So where the supervisor has ended and there is no such file, there is no program, and will be none;
- ``exit.json`` is the last that is written. Without it, and without a process, the exit status is lost.

Only the standard library, and what needs no more, so that it starts quickly.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from coordinator.runners.command.atomic import write_new
from coordinator.runners.command.processes import as_json
from coordinator.store.process_id import ProcessId

SUPERVISOR = "supervisor.json"
PROCESS = "process.json"
EXIT = "exit.json"
STOP = "stop.json"
LOG = "log"

CLAIMED = "claimed"
TAKEN = "taken"

GRACE = 10.0
"""Seconds from SIGTERM to SIGKILL, for a command that is to end."""

SOMEBODY = "somebody stopped it"
STOPPED = "the coordinator stopped it"
"""The reason of an attempt for which there is :data:`STOP`."""

NOT_RUN = 127
"""The exit status of a command that cannot be run, as shells have it."""

_SIGNALS = {signal.SIGCHLD, signal.SIGTERM}
_SET_CHILD_SUBREAPER = 36
"""``PR_SET_CHILD_SUBREAPER`` of ``prctl(2)``."""
_KILL_AGAIN = 1.0
"""Seconds after SIGKILL until it is sent again, to what has been started meanwhile."""

_LOOKS_EVERY = 3600.0
"""Seconds between two looks at a command of which no signal tells."""


def main() -> int:
    """Start the supervisor of an attempt. Returns once it is known who has the attempt."""
    attempt = Path(sys.argv[1])
    what = json.load(sys.stdin.buffer)  # what is cut off, because the watcher was killed, is not run
    hearing, telling = os.pipe()
    if os.fork() == 0:
        os.close(hearing)
        os._exit(_supervise(attempt, what, telling))
    os.close(telling)
    with open(hearing, "rb") as answer:
        said = answer.read().decode() or "the supervisor ended before it began"
    print(said)
    return 0 if said in (CLAIMED, TAKEN) else 1


def _supervise(attempt: Path, what: dict[str, Any], telling: int) -> int:
    """:param telling: where to say who has the attempt."""

    def tell(said: str) -> None:
        with contextlib.suppress(BrokenPipeError):  # whoever asked has been killed; the attempt is ours all the same
            os.write(telling, said.encode())
        os.close(telling)

    os.setsid()
    _redirect(os.open(os.devnull, os.O_RDWR), 0, 1, 2)
    this = ProcessId.of_this_process()
    try:
        if this is None:
            raise OSError("this system does not say when a process began; expected /proc as Linux has it")
        write_new(attempt / SUPERVISOR, {"process": as_json(this), "claimed_at": datetime.now(UTC).isoformat()})
    except FileExistsError:
        tell(TAKEN)
        return 0
    except OSError as error:
        tell(str(error))
        return 1
    tell(CLAIMED)
    try:
        _redirect(os.open(attempt / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600), 1, 2)
        ended = _run(attempt, what)
    except OSError as error:  # no process is to be had, or no file
        ended = {"code": NOT_RUN, "reason": f"it could not be started: {error}"}
    _keep(attempt, ended)
    return 0


def _run(attempt: Path, what: dict[str, Any]) -> dict[str, Any]:
    """Run the command, and wait for its end. Returns what is to be kept of it."""
    supervisor = os.getpid()
    for number in _SIGNALS:  # whoever has started the watcher may ignore them, which is handed down
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # they wait for _wait
    _adopt_orphans()
    command = os.fork()
    if command == 0:
        _become(attempt, what, supervisor)
    reason, status = _wait(command, what["timeout"])
    if reason == SOMEBODY and (attempt / STOP).exists():
        reason = STOPPED
    return {"code": status if status >= 0 else None, "signal": -status if status < 0 else None, "reason": reason}


def _wait(command: int, timeout: float | None) -> tuple[str | None, int]:
    """Wait for the end of the command and of everything that it has started, and end them where they are to end: by
    SIGTERM at first, then by SIGKILL.

    :param command: its process number, and that of its group.
    :param timeout: seconds that it may take; ``None``: any time.
    :returns: why it was ended, or ``None``; and its exit status, negative for a signal.
    """
    reason: str | None = None
    status: int | None = None
    ends_at = None if timeout is None else time.monotonic() + timeout
    while True:
        ended = _reap(command)
        status = ended if ended is not None else status
        if not _descendants():
            if status is None:
                continue  # it has ended just now
            return reason, status
        left = _LOOKS_EVERY if ends_at is None else max(0.0, ends_at - time.monotonic())
        heard = signal.sigtimedwait(_SIGNALS, min(left, _LOOKS_EVERY))
        is_late = ends_at is not None and time.monotonic() >= ends_at
        is_stopped = heard is not None and heard.si_signo == signal.SIGTERM
        if not (is_late or is_stopped):
            continue
        number = signal.SIGTERM if reason is None else signal.SIGKILL
        reason = reason or (SOMEBODY if is_stopped else "it took longer than its timeout")
        _signal_group(command, number)
        for descendant in _descendants():
            with contextlib.suppress(ProcessLookupError):
                os.kill(descendant, number)
        ends_at = time.monotonic() + (GRACE if number is signal.SIGTERM else _KILL_AGAIN)


def _reap(command: int) -> int | None:
    """Read the exit statuses of all children that have ended. Returns that of the command, if it is among them."""
    found = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        if pid == command:
            found = os.waitstatus_to_exitcode(status)


def _descendants() -> list[int]:
    """The processes below this one: orphans have become its children."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                fields = Path("/proc", entry, "stat").read_text(errors="replace").rpartition(")")[2].split()
                if fields[0] not in "ZX":
                    children.setdefault(int(fields[1]), []).append(int(entry))
    found, waiting = [], [os.getpid()]
    while waiting:
        for child in children.get(waiting.pop(), ()):
            found.append(child)
            waiting.append(child)
    return found


def _adopt_orphans() -> None:
    """From now on a process that loses its parent below this one becomes its child (Linux)."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def _signal_group(command: int, number: signal.Signals) -> None:
    for send in (os.killpg, os.kill):  # it may not have made its group yet
        try:
            send(command, number)
            return
        except OSError:
            continue


def _become(attempt: Path, what: dict[str, Any], supervisor: int) -> NoReturn:
    """Turn into the program of the command, in a process group of its own."""
    try:
        os.setsid()
        for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and a program would go on to do so
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        this = ProcessId.of_this_process()
        assert this is not None
        write_new(attempt / PROCESS, {"process": as_json(this)})
        if os.getppid() != supervisor:  # it was killed, and may be taken for one that has started nothing
            os._exit(NOT_RUN)
        os.chdir(what["working_directory"])
        environment = {_encoded(name): _encoded(value) for name, value in what["env"].items()}
        os.execvpe(_encoded(what["argv"][0]), [_encoded(one) for one in what["argv"]], environment)
    except BaseException as error:  # noqa: BLE001 - it must not go on as a second supervisor
        sys.stderr.write(f"coordinator: {what['argv'][0]} cannot be run: {error}\n")
        sys.stderr.flush()
    finally:
        os._exit(NOT_RUN)


def _encoded(text: str) -> bytes:
    """As the program gets it, whatever the locale."""
    return text.encode("utf-8", "surrogateescape")


def _keep(attempt: Path, ended: dict[str, Any]) -> None:
    """Write the exit status, however long that takes: a full disk may have room again."""
    ended = {**ended, "ended_at": datetime.now(UTC).isoformat()}
    pause = 1.0
    while True:
        try:
            write_new(attempt / EXIT, ended)
            return
        except (FileExistsError, FileNotFoundError):  # somebody has removed the attempt
            return
        except OSError:
            time.sleep(pause)
            pause = min(30.0, 2 * pause)


def _redirect(opened: int, *descriptors: int) -> None:
    for one in descriptors:
        os.dup2(opened, one)
    if opened not in descriptors:
        os.close(opened)


if __name__ == "__main__":
    sys.exit(main())
