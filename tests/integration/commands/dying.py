"""Lets one of the processes around a command die, or stand still, at a step that a test names.

The processes know nothing of this. A directory at the beginning of ``PYTHONPATH`` has a ``sitecustomize.py``, which
wraps the functions of ``os`` by which they act, and has them pass by *steps*: ``link supervisor.json done``. A file
named for a step stands in the way, with the number of a signal. Whoever comes there takes it away, and gets the signal.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

_CUSTOM = """
import errno
import os

def pass_by(step):
    try:
        os.rename(os.path.join({steps!r}, step), taken := os.path.join({steps!r}, 'taken by %d' % os.getpid()))
        with open(taken) as file:
            number = int(file.read())
        os.unlink(taken)
    except OSError:
        return
    if number == 0:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.kill(os.getpid(), number)

def wrap(name, step_of):
    original = getattr(os, name)
    def wrapped(*arguments, **named):
        step = step_of(*arguments)
        pass_by(step)
        result = original(*arguments, **named)
        pass_by(step + ' done' + (' in the child' if name == 'fork' and result == 0 else ''))
        return result
    setattr(os, name, wrapped)

forks = [0]
def fork(*_):
    forks[0] += 1
    return 'fork %d' % forks[0]

wrap('fork', fork)
wrap('setsid', lambda: 'setsid')
wrap('link', lambda source, target: 'link ' + os.path.basename(target))
wrap('execvpe', lambda *_: 'exec')
wrap('waitpid', lambda *_: 'waitpid')
"""


class Dying:
    """:param directory: for the files that this needs."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._steps = directory / "steps"
        self._steps.mkdir()
        custom = directory / "custom"
        custom.mkdir()
        (custom / "sitecustomize.py").write_text(_CUSTOM.format(steps=str(self._steps)))
        monkeypatch.setenv("PYTHONPATH", f"{custom}{os.pathsep}{Path(__file__).parents[3]}")

    def at(self, step: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Whoever comes to this step next gets this signal there."""
        (self._steps / step).write_text(str(number.value))

    def fails_at(self, step: str) -> None:
        """Whoever comes to this step next finds that the disk is full."""
        (self._steps / step).write_text("0")

    def is_past(self) -> bool:
        """Whether somebody has come there."""
        return not os.listdir(self._steps)
