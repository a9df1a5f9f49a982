"""A terminal in which the commands of a page are typed, one after the other: bash runs them as they stand there."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 30.0
WIDTH = 118
"""Columns, as in the outputs that the pages show."""

_SCRIPT = """set -o allexport -o pipefail
source "$VARIABLES"
trap 'export -p > "$VARIABLES"' EXIT
"""
"""Before each command: what the ones before have set stays set."""


@dataclass(frozen=True)
class Ended:
    """How a command ended. :ivar output: what it wrote to stdout and stderr."""

    code: int
    output: str


class Terminal:
    """To be closed.

    :param directory: where it is; fresh.
    :param places: what is elsewhere on this machine than a page says, and where.
    :param programs: directories of programs, before those of this machine.
    """

    def __init__(self, directory: Path, places: Mapping[str, str], programs: list[Path]) -> None:
        self.directory = directory
        self._places = places
        self._variables = directory.with_name("variables")
        self._variables.touch()
        self._environment = {
            "PATH": os.pathsep.join([*map(str, programs), os.environ["PATH"]]),
            "HOME": str(directory),
            "LANG": "C.UTF-8",
            "COLUMNS": str(WIDTH),
            "VARIABLES": str(self._variables),
        }
        self._serving: list[_Process] = []
        self._typed = 0

    def close(self) -> None:
        """Press Ctrl-C where something still serves, the newest first.

        :raises AssertionError: it did not end with 0.
        """
        ended = [process.interrupted() for process in reversed(self._serving)]
        assert all(one.code == 0 for one in ended), "after Ctrl-C:\n" + "\n".join(one.output for one in ended)

    def here(self, text: str) -> str:
        """A text of a page, with the places of this machine."""
        for there, place in self._places.items():
            text = text.replace(there, place)
        return text

    def write(self, name: str, text: str) -> None:
        (self.directory / name).write_text(self.here(text), encoding="utf-8")

    def export(self, **variables: str) -> None:
        self._environment.update(variables)

    def run(self, command: str, *, answers: str | None = None) -> Ended:
        """Type it, and wait for its end. :param answers: to what it asks; without them stdin is no terminal."""
        with _keyboard(answers) as stdin:
            return self._start(command, stdin).wait()

    def serve(self, command: str, says: str) -> None:
        """Type it in another terminal, and wait until it says something.

        :raises AssertionError: it ends before, or does not say so in time.
        """
        process = self._start(command, subprocess.DEVNULL)
        self._serving.append(process)
        process.await_that(lambda: says in process.output())

    def serving(self) -> str:
        """What they have said who still serve."""
        return "\n".join(process.output() for process in self._serving)

    def _start(self, command: str, stdin: int) -> _Process:
        self._typed += 1
        output = self.directory.with_name(f"output-{self._typed}")
        return _Process(_SCRIPT + self.here(command), self.directory, self._environment, stdin, output)


class _Process:
    def __init__(self, script: str, directory: Path, environment: Mapping[str, str], stdin: int, output: Path) -> None:
        self._script, self._output = script, output
        with output.open("wb") as file:
            self._process = subprocess.Popen(
                ["bash", "-c", script],
                cwd=directory,
                env=environment,
                stdin=stdin,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def output(self) -> str:
        return self._output.read_text(encoding="utf-8", errors="replace")

    def await_that(self, holds: Callable[[], bool]) -> None:
        until = time.monotonic() + PATIENCE
        while not holds():
            assert self._process.poll() is None, f"{self._script}\nended with {self._process.poll()}:\n{self.output()}"
            assert time.monotonic() < until, f"{self._script}\nnot within {PATIENCE} s:\n{self.output()}"
            time.sleep(0.02)

    def interrupted(self) -> Ended:
        """By Ctrl-C, which everybody in the foreground of a terminal gets."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGINT)
        return self.wait()

    def wait(self) -> Ended:
        until = time.monotonic() + PATIENCE
        while (code := self._process.poll()) is None:
            if time.monotonic() > until:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
                raise AssertionError(f"{self._script}\nnot within {PATIENCE} s:\n{self.output()}")
            time.sleep(0.005)
        return Ended(code, self.output())


@contextlib.contextmanager
def _keyboard(answers: str | None) -> Iterator[int]:
    """What stands for stdin: a terminal in which the answers are typed already, or nothing."""
    if answers is None:
        yield subprocess.DEVNULL
        return
    person, program = pty.openpty()
    try:
        os.write(person, answers.encode())
        yield program
    finally:
        os.close(person)
        os.close(program)
