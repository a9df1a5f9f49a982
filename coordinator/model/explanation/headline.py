"""The headline: the decision about a pipeline in a partition, in one sentence."""

from __future__ import annotations

from collections.abc import Iterator

from coordinator.model.assets.names import is_asset
from coordinator.model.conditions import Dependency, On
from coordinator.model.decide import Decision, Obstacle
from coordinator.model.evaluation import Evaluated, EvaluatedBranch, EvaluatedInput, all_inputs
from coordinator.model.explanation.words import listed, moment, named
from coordinator.model.items.whole import Standing
from coordinator.model.partitions import gathers
from coordinator.model.references import Target
from coordinator.model.view import Readiness

MOVING = frozenset({Obstacle.IN_FLIGHT, Obstacle.RUNNING})
"""Obstacles of a run that is under way (*moving*): they go by themselves."""


def headline(decision: Decision) -> str:
    """The decision in one sentence."""
    late = f"; it is late, it was due{moment('by', decision.due_by)}" if decision.late and not decision.skips else ""
    return f"{decision.target} {reason(decision)}{late}"


def reason(decision: Decision) -> str:
    """The same without its subject."""
    obstacles = " and ".join(sorted(decision.obstacles))
    if decision.by_sensors:
        return _reason_by_sensors(decision, obstacles)
    if decision.retries and MOVING.isdisjoint(decision.obstacles):
        return _reason_by_retry(decision, obstacles)
    if decision.fires:
        return f"fires now{', as a person has ordered' if decision.order else ''}"
    if Obstacle.BROKEN in decision.obstacles:
        return f"is {obstacles}"
    if is_asset(decision.target.pipeline):
        return f"is an asset, and {decision.readiness}, as the runs that emit it are"
    if decision.evaluated is None:
        ordered = " has been ordered to run, and" if decision.due else ""
        return f"waits for nothing:{ordered} it is {obstacles if ordered else decision.readiness}"
    if decision.ignored:
        return "runs no more by itself here (rerun: ignore, or skipped); what is new starts no run"
    if decision.skips:
        return f"is given up: it should have been started{moment('by', decision.due_by)} (on_late: skip)"
    if decision.ready:
        return f"would fire now, but it is {obstacles}"
    if decision.items is not None and (decision.items.busy or not decision.due):
        words = items_in_words(decision.items)
        if decision.items.busy or decision.readiness is Readiness.BUSY:
            return f"runs: {words}"
        if decision.items.stuck and decision.readiness is Readiness.STUCK:
            return f"cannot end by itself: {words}"
    if not MOVING.isdisjoint(decision.obstacles):
        return f"is on its way: it is {obstacles}{until_stopped(decision)}"
    if decision.readiness is Readiness.BUSY:
        busy = [one for one in all_inputs(decision.evaluated) if one.busy]
        waited_for = listed([named(one.target, decision.target) for one in busy])
        if all(one.dependency.on is On.FAILURE for one in busy):
            return f"waits for the end of {waited_for}, and fires only on a failure"
        return f"is due and waits for {waited_for}"
    if decision.readiness is Readiness.STUCK:
        inputs = [_why_repairable(one, decision) for one in all_inputs(decision.evaluated) if one.repairable]
        return f"is out of date and cannot run by itself: {listed([*inputs, *sorted(decision.obstacles)], '; ')}"
    if not decision.evaluated.holds:
        if is_out_of_reach(decision.evaluated):
            return f"never fires in this partition: {no_input(decision.evaluated, decision.target)}"
        return f"is settled: it still needs {_needed(decision.evaluated, decision.target)}"
    return "is settled: nothing that it needs is new"


def until_stopped(decision: Decision) -> str:
    """When its present attempt is stopped, in words; empty if it may take any time."""
    return f"; it is stopped{moment('at', decision.stops_at)} if it still runs" if decision.stops_at is not None else ""


def _reason_by_retry(decision: Decision, obstacles: str) -> str:
    """The reason where a run that failed is started again."""
    assert decision.retry is not None
    if obstacles:
        return f"failed, and would be started again ({decision.retry}), but it is {obstacles}"
    when = " now" if decision.ready else moment("at", decision.retry.at)
    return f"failed, and is started again{when} ({decision.retry})"


def items_in_words(items: Standing) -> str:
    """How the items of a pipeline stand, without its name."""
    if items.busy:
        waits = f", and {items.stuck:,} cannot go on by themselves" if items.stuck else ""
        return f"{items.busy:,} of its {items.items:,} items have not ended{waits}"
    if items.stuck:
        return f"{items.stuck:,} of its {items.items:,} items cannot go on by themselves"
    return f"all of its {items.items:,} items have ended"


def _reason_by_sensors(decision: Decision, obstacles: str) -> str:
    """The reason where only sensors ask for something."""
    sensors = [one for one in decision.sensors if one.new or one.busy or one.repairable]
    names = listed(sorted({one.seen.ref.task_id for one in sensors}))
    what = f"{'its sensor' if len(sensors) == 1 else 'its sensors'} {names}, with everything below"
    if decision.fires:
        return f"fires now: it clears {what}"
    if not MOVING.isdisjoint(decision.obstacles):
        return f"is on its way: it is {obstacles}"
    if any(one.is_loop and one.new for one in sensors):
        return f"clears {what} only if a person releases it: what it waits for waits for it in turn"
    if decision.ready:
        return f"would clear {what}, but it is {obstacles}"
    waited_for = sorted({named(one.wait.upstream, decision.target) for one in sensors if not one.new})
    if decision.readiness is Readiness.BUSY:
        return f"clears {what}, once {listed(waited_for)} {'has' if len(waited_for) == 1 else 'have'} ended"
    reasons = listed([listed(waited_for), *sorted(decision.obstacles)], "; ")
    return f"is out of date and cannot run by itself: its sensor {names} waits for {reasons}"


def is_out_of_reach(evaluated: Evaluated) -> bool:
    """Whether no completion can ever make a condition hold: its mappings give this partition too few inputs."""
    if isinstance(evaluated, EvaluatedInput):
        return False
    if evaluated.dependency is not None and not evaluated.branches:
        return not gathers(evaluated.dependency.mapping)  # its inputs are known only as they arrive
    return evaluated.n > sum(not is_out_of_reach(branch) for branch in evaluated.branches)


def no_input(evaluated: Evaluated, target: Target) -> str:
    """The dependencies that give a partition no input, in words."""
    return listed([f"no partition of {one} belongs to {target.partition}" for one in _without_input(evaluated)], "; ")


def _without_input(evaluated: Evaluated) -> Iterator[Dependency]:
    if isinstance(evaluated, EvaluatedBranch) and is_out_of_reach(evaluated):
        if evaluated.dependency is not None:
            yield evaluated.dependency
        for branch in evaluated.branches:
            yield from _without_input(branch)


def still_needed(evaluated: EvaluatedBranch) -> tuple[int, list[Evaluated]]:
    """How many more branches must hold, and which can come to hold."""
    missing = [branch for branch in evaluated.branches if not branch.holds]
    needed = evaluated.n - (len(evaluated.branches) - len(missing))
    return needed, [branch for branch in missing if not is_out_of_reach(branch)]


def _needed(evaluated: Evaluated, target: Target) -> str:
    """What a part of the condition that can come to hold still needs."""
    if isinstance(evaluated, EvaluatedInput):
        return named(evaluated.target, target)
    if not evaluated.branches:
        return f"a partition of {evaluated.dependency} that belongs to {target.partition}"
    needed, missing = still_needed(evaluated)
    parts = [_needed(branch, target) for branch in missing]
    if needed < len(missing):
        joint = " or " if needed == 1 else ", "
        return ("" if needed == 1 else f"{needed} of these {len(missing)}: ") + listed(_apart(parts), joint)
    every = all(isinstance(branch, EvaluatedInput) or branch.n == len(branch.branches) > 0 for branch in missing)
    return listed(parts if every else _apart(parts))


def _apart(parts: list[str]) -> list[str]:
    """Put inner lists in brackets."""
    return [f"({part})" if len(parts) > 1 and (", " in part or " or " in part) else part for part in parts]


def missing_inputs(evaluated: Evaluated) -> Iterator[EvaluatedInput]:
    """The inputs that do not hold, in branches that do not hold."""
    if evaluated.holds:
        return
    if isinstance(evaluated, EvaluatedBranch):
        for branch in evaluated.branches:
            yield from missing_inputs(branch)
    else:
        yield evaluated


def _why_repairable(one: EvaluatedInput, decision: Decision) -> str:
    name = named(one.target, decision.target)
    return f"{name} is stuck" if one.readiness is Readiness.STUCK else f"{name} has failed"
