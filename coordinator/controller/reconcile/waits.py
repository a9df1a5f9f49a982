"""Answers waiting sensors, and removes the waits of sensors that no longer wait (docs/architecture.md#waits)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import structlog

from coordinator.controller.queue.work_queue import WorkQueue
from coordinator.controller.reconcile.following import FollowedRun, Following
from coordinator.controller.reconcile.ledger import Ledger
from coordinator.controller.reconcile.task_observer import TaskObserver
from coordinator.controller.reconcile.unresumed_sensors import UnresumedSensors
from coordinator.controller.reconcile.upstream_checks import Checks
from coordinator.controller.state.cache import Cache
from coordinator.model.consumption import Consumed
from coordinator.model.decide import Decision
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.references import Target
from coordinator.model.runstate import RunState
from coordinator.model.view import Readiness, SeenWait, readable_state
from coordinator.model.wait_assessment import Refuse, WaitVerdict, assess_wait
from coordinator.model.waiting import completion_for
from coordinator.model.waits import Completion, Wait, WaitStatus, passed, refused
from coordinator.runners.port import ObservedRun, ObservedTask, TaskRef

_log = structlog.get_logger(__name__)

RECHECK_AFTER = 0.05
"""Seconds until a wait is checked again while its upstream's readiness is not final."""

MAX_REMOVED = 10_000
"""Removed waits that are remembered in case they come again; the oldest are forgotten."""


class WaitController:
    """See the module. Used by the deciding thread only.

    :param every: seconds until a sensor's own task is looked at; later pauses grow.
    """

    def __init__(
        self,
        propagation: Propagation,
        cache: Cache,
        *,
        checks: Checks,
        ledger: Ledger,
        queue: WorkQueue,
        tasks: TaskObserver,
        every: float,
    ) -> None:
        self._propagation = propagation
        self._cache = cache
        self._checks = checks
        self._ledger = ledger
        self._queue = queue
        self._tasks = tasks
        self._following = Following(every=every)
        self._unresumed = UnresumedSensors(cache, every=every)
        self._removed: dict[Target, None] = {}
        self._doubted: dict[Target, tuple[int, int]] = {}

    def clear(self) -> None:
        self._following.clear()
        self._unresumed.clear()
        self._removed.clear()
        self._doubted.clear()

    def begin_term(self, now: float) -> None:
        """Look after the sensors that have passed, and whose runs go on. :param now: monotonic seconds."""
        self._unresumed.begin_term(now)

    @property
    def problems(self) -> Mapping[str, str]:
        """The sensors that have passed, and have not resumed, by place. Any thread may ask."""
        return self._unresumed.problems

    def next_at(self) -> float | None:
        """Monotonic seconds of the next look at a sensor's own task."""
        return min(
            (at for at in (self._following.next_at(), self._unresumed.next_at()) if at is not None), default=None
        )

    def due(self, now: float, limit: int) -> Iterator[tuple[Target, TaskRef]]:
        """The tasks of sensors to look at now, at most so many."""
        for name, ref in self._following.due(now, limit):
            if self._waiting(name) is None:
                self._following.want(name, None, now=now)
            else:
                assert isinstance(ref, TaskRef)
                yield name, ref
        yield from self._unresumed.due(now, limit)

    def examine(self, name: Target, now: float) -> Target | None:
        """Answer a wait, if that can be done now.

        :param name: of the wait.
        :returns: what it still waits for, if that has not completed as it should.
        """
        if (found := self._waiting(name)) is None or self._cache.waits.are_withheld:
            self._checks.drop(name)
            return None
        seen, wait = found
        ref = seen.ref
        task = FollowedRun(TaskRef(ref.run.pipeline.run_dag_id, ref.run_id, ref.task_id), wait.since)
        self._following.want(name, task if self._checks.can_ask(name) else None, now=now)
        if not self._checks.can_ask(name):
            self._refuse(seen, wait, self._no_such_place(ref.run.pipeline.environment))
        elif wait.upstream.pipeline.task and not self._checks.can_ask(wait.upstream):
            environment = wait.upstream.pipeline.environment
            what = f"environment {environment!r} is not configured, so its tasks cannot be read"
            self._refuse(seen, wait, f"{what}: add [environments.{environment}] to coordinator.toml")
        elif self._waits_for_itself(seen, wait):
            what = f"task {ref.task_id}" if wait.upstream.pipeline.task else f"run {ref.run_id}"
            self._refuse(
                seen, wait, f"it waits for the end of its own {what}, which ends only after it: correct the sensor"
            )
        elif not self._propagation.is_final(wait.upstream.whole):
            self._queue.add(name, after=now + RECHECK_AFTER)
        elif (used := completion_for(self._propagation, ref.run, wait)) is None:
            self._checks.drop(name)
            if wait.upstream.pipeline.task:
                self._tasks.want(wait.upstream, now)
            return wait.upstream
        elif self._is_checked(name, wait.upstream, used, now):
            self._checks.drop(name)
            _log.info("wait.passed", **_named(seen), upstream=str(wait.upstream), revision=used.revision)
            completion = Completion.of(RunState(used.state, used.attempt), used.revision)
            answer = passed(wait, completion, self._propagation.now)
            self._ledger.wait(seen, answer)
            self._unresumed.follow(ref, answer, now)
        return None

    def observed(
        self, name: Target, seen: ObservedRun | ObservedTask | None, look: int, askers: Collection[Target]
    ) -> bool:
        """What a look at a sensor's own task has shown. Returns whether its wait is to be removed, or refused.

        Who waits for the answer asks again where the look may be older than the wait.

        :param look: its number among those of the environment: times of day say nothing, for a clock may be stepped.
        """
        known = self._cache.waits.get(name)
        if known is None or not isinstance(known.value, Wait) or known.value.status is WaitStatus.REFUSED:
            self._doubted.pop(name, None)
            return False
        instances = seen.instances if isinstance(seen, ObservedTask) else ()
        if known.value.status is WaitStatus.PASSED:
            self._unresumed.observed(known.ref, known.value, instances, self._propagation.now)
            if not askers:
                return False
        found = assess_wait(
            known.value,
            known.ref,
            instances,
            may_be_older=look <= self._doubted_since(name, known.revision, look),
            removed_before=name in self._removed,
        )
        if found is WaitVerdict.ASK_AGAIN:
            for asker in askers:
                self._checks.drop(asker)
            return False
        del self._doubted[name]
        if found is WaitVerdict.REMOVE:
            self._note_removed(name)
            _log.info("wait.removed", **_named(known), reason="the sensor has ended, or was cleared")
            self._ledger.wait(known, None)
            return True
        self._removed.pop(name, None)
        if isinstance(found, Refuse):
            self._refuse(known, known.value, found.reason)
            return True
        return False

    def _doubted_since(self, name: Target, revision: int, look: int) -> int:
        """The first look that showed that the wait, as of this revision, may be over. The next one is newer than it."""
        doubted = self._doubted.get(name)
        if doubted is None or doubted[0] != revision:
            doubted = self._doubted[name] = (revision, look)
        return doubted[1]

    def _note_removed(self, name: Target) -> None:
        self._removed.pop(name, None)
        self._removed[name] = None
        if len(self._removed) > MAX_REMOVED:
            del self._removed[next(iter(self._removed))]

    def _refuse(self, seen: SeenWait, wait: Wait, reason: str) -> None:
        _log.warning("wait.refused", **_named(seen), upstream=str(wait.upstream), reason=reason)
        self._ledger.wait(seen, refused(wait, reason))

    def _waits_for_itself(self, seen: SeenWait, wait: Wait) -> bool:
        """Whether a sensor waits for the run that it is in, or for its own task. A task below it may have a trigger
        rule that lets it end before the sensor."""
        ref, task = seen.ref, wait.upstream.pipeline.task
        run = readable_state(self._propagation.state(ref.run))
        is_own_run = wait.upstream.whole == ref.run and run is not None and run.attempt.run_id == ref.run_id
        return is_own_run and task in ("", ref.task_id)

    def _no_such_place(self, environment: str) -> str:
        """Why a sensor is refused whose own run cannot be looked at: no clear would reach it."""
        configured = ", ".join(self._checks.environments()) or "none"
        return (
            f"its own environment {environment!r} is not configured; when the watcher started, these were: "
            f"{configured}. The sensor's 'environment', in its Airflow connection or its configuration, must be the "
            f"name of its own Airflow: correct it, or add [environments.{environment}] and restart the watcher"
        )

    def _is_checked(self, name: Target, upstream: Target, completion: Consumed, now: float) -> bool:
        """Whether the environment has shown that the completion still stands, or did not answer in time."""
        decision = Decision(name, Readiness.SETTLED, inputs={upstream: completion})
        if self._checks.heard(decision, None, now) is not None:
            return True
        return self._checks.ask(decision, None, now, priority=self._queue.took)

    def _waiting(self, name: Target) -> tuple[SeenWait, Wait] | None:
        seen = self._cache.waits.get(name)
        if seen is None or not isinstance(seen.value, Wait) or seen.value.status is not WaitStatus.WAITING:
            return None
        return seen, seen.value


def _named(seen: SeenWait) -> dict[str, str]:
    run = seen.ref.run
    return {"pipeline": str(run.pipeline), "partition": run.partition, "task": seen.ref.task_id}
