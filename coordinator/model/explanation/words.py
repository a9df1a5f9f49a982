"""How things are called in an explanation."""

from __future__ import annotations

from collections.abc import Sequence

from coordinator.model.judgement import JudgedInput
from coordinator.model.references import Target
from coordinator.model.runstate import RunState, Unreadable

LISTED = 10
"""Of what there may be thousands of (the days of a year, the pipelines of a company), so many are named."""


def named(target: Target, beside: Target) -> str:
    """A target, without its partition where that goes without saying."""
    return str(target.pipeline) if target.partition == beside.partition else str(target)


def listed(items: Sequence[str], joint: str = ", ") -> str:
    """A list that stays readable however long it is."""
    shown = list(dict.fromkeys(items))
    if len(shown) > LISTED:
        shown[LISTED:] = [f"and {len(shown) - LISTED} more"]
    return joint.join(shown)


def state_of(one: JudgedInput) -> str:
    """What an input's state key says."""
    if one.seen is None:
        return "not yet"
    if isinstance(one.seen.value, Unreadable):
        return f"not yet (its state cannot be read: {one.seen.value.reason})"
    return str(one.seen.value.state)


def run_state(one: JudgedInput) -> RunState | None:
    """An input's run state, if there is one that can be read."""
    return one.seen.value if one.seen is not None and isinstance(one.seen.value, RunState) else None
