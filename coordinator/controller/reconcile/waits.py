"""Answering the sensors that wait, and removing the waits of those that wait no more (docs/architecture.md#waits)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

import structlog

from coordinator.controller.dispatch.dispatchers import Dispatchers
from coordinator.controller.queue.work_queue import WorkQueue
from coordinator.controller.reconcile.following import FollowedRun, Following
from coordinator.controller.reconcile.ledger import Ledger
from coordinator.controller.reconcile.task_observer import TaskObserver
from coordinator.controller.reconcile.upstream_checks import Checks
from coordinator.controller.state.cache import Cache
from coordinator.model.consumption import Consumed
from coordinator.model.decide import Decision
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.references import Target
from coordinator.model.runstate import RunState
from coordinator.model.taskstate import TaskInstance
from coordinator.model.view import Readiness, SeenWait
from coordinator.model.waiting import completion_for
from coordinator.model.waits import Answer, Completion, Wait, passed, refused
from coordinator.runners.port import ObservedRun, ObservedTask, TaskRef

_log = structlog.get_logger(__name__)

AGAIN = 0.05
"""Seconds until a wait is examined again for whose upstream something above it has still to be decided about."""

MOST_REMOVED = 10_000
"""Waits that were removed, and are remembered in case they come again."""

_ENDED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
"""Airflow's states of a task instance that does not wait any more."""


class Waiters:
    """See the module. Used by the deciding thread only.

    :param every: seconds until a sensor's own task is looked at; later pauses grow.
    """

    def __init__(
        self,
        propagation: Propagation,
        cache: Cache,
        *,
        checks: Checks,
        dispatchers: Dispatchers,
        ledger: Ledger,
        queue: WorkQueue,
        tasks: TaskObserver,
        every: float,
    ) -> None:
        self._propagation = propagation
        self._cache = cache
        self._checks = checks
        self._dispatchers = dispatchers
        self._ledger = ledger
        self._queue = queue
        self._tasks = tasks
        self._following = Following(every=every)
        self._removed: set[Target] = set()
        self._doubted: dict[Target, tuple[int, datetime]] = {}

    def clear(self) -> None:
        self._following.clear()
        self._removed.clear()
        self._doubted.clear()

    def next_at(self) -> float | None:
        """Monotonic seconds of the next look at a sensor's own task."""
        return self._following.next_at()

    def due(self, now: float, most: int) -> Iterator[tuple[Target, TaskRef]]:
        """The tasks of sensors to look at now, at most so many."""
        for name, ref in self._following.due(now, most):
            if self._waiting(name) is None:
                self._following.want(name, None, now=now)
            else:
                assert isinstance(ref, TaskRef)
                yield name, ref

    def examine(self, name: Target, now: float) -> None:
        """Answer a wait, if that can be done now. :param name: of the wait."""
        if (found := self._waiting(name)) is None or self._cache.waits.are_withheld:
            self._checks.drop(name)
            return
        seen, wait = found
        ref = seen.ref
        task = FollowedRun(TaskRef(ref.run.pipeline.dag_id, ref.run_id, ref.task_id), wait.since)
        self._following.want(name, task if self._dispatchers.of(name) is not None else None, now=now)
        if wait.upstream.pipeline.task and self._dispatchers.of(wait.upstream) is None:
            environment = wait.upstream.pipeline.environment
            reason = f"{environment!r} is no environment of the coordinator, so its tasks are unknown: [environments]"
            _log.warning("wait.refused", **_named(seen), upstream=str(wait.upstream), reason=reason)
            self._ledger.wait(seen, refused(wait, reason))
        elif not self._propagation.is_final(wait.upstream.whole):
            self._queue.add(name, after=now + AGAIN)
        elif (used := completion_for(self._propagation, ref.run, wait)) is None:
            self._checks.drop(name)
            if wait.upstream.pipeline.task:
                self._tasks.want(wait.upstream, now)
        elif self._is_checked(name, wait.upstream, used, now):
            self._checks.drop(name)
            _log.info("wait.passed", **_named(seen), upstream=str(wait.upstream), revision=used.revision)
            self._ledger.wait(seen, passed(wait, Completion.of(RunState(used.state, used.attempt), used.revision)))

    def observed(
        self, name: Target, seen: ObservedRun | ObservedTask | None, asked_at: datetime, askers: Iterable[Target]
    ) -> bool:
        """What a look at a sensor's own task has shown. Returns whether its wait is to be removed, or refused.

        The look may be older than the wait, and show the instance before it. So what it shows counts only once a look
        shows it that was sent after the wait was known; who waits for the answer asks again.

        A sensor that waits writes its wait again when it is removed. Where its task is not there again, it names the
        wrong environment for itself, and would write it for ever.
        """
        known = self._cache.waits.get(name)
        if known is None or not isinstance(known.value, Wait) or known.value.status is Answer.REFUSED:
            self._doubted.pop(name, None)
            return False
        instances = seen.instances if isinstance(seen, ObservedTask) else ()
        is_valid = _waits_still if known.value.status is Answer.WAITING else _has_passed_as_it_says
        if any(one.map_index == known.ref.map_index and is_valid(one, known.value) for one in instances):
            self._removed.discard(name)
            self._doubted.pop(name, None)
            return False
        doubted = self._doubted.setdefault(name, (known.revision, self._propagation.now))
        if doubted[0] != known.revision:
            doubted = self._doubted[name] = (known.revision, self._propagation.now)
        if asked_at <= doubted[1]:
            for asker in askers:
                self._checks.drop(asker)
            return False
        del self._doubted[name]
        if not instances and name in self._removed:
            self._removed.discard(name)
            reason = (
                f"environment {known.ref.run.pipeline.environment!r} has no such task in a run {known.ref.run_id}: "
                "correct the sensor's own 'environment', in its Airflow connection or its configuration"
            )
            _log.warning("wait.refused", **_named(known), upstream=str(known.value.upstream), reason=reason)
            self._ledger.wait(known, refused(known.value, reason))
            return True
        if len(self._removed) < MOST_REMOVED:
            self._removed.add(name)
        _log.info("wait.removed", **_named(known), reason="its task does not wait any more, or has run again since")
        self._ledger.wait(known, None)
        return True

    def _is_checked(self, name: Target, upstream: Target, completion: Consumed, now: float) -> bool:
        """Whether the environment has shown that the completion still stands, or did not answer in time."""
        decision = Decision(name, Readiness.SETTLED, inputs={upstream: completion})
        if self._checks.heard(decision, None, now) is not None:
            return True
        return self._checks.ask(decision, None, now, priority=self._queue.took)

    def _waiting(self, name: Target) -> tuple[SeenWait, Wait] | None:
        seen = self._cache.waits.get(name)
        if seen is None or not isinstance(seen.value, Wait) or seen.value.status is not Answer.WAITING:
            return None
        return seen, seen.value


def _waits_still(one: TaskInstance, wait: Wait) -> bool:
    is_another = one.id is not None and wait.task_instance and one.id != wait.task_instance
    return one.state not in _ENDED and not is_another


def _has_passed_as_it_says(one: TaskInstance, wait: Wait) -> bool:
    """Whether the sensor has not been cleared, or ended otherwise, since its wait passed. It may have to go on yet."""
    if one.state in _ENDED and one.state != "success":
        return False
    if one.id is not None:
        return not wait.task_instance or one.id == wait.task_instance
    return wait.try_number in (0, one.try_number)


def _named(seen: SeenWait) -> dict[str, str]:
    run = seen.ref.run
    return {"pipeline": str(run.pipeline), "partition": run.partition, "task": seen.ref.task_id}
