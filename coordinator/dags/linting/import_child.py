"""Imports DAG files and says what they do meanwhile. A program of its own, run by the Python that has Airflow.

On stdin it gets one JSON object: ``root``, the DAG folder; ``files``; ``home``, a directory that may be written to;
``time_limit``, in seconds for each file. Its paths are absolute. It loads Airflow once, and forks for each file. What
it writes to stdout are lines of JSON: ``{"file": ...}`` when a file begins, then what was found about it.

What a file does is refused by an audit hook (https://docs.python.org/3/library/audit_events.html), by stand-ins for the
functions that read Airflow's database, and, on Linux, for what libraries written in C do, by the kernel. That keeps
mistakes from doing harm. It keeps nobody from it who means harm: the file runs in the same process as the hook.

Nothing but the standard library is imported here, and nothing of this package.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    sys.path.pop(0)  # this directory: its modules are none of the DAGs'

import contextlib
import ctypes
import faulthandler
import importlib
import importlib.util
import json
import os
import re
import select
import signal
import struct
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

_EVENTS = {
    "socket.connect": "network",
    "socket.getaddrinfo": "network",
    "socket.gethostbyname": "network",
    "socket.gethostbyaddr": "network",
    "socket.getnameinfo": "network",
    "socket.sendto": "network",
    "socket.sendmsg": "network",
    "sqlite3.connect": "database",
    "subprocess.Popen": "process",
    "os.system": "process",
    "os.exec": "process",
    "os.posix_spawn": "process",
    "os.fork": "process",
    "os.forkpty": "process",
    "os.kill": "process",
    "os.killpg": "process",
    "os.remove": "files",
    "os.rename": "files",
    "os.mkdir": "files",
    "os.rmdir": "files",
    "os.link": "files",
    "os.symlink": "files",
    "os.truncate": "files",
    "os.chmod": "files",
    "os.chown": "files",
    "shutil.rmtree": "files",
}
"""What is refused, by its audit event. Opening a file to write is looked at too."""

_DIRECTORIES = {
    "os.remove": 1,
    "os.rename": 2,
    "os.mkdir": 1,
    "os.rmdir": 1,
    "os.link": 2,
    "os.symlink": 1,
    "os.chmod": 1,
    "os.chown": 1,
    "shutil.rmtree": 1,
}
"""How many of an event's last arguments are descriptors of directories, from which its paths are relative; -1: none."""

_STAND_INS = {
    "process": ("multiprocessing.util:spawnv_passfds",),
    "variable": (
        "airflow.sdk.definitions.variable:Variable.get",
        "airflow.sdk.definitions.variable:Variable.set",
        "airflow.sdk.definitions.variable:Variable.delete",
        "airflow.sdk.definitions.variable:Variable.keys",
        "airflow.models.variable:Variable.get",
        "airflow.models.variable:Variable.set",
        "airflow.models.variable:Variable.update",
        "airflow.models.variable:Variable.delete",
    ),
    "connection": (
        "airflow.sdk.definitions.connection:Connection.get",
        "airflow.sdk.bases.hook:BaseHook.get_connection",
        "airflow.models.connection:Connection.get_connection_from_secrets",
        "airflow.hooks.base:BaseHook.get_connection",
    ),
    "database": ("airflow.utils.session:create_session",),
}
"""Functions of Airflow 3 and 2 that read its database, or ask its API server, and what no event tells."""

_CONTEXTS = ("airflow.sdk.definitions._internal.contextmanager", "airflow.models.dag")
"""Where the DAGs stand that a file has made."""

DATABASE = "none.db"
"""The file in ``home`` that Airflow's configuration calls its database."""

_DONE = 93
"""The exit code of a process that came to its end: a file that ends it itself has another."""
_PATIENCE = 5
"""Seconds after the time limit: then a process is ended that does not end itself."""
_MOST_BYTES = 1 << 24
"""Of what a process says."""
_LONGEST = 1000
"""In characters, what is said of an error: pydantic's list a whole configuration."""

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CALLS = {
    "x86_64": (0xC000003E, (42, 59, 322, 57, 58), 56),
    "aarch64": (0xC00000B7, (203, 221, 281), 220),
}
"""For the kernel: the architecture, the numbers of connect, execve, execveat, fork and vfork, and that of clone."""
_CLONE3 = 435
_CLONE_THREAD = 0x10000


class Refused(PermissionError):
    """What was refused. Libraries take it for what a system without that would say."""


class Guard:
    """Refuses, and says so, once for each place.

    :param root: the DAG folder: the innermost line of it is what did something.
    :param home: a directory in which everything is allowed.
    """

    def __init__(self, root: str, home: str) -> None:
        self._root, self._home = root, home
        self._say: Callable[[dict[str, Any]], None] = lambda _: None
        self._is_on = True
        self._within = threading.local()

    def prepare(self) -> None:
        """Load Airflow, and put stand-ins where it reads its database."""
        for rule, functions in _STAND_INS.items():
            for function in functions:
                self._replace(function, rule)

    def install(self, say: Callable[[dict[str, Any]], None]) -> None:
        """From now on, until the process ends. :param say: takes what was refused."""
        self._say = say
        sys.addaudithook(self._audit)
        _refuse_by_kernel()

    def lift(self) -> None:
        self._is_on = False

    def place(self) -> tuple[str, int]:
        """The innermost line of the DAG folder in this thread, else in the main thread."""
        main = sys._current_frames().get(threading.main_thread().ident or 0)
        for frame in (sys._getframe(), main):
            while frame is not None:
                if is_below(frame.f_code.co_filename, self._root):
                    return os.path.realpath(frame.f_code.co_filename), frame.f_lineno
                frame = frame.f_back
        return "", 0

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._is_on or getattr(self._within, "yes", False):
            return
        rule = _EVENTS.get(event)
        if event == "open":
            path, _, flags = arguments
            if not isinstance(path, (str, bytes)) or not (flags or 0) & _WRITES:
                return
            rule = "files"
        if rule is None or (rule == "files" and self._is_at_home(event, arguments)):
            return
        self._refuse(rule, self._call(event, arguments))

    def _call(self, event: str, arguments: tuple[Any, ...]) -> str:
        """What was called. Not all of it: the environment of a program holds what nobody may read."""
        if event == "sqlite3.connect" and arguments[0] == f"{self._home}/{DATABASE}":
            return "Airflow's database"
        shown = arguments[1:2] if event == "subprocess.Popen" else arguments[:2]
        return f"{event}({', '.join(_shown(one) for one in shown if one is not None)})"

    def _is_at_home(self, event: str, arguments: tuple[Any, ...]) -> bool:
        """Whether all of its paths are: a file is renamed from one to another."""
        paths = [os.fsdecode(one) for one in arguments if isinstance(one, (str, bytes))]
        if event == "open":
            paths = paths[:1]  # the other one is the mode
        count = _DIRECTORIES.get(event, 0)
        opened = [one for one in arguments[len(arguments) - count :] if isinstance(one, int) and one != -1]
        bases = [os.path.realpath(f"/dev/fd/{one}") for one in opened] or [""]
        return all(
            path == os.devnull or is_below(os.path.join(base, path), self._home) for path in paths for base in bases
        )

    def _replace(self, name: str, rule: str) -> None:
        module, _, path = name.partition(":")
        *names, last = path.split(".")
        try:
            holder = importlib.import_module(module)
            for one in names:
                holder = getattr(holder, one)
            before = holder.__dict__[last]
        except (ImportError, AttributeError, KeyError):
            return  # another Airflow, or a library that is not installed
        function = before.__func__ if isinstance(before, (classmethod, staticmethod)) else before

        @wraps(function)
        def refused(*arguments: Any, **_: Any) -> Any:
            given = [one for one in arguments if not isinstance(one, type)][:1]  # what follows may be a secret
            self._refuse(rule, f"{path}({', '.join(map(_shown, given))})")

        setattr(holder, last, type(before)(refused) if isinstance(before, (classmethod, staticmethod)) else refused)

    def _refuse(self, rule: str, what: str) -> None:
        self._within.yes = True
        try:
            file, line = self.place()
            self._say({"refused": rule, "what": what, "place": [file, line]})
        finally:
            self._within.yes = False
        raise Refused(f"refused while the DAG is imported: {what}")


def is_below(path: str, directory: str) -> bool:
    return os.path.realpath(path).startswith(directory + os.sep)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "..."


def _refuse_by_kernel() -> None:
    """Connections, programs and processes are refused by a seccomp filter, where the system has one.

    It is what a library that is written in C meets: it calls nothing that Python could see. Threads are allowed. What
    clone3 is to make cannot be seen: as if the kernel had none, the C library calls clone then.
    """
    known = _CALLS.get(os.uname().machine)
    if sys.platform != "linux" or known is None:
        return
    architecture, numbers, clone = known
    load, equal, has, give = 0x20, 0x15, 0x45, 0x06
    allow, refuse, missing = 0x7FFF0000, 0x00050000 | 13, 0x00050000 | 38  # EACCES, ENOSYS
    program = [(load, 0, 0, 4), (equal, 1, 0, architecture), (give, 0, 0, allow), (load, 0, 0, 0)]
    for number in numbers:
        program += [(equal, 0, 1, number), (give, 0, 0, refuse)]
    program += [(equal, 0, 1, _CLONE3), (give, 0, 0, missing), (equal, 1, 0, clone), (give, 0, 0, allow)]
    program += [(load, 0, 0, 16), (has, 0, 1, _CLONE_THREAD), (give, 0, 0, allow), (give, 0, 0, refuse)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in program))
    filter_ = struct.pack("HxxxxxxQ", len(program), ctypes.addressof(code))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    if prctl(38, 1, 0, 0, 0) == 0:  # PR_SET_NO_NEW_PRIVS
        prctl(22, 2, ctypes.c_char_p(filter_), 0, 0)  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER


def import_file(path: str, guard: Guard, root: str, say: Callable[[dict[str, Any]], None]) -> None:
    """Import a DAG file, and say what came of it."""
    name = "dag_file_" + re.sub(r"\W", "_", os.path.basename(path))
    contexts = list(_autoregister(name))
    try:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    except BaseException as error:  # noqa: BLE001 - also SystemExit, and whatever a file raises
        guard.lift()
        if not _is_by_refusal(error):
            say({"error": f"{type(error).__name__}: {error}"[:_LONGEST], "place": _place_of(error, root)})
        return
    guard.lift()
    made = [*vars(module).values(), *(dag for context in contexts for dag, _ in context.autoregistered_dags)]
    say({"dag_ids": sorted({one.dag_id for one in made if _is_dag(one)})})


def _autoregister(name: str) -> Iterator[Any]:
    """As Airflow does it, so that a DAG without a name of its own is found."""
    for module in _CONTEXTS:
        with contextlib.suppress(ImportError, AttributeError):
            context = importlib.import_module(module).DagContext
            context.current_autoregister_module_name = name
            yield context


def _is_dag(value: Any) -> bool:
    return any(one.__name__ == "DAG" and one.__module__.startswith("airflow.") for one in type(value).__mro__)


def _is_by_refusal(error: BaseException | None) -> bool:
    """Whether it was said already why."""
    seen = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, Refused):
            return True
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False


def _place_of(error: BaseException, root: str) -> list[Any]:
    if isinstance(error, SyntaxError) and error.filename and is_below(error.filename, root):
        return [os.path.realpath(error.filename), error.lineno or 0]
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if is_below(frame.filename, root)]
    return [os.path.realpath(frames[-1].filename), frames[-1].lineno or 0] if frames else ["", 0]


def main() -> None:
    """Import what stdin asks for."""
    work = json.load(sys.stdin)
    answers = os.dup(1)
    for descriptor in (0, 1, 2):  # what a DAG file prints is no answer of ours
        os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
    os.chdir(work["home"])  # a DAG file that means a directory by "." would find another one in Airflow
    root = os.path.realpath(work["root"])
    sys.path.append(root)  # as Airflow has it: a file copy.py is not Python's copy
    guard = Guard(root, os.path.realpath(work["home"]))
    guard.prepare()
    for module in ("airflow.sdk", *_CONTEXTS):
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    for path in work["files"]:
        _say(answers, {"file": path})
        _in_a_process(path, guard, root, work["home"], work["time_limit"], answers)


def _say(pipe: int, answer: dict[str, Any]) -> None:
    os.write(pipe, json.dumps(answer).encode() + b"\n")


def _in_a_process(path: str, guard: Guard, root: str, home: str, limit: float, answers: int) -> None:
    """Import a file in a process of its own, which nothing outlives, and pass on what it says."""
    stack = os.open(os.path.join(home, "stack"), os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    said, its_own = os.pipe()
    until = time.monotonic() + limit + _PATIENCE
    child = os.fork()
    if child == 0:
        os.setsid()
        os.close(answers)
        os.close(said)
        faulthandler.dump_traceback_later(limit, exit=True, file=stack)

        def say(answer: dict[str, Any]) -> None:
            _say(its_own, answer)

        guard.install(say)
        import_file(path, guard, root, say)
        os._exit(_DONE)
    os.close(its_own)
    try:
        told = _read(said, until)
        status = _ended(child, until)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # it, and what it has started
    os.close(said)
    for answer in _understood(told, root):
        _say(answers, answer)
    dumped = os.pread(stack, 1 << 16, 0).decode(errors="replace")
    os.close(stack)
    if dumped or status is None:
        _say(answers, {"too_long": limit, "place": _innermost(dumped, root)})
    elif (code := os.waitstatus_to_exitcode(status)) != _DONE:
        how = f"exit code {code}" if code >= 0 else f"signal {-code}"
        _say(answers, {"error": f"the file ends the process that imports it: {how}", "place": ["", 0]})


def _read(pipe: int, until: float) -> bytes:
    """What is written to a pipe, to its end, and no longer or more than is reasonable."""
    told = b""
    while len(told) < _MOST_BYTES and select.select([pipe], [], [], max(0, until - time.monotonic()))[0]:
        piece = os.read(pipe, 1 << 16)
        if not piece:
            break
        told += piece
    return told


def _ended(child: int, until: float) -> int | None:
    """Its wait status; ``None``: it had to be ended."""
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        if time.monotonic() >= until:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return None
        time.sleep(0.005)


def _understood(told: bytes, root: str) -> Iterator[dict[str, Any]]:
    """The answers. A file can write among them: what is none is said of it."""
    for line in told.splitlines():
        try:
            answer = json.loads(line)
            place, line_number = answer.get("place", ["", 0])
            known = isinstance(line_number, int) and (not place or is_below(place, root))
            known &= answer.get("refused", "files") in {*_STAND_INS, *_EVENTS.values()}
            known &= all(isinstance(one, str) for one in answer.get("dag_ids", ()))
        except (ValueError, TypeError, AttributeError):
            known = False
        if known and answer.keys() & {"refused", "error", "dag_ids"}:
            yield answer
        else:
            yield {"error": "the file writes to descriptors that are not its own", "place": ["", 0]}
            return


def _innermost(dumped: str, root: str) -> list[Any]:
    """The innermost line of the DAG folder in what faulthandler has written."""
    for file, line in re.findall(r'^  File "(.*)", line (\d+) in ', dumped, re.MULTILINE):
        if is_below(file, root):
            return [os.path.realpath(file), int(line)]
    return ["", 0]


if __name__ == "__main__":
    main()
