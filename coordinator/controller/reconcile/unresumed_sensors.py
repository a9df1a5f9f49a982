"""Waits that have passed, and whose sensors have not resumed: their triggerer has not read the answer
(docs/architecture.md#waits).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from heapq import nsmallest

import structlog

from coordinator.controller.reconcile.following import PATIENCE, FollowedRun, Following
from coordinator.controller.state.cache import Cache
from coordinator.model.explanation.words import moment
from coordinator.model.references import Target, WaitRef
from coordinator.model.taskstate import TaskInstance
from coordinator.model.view import readable_state
from coordinator.model.waits import Wait, WaitStatus, at_the_triggerer, unresumed_place, unresumed_place_of_more
from coordinator.runners.port import TaskRef

_log = structlog.get_logger(__name__)

NAMED = 8
"""Problems of single sensors, at most: a presence has room for few, and a triggerer that is down keeps them all."""

_DEFERRED = "deferred"
"""Airflow's state of a task that waits for its trigger. Afterwards it is scheduled, as any other."""


class UnresumedSensors:
    """Looks at the task of a sensor that has passed until it has ended. Used by the deciding thread only.

    :param every: seconds until the first look; later pauses grow. A task that is still deferred :data:`PATIENCE` times
        as long after its wait has passed has not read the answer.
    :ivar problems: the sensors whose tasks have not, by place. Any thread may read them.
    """

    def __init__(self, cache: Cache, *, every: float) -> None:
        self._cache = cache
        self._within = timedelta(seconds=every * PATIENCE)
        self._following = Following(every=every)
        self._unresumed: dict[Target, tuple[datetime, WaitRef]] = {}
        self._is_told = True
        self.problems: Mapping[str, str] = {}

    def clear(self) -> None:
        self._following.clear()
        self._unresumed.clear()
        self._is_told, self.problems = True, {}

    def begin_term(self, now: float) -> None:
        """Look at those whose runs go on: whether their tasks have resumed is known to nobody else."""
        for seen in self._cache.waits:
            state = readable_state(self._cache.state(seen.ref.run))
            if state is not None and not state.state.is_terminal and state.attempt.run_id == seen.ref.run_id:
                self.follow(seen.ref, seen.value if isinstance(seen.value, Wait) else None, now)

    def follow(self, ref: WaitRef, wait: Wait | None, now: float) -> None:
        """Look at the task of a sensor from now on, if it has passed. :param now: monotonic seconds."""
        if wait is None or wait.status is not WaitStatus.PASSED or wait.passed_at is None:
            return
        task = TaskRef(ref.run.pipeline.run_dag_id, ref.run_id, ref.task_id)
        self._following.want(ref.name, FollowedRun(task, wait.passed_at), now=now)

    def next_at(self) -> float | None:
        """Monotonic seconds of the next look."""
        return self._following.next_at()

    def due(self, now: float, limit: int) -> Iterator[tuple[Target, TaskRef]]:
        """The tasks to look at now, at most so many."""
        for name, ref in self._following.due(now, limit):
            seen = self._cache.waits.get(name)
            if seen is None or not isinstance(seen.value, Wait) or seen.value.status is not WaitStatus.PASSED:
                self._forget(name)
            else:
                assert isinstance(ref, TaskRef)
                yield name, ref
        if not self._is_told:
            self._is_told, self.problems = True, self._as_problems()

    def observed(self, ref: WaitRef, wait: Wait, instances: Iterable[TaskInstance], now: datetime) -> None:
        """What a look at the task of a sensor that has passed has shown."""
        found = next((one for one in instances if one.map_index == ref.map_index), None)
        is_another = found is not None and found.id is not None and found.id != (wait.task_instance or found.id)
        if found is None or found.has_ended or is_another or wait.passed_at is None:
            self._forget(ref.name)
        elif found.state != _DEFERRED:
            self._is_told = self._unresumed.pop(ref.name, None) is None and self._is_told
        elif now - wait.passed_at > self._within and ref.name not in self._unresumed:
            self._unresumed[ref.name] = (wait.passed_at, ref)
            self._is_told = False
            run = ref.run
            _log.warning(
                "wait.not_resumed",
                pipeline=str(run.pipeline),
                partition=run.partition,
                task=ref.task_id,
                run=ref.run_id,
            )

    def _forget(self, name: Target) -> None:
        self._following.want(name, None, now=0.0)
        self._is_told = self._unresumed.pop(name, None) is None and self._is_told

    def _as_problems(self) -> dict[str, str]:
        named = nsmallest(NAMED, self._unresumed.values())
        found = {
            unresumed_place(ref): f"passed{moment('at', passed_at)}, but its task has not resumed: "
            f"{at_the_triggerer(ref.run.pipeline.environment)}"
            for passed_at, ref in named
        }
        more = Counter(ref.run.pipeline.environment for _, ref in self._unresumed.values())
        more.subtract(ref.run.pipeline.environment for _, ref in named)
        for environment, count in sorted((+more).items()):
            says = f"{count:,} more have passed, but their tasks have not resumed: {at_the_triggerer(environment)}"
            found[unresumed_place_of_more(environment)] = says
        return found
