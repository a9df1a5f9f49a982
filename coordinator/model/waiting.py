"""When a wait passes: by the rule of the dependencies, when what it waits for is met, and settled. Pure."""

from __future__ import annotations

from coordinator.model.consumption import Consumed
from coordinator.model.decide import decide
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.references import Target
from coordinator.model.tasks import Knowledge, knowledge_of, readiness_of
from coordinator.model.taskstate import TaskState
from coordinator.model.view import Readiness, readable_state
from coordinator.model.waits import Wait


def completion_for(propagation: Propagation, wait: Wait) -> Consumed | None:
    """The completion that lets a wait pass now: what it waits for is met, and settled; ``None``: it goes on waiting.

    It need not be new: a sensor that begins to wait when its upstream has completed passes at once.
    """
    upstream = wait.upstream
    if readiness_for(propagation, upstream) is not Readiness.SETTLED:
        return None
    seen = propagation.state(upstream)
    state = readable_state(seen)
    if seen is None or state is None or not state.state.is_terminal or not wait.on.satisfied_by(state.state):
        return None
    if isinstance(state, TaskState) and knowledge_of(propagation, upstream) is not Knowledge.ENDED:
        return None
    return Consumed(seen.revision, state.attempt, state.state)


def readiness_for(propagation: Propagation, upstream: Target) -> Readiness:
    """How ready a pipeline or task is, which no dependency need name. What is not known of a task is asked about."""
    if not upstream.pipeline.task:
        return propagation.readiness(upstream)
    run = propagation.readiness(upstream.whole)
    due = decide(propagation.graph, propagation, upstream.whole).due
    return readiness_of(propagation, upstream, run=run, due=due, active_since=0)
