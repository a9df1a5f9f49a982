"""Reading the state of a target, whatever it is: of a run, of a task, an asset event, or of an asset."""

from __future__ import annotations

from coordinator.model.assets.completions import read_completion
from coordinator.model.assets.events import read_asset_event
from coordinator.model.assets.names import EVENTS, is_asset
from coordinator.model.references import Target
from coordinator.model.runstate import RunState, read_run_state
from coordinator.model.stored import Unreadable
from coordinator.model.taskstate import read_task_state


def read_state(target: Target, value: bytes) -> RunState | Unreadable:
    """Read the value of a target's state key. Never raises."""
    if target.pipeline.task:
        return read_task_state(value)
    if target.pipeline.dag_id == EVENTS:
        return read_asset_event(target.partition, value)
    if is_asset(target.pipeline):
        return read_completion(value)
    return read_run_state(value)
