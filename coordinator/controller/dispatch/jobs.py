"""Jobs: what runs beside the deciding thread, and what comes back from it as a message.

A job is one bounded exchange with an environment. Nothing that it raises is lost: each job ends in one message.
"""

from __future__ import annotations

import enum
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from time import monotonic
from typing import Protocol

import structlog

from coordinator.errors import CoordinatorError
from coordinator.model.references import Target
from coordinator.runners.port import (
    Changed,
    EnvironmentUnavailable,
    ListPlace,
    Looked,
    Outcome,
    Runner,
    RunOrTask,
    RunRef,
    StartRequest,
)

_log = structlog.get_logger(__name__)


class Recalled(CoordinatorError):
    """The decision changed before the request was sent: it was not sent."""


class Effect(enum.StrEnum):
    """What a job about a request does: send it, or ask what became of it. A run is stopped without a request."""

    START = "start"
    ASK = "ask"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class EffectDone:
    """A message: the result of a request or a question. Exactly one of ``outcome`` and ``error`` is set.

    :ivar seconds: how long it took.
    """

    environment: str
    target: Target
    token: str
    effect: Effect
    outcome: Outcome | None = None
    error: CoordinatorError | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class LookDone:
    """A message: the result of a look.

    :ivar asked_at: before the question was sent: what it saw is at least that new, and may be no newer.
    :ivar known_revision: the latest of etcd that was known then.
    :ivar seconds: how long it took.
    """

    environment: str
    asked_at: datetime
    known_revision: int
    looked: Looked
    seconds: float = 0.0

    @property
    def error(self) -> CoordinatorError | None:
        return self.looked.error

    @property
    def asked_again(self) -> frozenset[RunOrTask]:
        """Runs and tasks that there was no time for in an environment that answers: the next look begins with them."""
        return self.looked.unanswered if self.error is None else frozenset()


@dataclass(frozen=True, slots=True)
class ChangesSeen:
    """A message: which runs of an observed environment have changed.

    :ivar since: the moment that was asked about.
    :ivar asked_at: before the question was sent.
    """

    environment: str
    since: datetime | None
    asked_at: datetime
    changed: Changed

    @property
    def error(self) -> CoordinatorError | None:
        return self.changed.error


Guard = Callable[[float, int | None], None]
"""Raises :class:`~coordinator.errors.LeadershipLost` unless the lease is of this term and surely lasts so many seconds
more. A watcher that lost the leadership and regained it does not know what another leader did in between."""


class Executor(Protocol):
    """Runs jobs in threads, and posts what they return to the inbox.

    It runs no more requests of an environment at once than its limit; its looks run beside them, one at a time.
    """

    def effect(self, environment: str, job: Callable[[], EffectDone]) -> None: ...

    def look(self, environment: str, job: Callable[[], LookDone | ChangesSeen]) -> None: ...


@dataclass(frozen=True, slots=True, eq=False)
class RequestJob:
    """A request, or a question about one.

    :ivar since: monotonic seconds at which it was decided; ``None`` for a question, which does not grow stale.
    :ivar recalled: set when it is not to be sent after all.
    """

    target: Target
    request: StartRequest
    effect: Effect
    since: float | None = None
    recalled: threading.Event = field(default_factory=threading.Event)

    @property
    def key(self) -> tuple[Target, str]:
        return self.target, self.request.token

    def run(self, environment: str, runner: Runner, guard: Guard, *, term: int | None, timeout: float) -> EffectDone:
        """Do the job. Raises nothing."""
        began = monotonic()
        done = self._do(environment, runner, guard, term=term, timeout=timeout)
        return replace(done, seconds=monotonic() - began)

    def _do(self, environment: str, runner: Runner, guard: Guard, *, term: int | None, timeout: float) -> EffectDone:
        target, token, effect = self.target, self.request.token, self.effect
        try:
            if effect is Effect.START:
                if self.recalled.is_set():
                    raise Recalled("the decision changed before the request was sent")
                guard(timeout, term)  # before anything is begun; the permit checks again before bytes leave
                outcome = runner.start(self.request, permit=lambda seconds: guard(seconds, term))
            else:
                outcome = runner.ask(self.request)
        except CoordinatorError as error:
            return EffectDone(environment, target, token, effect, error=error)
        except Exception as error:  # noqa: BLE001 - a defect of a runner must not lose the trigger
            return EffectDone(environment, target, token, effect, error=_defect(effect, error))
        return EffectDone(environment, target, token, effect, outcome=outcome)


STOPPING = "stop"
"""In place of the token of a request: at most one job stops the run of a target."""


@dataclass(frozen=True, slots=True, eq=False)
class StopJob:
    """Stops an attempt of a run. It does not grow stale: the runner looks whether it is still that attempt.

    :ivar before: ``queued_at`` of the attempt.
    """

    target: Target
    ref: RunRef
    before: datetime | None
    effect: Effect = Effect.STOP
    since: float | None = None
    recalled: threading.Event = field(default_factory=threading.Event)

    @property
    def key(self) -> tuple[Target, str]:
        return self.target, STOPPING

    def run(self, environment: str, runner: Runner, guard: Guard, *, term: int | None, timeout: float) -> EffectDone:
        """Do the job. Raises nothing."""
        error: CoordinatorError
        try:
            guard(timeout, term)
            outcome = runner.stop(self.ref, before=self.before, permit=lambda seconds: guard(seconds, term))
            return EffectDone(environment, self.target, STOPPING, Effect.STOP, outcome=outcome)
        except CoordinatorError as known:
            error = known
        except Exception as defect:  # noqa: BLE001 - a defect of a runner must not stop the watcher
            error = _defect(Effect.STOP, defect)
        return EffectDone(environment, self.target, STOPPING, Effect.STOP, error=error)


def look_job(
    environment: str,
    runner: Runner,
    asked: Sequence[RunOrTask],
    *,
    timeout: float,
    now: Callable[[], datetime],
    known_revision: int,
) -> Callable[[], LookDone]:
    """A look at these runs and tasks, the first of them first.

    :param timeout: seconds, for the whole look.
    :param known_revision: the latest of etcd that is known.
    """

    def run() -> LookDone:
        asked_at, began = now(), monotonic()
        try:
            looked = runner.look(asked, timeout=timeout)
        except CoordinatorError as error:
            looked = Looked(unanswered=frozenset(asked), error=error.with_traceback(None))
        except Exception as error:  # noqa: BLE001 - a defect of a runner must not stop the watcher
            looked = Looked(unanswered=frozenset(asked), error=_defect("look", error))
        return LookDone(environment, asked_at, known_revision, looked, monotonic() - began)

    return run


def changes_job(
    environment: str,
    runner: Runner,
    since: datetime | None,
    place: ListPlace,
    *,
    timeout: float,
    now: Callable[[], datetime],
) -> Callable[[], ChangesSeen]:
    """A question about changed runs; parameters as in ``port.Runner``."""

    def run() -> ChangesSeen:
        asked_at = now()
        try:
            changed = runner.changed_runs(since, place=place, timeout=timeout)
        except Exception as error:  # noqa: BLE001 - a defect of a runner must not stop the watcher
            changed = Changed(error=_defect("changes", error))
        return ChangesSeen(environment, since, asked_at, changed)

    return run


def _defect(what: str, error: Exception) -> EnvironmentUnavailable:
    _log.exception("runner.defect", doing=what, exc_info=error)
    return EnvironmentUnavailable(f"{what} failed unexpectedly: {type(error).__name__}; see the log")
