"""What the watcher needs of an environment: start a run once, and ask what became of it.

A runner knows its environment's protocol and nothing of dependencies, records or leadership. Every method is
one bounded conversation; waiting, backing off and deciding again are the watcher's.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from coordinator.errors import CoordinatorError
from coordinator.model.runstate import State
from coordinator.model.trigger import Action


class EnvironmentUnavailable(CoordinatorError):
    """No answer that settles the question: time-out, connection error, 429, 5xx. Ask before repeating."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class AnswerTooLarge(EnvironmentUnavailable):
    """An answer that is not read to its end. Asking for less may help."""


class NotSent(EnvironmentUnavailable):
    """No answer either, and it is certain that nothing was sent that changes anything: there was no way in."""


class RequestRefused(CoordinatorError):
    """The environment understood a question and will not answer it (401, 403, 422 and the like)."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class RunRef(NamedTuple):
    """A run in an environment."""

    dag_id: str
    run_id: str


@dataclass(frozen=True, slots=True)
class ObservedRun:
    """A run as its environment shows it."""

    dag_id: str
    run_id: str
    state: State
    queued_at: datetime | None
    logical_date: datetime | None = None
    partition_key: str | None = None
    start_date: datetime | None = None
    end_date: datetime | None = None
    conf: Mapping[str, Any] = field(default_factory=dict)

    @property
    def token(self) -> str | None:
        """The token of the intent that created this run, if the coordinator did."""
        ours = self.conf.get("coordinator")
        token = ours.get("token") if isinstance(ours, Mapping) else None
        return token if isinstance(token, str) else None


@dataclass(frozen=True, slots=True)
class StartRequest:
    """One effect: create a run, or clear one (docs/architecture.md#request).

    ``before`` is the queued_at of the run to be cleared, as the environment showed it before the intent: when
    it differs afterwards, the clear has happened.
    """

    dag_id: str
    action: Action
    run_id: str
    token: str
    logical_date: datetime | None = None
    conf: Mapping[str, Any] = field(default_factory=dict)
    before: datetime | None = None
    partition: str = ""


@dataclass(frozen=True, slots=True)
class Happened:
    """The effect is there: the run that our request made or cleared."""

    run: ObservedRun


@dataclass(frozen=True, slots=True)
class NotHappened:
    """The effect is known not to be there. ``run_missing``: the run to be cleared no longer exists."""

    reason: str
    run_missing: bool = False


@dataclass(frozen=True, slots=True)
class Foreign:
    """A run that is not ours stands where ours should be created: adopt it by the rerun policy.

    Either it has our run_id and another token (another life of this partition: retention, a restored etcd),
    or it has our logical date (a person's).
    """

    run: ObservedRun


@dataclass(frozen=True, slots=True)
class Refused:
    """The environment will not do it until somebody changes something (404, 403, 422 ...)."""

    status: int
    answer: str


Outcome = Happened | NotHappened | Foreign | Refused


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look brought. Each run that it was about is in exactly one of ``seen``, ``refused`` and ``unanswered``.

    :ivar seen: ``None`` for a run that does not exist.
    :ivar refused: what the environment will not tell about, and why.
    :ivar unanswered: there was no time left for these, or the environment failed before: nothing is known of them.
    :ivar error: the environment failed, answered nothing in time, or refused all that it answered. ``None``: it
        answers, if slowly.
    """

    seen: Mapping[RunRef, ObservedRun | None] = field(default_factory=dict)
    refused: Mapping[RunRef, RequestRefused] = field(default_factory=dict)
    unanswered: frozenset[RunRef] = frozenset()
    error: CoordinatorError | None = None


Permit = Callable[[float], None]
"""Called with the seconds that a request may still take, at the last moment before bytes leave that may change
something. Raises :class:`~coordinator.errors.LeadershipLost` when nothing may be sent."""


class Runner(Protocol):
    """An environment. Used from several threads at once. ``start`` and ``ask`` may raise ``EnvironmentUnavailable``."""

    def start(self, request: StartRequest, *, permit: Permit | None = None) -> Outcome:
        """Send the request, once; resolve an ambiguous answer (409, 500) by asking.

        ``Refused`` says that nothing has happened.

        :param permit: asked before anything is sent that changes something; ``None``: it may be sent.
        :raises LeadershipLost: what ``permit`` raised; the request was not sent, or not to its end.
        :raises EnvironmentUnavailable: it may or may not have happened (the line was cut, a time-out, 5xx, and
            asking did not help): call :meth:`ask` later, before anything else.
        :raises NotSent: it has not happened.
        :raises RequestRefused: it may or may not have happened, and the environment did not let itself be asked.
        """

    def ask(self, request: StartRequest) -> Outcome:
        """What became of a request that may have been sent. Sends nothing that changes anything.

        :raises RequestRefused: the environment does not let itself be asked: it may have happened.
        """

    def look(self, runs: Sequence[RunRef], *, timeout: float) -> Looked:
        """The present state of these runs, in few requests. What was answered in time is kept.

        :param runs: those that shall be asked about first, first.
        :param timeout: seconds, for the whole look.
        """

    def check(self, dag_ids: Sequence[str]) -> EnvironmentReport:
        """For ``doctor``: reachable, credentials good, every DAG there and not paused. Raises nothing."""

    def close(self) -> None: ...


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
class EnvironmentReport:
    """What ``doctor`` found in one environment.

    :ivar problem: what keeps everything from working.
    :ivar fault: of what kind the problem is; without one it says nothing.
    """

    version: str | None = None
    problem: str | None = None
    fault: EnvironmentFault = EnvironmentFault.UNREACHABLE
    missing_dags: tuple[str, ...] = ()
    paused_dags: tuple[str, ...] = ()

    @property
    def says_dags(self) -> bool:
        """Whether it has said which DAGs it has, whatever else is wrong with it."""
        return self.problem is None or self.fault in (EnvironmentFault.DATABASE, EnvironmentFault.SCHEDULER)
