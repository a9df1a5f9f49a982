"""Imports DAG files and says what they do meanwhile. A program of its own, run by the Python that has Airflow.

On stdin it gets one JSON object: ``root``, the DAG folder; ``files``, their paths; ``home``, a directory that may be
written to; ``time_limit``, in seconds for each file. It loads Airflow once, and forks for each file. What it writes to
stdout are lines of JSON: ``{"file": ...}`` when a file begins, then what was found about it.

What a file does is refused by an audit hook (https://docs.python.org/3/library/audit_events.html), by stand-ins for the
functions that read Airflow's database, and, on Linux, for what libraries written in C do, by the kernel.

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

_OF_AIRFLOW = {
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
"""Functions of Airflow 3 and 2 that read its database, or ask its API server."""

_CONTEXTS = ("airflow.sdk.definitions._internal.contextmanager", "airflow.models.dag")
"""Where the DAGs stand that a file has made."""

DATABASE = "none.db"
"""The file in ``home`` that Airflow's configuration calls its database."""

_DONE = 93
"""The exit code of a process that came to its end: a file that ends it itself has another."""

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CALLS = {"x86_64": (0xC000003E, (42, 59, 322)), "aarch64": (0xC00000B7, (203, 221, 281))}
"""For the kernel: the architecture, and the numbers of connect, execve and execveat."""


class Refused(PermissionError):
    """What was refused. Libraries take it for what a system without that would say."""


class Guard:
    """Refuses, and says so, once for each place.

    :param root: the DAG folder: the innermost line of it is what did something.
    :param home: a directory in which everything is allowed.
    :param say: takes what was refused.
    """

    def __init__(self, root: str, home: str, say: Callable[[dict[str, Any]], None]) -> None:
        self._root, self._home, self._say = root, home, say
        self._is_on = True
        self._within = threading.local()

    def prepare(self) -> None:
        """Load Airflow, and put stand-ins where it reads its database."""
        for rule, functions in _OF_AIRFLOW.items():
            for function in functions:
                self._replace(function, rule)

    def install(self) -> None:
        """From now on, until the process ends."""
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
        if rule is None or (rule == "files" and self._is_at_home(arguments[0])):
            return
        self._refuse(rule, self._call(event, arguments))

    def _call(self, event: str, arguments: tuple[Any, ...]) -> str:
        """What was called. Not all of it: the environment of a program holds what nobody may read."""
        if event == "sqlite3.connect" and arguments[0] == f"{self._home}/{DATABASE}":
            return "Airflow's database"
        shown = arguments[1:2] if event == "subprocess.Popen" else arguments[:2]
        return f"{event}({', '.join(_shown(one) for one in shown if one is not None)})"

    def _is_at_home(self, path: Any) -> bool:
        if isinstance(path, bytes):
            path = os.fsdecode(path)
        return not isinstance(path, str) or path == os.devnull or is_below(path, self._home)

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
            given = [one for one in arguments if not isinstance(one, type)]
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
    """Connections and programs are refused by a seccomp filter, where the system has one.

    It is what a library that is written in C meets: it calls nothing that Python could see.
    """
    known = _CALLS.get(os.uname().machine)
    if sys.platform != "linux" or known is None:
        return
    architecture, numbers = known
    load, equal, give = 0x20, 0x15, 0x06
    allow, refuse = 0x7FFF0000, 0x00050000 | 13  # EACCES
    program = [(load, 0, 0, 4), (equal, 0, len(numbers) + 1, architecture), (load, 0, 0, 0)]
    program += [(equal, len(numbers) - at, 0, number) for at, number in enumerate(numbers)]
    program += [(give, 0, 0, allow), (give, 0, 0, refuse)]
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
            say({"error": f"{type(error).__name__}: {error}", "place": _place_of(error, root)})
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
    sys.path.insert(0, root)
    guard = Guard(root, os.path.realpath(work["home"]), lambda answer: _say(answers, answer))
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
    stack = os.open(os.path.join(home, "stack"), os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    alive, its_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(alive)
        faulthandler.dump_traceback_later(limit, exit=True, file=stack)
        guard.install()
        import_file(path, guard, root, lambda answer: _say(answers, answer))
        os._exit(_DONE)
    os.close(its_end)
    ended, _, _ = select.select([alive], [], [], limit + 5)
    if not ended:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    os.close(alive)
    dumped = os.pread(stack, 1 << 16, 0).decode(errors="replace")
    os.close(stack)
    if dumped or not ended:
        _say(answers, {"too_long": limit, "place": _innermost(dumped, root)})
    elif (code := os.waitstatus_to_exitcode(status)) != _DONE:
        how = f"exit code {code}" if code >= 0 else f"signal {-code}"
        _say(answers, {"error": f"the file ends the process that imports it: {how}", "place": ["", 0]})


def _innermost(dumped: str, root: str) -> list[Any]:
    """The innermost line of the DAG folder in what faulthandler has written."""
    for file, line in re.findall(r'^  File "(.*)", line (\d+) in ', dumped, re.MULTILINE):
        if is_below(file, root):
            return [os.path.realpath(file), int(line)]
    return ["", 0]


if __name__ == "__main__":
    main()
