"""The dispatcher of an environment: which target goes next, how many at once, and when to retry after failures.

A target that is due passes a gate for its pipeline (``max_in_flight`` of its entry), one for its environment
(``max_runs_in_flight``, ``max_starts_per_minute``), as far as there are limits, and then takes a *slot*. Only a target
with a slot is looked at and gets an intent, so that no more than :data:`PREFETCH` times the environment's requests
wait with an intent in hand. Everybody else waits in line: a name in memory, which any successor finds again, for the
target is due.

While the environment does not answer, one request at a time goes out to try. Looks go beside the requests, one at a
time (:mod:`~coordinator.controller.dispatch.look_queue`).
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from coordinator.config.environments import EnvironmentSettings
from coordinator.config.settings import Settings
from coordinator.controller.backoff import Backoff
from coordinator.controller.dispatch.admission import Admission
from coordinator.controller.dispatch.jobs import (
    Effect,
    EffectDone,
    Executor,
    Guard,
    LookDone,
    RequestJob,
    StopJob,
    changes_job,
    look_job,
)
from coordinator.controller.dispatch.look_queue import Look, LookQueue
from coordinator.controller.measures import EnvironmentMeasures
from coordinator.controller.queue.work_queue import Priority
from coordinator.model.references import Target
from coordinator.runners.port import (
    Delivered,
    EnvironmentUnavailable,
    Foreign,
    Happened,
    ListPlace,
    NotHappened,
    Refused,
    RequestRefused,
    RowsRead,
    Runner,
    RunOrTask,
    RunRef,
    StartRequest,
)
from coordinator.store.timings import Timings

PREFETCH = 4
"""So many times the requests that run at once have a slot: the intents of several are written in one transaction."""

AT_HAND = 2
"""So many times the requests that run at once are handed to the threads, so that a thread that is done has its next
job at hand. The others wait here, where the dispatcher notices when they have waited for too long."""

STALE_AFTER = 5.0
"""Seconds that a request may wait here. After that, a person may have cleared one of its inputs since the environments
were asked, which nothing reports: the request is not sent, and its target is decided again."""


@dataclass(frozen=True, slots=True)
class EnvironmentLimits:
    """How much an environment can take.

    :ivar requests: sent at the same time.
    :ivar request_timeout: seconds for one.
    :ivar max_runs_in_flight: runs that have been started and have not ended; ``None``: any number.
    :ivar max_starts_per_minute: ``None``: any number.
    """

    requests: int = 8
    request_timeout: float = 5.0
    max_runs_in_flight: int | None = None
    max_starts_per_minute: int | None = None


def limits_of(environment: EnvironmentSettings) -> EnvironmentLimits:
    """The limits of an environment, as configured."""
    return EnvironmentLimits(
        requests=environment.max_in_flight,
        request_timeout=environment.request_timeout,
        max_runs_in_flight=environment.max_runs_in_flight,
        max_starts_per_minute=environment.max_starts_per_minute,
    )


def limits_by_environment(settings: Settings) -> dict[str, EnvironmentLimits]:
    """The limits of each environment, by name."""
    return {name: limits_of(environment) for name, environment in settings.environments.items()}


AWAY_AFTER = 60.0
"""Seconds without an answer to any request, after which a person is told: an API server may be started again."""


class Dispatcher:
    """Used by the deciding thread only; jobs run elsewhere.

    :ivar admission: who is in flight, who has a slot, and who waits in line.
    :ivar failures: requests in a row without an answer.
    :ivar not_before: monotonic seconds; while there are failures, no request goes out before.
    :ivar look_not_before: monotonic seconds; no look goes out before.
    :ivar last_error: what the environment last said instead of an answer.
    :ivar looks_sent: how many looks have gone out.
    :ivar answers: counts of outcomes, by what was done and how it ended.
    :ivar timings: how long what went out took, by what was done.
    :ivar known_revision: the latest of etcd that was known when requests were sent last.
    :ivar term: the term (create revision of the leader key) in which requests are decided.
    """

    def __init__(
        self,
        environment: str,
        runner: Runner,
        *,
        limits: EnvironmentLimits,
        executor: Executor,
        backoff: Backoff,
        guard: Guard,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.environment = environment
        self.limits = limits
        self._runner = runner
        self._executor = executor
        self._backoff = backoff
        self._guard = guard
        self._now = now
        self.failures = 0
        self.not_before = 0.0
        self._look_failures = 0
        self.look_not_before = 0.0
        self.last_error: str | None = None
        self._unanswered_since = 0.0
        self._unanswered = ""
        self.looks_sent = 0
        self.answers: Counter[tuple[str, str]] = Counter()
        self.timings = Timings()
        self.known_revision = 0
        self.term: int | None = None
        self.admission = Admission(
            slots=limits.requests * PREFETCH,
            max_runs_in_flight=limits.max_runs_in_flight,
            max_starts_per_minute=limits.max_starts_per_minute,
        )
        self._jobs: deque[RequestJob | StopJob] = deque()
        self._under_way: dict[tuple[Target, str], RequestJob | StopJob] = {}
        self._looks = LookQueue()

    # -- who may go ------------------------------------------------------------------------------------------------

    def admit(self, now: float) -> list[tuple[Target, Priority]]:
        """The targets whose turn it is now, each with its priority."""
        self._open_slots(now)
        return self.admission.admit(now)

    def enter(self, target: Target, priority: Priority, *, now: float) -> bool:
        """Whether it has a slot; else it waits in line until :meth:`admit` names it.

        :param priority: ``LIVE``: it became due while this watcher led.
        :param now: monotonic seconds.
        """
        self._open_slots(now)
        return self.admission.enter(target, priority, now=now)

    # -- requests --------------------------------------------------------------------------------------------------

    def send(self, target: Target, request: StartRequest, now: float) -> None:
        """Send a request as soon as it may go. :param now: monotonic seconds; it has just been decided."""
        self._jobs.append(RequestJob(target, request, Effect.START, now))

    def ask(self, target: Target, request: StartRequest) -> None:
        """Ask what became of a request, as soon as a question may go."""
        self._jobs.append(RequestJob(target, request, Effect.ASK))

    def stop(self, target: Target, ref: RunRef, *, before: datetime | None) -> None:
        """Stop an attempt of a run, as soon as that may go. :param before: ``queued_at`` of the attempt."""
        job = StopJob(target, ref, before)
        if job.key not in self._under_way:
            self._jobs = deque(one for one in self._jobs if one.key != job.key)
            self._jobs.append(job)

    def recall(self, target: Target, token: str) -> None:
        """The decision has changed: do not send this request. If it can still be stopped, its answer says so."""
        for job in (*self._jobs, *self._under_way.values()):
            if job.key == (target, token) and job.effect is Effect.START:
                job.recalled.set()

    def drop(self, target: Target, token: str) -> None:
        """The record is another one now: drop the request if it has not gone out yet."""
        self.recall(target, token)
        self._jobs = deque(job for job in self._jobs if job.key != (target, token))

    def pump(self, now: float) -> list[tuple[Target, str]]:
        """Send what may go out now.

        :returns: the requests, by target and token, that have waited for too long: they are not sent.
        """
        stale: list[tuple[Target, str]] = []
        if self.may_look(now) and (look := self._looks.next()) is not None:
            self._send_look(look)
        if self.is_down(now):
            return stale
        while self._jobs and self._may_send():
            job = self._jobs.popleft()
            if job.recalled.is_set() or (job.since is not None and now - job.since > STALE_AFTER):
                stale.append(job.key)
            else:
                self._send(job)
        return stale

    def finished(self, message: EffectDone | LookDone, now: float) -> None:
        """A job is over: take note of what it says about the environment.

        Looks and requests back off separately: lists may be slow where requests are fast, and vice versa.
        """
        if isinstance(message.error, EnvironmentUnavailable | RequestRefused):
            self.last_error = str(message.error)
        elif message.error is None:
            self.last_error = None
        failed = isinstance(message.error, EnvironmentUnavailable)
        answered = message.error is None or isinstance(message.error, RequestRefused)
        doing, ending = _doing(message), _ending(message)
        self.answers[doing, ending] += 1
        if ending != "not_sent":
            self.timings.note(doing, seconds=message.seconds)
        if isinstance(message, LookDone):
            self._looks.finished(message)
            if failed or answered:
                self._look_failures = self._look_failures + 1 if failed else 0
                self.look_not_before = now + self._backoff.pause(self._look_failures) if failed else 0.0
            return
        job = self._under_way.pop((message.target, message.token), None)
        if isinstance(job, RequestJob) and job.request.rows is not None:
            return  # the environment was not asked
        if failed or answered:
            if failed:
                self._unanswered_since = self._unanswered_since if self.failures else now
                self._unanswered = str(message.error)
            self.failures = self.failures + 1 if failed else 0
            wait = message.error.retry_after if isinstance(message.error, EnvironmentUnavailable) else None
            self.not_before = now + max(self._backoff.pause(self.failures), wait or 0.0) if failed else 0.0

    def problem(self, now: float) -> str | None:
        """What keeps its requests waiting for so long that a person should know; ``None`` too if none wait any more."""
        waits = self.admission.waiting or self.admission.slots_taken or self._jobs or self._under_way
        if not (waits and self.failures) or now - self._unanswered_since < AWAY_AFTER:
            return None
        return f"it has not answered any request for more than a minute: {self._unanswered}"

    @property
    def present_error(self) -> str | None:
        """What the environment last said instead of an answer, while this watcher leads; ``None``: it answers."""
        return self.last_error if self.term is not None else None

    def look(self, one: RunOrTask, *, timeout: float, followed: bool = False) -> None:
        """Look at a run or a task with one of the next looks.

        :param timeout: seconds; the longest asked for counts.
        :param followed: nobody waits for it.
        """
        self._looks.add(one, timeout=timeout, followed=followed)

    def observe(self, since: datetime | None, place: ListPlace) -> None:
        """Ask which runs have changed; parameters as in ``port.Runner``."""
        job = changes_job(
            self.environment, self._runner, since, place, timeout=self.limits.request_timeout, now=self._now
        )
        self._executor.look(self.environment, job)

    def forget(self) -> None:
        """Drop what has not gone out yet, and everything in line: a term has begun or ended."""
        self._jobs.clear()
        self._looks.forget()
        self.admission.forget()

    # -- how it is doing -------------------------------------------------------------------------------------------

    def is_down(self, now: float) -> bool:
        """Whether the environment did not answer the last request, and it is too early to try again."""
        return self.failures > 0 and now < self.not_before

    def may_look(self, now: float) -> bool:
        """Whether the environment answered the last look, or it is time to try again."""
        return now >= self.look_not_before

    def measures(self) -> EnvironmentMeasures:
        """In numbers. Any thread may ask. What was not answered in an earlier term says nothing of now."""
        return EnvironmentMeasures(
            waiting=self.admission.waiting + len(self._jobs),
            in_flight=len(self._under_way),
            failures=self.failures if self.term is not None else 0,
            answers=dict(self.answers),
            seconds=self.timings.snapshot(),
        )

    def is_idle(self) -> bool:
        return not (self._jobs or self._under_way) and self._looks.is_idle()

    def is_busy(self) -> bool:
        """Whether a request or a question is under way."""
        return bool(self._under_way)

    def next_at(self) -> float | None:
        """Monotonic seconds at which the passing of time lets something out; ``None``: an answer comes first."""
        times = [self.admission.next_at()]
        if self._look_failures and self._looks.is_waiting():
            times.append(self.look_not_before)
        # Whoever waits at another gate, or for a slot that is taken, goes on when a run ends or an answer comes.
        slots_open = self.admission.waiting_for_slots and not self.admission.slots_taken
        tries = (self._jobs or slots_open) and self._may_send()
        if self.failures and tries:
            times.append(self.not_before)
        return min((at for at in times if at is not None), default=None)

    def _open_slots(self, now: float) -> None:
        """An environment that does not answer has one slot for the next attempt, and none before that is due."""
        if not self.failures:
            self.admission.open()
        else:
            self.admission.open(0 if self.is_down(now) else 1)

    def _may_send(self) -> bool:
        return len(self._under_way) < (1 if self.failures else self.limits.requests * AT_HAND)

    def _send(self, job: RequestJob | StopJob) -> None:
        self._under_way[job.key] = job
        environment, runner, guard, term = self.environment, self._runner, self._guard, self.term
        timeout = self.limits.request_timeout
        self._executor.effect(environment, lambda: job.run(environment, runner, guard, term=term, timeout=timeout))

    def _send_look(self, look: Look) -> None:
        self.looks_sent += 1
        job = look_job(
            self.environment,
            self._runner,
            look.in_order(),
            timeout=look.timeout(),
            now=self._now,
            known_revision=self.known_revision,
        )
        self._executor.look(self.environment, job)


def _doing(message: EffectDone | LookDone) -> str:
    return str(message.effect) if isinstance(message, EffectDone) else "look"


def _ending(message: EffectDone | LookDone) -> str:
    match message.outcome if isinstance(message, EffectDone) and message.error is None else message.error:
        case RequestRefused() | Refused():
            return "refused"
        case EnvironmentUnavailable():
            return "unanswered"
        case None | Happened() | Delivered() | RowsRead() | NotHappened() | Foreign():
            return "answered"
        case _:  # the decision changed, or this watcher no longer leads
            return "not_sent"
