"""How ready a task is, from its pipeline and what is known of it (docs/architecture.md#tasks). Pure.

A task has no readiness of its own: it runs when its pipeline's run does. A dependency on a task may be used as soon as
the task has ended for good in the present run, which may go on.
"""

from __future__ import annotations

import enum

from coordinator.model.references import Target
from coordinator.model.runstate import RunState
from coordinator.model.taskstate import TaskState, is_of_run
from coordinator.model.trigger import Status, TriggerRecord
from coordinator.model.view import Facts, Readiness, readable_state


class TaskObservation(enum.Enum):
    """What is known of a task in the newest run of its pipeline.

    ``NO_RUN``    there is no run that could be asked about
    ``OUTDATED``  it was not looked at since this attempt of its run began, or since the run ended without it
    ``RUNNING``   it had not ended when it was looked at
    ``ENDED``     it has ended, and does not run again in this attempt of its run
    """

    NO_RUN = "no run"
    OUTDATED = "outdated"
    RUNNING = "running"
    ENDED = "ended"


def observation_of(facts: Facts, target: Target) -> TaskObservation:
    """What is known of a task. :param target: the task, in a partition."""
    above, seen = facts.state(target.whole), facts.state(target)
    if above is None or not isinstance(above.value, RunState) or above.value.attempt.run_id is None:
        return TaskObservation.NO_RUN
    if seen is None or not isinstance(seen.value, TaskState):
        return TaskObservation.OUTDATED
    if not is_of_run(seen.value, above.value, is_later=seen.revision > above.revision):
        return TaskObservation.OUTDATED
    has_ended = seen.value.state.is_terminal
    has_run_ended = above.value.state.is_terminal and not seen.value.run_ended
    if has_run_ended and (seen.value.by_tries or not has_ended):
        return TaskObservation.OUTDATED
    return TaskObservation.ENDED if has_ended else TaskObservation.RUNNING


def refusal_of(facts: Facts, target: Target) -> str:
    """Why the environment refuses to show a task in the newest run of its pipeline; empty: it does not, or the task is
    known to have ended."""
    above, seen = facts.state(target.whole), facts.state(target)
    if above is None or not isinstance(above.value, RunState) or seen is None or not isinstance(seen.value, TaskState):
        return ""
    if not is_of_run(seen.value, above.value, is_later=seen.revision > above.revision):
        return ""
    return "" if observation_of(facts, target) is TaskObservation.ENDED else seen.value.refused


def is_to_be_confirmed(facts: Facts, target: Target) -> bool:
    """Whether a task had ended, and its run has ended since: it is looked at once more.

    A person may have marked it with the other state meanwhile. Then it keeps its id, and its run its queued_at.
    Nothing waits for that look: the task counts as it was seen.
    """
    above, seen = readable_state(facts.state(target.whole)), readable_state(facts.state(target))
    if above is None or not above.state.is_terminal or not isinstance(seen, TaskState) or seen.run_ended:
        return False
    return observation_of(facts, target) is TaskObservation.ENDED


def readiness_of(facts: Facts, target: Target, *, run: Readiness, runs_again: bool, active_since: int) -> Readiness:
    """How ready a task is.

    :param run: the readiness of its pipeline in the partition.
    :param runs_again: that pipeline is to run (again), at once or after a repair.
    :param active_since: etcd revision at which the oldest dependency on the task became active. What is not known of
        an earlier run is asked about when somebody needs it.
    """
    if run is Readiness.STUCK:
        return Readiness.STUCK
    if run is Readiness.BUSY and (runs_again or not _has_begun(facts, target.whole)):
        return Readiness.BUSY
    match observation_of(facts, target):
        case TaskObservation.OUTDATED:
            above = facts.state(target.whole)
            is_past = run is Readiness.SETTLED and above is not None and above.revision <= active_since
            return Readiness.SETTLED if is_past else Readiness.BUSY
        case TaskObservation.RUNNING:
            return run  # a run can end without it
        case TaskObservation.NO_RUN | TaskObservation.ENDED:
            return Readiness.SETTLED


def _has_begun(facts: Facts, target: Target) -> bool:
    """Whether the run that is under way is the one in the state, and not one that was requested since."""
    state, recorded = readable_state(facts.state(target)), facts.record(target)
    if state is None or state.state.is_terminal:
        return False
    if recorded is None or not isinstance(recorded.value, TriggerRecord):
        return True
    record, queued_at = recorded.value, state.attempt.queued_at
    if record.status is not Status.SENT or record.attempt is None or queued_at is None:
        return record.status is not Status.INTENT
    return queued_at >= record.attempt
