"""A watcher that stops itself (SIGSTOP) at a point that a test names, in place of ``python -m coordinator.cli``:

    python -m tests.integration.controller.stopping FILE watch --config ...

FILE holds the name of the point; the watcher empties it, and stands still in that instruction, all of its threads with
it. The service knows nothing of this: its methods are wrapped here, from outside.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from coordinator.cli import main
from coordinator.controller.dispatch.dispatcher import Dispatcher
from coordinator.controller.service import Watcher
from coordinator.runners.airflow import AirflowRunner
from coordinator.runners.airflow.deadline import ExchangeLimits, _LimitedSocket
from coordinator.store.connection import EtcdStore
from coordinator.store.members import Member


class Points:
    """:param file: holds the point to stop at, if there is one."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()

    def is_wanted(self, point: str) -> bool:
        return self._file.read_text() == point

    def pass_by(self, point: str) -> None:
        with self._lock:
            if not self.is_wanted(point):
                return
            self._file.write_text("")
        # To this very thread: sent to the process, it might run on for a while before it is stopped, too.
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)


POINTS: Points
_sending = threading.local()
"""``kind``: what this thread's conversation is about (start, ask, look)."""


def around(owner: Any, name: str, wrapped: Callable[..., Any]) -> None:
    """Put ``wrapped(original, self, ...)`` in the place of a method."""
    original = getattr(owner, name)
    setattr(owner, name, lambda *arguments, **named: wrapped(original, *arguments, **named))


# -- requests to Airflow ---------------------------------------------------------------------------------------------


def conversation(kind: str) -> Callable[..., Any]:
    def wrapped(original: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        _sending.kind = kind
        # For a start: the guard has checked the lease; nothing has been begun.
        POINTS.pass_by(f"{kind}: about to begin")
        try:
            outcome = original(*arguments, **named)
        finally:
            _sending.kind = None
        POINTS.pass_by(f"{kind}: answered")
        return outcome

    return wrapped


def send(original: Callable[..., Any], self: Any, data: bytes, *more: Any) -> None:
    """The head and the body of a request leave in one piece."""
    kind = getattr(_sending, "kind", None)
    changes = kind == "start" and bytes(data).startswith(b"POST /api/")
    if changes:
        POINTS.pass_by("start: connected")
    original(self, data, *more)
    if changes:
        POINTS.pass_by("start: sent")
    elif kind == "look":
        POINTS.pass_by("look: sent")


def ask_permit(original: Callable[..., Any], self: ExchangeLimits) -> None:
    original(self)
    if self.permit is not None:
        POINTS.pass_by("start: permitted")


def guard(original: Callable[..., Any], *arguments: Any) -> None:
    POINTS.pass_by("start: about to check the lease")
    original(*arguments)


def finished(original: Callable[..., Any], self: Dispatcher, message: Any, now: float) -> None:
    original(self, message, now)
    POINTS.pass_by("look: taken in" if hasattr(message, "asked_at") else "start: taken in")


# -- requests to etcd ------------------------------------------------------------------------------------------------


def kind_of(request: Any) -> str:
    """What a transaction is about."""
    for operation in request.success:
        key = (operation.request_put.key or operation.request_delete_range.key).decode()
        _, _, kind, *_ = key.split("/")
        if operation.HasField("request_delete_range"):
            return "sweep"
        if kind == "trigger":
            return str(json.loads(operation.request_put.value)["status"])
        if kind != "floor":
            return str(kind)
    return "nothing"


class Kv:
    """etcd's KV stub, with points round each transaction. ``applied``: etcd has carried it out, and nobody has read the
    answer."""

    def __init__(self, stub: Any) -> None:
        self._stub = stub
        self.Range = stub.Range

    def Txn(self, request: Any, **options: Any) -> Any:
        kind = kind_of(request)
        POINTS.pass_by(f"{kind}: before")
        if POINTS.is_wanted(f"{kind}: applied"):
            answer = self._stop_once_applied(request, f"{kind}: applied", options)
        else:
            answer = self._stub.Txn(request, **options)
        POINTS.pass_by(f"{kind}: after")
        return answer

    def _stop_once_applied(self, request: Any, point: str, options: dict[str, Any]) -> Any:
        from coordinator.store.protobuf import import_etcd3

        first = request.success[0]
        key = first.request_put.key or first.request_delete_range.key
        question = import_etcd3().etcdrpc.RangeRequest(key=key)

        def revision() -> int:
            found = self._stub.Range(question, **options)
            return int(found.kvs[0].mod_revision) if found.kvs else 0

        before = revision()
        call = self._stub.Txn.future(request, **options)
        while revision() == before and not call.done():
            pass
        POINTS.pass_by(point)
        return call.result()


def connect(original: Callable[..., Any], self: Member, *arguments: Any, **named: Any) -> None:
    original(self, *arguments, **named)
    self.kv = Kv(self.kv)


def keep_alive(original: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    POINTS.pass_by("keep-alive: before")
    left = original(*arguments, **options)
    POINTS.pass_by("keep-alive: after")
    return left


if __name__ == "__main__":
    POINTS = Points(Path(sys.argv.pop(1)))
    for name in ("start", "ask", "look"):
        around(AirflowRunner, name, conversation(name))
    around(_LimitedSocket, "sendall", send)
    around(ExchangeLimits, "ask_permit", ask_permit)
    around(Watcher, "_guard", guard)
    around(Dispatcher, "finished", finished)
    around(Member, "__init__", connect)
    around(EtcdStore, "refresh_lease", keep_alive)
    main()
