"""What may go wrong with the next request of a kind: answers, cut lines, delays."""

from __future__ import annotations

import gzip
import threading
import uuid
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

KINDS = (
    "trigger",
    "clear",
    "get",
    "list",
    "patch",
    "delete",
    "login",
    "dag",
    "dags",
    "tasks_of_dag",
    "tasks",
    "tasks_of_run",
    "clear_tasks",
    "assets",
    "asset_events",
    "emit",
    "public",
)


@dataclass(frozen=True)
class Fault:
    """Use the constructors below.

    :ivar acts: whether the request takes effect.
    :ivar acts_first: ... before it is kept waiting.
    :ivar met: set as soon as a request has met it.
    """

    acts: bool
    status: int | None = None
    body: Any = None
    headers: Mapping[str, str | list[str]] = field(default_factory=dict)
    cuts: bool = False
    wait: threading.Event | None = None
    seconds: float | None = None
    drip: float | None = None
    acts_first: bool = False
    met: threading.Event = field(default_factory=threading.Event, compare=False)

    @classmethod
    def answer(
        cls,
        status: int,
        body: Any = None,
        *,
        headers: Mapping[str, str | list[str]] | None = None,
        acts: bool = False,
    ) -> Fault:
        """Answer this in place of the real answer. ``str`` and ``bytes`` are sent as they are, anything else as JSON.

        :param headers: a list: the same header several times.
        """
        return cls(acts=acts, status=status, body={"detail": "fault"} if body is None else body, headers=headers or {})

    @classmethod
    def packed(cls, content: bytes) -> Fault:
        """Answer 200 with this content, packed by gzip."""
        return cls.answer(200, gzip.compress(content, 9), headers={"Content-Encoding": "gzip"})

    @classmethod
    def cookies(cls, count: int, size: int) -> Fault:
        """Answer 200 with so many cookies, each with a name of its own and a value of so many characters."""
        cookies = [f"{uuid.uuid4().hex}={'x' * size}; Path=/; Max-Age=9999999" for _ in range(count)]
        return cls.answer(200, {}, headers={"Set-Cookie": cookies})

    @classmethod
    def cut_before(cls) -> Fault:
        """Cut the connection; nothing has happened."""
        return cls(acts=False, cuts=True)

    @classmethod
    def cut_after(cls) -> Fault:
        """Act, then cut the connection without an answer."""
        return cls(acts=True, cuts=True)

    @classmethod
    def delay(cls, seconds: float) -> Fault:
        """Act and answer so much later."""
        return cls(acts=True, seconds=seconds)

    @classmethod
    def hang(cls, released: threading.Event) -> Fault:
        """Act and answer only when ``released`` is set."""
        return cls(acts=True, wait=released)

    @classmethod
    def late(cls, seconds: float) -> Fault:
        """Act at once, and answer so much later."""
        return cls(acts=True, acts_first=True, seconds=seconds)

    @classmethod
    def withhold(cls, released: threading.Event) -> Fault:
        """Act at once, and answer only when ``released`` is set."""
        return cls(acts=True, acts_first=True, wait=released)

    @classmethod
    def lose(cls, released: threading.Event) -> Fault:
        """Keep the request until ``released`` is set, then cut the connection; nothing has happened."""
        return cls(acts=False, cuts=True, wait=released)

    @classmethod
    def drip_answer(cls, seconds: float) -> Fault:
        """Act, and answer one byte at a time with so many seconds between."""
        return cls(acts=True, drip=seconds)


class Faults:
    """The faults that are waiting for a request, in order, by kind."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next: dict[str, deque[Fault]] = {kind: deque() for kind in KINDS}
        self._always: dict[str, Fault] = {}

    def next(self, kind: str, *faults: Fault) -> None:
        """The next requests of this kind meet these faults, one each."""
        with self._lock:
            self._next[kind].extend(faults)

    def always(self, kind: str, fault: Fault) -> None:
        """Every request of this kind meets this fault, until :meth:`clear`."""
        with self._lock:
            self._next[kind]
            self._always[kind] = fault

    def clear(self) -> None:
        with self._lock:
            self._always.clear()
            for waiting in self._next.values():
                waiting.clear()

    def take(self, kind: str) -> Fault | None:
        waiting = self._next[kind]
        if not waiting and not self._always:
            return None
        with self._lock:
            fault = waiting.popleft() if waiting else self._always.get(kind)
        if fault is not None:
            fault.met.set()
        return fault
