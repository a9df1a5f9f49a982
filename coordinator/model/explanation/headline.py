"""What the rule says about a pipeline in a partition, in a sentence."""

from __future__ import annotations

from collections.abc import Iterator

from coordinator.model.decide import Decision, Obstacle
from coordinator.model.explanation.words import listed, moment, named
from coordinator.model.judgement import Judged, JudgedBranch, JudgedInput, all_inputs
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
        waited_for = [named(one.target, decision.target) for one in all_inputs(decision.judged) if one.busy]
        return f"is due and waits for {listed(waited_for)}"
    if decision.standing is Standing.STUCK:
        inputs = [_why_mendable(one, decision) for one in all_inputs(decision.judged) if one.mendable]
        return f"is out of date and cannot run by itself: {listed([*inputs, *sorted(decision.obstacles)], '; ')}"
    if not decision.judged.holds:
        needed = [named(one.target, decision.target) for one in missing_inputs(decision.judged)]
        return f"is settled: it still needs {listed(needed)}"
    return "is settled: nothing that it needs is new"


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
