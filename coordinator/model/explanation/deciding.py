"""A decision in words: why a pipeline fires in a partition, or what it waits for, input by input.

It is the decision that the watcher makes, told; nothing is worked out again here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from coordinator.model.decide import Decision, Obstacle
from coordinator.model.judgement import Judged, JudgedBranch, JudgedInput, all_inputs
from coordinator.model.runstate import RunState, Unreadable
from coordinator.model.trigger import TriggerRecord
from coordinator.model.view import SeenRecord, Standing


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the condition's tree. ``depth``: how far in it stands; ``holds``: whether this branch holds."""

    depth: int
    holds: bool
    text: str


def headline(decision: Decision) -> str:
    """What the rule says, in a sentence."""
    target = decision.target
    if decision.judged is None:
        return f"{target} waits for nothing: it is {decision.standing}"
    if decision.fires:
        return f"{target} fires now"
    if decision.ignored:
        return f"{target} has run; what is new is consumed without running it again (rerun: ignore)"
    if decision.ready:
        return f"{target} would fire now, but it is {' and '.join(sorted(decision.obstacles))}"
    if Obstacle.IN_FLIGHT in decision.obstacles or Obstacle.RUNNING in decision.obstacles:
        return f"{target} is on its way: it is {' and '.join(sorted(decision.obstacles))}"
    if decision.standing is Standing.BUSY:
        waited_for = [str(one.target.pipeline) for one in all_inputs(decision.judged) if one.busy]
        return f"{target} is due and waits for {', '.join(dict.fromkeys(waited_for))}"
    if decision.standing is Standing.STUCK:
        reasons = [reason for one in all_inputs(decision.judged) if one.mendable for reason in [_why_mendable(one)]]
        reasons += sorted(decision.obstacles)
        return f"{target} is out of date and cannot run by itself: {'; '.join(dict.fromkeys(reasons))}"
    return f"{target} is settled: nothing that it needs is new"


def tree(judged: Judged) -> Iterator[Line]:
    """The condition, each node true or false, each input with what was weighed."""
    yield from _lines(judged, 0)


def _lines(judged: Judged, depth: int) -> Iterator[Line]:
    if isinstance(judged, JudgedBranch):
        holding = sum(branch.holds for branch in judged.branches)
        yield Line(depth, judged.holds, f"{judged.word} ({holding} of {len(judged.branches)} hold)")
        for branch in judged.branches:
            yield from _lines(branch, depth + 1)
    else:
        yield Line(depth, judged.holds, _input(judged))


def _input(one: JudgedInput) -> str:
    parts = [f"{one.dependency}: {_state(one)}"]
    if one.seen is not None and isinstance(one.seen.value, RunState):
        parts.append(f"revision {one.seen.revision}")
    if one.met:
        parts.append("new" if one.new else "not new")
    if one.consumed is not None:
        parts.append(f"consumed at revision {one.consumed.revision}")
    if one.standing is not Standing.SETTLED:
        parts.append(str(one.standing))
    return ", ".join(parts)


def _state(one: JudgedInput) -> str:
    if one.seen is None:
        return "not yet"
    if isinstance(one.seen.value, Unreadable):
        return f"not yet (its state cannot be read: {one.seen.value.reason})"
    return str(one.seen.value.state)


def _why_mendable(one: JudgedInput) -> str:
    if one.standing is Standing.STUCK:
        return f"{one.target.pipeline} is stuck"
    return f"{one.target.pipeline} has failed"


def as_json(decision: Decision, recorded: SeenRecord | None) -> dict[str, Any]:
    """The whole explanation for programs."""
    record: dict[str, Any] | None = None
    if recorded is not None and isinstance(recorded.value, TriggerRecord):
        known = recorded.value
        record = {
            "status": known.status,
            "sequence": known.sequence,
            "action": known.action,
            "run_id": known.run_id,
            "wave": known.wave,
            "revision": recorded.revision,
            "who": known.who,
            "when": known.when.isoformat() if known.when else None,
            "last_error": known.last_error,
        }
    elif recorded is not None:
        record = {"problem": recorded.value.reason if isinstance(recorded.value, Unreadable) else None}
    return {
        "pipeline": str(decision.target.pipeline),
        "partition": decision.target.partition,
        "says": headline(decision),
        "standing": decision.standing,
        "fires": decision.fires,
        "due": decision.due,
        "obstacles": sorted(decision.obstacles),
        "wave": decision.wave or None,
        "condition": _node(decision.judged) if decision.judged is not None else None,
        "record": record,
    }


def _node(judged: Judged) -> dict[str, Any]:
    if isinstance(judged, JudgedBranch):
        return {"holds": judged.holds, "of": judged.word, "branches": [_node(branch) for branch in judged.branches]}
    seen = judged.seen
    return {
        "holds": judged.holds,
        "pipeline": str(judged.dependency.upstream),
        "on": judged.dependency.on,
        "partition": judged.target.partition,
        "state": _state(judged),
        "revision": seen.revision if seen is not None else None,
        "consumed_revision": judged.consumed.revision if judged.consumed is not None else None,
        "met": judged.met,
        "new": judged.new,
        "standing": judged.standing,
    }
