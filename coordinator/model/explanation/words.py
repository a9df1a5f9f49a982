"""Phrases of explanations."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from coordinator.model import bounds
from coordinator.model.assets.completions import AssetCompletion
from coordinator.model.assets.events import AssetState
from coordinator.model.assets.names import is_asset
from coordinator.model.conditions import On
from coordinator.model.evaluation import EvaluatedInput
from coordinator.model.hold import Hold
from coordinator.model.items.whole import is_of_items
from coordinator.model.partitions import Identity
from coordinator.model.partitions.instants import format_instant
from coordinator.model.printable import printable
from coordinator.model.references import PipelineRef, Target, WaitRef
from coordinator.model.runstate import RunState, State, Unreadable
from coordinator.model.shell import command
from coordinator.model.view import SeenState

EMITTED = "emitted"
"""What has become of an asset: it has no other state."""

LISTED = 10
"""Items of a list that are named; there may be thousands (the minutes of a day, the pipelines of a company)."""


def named(target: Target, beside: Target) -> str:
    """A target, without its partition if that is the same as the one beside it."""
    return str(target.pipeline) if target.partition == beside.partition else str(target)


def sensor_name(ref: WaitRef) -> str:
    """The task of a sensor, with its map index if it is mapped."""
    return f"{ref.task_id}[{ref.map_index}]" if ref.map_index >= 0 else ref.task_id


def input_named(one: EvaluatedInput, beside: Target) -> str:
    """An input; with its partition if a mapping has chosen it, even if it is spelled like that of the downstream."""
    return named(one.target, beside) if isinstance(one.dependency.mapping, Identity) else str(one.target)


def listed(items: Sequence[str], joint: str = ", ") -> str:
    """A list, shortened if it is long."""
    shown = list(dict.fromkeys(items))
    if len(shown) > LISTED:
        shown[LISTED:] = [f"and {len(shown) - LISTED} more"]
    return joint.join(shown)


def moment(word: str, when: datetime | None) -> str:
    """`` since 2026-11-20T06:00:00Z``, or nothing if the time is unknown. Seconds are enough for people."""
    return f" {word} {format_instant(when.replace(microsecond=0))}" if when is not None else ""


def state_of(seen: SeenState | None) -> str:
    """A state in words."""
    if seen is None:
        return "not yet"
    if isinstance(seen.value, Unreadable):
        return f"not yet (its state cannot be read: {seen.value.reason})"
    return EMITTED if isinstance(seen.value, AssetCompletion) else str(seen.value.state)


def run_in_words(state: RunState) -> str:
    """The run, and since when it is in this state: `` in run x since ...``; of an asset event, which asset."""
    if isinstance(state, AssetState):
        return f" of {state.uri}{when_in_words(state)}"
    if isinstance(state, AssetCompletion):
        newest = state.emissions[0]
        by = f" by {newest.pipeline} in run {newest.run_id}" if newest.pipeline is not None else ""
        return f"{by}{when_in_words(state)}"
    if is_of_items(state.attempt):
        return when_in_words(state)
    words = f" in run {state.attempt.run_id}" if state.attempt.run_id is not None else ""
    if state.attempt.run_id is None and state.attempt.number is not None:
        words = f" in attempt {state.attempt.number}"
    return words + when_in_words(state)


def when_in_words(state: RunState) -> str:
    """Since when a run is in this state; where nobody said when it ended, when that was seen."""
    if not state.state.is_terminal:
        return moment("since", state.since)
    seen = moment("seen at", state.observed_at)
    return moment("at", state.ended_at) or (seen and f",{seen}")


def did(state: RunState, *, in_run: bool = True) -> str:
    """What a run does or did, without its subject: ``is running in run x since ...``; why it failed, if that is known.

    :param in_run: also name the run.
    """
    if isinstance(state, AssetCompletion):
        return f"was emitted{run_in_words(state) if in_run else when_in_words(state)}"
    verb = {State.SUCCESS: "succeeded", State.FAILED: "failed"}.get(state.state, f"is {state.state}")
    note = f" ({printable(state.note, limit=bounds.DETAIL)})" if state.note else ""
    return verb + (run_in_words(state) if in_run else when_in_words(state)) + note


def state_in_words(seen: SeenState | None) -> str:
    """A pipeline's own state in words."""
    if seen is None:
        return "nothing has been reported"
    if isinstance(seen.value, Unreadable):
        return f"cannot be read: {seen.value.reason}"
    if isinstance(seen.value, AssetCompletion):
        return f"{EMITTED}{run_in_words(seen.value)}, revision {seen.revision}"
    said = f"{seen.value.state} (marked by a person)" if seen.value.marked else str(seen.value.state)
    return f"{said}{run_in_words(seen.value)}, revision {seen.revision}"


def hold_in_words(hold: Hold | Unreadable | None) -> str:
    """A hold in words: why, by whom, since when."""
    if not isinstance(hold, Hold):
        return "for a reason that cannot be read" if hold else "not held"
    words = repr(hold.why) if hold.why else "without a reason"
    return words + (f" by {hold.who}" if hold.who else "") + moment("since", hold.since)


def how_to_release(target: Target, partition: bool = False) -> str:
    """The command to release. :param partition: release the rerun policy ``hold`` in this partition, and not a hold."""
    return command("release", target.pipeline, *([target.partition] if partition else []))


def how_to_report(target: Target) -> str:
    """The command to report an end, here a success, quoted for a shell."""
    return command("report", target.pipeline, "success", "-p", target.partition)


def how_to_fill(target: Target) -> str:
    """The command that orders a run on what is there."""
    return command("fill", target.pipeline, target.partition)


def asked_for(on: On, upstream: PipelineRef | None = None) -> str:
    """What an upstream has to do."""
    if upstream is not None and is_asset(upstream):
        return "is emitted"
    match on:
        case On.SUCCESS:
            return "succeeds"
        case On.FAILURE:
            return "fails"
        case On.DONE:
            return "ends"
        case On.SKIPPED:
            return "is skipped"
