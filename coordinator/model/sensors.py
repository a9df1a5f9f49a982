"""Sensors that are cleared when what they waited for completes again (docs/architecture.md#waits). Pure.

Such a wait is an input of its run: while its upstream is busy, so is the pipeline of the sensor. Once that upstream has
completed again, the sensor is to be cleared, with everything below it.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from coordinator.model.conditions import On
from coordinator.model.consumption import Consumed
from coordinator.model.graph import Graph
from coordinator.model.loops import is_loop
from coordinator.model.references import Target
from coordinator.model.runstate import RunState, State
from coordinator.model.tasks import TaskObservation, observation_of
from coordinator.model.taskstate import TaskState
from coordinator.model.view import Facts, Readiness, SeenState, SeenWait, View, readable_state
from coordinator.model.waits import Wait, is_cleared_by


def completion_of(facts: Facts, wait: Wait) -> Consumed | None:
    """The completion that meets a wait, whether its upstream is settled or not; ``None``: there is none."""
    seen = facts.state(wait.upstream)
    state = readable_state(seen)
    if seen is None or state is None or not state.state.is_terminal or not wait.on.satisfied_by(state.state):
        return None
    if isinstance(state, TaskState) and observation_of(facts, wait.upstream) is not TaskObservation.ENDED:
        return None
    return Consumed(seen.revision, state.attempt, state.state)


class EvaluatedSensor(msgspec.Struct, frozen=True):
    """A sensor that has passed, and is cleared when its upstream completes again.

    :ivar new: what it waits for has completed again, is met and settled.
    :ivar busy: its upstream runs, or is due to run.
    :ivar repairable: its upstream failed again, or is stuck.
    :ivar is_loop: a clear would make its upstream complete again, for ever.
    """

    seen: SeenWait
    wait: Wait
    state: SeenState | None
    new: bool
    busy: bool
    repairable: bool
    is_loop: bool


def evaluate_sensors(graph: Graph, view: View, run: Target, *, above: str = "") -> list[EvaluatedSensor]:
    """Evaluate the sensors of the present run of a pipeline.

    :param run: the pipeline, in a partition.
    :param above: only sensors whose clear also clears this task; empty: all.
    """
    sensors = view.sensors(run)
    if not sensors:
        return []
    present = readable_state(view.state(run))
    if present is None:
        return []
    found = []
    for seen in sensors:
        if seen.ref.run_id != present.attempt.run_id or not isinstance(seen.value, Wait):
            continue
        if above and not is_cleared_by(seen.value, above):
            continue
        found.append(_evaluate(graph, view, seen, seen.value))
    return found


def _evaluate(graph: Graph, view: View, seen: SeenWait, wait: Wait) -> EvaluatedSensor:
    loops = graph.is_above(seen.ref.run.pipeline, wait.upstream.pipeline) and is_loop(graph, view, seen.ref.run, wait)
    readiness = Readiness.SETTLED if loops else view.readiness(wait.upstream)
    state = view.state(wait.upstream)
    present = readable_state(state)
    changed = (
        state is not None
        and present is not None
        and present.state.is_terminal
        and not (wait.completion is not None and wait.completion.is_same(present, state.revision))
    )
    met = changed and completion_of(view, wait) is not None
    failed = changed and present is not None and present.state is State.FAILED and wait.on is On.SUCCESS
    return EvaluatedSensor(
        seen,
        wait,
        state,
        new=met and readiness is Readiness.SETTLED,
        busy=readiness is Readiness.BUSY,
        repairable=readiness is Readiness.STUCK or failed,
        is_loop=loops,
    )


def completions_of(sensors: Iterable[EvaluatedSensor]) -> dict[Target, Consumed]:
    """The completions for which these sensors are to be cleared."""
    return {
        one.wait.upstream: Consumed(one.state.revision, one.state.value.attempt, one.state.value.state)
        for one in sensors
        if one.state is not None and isinstance(one.state.value, RunState)
    }
