"""The explanation of a task that others wait for."""

from __future__ import annotations

from coordinator.model.explanation.causes import causes_of
from coordinator.model.explanation.words import did
from coordinator.model.phrases import some_of
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.references import Target
from coordinator.model.tasks import TaskObservation, observation_of, refusal_of
from coordinator.model.taskstate import TaskState
from coordinator.model.view import Readiness, readable_state


def task_in_words(propagation: Propagation, task: Target, *, is_waited_for: bool = False) -> tuple[str, list[str]]:
    """What is known of a task, and whether what waits for it may use that; then why not, as sentences.

    :param task: the task, in a partition.
    :param is_waited_for: a sensor waits for it now.
    """
    is_needed = is_waited_for or propagation.graph.task_active_since(task.pipeline) is not None
    if not is_needed and propagation.state(task) is None:
        awaited = sorted(one.task for one in propagation.graph.tasks(task.pipeline.whole))
        others = f"; others wait for {some_of(awaited, 5)}" if awaited else ""
        return f"{task}: no dependency and no sensor waits for this task, so nobody asks about it{others}", []
    decision = propagation.decide(task)
    is_settled = decision.readiness is Readiness.SETTLED
    because = [] if is_settled else [cause.sentence(task) for cause in causes_of(propagation, decision)]
    known = _known(propagation, task)
    match decision.readiness:
        case Readiness.SETTLED:
            return f"{task} {known}", because
        case Readiness.BUSY:
            return f"{task} is waited for: it {known}", because
        case Readiness.STUCK:
            return f"{task} cannot be used until its pipeline has run again: it {known}", because


def _known(propagation: Propagation, task: Target) -> str:
    state = readable_state(propagation.state(task))
    if refusal_of(propagation, task):
        return "is not shown by its environment"
    match observation_of(propagation, task):
        case TaskObservation.ENDED:
            assert state is not None
            return did(state)
        case TaskObservation.RUNNING if isinstance(state, TaskState) and state.missing:
            return f"is no task of run {state.attempt.run_id}"
        case TaskObservation.RUNNING:
            return "has not ended"
        case TaskObservation.OUTDATED:
            return "is still to be asked about"
        case TaskObservation.NO_RUN:
            return "has no run in this partition yet"
