"""A wall clock that is stepped for one process, while the machine's stays as it is.

``python -m tests.faults.wall_clock FILE watch ...`` is ``coordinator watch ...`` with the seconds that stand in the
file added wherever the coordinator reads the time of day. Clocks for intervals (monotonic, since boot) go on as ever,
as they do when a real clock is stepped. Libraries keep the true time: gRPC turns it into an interval at once.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import sys
import time
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from types import ModuleType
from typing import Any

import coordinator

_ASKS = re.compile(r"\bdatetime\.now\(|\btime\.time(_ns)?\(|from time import .*\btime\b")

Offset = Callable[[], float]
"""Seconds to add, at this moment."""


def step(module: ModuleType, offset: Offset) -> list[str]:
    """Let a module read a stepped clock from now on. Returns the names in it that were replaced."""
    replaced = {name: _stepped(value, offset) for name, value in vars(module).items() if _reads_the_clock(value)}
    vars(module).update(replaced)
    return list(replaced)


@contextmanager
def stepped(module: ModuleType, seconds: float) -> Iterator[None]:
    """As :func:`step`, for a while."""
    before = dict(vars(module))
    step(module, lambda: seconds)
    try:
        yield
    finally:
        vars(module).update(before)


def modules() -> Iterator[ModuleType]:
    """All of the coordinator that ask what time of day it is."""
    for found in pkgutil.walk_packages(coordinator.__path__, "coordinator."):
        spec = found.module_finder.find_spec(found.name, None)
        if spec is not None and spec.origin is not None and _ASKS.search(Path(spec.origin).read_text()):
            yield importlib.import_module(found.name)


def _reads_the_clock(value: object) -> bool:
    return value is datetime or value is time


def _stepped(value: object, offset: Offset) -> object:
    return _stepped_datetime(offset) if value is datetime else _stepped_time(offset)


def _stepped_datetime(offset: Offset) -> type[datetime]:
    class OfAnyKind(type):
        """What the true class has made is an instance of this one too."""

        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, datetime)

    class Stepped(datetime, metaclass=OfAnyKind):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return datetime.now(tz) + timedelta(seconds=offset())

    return Stepped


def _stepped_time(offset: Offset) -> types.SimpleNamespace:
    return types.SimpleNamespace(
        **{
            **vars(time),
            "time": lambda: time.time() + offset(),
            "time_ns": lambda: time.time_ns() + int(offset() * 1e9),
        }
    )


def main() -> None:
    file = Path(sys.argv.pop(1))
    for module in modules():
        step(module, lambda: float(file.read_text()))
    from coordinator.cli import main as command_line

    command_line()


if __name__ == "__main__":
    main()
