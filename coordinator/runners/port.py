"""The operations that the watcher needs of an environment: start a run once, and ask for the outcome.

A runner knows its environment's protocol and nothing of dependencies, records or leadership. Every method is one
bounded exchange; the watcher does the waiting, backing off and deciding again.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol

from coordinator.errors import CoordinatorError
from coordinator.model.dependencies import Items, OnEmpty
from coordinator.model.runstate import State
from coordinator.model.taskstate import TaskInstance
from coordinator.model.trigger import Action


class EnvironmentUnavailable(CoordinatorError):
    """No answer that settles the question: time-out, connection error, 429, 5xx. Ask before repeating."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ServerFailed(EnvironmentUnavailable):
    """The answer was 5xx. Airflow on SQLite gives one now and then, when its database is locked for five seconds."""


class AnswerTooLarge(EnvironmentUnavailable):
    """An answer that is too large to read completely. Asking for less may help."""


class NotSent(EnvironmentUnavailable):
    """No answer either, and certainly nothing was sent that changes anything: the login or the connection failed."""


class RequestRefused(CoordinatorError):
    """The environment understood a request and refuses it (401, 403, 422 and the like)."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class RunRef(NamedTuple):
    """A run in an environment."""

    dag_id: str
    run_id: str


@dataclass(frozen=True, slots=True)
class ObservedRun:
    """A run as its environment shows it.

    :ivar queued_at: tells its attempts apart; ``None``: it was made as running, and has not ended.
    :ivar is_estimated: the environment does not show that, and the run has not started: ``queued_at`` is the moment of
        the answer.
    :ivar note: what its environment says of its state, such as why it failed; it gets into the run state.
    """

    dag_id: str
    run_id: str
    state: State
    queued_at: datetime | None
    logical_date: datetime | None = None
    partition_key: str | None = None
    start_date: datetime | None = None
    end_date: datetime | None = None
    conf: Mapping[str, Any] = field(default_factory=dict)
    is_estimated: bool = False
    note: str | None = None

    @property
    def token(self) -> str | None:
        """The token of the intent that created this run, if the coordinator did."""
        ours = self.conf.get("coordinator")
        token = ours.get("token") if isinstance(ours, Mapping) else None
        return token if isinstance(token, str) else None

    def after(self, before: datetime | None) -> ObservedRun:
        """The run as a newer attempt than the one of it that began then.

        What stands for its start is the moment of the answer, by a clock that may be another one than that by which
        runs start. The attempt before is known exactly: just after it is before the start of this one.
        """
        if not self.is_estimated or before is None:
            return self
        return replace(self, queued_at=before + timedelta(microseconds=1))


class TaskRef(NamedTuple):
    """A task in a run, with all of its instances."""

    dag_id: str
    run_id: str
    task_id: str

    @property
    def run(self) -> RunRef:
        return RunRef(self.dag_id, self.run_id)


@dataclass(frozen=True, slots=True)
class ObservedTask:
    """A task as its environment shows it.

    :ivar run: its run, which was read before it: the instances are at least as new.
    :ivar instances: none, if the run has no such task.
    """

    run: ObservedRun
    instances: tuple[TaskInstance, ...]


RunOrTask = RunRef | TaskRef
"""What a look asks about."""


@dataclass(frozen=True, slots=True)
class AssetDelivery:
    """An asset event that is handed on (docs/architecture.md#assets).

    :ivar event: its id, by which it is recognised in the environment: ``extra.coordinator.event``.
    :ivar since: it was certainly not sent before.
    """

    uri: str
    event: str
    extra: Mapping[str, Any]
    since: datetime
    partition_key: str | None = None


@dataclass(frozen=True, slots=True)
class RowsWanted:
    """Rows that are to be read (docs/architecture.md#items). :ivar conf: the entry's own."""

    items: Items
    conf: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StartRequest:
    """One request: create a run, or clear one, or hand on an asset event (docs/architecture.md#request).

    ``before`` is the queued_at of the run to clear, as the environment showed it before the intent: if it differs
    afterwards, the clear has happened. ``tasks`` are the ids of the tasks to clear, with everything below them; none:
    the whole run. ``beside``: a run that is created on purpose beside one that its partition has already.
    ``delivery`` is the asset event; then there is no run, and ``run_id`` names nothing. Nor is there one where ``rows``
    are to be read, which no environment does.
    """

    dag_id: str
    action: Action
    run_id: str
    token: str
    logical_date: datetime | None = None
    conf: Mapping[str, Any] = field(default_factory=dict)
    before: datetime | None = None
    partition: str = ""
    tasks: tuple[str, ...] = ()
    beside: bool = False
    delivery: AssetDelivery | None = None
    rows: RowsWanted | None = None


@dataclass(frozen=True, slots=True)
class Delivered:
    """The environment has the asset event that was handed on. There is no run to follow."""


@dataclass(frozen=True, slots=True)
class RowsRead:
    """The rows that were wanted. There is no run to follow. :ivar by_key: each as JSON, by the key of its item."""

    by_key: Mapping[str, bytes]
    source: str
    on_empty: OnEmpty
    read_at: datetime


@dataclass(frozen=True, slots=True)
class Happened:
    """The request has succeeded: the run that it created or cleared."""

    run: ObservedRun


@dataclass(frozen=True, slots=True)
class NotHappened:
    """The request is known to have had no effect. ``run_missing``: the run to clear no longer exists."""

    reason: str
    run_missing: bool = False


@dataclass(frozen=True, slots=True)
class Foreign:
    """A run that is not ours exists where ours should be created: it is adopted, by the rerun policy.

    Either it has our run_id and another token (from before the partition was removed by retention, or from before etcd
    was restored), or it has our logical date or our partition key (a person's run, or Airflow's own).
    """

    run: ObservedRun


@dataclass(frozen=True, slots=True)
class Refused:
    """The environment refuses until somebody changes something (404, 403, 422 ...)."""

    status: int
    answer: str


Outcome = Happened | Delivered | RowsRead | NotHappened | Foreign | Refused


@dataclass(frozen=True, slots=True)
class Looked:
    """The result of a look. Each run or task is in exactly one of ``seen``, ``refused`` and ``unanswered``.

    :ivar seen: the runs and tasks as they are; ``None`` where the run does not exist.
    :ivar refused: those that the environment refuses to show, and why.
    :ivar unanswered: the others: there was no time left for them, or the environment failed before.
    :ivar error: the environment failed, answered nothing in time, or refused everything that it answered. ``None``: it
        answers, perhaps slowly.
    """

    seen: Mapping[RunOrTask, ObservedRun | ObservedTask | None] = field(default_factory=dict)
    refused: Mapping[RunOrTask, RequestRefused] = field(default_factory=dict)
    unanswered: frozenset[RunOrTask] = frozenset()
    error: CoordinatorError | None = None

    @property
    def runs(self) -> Mapping[RunRef, ObservedRun | None]:
        """The runs among what was seen."""
        return {
            ref: one for ref, one in self.seen.items() if isinstance(ref, RunRef) and not isinstance(one, ObservedTask)
        }


class ListPlace(NamedTuple):
    """Where the reading of a list goes on.

    :ivar offset: so many runs have been read. :ivar last: the last one of them, if it is known.
    """

    offset: int = 0
    last: RunRef | None = None


BEGINNING = ListPlace()


@dataclass(frozen=True, slots=True)
class Changed:
    """Runs that have changed.

    :ivar runs: of all DAGs, as they are now.
    :ivar made_at: when the first answer was made, by the slower one of the clocks of its API server and its scheduler.
    :ivar behind: how old the scheduler's last heartbeat was by the API server's clock.
    :ivar next: there are more of them, from here on; ``None``: these are all.
    :ivar error: the environment failed, or refused, before anything was read.
    """

    runs: tuple[ObservedRun, ...] = ()
    made_at: datetime | None = None
    behind: timedelta = timedelta(0)
    next: ListPlace | None = None
    error: CoordinatorError | None = None


Permit = Callable[[float], None]
"""Called with the seconds that a request may still take, at the last moment before the bytes of a request that changes
something leave. Raises :class:`~coordinator.errors.LeadershipLost` if nothing may be sent."""


NO_TASKS: Mapping[str, Collection[str]] = {}


class Runner(Protocol):
    """An environment. Used from several threads at once. ``start`` and ``ask`` may raise ``EnvironmentUnavailable``."""

    def start(self, request: StartRequest, *, permit: Permit | None = None) -> Outcome:
        """Send the request, once; resolve an ambiguous answer (409, 500) by asking.

        ``Refused`` means that nothing has happened.

        :param permit: called before a request that changes something is sent; ``None``: it may be sent.
        :raises LeadershipLost: raised by ``permit``; the request was not sent, or not completely.
        :raises EnvironmentUnavailable: it may or may not have happened (the connection broke, a time-out, 5xx, and
            asking did not help): call :meth:`ask` later, before anything else.
        :raises NotSent: it has not happened.
        :raises RequestRefused: it may or may not have happened, and the environment refused the question.
        """

    def ask(self, request: StartRequest) -> Outcome:
        """The outcome of a request that may have been sent. Sends nothing that changes anything.

        :raises RequestRefused: the environment refuses the question: it may have happened.
        """

    def look(self, asked: Sequence[RunOrTask], *, timeout: float) -> Looked:
        """The present state of these runs and tasks, in few requests. Answers that came in time are returned.

        :param asked: in the order of urgency.
        :param timeout: seconds, for the whole look.
        """

    def changed_runs(self, since: datetime | None, *, place: ListPlace, timeout: float) -> Changed:
        """The runs of all DAGs that have changed since a moment, in pieces. Raises nothing.

        Only environments whose settings say ``is_observed`` are asked; others need not implement it.

        :param since: by the environment's own clock; ``None``: only ask what time it is there.
        :param place: where to go on.
        :param timeout: seconds, for one piece.
        """
        del since, place, timeout
        return Changed(
            error=RequestRefused("this kind of environment does not say which runs have changed", status=501)
        )

    def stop(self, ref: RunRef, *, before: datetime | None, permit: Permit | None = None) -> Outcome:
        """Stop an attempt of a run, and no other one. It may be asked again until the attempt has ended.

        An environment that cannot stop runs need not implement it.

        :param before: ``queued_at`` of the attempt.
        :param permit: as of :meth:`start`.
        :returns: ``Happened``: that attempt has ended, or is about to. ``NotHappened``: the run is gone, or in another
            attempt. ``Refused``: the environment does not do it.
        :raises LeadershipLost: raised by ``permit``.
        :raises EnvironmentUnavailable: no answer: it may have been stopped.
        """
        del ref, before, permit
        return Refused(501, "this kind of environment cannot stop a run")

    def check(self, dag_ids: Sequence[str], *, tasks: Mapping[str, Collection[str]] = NO_TASKS) -> EnvironmentReport:
        """For ``doctor``: is it reachable, do the credentials work, does every DAG exist unpaused? Raises nothing.

        :param tasks: by DAG, those that something waits for: does each exist? Then the credentials must be good for
            task instances, too.
        """

    def close(self) -> None:
        """Let go of what it holds. Called when no method is running; runs go on."""


class EnvironmentFault(enum.StrEnum):
    """What is wrong with an environment; each needs something else done.

    ``unreachable``  no answer
    ``login``        the credentials are missing, or are not accepted
    ``rights``       the user may not do what was asked for
    ``answer``       something answers, and not as an environment of this kind does
    ``database``, ``scheduler``  it answers, and says that this part of it is not healthy
    ``settings``     its section of the configuration cannot be used
    ``mistake``      a mistake in the coordinator
    """

    UNREACHABLE = "unreachable"
    LOGIN = "login"
    RIGHTS = "rights"
    ANSWER = "answer"
    DATABASE = "database"
    SCHEDULER = "scheduler"
    SETTINGS = "settings"
    MISTAKE = "mistake"

    @classmethod
    def of(cls, error: CoordinatorError) -> EnvironmentFault:
        """The fault behind an error that a question ended with."""
        match error:
            case EnvironmentUnavailable():
                return cls.UNREACHABLE
            case RequestRefused(status=401):
                return cls.LOGIN
            case RequestRefused(status=403):
                return cls.RIGHTS
            case RequestRefused():
                return cls.ANSWER
            case _:
                return cls.SETTINGS


@dataclass(frozen=True, slots=True)
class MissingTask:
    """A task that its DAG does not have. :ivar near: the tasks that may be meant, at most three."""

    dag_id: str
    task_id: str
    near: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EnvironmentReport:
    """The findings of ``doctor`` in one environment.

    :ivar problem: why nothing works there.
    :ivar fault: of what kind the problem is, if there is one.
    :ivar asset_dags: the DAGs whose own schedule names assets.
    :ivar unusable_dags: those that are there and cannot run, and why.
    :ivar remedy: what to do about the problem; ``None``: what helps in an Airflow.
    """

    version: str | None = None
    problem: str | None = None
    fault: EnvironmentFault = EnvironmentFault.UNREACHABLE
    missing_dags: tuple[str, ...] = ()
    paused_dags: tuple[str, ...] = ()
    missing_tasks: tuple[MissingTask, ...] = ()
    asset_dags: tuple[str, ...] = ()
    unusable_dags: Mapping[str, str] = field(default_factory=dict)
    remedy: str | None = None

    @property
    def says_dags(self) -> bool:
        """Whether it has said which DAGs it has, whatever else is wrong with it."""
        return self.problem is None or self.fault in (EnvironmentFault.DATABASE, EnvironmentFault.SCHEDULER)
