"""Commands of this host as an environment: implements the port with the other modules of this package.

The directory of a run says everything: whether it exists, and how it stands. So it makes no difference which watcher
has started it, or whether that one still lives.
"""

from __future__ import annotations

import os
import shlex
import socket
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import ClassVar, NamedTuple

import msgspec

from coordinator.boottime import boottime
from coordinator.model import bounds
from coordinator.model.printable import printable
from coordinator.model.trigger import Action
from coordinator.runners.command.run_files import Attempt, Request, RunFiles, standing_of
from coordinator.runners.command.settings import CommandSettings
from coordinator.runners.command.spawning import spawn
from coordinator.runners.command.stopping import end
from coordinator.runners.partitions import refusal_of_partitions
from coordinator.runners.port import (
    NO_TASKS,
    EnvironmentFault,
    EnvironmentReport,
    EnvironmentUnavailable,
    Foreign,
    Happened,
    Looked,
    MissingTask,
    NotHappened,
    NotSent,
    ObservedRun,
    ObservedTask,
    Outcome,
    Permit,
    Refused,
    RequestRefused,
    Runner,
    RunOrTask,
    RunRef,
    StartRequest,
    TaskRef,
)
from coordinator.store.process_id import ProcessId

_UNKNOWN = 404
_CANNOT = 400
_DAMAGED = 500


class _Problem(NamedTuple):
    """Why nothing works in an environment. :ivar remedy: for ``doctor``."""

    found: str
    remedy: str


class CommandRunner(Runner):
    """The commands that the settings name (see ``port.Runner``). Used from several threads at once.

    A run that exists is carried out, by whoever comes to it first: ``start`` and ``ask`` see to it that a run that they
    find has a supervisor. So a watcher that is killed in between leaves no run that never begins.

    :param name: the environment's name.
    """

    SETTINGS: ClassVar[type[CommandSettings]] = CommandSettings

    def __init__(self, name: str, settings: CommandSettings) -> None:
        self._name = name
        self._settings = settings
        self._files = RunFiles(settings.directory, name)

    def __repr__(self) -> str:
        return f"<CommandRunner {self._name} {self._settings.directory}>"

    def start(self, request: StartRequest, *, permit: Permit | None = None) -> Outcome:
        deadline = boottime() + self._settings.request_timeout
        refused = self._refusal(request) or refusal_of_partitions(self._name, self._settings, request)
        if refused is not None:
            return refused
        if (problem := self._problem()) is not None:
            raise NotSent(problem.found)

        def may_exist_now() -> None:
            if permit is not None:
                permit(max(0.0, deadline - boottime()))
            if boottime() >= deadline:
                raise NotSent(f"{self!r} did not write it within {self._settings.request_timeout} s")

        with self._reading(request):
            newest = self._files.newest(request.dag_id, request.run_id)
            if request.action is Action.CREATE:
                if newest is None:
                    kept = _kept(request, datetime.now(UTC))
                    self._files.create(request.dag_id, request.run_id, kept, may_exist_now)
            elif newest is not None and newest.queued_at == request.before:
                if not standing_of(newest).state.is_terminal:
                    return NotHappened(f"{_named(request)} has not ended")
                now = max(datetime.now(UTC), newest.queued_at + timedelta(microseconds=1))
                self._files.add_attempt(newest, _kept(request, now), may_exist_now)
            return self._outcome(request, deadline)

    def ask(self, request: StartRequest) -> Outcome:
        deadline = boottime() + self._settings.request_timeout
        if (problem := self._problem()) is not None:
            raise EnvironmentUnavailable(problem.found)
        with self._reading(request):
            newest = self._files.newest(request.dag_id, request.run_id)
            refused = self._refusal(request)
            if refused is not None and (newest is None or not newest.is_claimed):
                return refused  # it has not begun, and is not to; what has begun is told, though it may be taken out
            return self._outcome(request, deadline)

    def look(self, asked: Sequence[RunOrTask], *, timeout: float) -> Looked:
        del timeout  # these are a few small files of this host
        if (problem := self._problem()) is not None:
            return Looked(unanswered=frozenset(asked), error=EnvironmentUnavailable(problem.found))
        seen: dict[RunOrTask, ObservedRun | ObservedTask | None] = {}
        refused: dict[RunOrTask, RequestRefused] = {}
        for one in asked:
            ref = one.run if isinstance(one, TaskRef) else one
            try:
                run = self._run(ref)
            except (OSError, ValueError) as unreadable:
                refused[one] = self._damaged(ref, unreadable)
            else:
                seen[one] = ObservedTask(run, ()) if run is not None and isinstance(one, TaskRef) else run
        error = next(iter(refused.values())) if refused and not seen else None
        return Looked(seen, refused, error=error)

    def stop(self, ref: RunRef, *, before: datetime | None, permit: Permit | None = None) -> Outcome:
        deadline = boottime() + self._settings.request_timeout
        if (problem := self._problem()) is not None:
            raise NotSent(problem.found)
        try:
            newest = self._files.newest(ref.dag_id, ref.run_id)
            if newest is None:
                return NotHappened(f"there is no run {_shown(ref)} to stop", run_missing=True)
            if newest.queued_at != before:
                return NotHappened(f"{_shown(ref)} is in another attempt by now")
            if not standing_of(newest).state.is_terminal:
                if permit is not None:
                    permit(max(0.0, deadline - boottime()))
                end(newest)
            return Happened(self._observed(newest))
        except OSError as error:
            raise EnvironmentUnavailable(f"{self!r}: {error}") from error
        except ValueError as error:
            damaged = self._damaged(ref, error)
            return Refused(damaged.status, str(damaged))

    def check(self, dag_ids: Sequence[str], *, tasks: Mapping[str, Collection[str]] = NO_TASKS) -> EnvironmentReport:
        commands = self._settings.commands
        report = EnvironmentReport(
            missing_dags=tuple(name for name in dag_ids if name not in commands),
            missing_tasks=tuple(
                MissingTask(name, task, ()) for name, some in tasks.items() if name in commands for task in sorted(some)
            ),
        )
        if (problem := self._problem()) is not None:
            return replace(report, problem=problem.found, fault=EnvironmentFault.SETTINGS, remedy=problem.remedy)
        unusable = {name: why for name, one in commands.items() if (why := one.problem()) is not None}
        return replace(report, unusable_dags=unusable)

    def close(self) -> None:
        """Nothing: the commands go on, each with its supervisor."""

    def _outcome(self, request: StartRequest, deadline: float) -> Outcome:
        """What became of a request, as the files say it. Raises as :func:`spawn` and :class:`RunFiles` do."""
        newest = self._files.newest(request.dag_id, request.run_id)
        if newest is None:
            missing = request.action is Action.CLEAR
            return NotHappened(f"there is no run {_named(request)}", run_missing=missing)
        if request.action is Action.CLEAR and newest.queued_at == request.before:
            return NotHappened(f"{_named(request)} has had no attempt since")
        if not newest.is_claimed:
            command = self._settings.commands[request.dag_id]
            spawn(newest, command, environment=self._name, timeout=max(0.1, deadline - boottime()))
        run = self._observed(newest)
        if request.action is Action.CREATE and run.token != request.token:
            return Foreign(run)
        return Happened(run)

    def _run(self, ref: RunRef) -> ObservedRun | None:
        """Raises as :meth:`_observed`."""
        newest = self._files.newest(ref.dag_id, ref.run_id)
        return None if newest is None else self._observed(newest)

    def _observed(self, newest: Attempt) -> ObservedRun:
        """:raises OSError: a file cannot be read. :raises ValueError: one is damaged."""
        standing = standing_of(newest)
        created = self._files.first(newest).request
        note = None
        if standing.note is not None:
            note = printable(f"{standing.note}; its log: {newest.log} on {self._settings.host}", limit=bounds.DETAIL)
        return ObservedRun(
            newest.dag_id,
            newest.run_id,
            standing.state,
            newest.queued_at,
            logical_date=created.logical_date,
            start_date=standing.start_date,
            end_date=standing.end_date,
            conf=created.conf,
            note=note,
        )

    def _refusal(self, request: StartRequest) -> Refused | None:
        """Why a request cannot be carried out here, whatever exists."""
        if request.delivery is not None:
            return Refused(_CANNOT, f"environments.{self._name} has no assets; commands take no asset events")
        if request.dag_id not in self._settings.commands:
            known = ", ".join(sorted(self._settings.commands))
            named = printable(repr(request.dag_id), limit=bounds.DETAIL // 2)
            return Refused(_UNKNOWN, f"environments.{self._name}.commands has no {named}; it has {known}")
        if request.tasks:
            return Refused(_CANNOT, "a command has no tasks; clear its whole run")
        if not self._files.can_name(request.dag_id, request.run_id):
            return Refused(_CANNOT, f"no file can have the name of {_named(request)}")
        if "\0" in request.partition:
            return Refused(_CANNOT, "the partition contains a NUL character, which no variable can hold")
        if not _is_text(request):
            return Refused(_CANNOT, "the partition or the conf contains half a surrogate pair, which no file can hold")
        return None

    def _problem(self) -> _Problem | None:
        """Why nothing works here; ``None``: nothing is known to be in the way."""
        where, directory = f"environments.{self._name}", self._settings.directory
        if (host := socket.gethostname()) != self._settings.host:
            found = f"{where}.host: its commands run on {self._settings.host}, and this is {host}"
            return _Problem(found, f"run this on {self._settings.host}, where the watcher must lead for them, too")
        if ProcessId.of_this_process() is None:
            found = f"{where}: this system does not say when a process began; expected /proc as Linux has it"
            return _Problem(found, "run the watcher on a Linux with /proc")
        make = f"install -d -m 700 {shlex.quote(str(directory))}, as the user who runs the watcher"
        try:
            found_there = directory.stat()
        except OSError as error:
            return _Problem(f"{where}.directory: {directory} cannot be used: {error.strerror}", f"mount it, or {make}")
        if not stat.S_ISDIR(found_there.st_mode):
            return _Problem(f"{where}.directory: {directory} is no directory", make)
        if found_there.st_uid != os.geteuid() or found_there.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            found = (
                f"{where}.directory: others may write to {directory}, and so decide what has run; expected one that "
                "belongs to whoever runs the watcher, and that nobody else may write to (mode 0700)"
            )
            return _Problem(found, f"chown and chmod it, or {make}; doctor asks as its own user")
        if not os.access(directory, os.W_OK | os.X_OK):
            return _Problem(f"{where}.directory: {directory} is not writable", make)
        return None

    @contextmanager
    def _reading(self, request: StartRequest) -> Iterator[None]:
        """:raises EnvironmentUnavailable: a file cannot be read or written. :raises RequestRefused: one is damaged."""
        try:
            yield
        except OSError as error:
            raise EnvironmentUnavailable(f"{self!r}: {error}") from error
        except ValueError as error:
            raise self._damaged(RunRef(request.dag_id, request.run_id), error) from error

    def _damaged(self, ref: RunRef, error: Exception) -> RequestRefused:
        what = printable(f"{ref.dag_id} {ref.run_id}: {type(error).__name__}: {error}", limit=bounds.DETAIL)
        return RequestRefused(f"{self!r}: the files of a run cannot be read: {what}", status=_DAMAGED)


def _kept(request: StartRequest, queued_at: datetime) -> Request:
    """What is kept of a request, and read by the command."""
    return Request(
        pipeline=request.dag_id,
        run_id=request.run_id,
        partition=request.partition,
        logical_date=request.logical_date,
        queued_at=queued_at,
        conf=dict(request.conf),
    )


def _is_text(request: StartRequest) -> bool:
    """Whether all of it can be written as UTF-8. JSON can hold halves of surrogate pairs, which cannot."""
    try:
        msgspec.json.encode((request.run_id, request.partition, request.conf))
    except UnicodeEncodeError:
        return False
    return True


def _named(request: StartRequest) -> str:
    return _shown(RunRef(request.dag_id, request.run_id))


def _shown(ref: RunRef) -> str:
    return printable(f"{ref.dag_id}/{ref.run_id}", limit=bounds.DETAIL)
