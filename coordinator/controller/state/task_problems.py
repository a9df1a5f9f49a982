"""Tasks that others wait for, and that the newest run of their pipeline does not have, or that are not shown to us.

A task that nobody waits for any more is no problem: its key stays until retention removes it.
"""

from __future__ import annotations

from coordinator.controller.state.cache import Cache
from coordinator.model.graph import Graph
from coordinator.model.phrases import some_of
from coordinator.model.tasks import refusal_of
from coordinator.model.taskstate import TaskState
from coordinator.model.view import readable_state
from coordinator.model.who_waits import who_waits

_NAMED = 5


def task_problems(cache: Cache, graph: Graph) -> dict[str, str]:
    """The problems to show, by place. Any thread may ask."""
    found = {}
    for task in sorted(cache.unseen_tasks()):
        state, waiting = readable_state(cache.state(task)), who_waits(graph, cache.waits.on(task), task)
        if not isinstance(state, TaskState) or not waiting:
            continue
        pipeline, place = task.pipeline, f"task {task}"
        who = f"{some_of(waiting, _NAMED)} {'waits' if len(waiting) == 1 else 'wait'} for"
        if why := refusal_of(cache, task):
            found[place] = f"{pipeline.environment} does not show it in run {state.run.run_id}, and {who} it: {why}"
        elif state.missing:
            found[place] = (
                f"run {state.attempt.run_id} of {pipeline.whole} has no task {pipeline.task!r}, which {who}; correct "
                "its name there (and clear a sensor that waits), or deploy the DAG that has it and clear the run"
            )
    return found
