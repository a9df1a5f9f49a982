"""What would make a pipeline fire, in a sentence that follows its condition."""

from __future__ import annotations

from collections.abc import Iterator

from coordinator.model.decide import Decision, Obstacle
from coordinator.model.dependencies import OnLate
from coordinator.model.evaluation import Judged, JudgedBranch, JudgedInput, inputs_that_would_hold
from coordinator.model.explanation.causes import why_unsettled
from coordinator.model.explanation.headline import MOVING, is_out_of_reach, no_input, still_needed
from coordinator.model.explanation.words import (
    asked_for,
    did,
    how_to_release,
    input_named,
    listed,
    moment,
    state_of,
)
from coordinator.model.propagation.readiness import Standings
from coordinator.model.references import Target
from coordinator.model.runstate import State
from coordinator.model.view import Standing, readable_state


def outlook(standings: Standings, decision: Decision) -> str:
    """What would make it fire.

    :param standings: also decides about the inputs, to say how they are.
    """
    if decision.fires:
        return "It fires now, by the watcher that leads."
    asked = list(_Outlook(standings, decision.target).of(decision))
    if decision.judged is None and not asked:
        return "It waits for nothing here: its own schedule, or a person, starts it."
    return _sentence(decision, asked) + _at_the_deadline(standings, decision)


def _sentence(decision: Decision, asked: list[str]) -> str:
    if decision.skips:
        return "It is given up in this partition, unless a person orders it to run."
    if not asked:
        return "Nothing that it needs is new, and nothing of it can become new."
    idle = decision.judged is not None and decision.judged.holds and not decision.due and not decision.ready
    if idle and not decision.ignored and not MOVING.isdisjoint(decision.obstacles):
        return f"Its present run has not ended, and nothing is new since. It fires again when {', and '.join(asked)}."
    news = "Nothing that it needs is new. " if idle and not decision.ignored else ""
    return f"{news}It fires when {', and '.join(asked)}."


def _at_the_deadline(standings: Standings, decision: Decision) -> str:
    node = standings.graph.node(decision.target.pipeline)
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
    def __init__(self, standings: Standings, target: Target) -> None:
        self._standings = standings
        self._target = target

    def of(self, decision: Decision) -> Iterator[str]:
        judged = decision.judged
        if not MOVING.isdisjoint(decision.obstacles) and (judged is not None or decision.due):
            yield "its present run has ended"
        yield from self._obstacles(decision)
        if judged is None:
            return
        if decision.ignored:
            yield "a person orders it to run (rerun: ignore, or skipped)"
        elif is_out_of_reach(judged):
            yield f"a person orders it to run: {no_input(judged, self._target)}"
        elif not judged.holds and not decision.ready:
            yield self._what_is_missing(judged)
        elif not decision.due and not decision.ready and (another := self._another(judged)):
            yield another
        for one in inputs_that_would_hold(judged):
            if one.busy and not one.holds and judged.holds:
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

    def _what_is_missing(self, judged: Judged) -> str:
        """What a part of the condition that does not hold needs for holding."""
        if isinstance(judged, JudgedInput):
            cleared = "is cleared and " if self._has_failed(judged) else ""
            again = " again" if judged.expires is not None and not judged.met else ""
            return f"{self._name(judged)} {cleared}{asked_for(judged.dependency)}{again} ({self._how_it_is(judged)})"
        if not judged.branches:
            return f"a partition of {judged.dependency} belongs to {self._target.partition}"
        needed, missing = still_needed(judged)
        parts = [self._bracketed(branch, self._what_is_missing(branch)) for branch in missing]
        if needed == len(missing):
            return listed(parts, " and ")
        if needed == 1:
            return listed(parts, " or ")
        return f"{needed} of these: {listed(parts)}"

    def _another(self, judged: Judged) -> str:
        """What would be news for a part of the condition that holds; nothing for a gate."""
        if isinstance(judged, JudgedInput):
            return f"{self._name(judged)} completes again" if judged.triggers else ""
        if judged.dependency is not None and len(judged.branches) > 1:
            triggers = any(isinstance(one, JudgedInput) and one.triggers for one in judged.branches)
            upstream, partitions = judged.dependency.upstream, len(judged.branches)
            return f"{upstream} completes again in one of its {partitions} partitions" if triggers else ""
        parts = [
            self._another(branch) if branch.holds else self._bracketed(branch, self._what_is_missing(branch))
            for branch in judged.branches
            if branch.holds or not is_out_of_reach(branch)
        ]
        return listed([part for part in parts if part], " or ")

    @staticmethod
    def _bracketed(judged: Judged, text: str) -> str:
        several = isinstance(judged, JudgedBranch) and sum(not branch.holds for branch in judged.branches) > 1
        return f"({text})" if several else text

    def _name(self, one: JudgedInput) -> str:
        return input_named(one, self._target)

    def _has_failed(self, one: JudgedInput) -> bool:
        state = readable_state(one.seen)
        wanted = not one.met and one.expires is None
        return state is not None and state.state is State.FAILED and one.standing is Standing.SETTLED and wanted

    def _how_it_is(self, one: JudgedInput) -> str:
        """In short: the causes, which are told beside this, name runs and reasons."""
        state = readable_state(one.seen)
        if one.standing is Standing.SETTLED or (state is not None and not state.state.is_terminal):
            return state_of(one) if state is None else f"it {did(state, in_run=False)}"
        return f"it {why_unsettled(self._standings, one)}"
