"""Lanes: the bounded way into each environment, so that one that is slow or away delays only its own pipelines.

A lane holds the jobs for one environment, lets at most ``limit`` effects run at once, and backs off with jitter
while the environment does not answer: then one effect at a time goes out to try. Looks have a way of their own
beside the effects, one at a time; what is asked meanwhile goes out together as the next one, up to a bound, and what
there was no time for goes out first.

Requests for what is fresh and for what has piled up take turns. One that has waited here for long was decided on a look
of long ago: when its turn comes it does not go out, but is handed back to be decided again. Until that is done it keeps
its place among those that may be out at once: of an environment that is slow all would be handed back else, again and
again, and make room for ever more intents.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

import structlog
from tenacity import RetryCallState, Retrying, wait_exponential, wait_random

from coordinator.errors import CoordinatorError
from coordinator.model.references import Target
from coordinator.runners.port import (
    EnvironmentUnavailable,
    Looked,
    Outcome,
    RequestRefused,
    Runner,
    RunRef,
    StartRequest,
)
from coordinator.watcher.turns import Turns

_log = structlog.get_logger(__name__)

LOOKED_LONG_AGO = 5.0
"""Seconds that a request may wait here for its turn. After that a person may have cleared what it stands on, silently,
since it was looked at."""


class Effect(enum.StrEnum):
    """What an effect job does."""

    START = "start"
    ASK = "ask"


@dataclass(frozen=True, slots=True)
class EffectDone:
    """A message to the reconciler: what came of an effect. Exactly one of ``outcome`` and ``error`` is set."""

    environment: str
    target: Target
    token: str
    effect: Effect
    outcome: Outcome | None = None
    error: CoordinatorError | None = None


@dataclass(frozen=True, slots=True)
class LookDone:
    """A message to the reconciler: what a look saw.

    :ivar asked_at: before the question was sent: what it saw is at least that new, and may be no newer.
    """

    environment: str
    asked_at: datetime
    looked: Looked

    @property
    def error(self) -> CoordinatorError | None:
        return self.looked.error

    @property
    def asked_again(self) -> frozenset[RunRef]:
        """What there was no time for in an environment that answers: the next look begins with it."""
        return self.looked.unanswered if self.error is None else frozenset()


Guard = Callable[[float, int | None], None]
"""Raises :class:`~coordinator.errors.LeadershipLost` unless the lease surely lasts so many seconds more, and is that
of this term: who lost the leadership and has it again does not know what another leader did in between."""


ASKED_IN_A_LOOK = 500
"""Runs that somebody waits for, in one look. The others go out with the next one, as soon as this one has come back."""

FOLLOWED_IN_A_LOOK = 200
"""Runs that are only followed, beside them: two to twenty requests, so that who asks meanwhile does not wait long."""

PREFETCH = 2
"""So many times the limit are handed to the executor, which runs no more at once than the limit: a thread that is
done has its next job at hand, and need not wait for the reconciler's next step."""


class Executor(Protocol):
    """Runs jobs beside the reconciler, and posts what they return to its mailbox.

    Of one environment's effects no more run at once than its limit; its looks run beside them, one at a time.
    """

    def effect(self, environment: str, job: Callable[[], EffectDone]) -> None: ...

    def look(self, environment: str, job: Callable[[], LookDone]) -> None: ...


@dataclass(frozen=True, slots=True)
class _EffectJob:
    """:ivar since: monotonic seconds at which it was put here; ``None``: it may wait for ever."""

    target: Target
    request: StartRequest
    effect: Effect
    since: float | None = None


@dataclass(frozen=True, slots=True)
class _Look:
    """Which runs a look asks about, and how long each may take, in seconds.

    :ivar asked: those that somebody waits for.
    :ivar followed_first: the last look had no time for any of the others.
    """

    asked: dict[RunRef, float]
    followed: dict[RunRef, float]
    followed_first: bool = False

    def in_order(self) -> tuple[RunRef, ...]:
        return (*self.followed, *self.asked) if self.followed_first else (*self.asked, *self.followed)

    def timeout(self) -> float:
        return max((*self.asked.values(), *self.followed.values()))


class Backoff:
    """Exponential pauses with jitter, without end.

    :param initial: seconds, about, after the first failure.
    :param longest: seconds, at most.
    """

    def __init__(self, *, initial: float, longest: float) -> None:
        self._wait = wait_exponential(multiplier=initial, max=longest) + wait_random(0, initial / 2)
        self._retrying = Retrying()

    def pause(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row."""
        state = RetryCallState(self._retrying, None, (), {})
        state.attempt_number = max(1, failures)
        return float(self._wait(state))


@dataclass(slots=True)
class Lane:
    """The way into one environment. Used by the reconciler's thread only; jobs run elsewhere.

    :ivar looking: what the look that is out asks about; ``None``: none is out.
    :ivar looks_sent: so many looks have gone out.
    :ivar term: in which term what is sent has been decided (the create revision of the leader key).
    """

    environment: str
    runner: Runner
    limit: int
    request_timeout: float
    executor: Executor
    backoff: Backoff
    guard: Guard
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    failures: int = 0
    not_before: float = 0.0
    last_error: str | None = None
    looking: _Look | None = None
    looks_sent: int = 0
    term: int | None = None
    _waiting: Turns[_EffectJob] = field(default_factory=Turns)
    _under_way: set[tuple[Target, str]] = field(default_factory=set)
    _handed_back: set[tuple[Target, str]] = field(default_factory=set)
    _to_look: dict[RunRef, float] = field(default_factory=dict)
    _to_follow: dict[RunRef, float] = field(default_factory=dict)
    _followed_first: bool = False

    def is_down(self, now: float) -> bool:
        """Whether the environment is known not to answer, and it is not yet time to try again."""
        return self.failures > 0 and now < self.not_before

    def is_idle(self) -> bool:
        return not (self._waiting or self._under_way or self._to_look or self._to_follow or self.looking is not None)

    def is_busy(self) -> bool:
        """Whether an effect is under way."""
        return bool(self._under_way)

    def waiting(self, *, fresh: bool) -> int:
        """Requests and questions that have not gone out yet, of what is fresh or of what has piled up."""
        return self._waiting.count(fresh=fresh)

    def start(self, target: Target, request: StartRequest, now: float, *, fresh: bool = True) -> None:
        """Send a request when there is room.

        :param now: monotonic seconds; what it stands on has just been looked at.
        :param fresh: it became due while this watcher led.
        """
        self._waiting.add(_EffectJob(target, request, Effect.START, now), fresh=fresh)

    def start_after_all(self, target: Target, request: StartRequest, now: float) -> None:
        """Send a request that :meth:`pump` had handed back: it goes before all others."""
        self.let_go(target, request.token)
        self._waiting.put_first(_EffectJob(target, request, Effect.START, now))

    def ask(self, target: Target, request: StartRequest, *, fresh: bool = True) -> None:
        """Ask what became of a request when there is room."""
        self._waiting.add(_EffectJob(target, request, Effect.ASK), fresh=fresh)

    def look(self, run: RunRef, *, timeout: float, followed: bool = False) -> None:
        """Look at a run with one of the next looks, in the order in which they are asked for.

        :param timeout: seconds; the longest asked for counts.
        :param followed: nobody waits for it.
        """
        queue = self._to_follow if followed and run not in self._to_look else self._to_look
        queue[run] = max(timeout, queue.get(run, 0.0))
        if not followed:
            self._to_follow.pop(run, None)

    def take_back(self, target: Target, token: str) -> bool:
        """Do not send this request after all. :returns: whether it had not gone out yet."""
        for job in self._waiting:
            if job.effect is Effect.START and (job.target, job.request.token) == (target, token):
                self._waiting.remove(job)
                return True
        return False

    def let_go(self, target: Target, token: str) -> None:
        """A request that :meth:`pump` had handed back does not keep its place any longer."""
        self._handed_back.discard((target, token))

    def forget(self) -> None:
        """Drop what has not gone out yet: this watcher leads no more."""
        self._waiting.clear()
        self._handed_back.clear()
        self._to_look.clear()
        self._to_follow.clear()
        if self.looking is not None:
            self.looking = _Look({}, {})

    def next_at(self) -> float | None:
        """Monotonic seconds from which on :meth:`pump` can let out what now has to wait.

        ``None``: an answer comes first. While one is out to try, the others wait for what comes of it.
        """
        may_go = (self._waiting and self._has_room()) or self._may_look()
        return self.not_before if self.failures and may_go else None

    def pump(self, now: float) -> list[tuple[Target, str]]:
        """Let out what may go out now.

        :returns: the requests, by target and token, whose turn it was and that have waited for too long: they have not
            gone out, and do not wait here any more. Each keeps its place until :meth:`start_after_all` or
            :meth:`let_go`.
        """
        handed_back: list[tuple[Target, str]] = []
        if self.is_down(now):
            return handed_back
        if self._may_look():
            self._send_look()
        while self._waiting and self._has_room():
            job = self._waiting.pop()
            if job.since is not None and now - job.since > LOOKED_LONG_AGO:
                handed_back.append((job.target, job.request.token))
                self._handed_back.add(handed_back[-1])
            else:
                self._send_effect(job)
        return handed_back

    def finished(self, message: EffectDone | LookDone, now: float) -> None:
        """Take note that a job is over, and of what it says about the environment."""
        if isinstance(message, LookDone):
            self._look_is_back(message)
        else:
            self._under_way.discard((message.target, message.token))
        if isinstance(message.error, EnvironmentUnavailable):
            self.failures += 1
            pause = self.backoff.pause(self.failures)
            self.not_before = now + max(pause, message.error.retry_after or 0.0)
            self.last_error = str(message.error)
        elif message.error is None or isinstance(message.error, RequestRefused):
            self.failures, self.not_before = 0, 0.0
            self.last_error = None if message.error is None else str(message.error)

    def _may_look(self) -> bool:
        return bool(self._to_look or self._to_follow) and self.looking is None

    def _has_room(self) -> bool:
        """Whether one more may be out."""
        limit = 1 if self.failures else self.limit * PREFETCH
        return len(self._under_way) + len(self._handed_back) < limit

    def _send_effect(self, job: _EffectJob) -> None:
        self._under_way.add((job.target, job.request.token))
        environment, guard, runner, timeout = self.environment, self.guard, self.runner, self.request_timeout
        term = self.term

        def run() -> EffectDone:
            try:
                if job.effect is Effect.START:
                    guard(timeout, term)  # before anything is begun, and again by the permit, before bytes leave
                    outcome = runner.start(job.request, permit=lambda seconds: guard(seconds, term))
                else:
                    outcome = runner.ask(job.request)
            except CoordinatorError as error:
                return EffectDone(environment, job.target, job.request.token, job.effect, error=error)
            except Exception as error:  # noqa: BLE001 - a defect of a runner must not lose the trigger
                return EffectDone(
                    environment, job.target, job.request.token, job.effect, error=_defect(job.effect, error)
                )
            return EffectDone(environment, job.target, job.request.token, job.effect, outcome=outcome)

        self.executor.effect(environment, run)

    def _look_is_back(self, message: LookDone) -> None:
        """What there was no time for is the first of its queue again."""
        look, self.looking = self.looking, None
        if look is None:
            return
        again = message.asked_again
        asked = {run: timeout for run, timeout in look.asked.items() if run in again}
        followed = {run: timeout for run, timeout in look.followed.items() if run in again}
        self._followed_first = bool(followed) and len(followed) == len(look.followed)
        if asked:
            self._to_look = {**asked, **self._to_look}
            for run in asked:
                self._to_follow.pop(run, None)
        if followed:
            waiting = {run: timeout for run, timeout in followed.items() if run not in self._to_look}
            self._to_follow = {**waiting, **self._to_follow}

    def _send_look(self) -> None:
        look = self.looking = _Look(
            _take(self._to_look, ASKED_IN_A_LOOK), _take(self._to_follow, FOLLOWED_IN_A_LOOK), self._followed_first
        )
        self.looks_sent += 1
        asked, timeout = look.in_order(), look.timeout()
        environment, runner, now = self.environment, self.runner, self.now

        def run() -> LookDone:
            asked_at = now()
            try:
                looked = runner.look(asked, timeout=timeout)
            except CoordinatorError as error:
                looked = Looked(unanswered=frozenset(asked), error=error.with_traceback(None))
            except Exception as error:  # noqa: BLE001 - a defect of a runner must not stop the watcher
                looked = Looked(unanswered=frozenset(asked), error=_defect("look", error))
            return LookDone(environment, asked_at, looked)

        self.executor.look(environment, run)


def _take(queue: dict[RunRef, float], most: int) -> dict[RunRef, float]:
    """The first of a queue, which lets go of them."""
    return {run: queue.pop(run) for run in tuple(itertools.islice(queue, most))}


def _defect(what: str, error: Exception) -> EnvironmentUnavailable:
    _log.exception("runner.defect", doing=what, exc_info=error)
    return EnvironmentUnavailable(f"{what} failed unexpectedly: {type(error).__name__}; see the log")
