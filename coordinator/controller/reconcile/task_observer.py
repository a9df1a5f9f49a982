"""Tasks that others wait for: looked at while their run goes on, and written as states (docs/architecture.md#tasks).

No reporter tells of tasks: their listeners run on workers, which would need etcd there.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import msgspec
import structlog

from coordinator.controller.reconcile.following import FollowedRun, Following
from coordinator.controller.reconcile.ledger import Ledger
from coordinator.controller.state.cache import Cache
from coordinator.model import bounds
from coordinator.model.decide import Decision, tasks_to_ask_about
from coordinator.model.references import Target
from coordinator.model.runstate import Attempt, RunState, State
from coordinator.model.tasks import TaskObservation, is_to_be_confirmed, observation_of
from coordinator.model.taskstate import TaskState, dump_task_state, is_of_run, is_same_look, task_state_of
from coordinator.model.view import Facts, Readiness, readable_state
from coordinator.runners.port import ObservedRun, ObservedTask, RequestRefused, TaskRef

_log = structlog.get_logger(__name__)

PATIENCE = 4
"""The longest pause between two looks at a task is so many times the first one. It may be short: one request asks about
many tasks of an environment."""


def needs_task_checks(facts: Facts, decision: Decision) -> bool:
    """Whether tasks are to be looked at because of a decision that only waits."""
    if decision.target.pipeline.task:
        return _needs_a_look(facts, decision)
    return bool(tasks_to_ask_about(decision))


def _needs_a_look(facts: Facts, decision: Decision) -> bool:
    """Whether a task is to be looked at: it is not known to have ended, or was not looked at since its run has ended.
    One whose run is stuck may have ended, too: who does not wait for the wave uses it."""
    return decision.readiness is not Readiness.SETTLED or is_to_be_confirmed(facts, decision.target)


class TaskObserver:
    """Which tasks to look at, and what becomes of the answers.

    :param every: seconds until a task is looked at again; later pauses grow.
    """

    def __init__(self, cache: Cache, ledger: Ledger, *, every: float) -> None:
        self._cache = cache
        self._ledger = ledger
        self._following = Following(every=every, patience=PATIENCE)

    def clear(self) -> None:
        self._following.clear()

    def next_at(self) -> float | None:
        """Monotonic seconds of the next look."""
        return self._following.next_at()

    def due(self, now: float, limit: int) -> Iterator[tuple[Target, TaskRef]]:
        """The tasks to look at now, at most so many."""
        for target, ref in self._following.due(now, limit):
            assert isinstance(ref, TaskRef)
            if self._is_of_present_run(target, ref.run_id) and self._is_to_be_asked(target):
                yield target, ref
            else:
                self.want(target, now)

    def follow(self, decision: Decision, now: float) -> None:
        """Look at a task until it has ended, and once after its run has; or at those among the inputs of a decision
        that nobody waited for yet.

        A task that no dependency waits for is not dropped: a sensor may.
        """
        if decision.target.pipeline.task and _needs_a_look(self._cache, decision):
            self.want(decision.target, now)
        for task in tasks_to_ask_about(decision):
            self.want(task, now)

    def want(self, target: Target, now: float) -> None:
        """Look at a task until it has ended, and once after its run has, in the present run of its pipeline."""
        run = readable_state(self._cache.state(target.whole))
        followed = None
        if run is not None and run.attempt.run_id is not None and self._is_to_be_asked(target):
            ref = TaskRef(target.pipeline.run_dag_id, run.attempt.run_id, target.pipeline.task)
            followed = FollowedRun(ref, run.attempt.queued_at)
        self._following.want(target, followed, now=now, at_once=True)

    def observe(self, target: Target, observed: ObservedTask, asked_at: datetime, askers: frozenset[Target]) -> bool:
        """Write what a look has shown. Returns whether there is anything new in it."""
        if not self._is_of_present_run(target, observed.run.run_id):
            return False  # there is another run in the partition by now, whose tasks count
        run = self._attempt_of(target, observed.run)
        ended = observed.run.state.is_terminal
        found = task_state_of(observed.instances, run=run, run_ended=ended, observed_at=asked_at)
        present = readable_state(self._cache.state(target))
        is_known = isinstance(present, TaskState) and is_same_look(present, found)
        if is_known and observation_of(self._cache, target) is not TaskObservation.OUTDATED:
            return False
        _log.info("task.observed", task=str(target.pipeline), partition=target.partition, state=str(found.state))
        self._ledger.state(target, dump_task_state(found, reported_by=self._ledger.reported_by), askers=askers)
        return True

    def _attempt_of(self, target: Target, run: ObservedRun) -> Attempt:
        """The attempt of a run. What is estimated of a queued one is another moment at each look: the attempt that
        stands in etcd is the same one."""
        above = readable_state(self._cache.state(target.whole))
        if run.is_estimated and above is not None and above.attempt.run_id == run.run_id:
            if not above.state.is_terminal:
                return above.attempt
            run = run.after(above.attempt.queued_at)
        return Attempt(run.run_id, run.queued_at)

    def refused(
        self, target: Target, ref: TaskRef, why: RequestRefused, asked_at: datetime, askers: frozenset[Target]
    ) -> bool:
        """The environment refuses to show a task: that is written, once, so that those who wait for it are told.

        Returns whether anything was to be written.

        What is known of the task in this attempt of its run stays; the task is asked about again as if it went on.
        """
        above, present = self._cache.state(target.whole), self._cache.state(target)
        if above is None or not isinstance(above.value, RunState) or above.value.attempt.run_id != ref.run_id:
            return False  # there is another run in the partition by now, whose tasks count
        if observation_of(self._cache, target) is TaskObservation.ENDED:
            return False
        run = Attempt(ref.run_id, above.value.attempt.queued_at)
        found = TaskState(State.QUEUED, Attempt(ref.run_id, None, 0), asked_at, run=run)
        if (
            present is not None
            and isinstance(present.value, TaskState)
            and is_of_run(present.value, above.value, is_later=present.revision > above.revision)
        ):
            found = present.value
        reason = _reason_of(why)
        if found.refused == reason:
            return False
        found = msgspec.structs.replace(found, refused=reason)
        _log.warning("task.refused", task=str(target.pipeline), partition=target.partition, reason=reason)
        self._ledger.state(target, dump_task_state(found, reported_by=self._ledger.reported_by), askers=askers)
        return True

    def run_is_gone(self, target: Target, ref: TaskRef, asked_at: datetime, askers: frozenset[Target]) -> bool:
        """The run was deleted. Returns whether anything was to be written.

        As for a run, a success is not undone by cleaning up afterwards. Where the state of a deleted run stays, nobody
        will ever know more of its tasks: that is written, so that nothing waits for it.
        """
        present, run = readable_state(self._cache.state(target)), readable_state(self._cache.state(target.whole))
        if run is not None and run.attempt.run_id == ref.run_id and run.state.is_terminal:
            observation = observation_of(self._cache, target)
            if observation is TaskObservation.RUNNING:
                return False
            if (
                observation is TaskObservation.ENDED
                and isinstance(present, TaskState)
                and present.state is not State.FAILED
            ):
                if present.run_ended:
                    return False
                found = msgspec.structs.replace(present, run_ended=True)
            else:
                attempt = Attempt(run.attempt.run_id, run.attempt.queued_at)
                found = task_state_of((), run=attempt, run_ended=True, observed_at=asked_at)
            _log.warning("task.run_deleted", task=str(target.pipeline), partition=target.partition, run=ref.run_id)
            self._ledger.state(target, dump_task_state(found, reported_by=self._ledger.reported_by), askers=askers)
            return True
        if present is None or present.attempt.run_id != ref.run_id:
            return False
        self._ledger.state(target, None, askers=askers)
        return True

    def _is_of_present_run(self, target: Target, run_id: str) -> bool:
        run = readable_state(self._cache.state(target.whole))
        return run is not None and run.attempt.run_id == run_id

    def _is_to_be_asked(self, target: Target) -> bool:
        """Whether the task may still end in this attempt of its run, as far as is known, or is to be confirmed."""
        match observation_of(self._cache, target):
            case TaskObservation.OUTDATED:
                return True
            case TaskObservation.RUNNING:
                run = readable_state(self._cache.state(target.whole))
                return run is not None and not run.state.is_terminal
            case TaskObservation.ENDED:
                return is_to_be_confirmed(self._cache, target)
            case TaskObservation.NO_RUN:
                return False


def _reason_of(refusal: RequestRefused) -> str:
    """Why a task is not shown, and the remedy."""
    match refusal.status:
        case 200:
            remedy = "wait for a task after it, or for its pipeline"
        case 401 | 403:
            remedy = "give the coordinator's user there the permission to read the task instances of this DAG"
        case _:
            remedy = "see the log of its API server"
    return f"{str(refusal)[: bounds.REASON]}; {remedy}"
