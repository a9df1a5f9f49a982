"""How an example is run: in a directory of its own, with an exit code; where it failed, its logs are kept."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import structlog

from coordinator.errors import ConfigurationError, CoordinatorError
from examples.demo.interruption import Interrupted, heed, note_signals, pause
from examples.demo.parts import Parts


def run(name: str, play: Callable[[Path], None]) -> int:
    """Run an example.

    :param name: of the directory, for people.
    :param play: is given the directory.
    :return: 0: everything happened as it should. 1: something did not; stderr names it, and the directory of the logs.
        2: it could not begin. 130: Ctrl-C or SIGTERM.
    """
    note_signals()
    directory = Path(tempfile.mkdtemp(prefix=f"{name}-"))
    began = time.monotonic()
    with (directory / "demo.log").open("a", encoding="utf-8", buffering=1) as log:
        structlog.configure(logger_factory=structlog.PrintLoggerFactory(log))
        try:
            code = _code_of(lambda: play(directory))
        except ConfigurationError as error:
            print(f"✗ {error}", file=sys.stderr)
            code = 2
    if code == 1:
        print(f"The logs are kept: {directory}", file=sys.stderr)
    else:
        _remove(directory)
    print(f"Everything has ended, after {time.monotonic() - began:.0f} s.", flush=True)
    return code


def stay(parts: Parts) -> None:
    """Until Ctrl-C."""
    with suppress(Interrupted):
        while True:
            parts.check()
            pause(0.5)


def _code_of(play: Callable[[], None]) -> int:
    try:
        play()
    except Interrupted:
        return 130
    except ConfigurationError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, it is printed, and the logs are kept
        try:
            heed()  # what failed because of Ctrl-C is no failure
        except Interrupted:
            return 130
        print(f"✗ {error}" if isinstance(error, CoordinatorError) else traceback.format_exc(), file=sys.stderr)
        return 1
    return 0


def _remove(directory: Path) -> None:
    """Remove the directory. A process that was just killed may still write its last file."""
    for _ in range(20):
        shutil.rmtree(directory, ignore_errors=True)
        if not directory.exists():
            return
        time.sleep(0.1)
    print(f"{directory} could not be removed", file=sys.stderr)
