"""The files of the runs of commands (docs/runners.md#a-run-of-a-command).

``runs/<environment>/<command>/<run_id>/<attempt>/`` holds ``request.json``, and what the supervisor writes. A run, and
an attempt, exists from the moment at which its directory gets this name, complete; of several that make the same one,
one succeeds.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from coordinator.model.runstate import State
from coordinator.model.stored import WrittenTime
from coordinator.runners.command.atomic import read_whole, sync_directory, write_new
from coordinator.runners.command.processes import is_alive
from coordinator.runners.command.supervisor import EXIT, LOG, PROCESS, SUPERVISOR

REQUEST = "request.json"

_LONGEST_NAME = 255
"""Bytes of a file's name, on every usual file system."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What an attempt is asked to do, as the file says it."""

    pipeline: str
    run_id: str
    partition: str
    logical_date: WrittenTime | None
    queued_at: WrittenTime
    conf: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found


class Noted(msgspec.Struct, frozen=True):
    """A process that has noted itself; none, where the attempt was taken so that it never begins.

    :ivar claimed_at: when a supervisor took the attempt.
    """

    process: dict[str, Any]
    claimed_at: WrittenTime | None = None


class _Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How a command ended. :ivar reason: why somebody else ended it, or it never began."""

    ended_at: WrittenTime
    code: int | None
    signal: int | None = None
    reason: str | None = None


_Read = TypeVar("_Read", Request, Noted, _Ended)


def _read(file: Path, kind: type[_Read]) -> _Read | None:
    """:raises ValueError: it is damaged. :raises OSError: it cannot be read."""
    content = read_whole(file)
    if content is None:
        return None
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.DecodeError as error:
        raise ValueError(f"{file}: {error}; expected what the coordinator wrote there") from error


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt of a run. :ivar request: what it was asked to do."""

    dag_id: str
    run_id: str
    number: int
    directory: Path
    request: Request

    @property
    def file(self) -> Path:
        """The file with the request."""
        return self.directory / REQUEST

    @property
    def log(self) -> Path:
        return self.directory / LOG

    @property
    def queued_at(self) -> datetime:
        return self.request.queued_at

    @property
    def is_claimed(self) -> bool:
        """Whether a supervisor has it, or had it."""
        return (self.directory / SUPERVISOR).exists()


@dataclass(frozen=True, slots=True)
class Standing:
    """How an attempt stands. :ivar note: why it failed."""

    state: State
    start_date: datetime | None = None
    end_date: datetime | None = None
    note: str | None = None


def standing_of(attempt: Attempt) -> Standing:
    """How an attempt stands now, whoever runs it.

    :raises ValueError: a file is damaged. :raises OSError: one cannot be read.
    """
    claim = claim_of(attempt)
    if claim is None:  # it may be about to be removed, file by file
        return _ended(attempt, None) or Standing(State.QUEUED)
    began = claim.claimed_at
    if (ended := _ended(attempt, began)) is not None:
        return ended
    # In this order: a command that has not noted itself looks for its supervisor before it begins.
    if is_alive(claim.process):
        return Standing(State.RUNNING, began)
    command = command_of(attempt)
    if command is not None and is_alive(command.process):
        return Standing(State.RUNNING, began)
    if (ended := _ended(attempt, began)) is not None:  # it has ended between these questions
        return ended
    return Standing(State.FAILED, began, note="its supervisor has ended, and so its exit status is not known")


def _ended(attempt: Attempt, began: datetime | None) -> Standing | None:
    ended = _read(attempt.directory / EXIT, _Ended)
    if ended is None:
        return None
    if ended.code == 0 and ended.reason is None:
        return Standing(State.SUCCESS, began, ended.ended_at)
    how = f"it ended with {ended.code}"
    if ended.code is None:
        how = "it never began" if ended.signal is None else f"it was ended by signal {ended.signal}"
    note = f"{ended.reason}: {how}" if ended.reason is not None else how
    return Standing(State.FAILED, began, ended.ended_at, note=note)


def claim_of(attempt: Attempt) -> Noted | None:
    """Who has taken an attempt; raises as :func:`standing_of`."""
    return _read(attempt.directory / SUPERVISOR, Noted)


def command_of(attempt: Attempt) -> Noted | None:
    """The process of the command; raises as :func:`standing_of`."""
    return _read(attempt.directory / PROCESS, Noted)


class RunFiles:
    """The runs of one environment.

    :param directory: it exists; several environments may have the same one.
    :param environment: its name.
    """

    def __init__(self, directory: Path, environment: str) -> None:
        self._runs = directory / "runs" / _file_name(environment)
        self._new = directory / "new"

    def can_name(self, dag_id: str, run_id: str) -> bool:
        """Whether there can be files of that name."""
        return self._directory(dag_id, run_id) is not None

    def newest(self, dag_id: str, run_id: str) -> Attempt | None:
        """The newest attempt of a run; ``None``: there is no such run.

        :raises ValueError: a file is damaged. :raises OSError: one cannot be read.
        """
        numbers = self._numbers(dag_id, run_id)
        return self._attempt(dag_id, run_id, max(numbers)) if numbers else None

    def first(self, newest: Attempt) -> Attempt:
        """The attempt with which the run was created; raises as :meth:`newest`."""
        numbers = self._numbers(newest.dag_id, newest.run_id)
        return newest if newest.number == min(numbers) else self._attempt(newest.dag_id, newest.run_id, min(numbers))

    def create(self, dag_id: str, run_id: str, request: Request, permit: Callable[[], None]) -> bool:
        """Create a run. Returns whether this did it; otherwise there is one already.

        :param permit: called at the last moment before it exists; what it raises is handed on.
        :raises OSError: it cannot be written.
        """
        run = self._directory(dag_id, run_id)
        assert run is not None
        _make(run.parent)
        return self._publish({"1": request}, run, permit)

    def add_attempt(self, newest: Attempt, request: Request, permit: Callable[[], None]) -> bool:
        """Add an attempt to a run; otherwise as :meth:`create`."""
        run = newest.directory.parent
        return self._publish({"": request}, run / str(newest.number + 1), permit)

    def _publish(self, requests: Mapping[str, Request], place: Path, permit: Callable[[], None]) -> bool:
        """:param requests: by the directory below ``place`` in which each is to be."""
        prepared = self._new / uuid.uuid4().hex
        try:
            for below, request in requests.items():
                _make(prepared / below)
                write_new(prepared / below / REQUEST, request.to_json())
            sync_directory(prepared)
            permit()
            os.rename(prepared, place)  # it fails where there is a directory that is not empty
        except OSError:
            if place.exists():
                return False
            raise
        finally:
            shutil.rmtree(prepared, ignore_errors=True)
        sync_directory(place.parent)
        return True

    def _attempt(self, dag_id: str, run_id: str, number: int) -> Attempt:
        run = self._directory(dag_id, run_id)
        assert run is not None
        directory = run / str(number)
        request = _read(directory / REQUEST, Request)
        if request is None:
            raise ValueError(f"{directory / REQUEST} is missing; expected what the coordinator wrote there")
        if (request.pipeline, request.run_id) != (dag_id, run_id):
            raise ValueError(f"{directory / REQUEST} is about another run: {request.pipeline} {request.run_id}")
        return Attempt(dag_id, run_id, number, directory, request)

    def _numbers(self, dag_id: str, run_id: str) -> list[int]:
        run = self._directory(dag_id, run_id)
        if run is None:
            return []
        try:
            return [int(name) for name in os.listdir(run) if name.isascii() and name.isdigit()]
        except (FileNotFoundError, NotADirectoryError):
            return []

    def _directory(self, dag_id: str, run_id: str) -> Path | None:
        """Where a run is; ``None``: no file can have that name, so there is none."""
        names = [_file_name(dag_id), _file_name(run_id)]
        if any(not 0 < len(name) <= _LONGEST_NAME for name in names):
            return None
        return self._runs.joinpath(*names)


def _file_name(name: str) -> str:
    """A name that leads nowhere else. Each has one of its own."""
    safe = quote(name, safe="~:+", errors="surrogatepass")
    return safe.replace(".", "%2E") if safe in (".", "..") else safe


def _make(directory: Path) -> None:
    """Make a directory, and those above it, for ourselves alone."""
    missing = []
    while not directory.exists():
        missing.append(directory)
        directory = directory.parent
    for one in reversed(missing):
        try:
            one.mkdir(mode=0o700)
        except FileExistsError:
            continue
        sync_directory(one.parent)
