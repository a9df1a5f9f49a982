"""The outlook: what would make a pipeline fire, in a sentence that follows its condition."""

from __future__ import annotations

from collections.abc import Iterator

from coordinator.model.decide import Decision, Obstacle
from coordinator.model.dependencies import OnLate
from coordinator.model.evaluation import WOULD_HOLD, Evaluated, EvaluatedBranch, EvaluatedInput, inputs_at
from coordinator.model.explanation.causes import why_unsettled
from coordinator.model.explanation.headline import MOVING, is_out_of_reach, no_input, still_needed
from coordinator.model.explanation.words import (
    asked_for,
    did,
    how_to_release,
    input_named,
    listed,
    moment,
    named,
    sensor_name,
    state_of,
)
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.references import Target
from coordinator.model.runstate import State
from coordinator.model.view import Readiness, readable_state


def outlook(propagation: Propagation, decision: Decision) -> str:
    """What would make it fire.

    :param propagation: also decides about the inputs, to describe them.
    """
    if decision.fires:
        return "It fires now, by the watcher that leads."
    if decision.retries and decision.retry is not None and not decision.obstacles:
        return (
            f"It is started again{moment('at', decision.retry.at)} ({decision.retry}), or before that for what is new."
        )
    asked = list(_Outlook(propagation, decision.target).of(decision))
    if decision.by_sensors:
        return _of_sensors(decision, asked)
    if decision.evaluated is None and not asked:
        return "It waits for nothing here: its own schedule, or a person, starts it."
    return _sentence(decision, asked) + _at_the_deadline(propagation, decision)


def _sentence(decision: Decision, asked: list[str]) -> str:
    if decision.skips:
        return "It is given up in this partition, unless a person orders it to run."
    if not asked:
        return "Nothing that it needs is new, and nothing of it can become new."
    idle = decision.evaluated is not None and decision.evaluated.holds and not decision.due and not decision.ready
    if idle and not decision.ignored and not MOVING.isdisjoint(decision.obstacles):
        return f"Its present run has not ended, and nothing is new since. It fires again when {', and '.join(asked)}."
    news = "Nothing that it needs is new. " if idle and not decision.ignored else ""
    return f"{news}It fires when {', and '.join(asked)}."


def _of_sensors(decision: Decision, asked: list[str]) -> str:
    """What would clear the sensors that ask for it.

    :param asked: what keeps the pipeline itself from it.
    """
    target = decision.target
    sensors = [one for one in decision.sensors if one.new or one.busy or one.repairable]
    for one in sensors:
        if not one.new:
            ends = "has ended" if one.busy else asked_for(one.wait.on)
            asked.append(f"{named(one.wait.upstream, target)} {ends}")
    names = listed(sorted({sensor_name(one.seen.ref) for one in sensors}), " and ")
    if not asked:
        return f"A person lets {names} be cleared."
    return f"{names} {'is' if len(sensors) == 1 else 'are'} cleared when {listed(asked, ', and ')}."


def _at_the_deadline(propagation: Propagation, decision: Decision) -> str:
    node = propagation.graph.node(decision.target.pipeline)
    if node is None or decision.due_by is None or decision.late:
        return ""
    when = moment("At", decision.due_by)
    match node.downstream.on_late:
        case OnLate.FIRE:
            return f"{when} it fires with what is there then."
        case OnLate.SKIP:
            return f"{when} it is given up."
        case OnLate.SHOW:
            return f"{when} it is late."


class _Outlook:
    def __init__(self, propagation: Propagation, target: Target) -> None:
        self._propagation = propagation
        self._target = target

    def of(self, decision: Decision) -> Iterator[str]:
        evaluated = decision.evaluated
        if not MOVING.isdisjoint(decision.obstacles) and (evaluated is not None or decision.due):
            yield "its present run has ended"
        yield from self._obstacles(decision)
        if evaluated is None:
            return
        if decision.ignored:
            yield "a person orders it to run (rerun: ignore, or skipped)"
        elif is_out_of_reach(evaluated):
            yield f"a person orders it to run: {no_input(evaluated, self._target)}"
        elif not evaluated.holds and not decision.ready:
            yield self._what_is_missing(evaluated)
        elif not decision.due and not decision.ready and (another := self._another(evaluated)):
            yield another
        for one in inputs_at(evaluated, WOULD_HOLD):
            if one.busy and not one.holds and evaluated.holds:
                yield f"{self._name(one)} has come to rest ({self._how_it_is(one)})"

    def _obstacles(self, decision: Decision) -> Iterator[str]:
        if Obstacle.HELD in decision.obstacles:
            yield f"it is released ({how_to_release(self._target)})"
        if Obstacle.WAITS_FOR_RELEASE in decision.obstacles:
            yield f"a person lets it run again ({how_to_release(self._target, partition=True)})"
        if Obstacle.BLOCKED in decision.obstacles and decision.due:
            yield "its environment takes the request (it is tried again by itself)"
        if Obstacle.UNREADABLE_RECORD in decision.obstacles:
            yield "its trigger record is repaired or deleted"
        if Obstacle.BROKEN in decision.obstacles:
            yield "the coordinator can decide about it (it is tried again every minute)"

    def _what_is_missing(self, evaluated: Evaluated) -> str:
        """What a part of the condition that does not hold needs to hold."""
        if isinstance(evaluated, EvaluatedInput):
            cleared = "is cleared and " if self._has_failed(evaluated) else ""
            asked = asked_for(evaluated.dependency.on, evaluated.target.pipeline)
            again = " again" if evaluated.expires is not None and not evaluated.met else ""
            now = self._how_it_is(evaluated)
            return f"{self._name(evaluated)} {cleared}{asked}{again} ({now})"
        if not evaluated.branches:
            return f"a partition of {evaluated.dependency} belongs to {self._target.partition}"
        needed, missing = still_needed(evaluated)
        parts = [self._bracketed(branch, self._what_is_missing(branch)) for branch in missing]
        if needed == len(missing):
            return listed(parts, " and ")
        if needed == 1:
            return listed(parts, " or ")
        return f"{needed} of these: {listed(parts)}"

    def _another(self, evaluated: Evaluated) -> str:
        """What would be new for a part of the condition that holds; empty for a gate."""
        if isinstance(evaluated, EvaluatedInput):
            return f"{self._name(evaluated)} completes again" if evaluated.triggers else ""
        if evaluated.dependency is not None and len(evaluated.branches) > 1:
            triggers = any(isinstance(one, EvaluatedInput) and one.triggers for one in evaluated.branches)
            upstream, partitions = evaluated.dependency.upstream, len(evaluated.branches)
            return f"{upstream} completes again in one of its {partitions} partitions" if triggers else ""
        parts = [
            self._another(branch) if branch.holds else self._bracketed(branch, self._what_is_missing(branch))
            for branch in evaluated.branches
            if branch.holds or not is_out_of_reach(branch)
        ]
        return listed([part for part in parts if part], " or ")

    @staticmethod
    def _bracketed(evaluated: Evaluated, text: str) -> str:
        several = isinstance(evaluated, EvaluatedBranch) and sum(not branch.holds for branch in evaluated.branches) > 1
        return f"({text})" if several else text

    def _name(self, one: EvaluatedInput) -> str:
        return input_named(one, self._target)

    def _has_failed(self, one: EvaluatedInput) -> bool:
        state = readable_state(one.seen)
        wanted = not one.met and one.expires is None
        return state is not None and state.state is State.FAILED and one.readiness is Readiness.SETTLED and wanted

    def _how_it_is(self, one: EvaluatedInput) -> str:
        """The state of an input in short: runs and reasons are in the causes."""
        state = readable_state(one.seen)
        if one.readiness is Readiness.SETTLED or (state is not None and not state.state.is_terminal):
            return state_of(one.seen) if state is None else f"it {did(state, in_run=False)}"
        return f"it {why_unsettled(self._propagation, one)}"
