"""What the rule says about a pipeline in a partition, in a sentence."""

from __future__ import annotations

from collections.abc import Iterator

from coordinator.model.conditions import Dependency, On
from coordinator.model.decide import Decision, Obstacle
from coordinator.model.evaluation import Judged, JudgedBranch, JudgedInput, all_inputs
from coordinator.model.explanation.words import listed, moment, named
from coordinator.model.partitions import StartOf
from coordinator.model.references import Target
from coordinator.model.view import Standing

MOVING = frozenset({Obstacle.IN_FLIGHT, Obstacle.RUNNING})
"""Obstacles that go by themselves."""


def headline(decision: Decision) -> str:
    """What the rule says, in a sentence."""
    late = f"; it is late, it was due{moment('by', decision.due_by)}" if decision.late and not decision.skips else ""
    return f"{decision.target} {reason(decision)}{late}"


def reason(decision: Decision) -> str:
    """The same without its subject."""
    obstacles = " and ".join(sorted(decision.obstacles))
    if decision.fires:
        return f"fires now{', as a person has ordered' if decision.order else ''}"
    if Obstacle.BROKEN in decision.obstacles:
        return f"is {obstacles}"
    if decision.judged is None:
        ordered = " has been ordered to run, and" if decision.due else ""
        return f"waits for nothing:{ordered} it is {obstacles if ordered else decision.standing}"
    if decision.ignored:
        return "runs no more by itself here (rerun: ignore, or skipped); what is new is consumed without a run"
    if decision.skips:
        return f"is given up: it should have been started{moment('by', decision.due_by)} (on_late: skip)"
    if decision.ready:
        return f"would fire now, but it is {obstacles}"
    if not MOVING.isdisjoint(decision.obstacles):
        return f"is on its way: it is {obstacles}"
    if decision.standing is Standing.BUSY:
        busy = [one for one in all_inputs(decision.judged) if one.busy]
        waited_for = listed([named(one.target, decision.target) for one in busy])
        if all(one.dependency.on is On.FAILURE for one in busy):
            return f"waits for the end of {waited_for}, and fires only on a failure"
        return f"is due and waits for {waited_for}"
    if decision.standing is Standing.STUCK:
        inputs = [_why_mendable(one, decision) for one in all_inputs(decision.judged) if one.mendable]
        return f"is out of date and cannot run by itself: {listed([*inputs, *sorted(decision.obstacles)], '; ')}"
    if not decision.judged.holds:
        if is_out_of_reach(decision.judged):
            return f"never fires in this partition: {no_input(decision.judged, decision.target)}"
        return f"is settled: it still needs {_needed(decision.judged, decision.target)}"
    return "is settled: nothing that it needs is new"


def is_out_of_reach(judged: Judged) -> bool:
    """Whether no completion can ever make it hold: its mappings give this partition too few inputs."""
    if isinstance(judged, JudgedInput):
        return False
    if judged.dependency is not None and not judged.branches:
        return not isinstance(judged.dependency.mapping, StartOf)  # which gathers what comes
    return judged.n > sum(not is_out_of_reach(branch) for branch in judged.branches)


def no_input(judged: Judged, target: Target) -> str:
    """Which dependencies give a partition no input."""
    return listed([f"no partition of {one} belongs to {target.partition}" for one in _without_input(judged)], "; ")


def _without_input(judged: Judged) -> Iterator[Dependency]:
    if isinstance(judged, JudgedBranch) and is_out_of_reach(judged):
        if judged.dependency is not None:
            yield judged.dependency
        for branch in judged.branches:
            yield from _without_input(branch)


def still_needed(judged: JudgedBranch) -> tuple[int, list[Judged]]:
    """How many more of its branches must hold, and which can come to hold."""
    missing = [branch for branch in judged.branches if not branch.holds]
    needed = judged.n - (len(judged.branches) - len(missing))
    return needed, [branch for branch in missing if not is_out_of_reach(branch)]


def _needed(judged: Judged, target: Target) -> str:
    """What a part of the condition that does not hold, and can come to hold, still needs."""
    if isinstance(judged, JudgedInput):
        return named(judged.target, target)
    if not judged.branches:
        return f"a partition of {judged.dependency} that belongs to {target.partition}"
    needed, missing = still_needed(judged)
    parts = [_needed(branch, target) for branch in missing]
    if needed < len(missing):
        joint = " or " if needed == 1 else ", "
        return ("" if needed == 1 else f"{needed} of these {len(missing)}: ") + listed(_apart(parts), joint)
    every = all(isinstance(branch, JudgedInput) or branch.n == len(branch.branches) > 0 for branch in missing)
    return listed(parts if every else _apart(parts))


def _apart(parts: list[str]) -> list[str]:
    """Lists in a list, in brackets."""
    return [f"({part})" if len(parts) > 1 and (", " in part or " or " in part) else part for part in parts]


def missing_inputs(judged: Judged) -> Iterator[JudgedInput]:
    """The inputs that do not hold, in branches that do not hold."""
    if judged.holds:
        return
    if isinstance(judged, JudgedBranch):
        for branch in judged.branches:
            yield from missing_inputs(branch)
    else:
        yield judged


def _why_mendable(one: JudgedInput, decision: Decision) -> str:
    name = named(one.target, decision.target)
    return f"{name} is stuck" if one.standing is Standing.STUCK else f"{name} has failed"
