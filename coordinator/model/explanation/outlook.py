"""What would make a pipeline fire, in a sentence that follows its condition."""

from __future__ import annotations

from collections.abc import Iterator

from coordinator.model.decide import Decision, Obstacle
from coordinator.model.explanation.causes import own_causes
from coordinator.model.explanation.headline import MOVING, reason
from coordinator.model.explanation.words import asked_for, did, listed, named, run_state, state_of
from coordinator.model.judgement import Judged, JudgedBranch, JudgedInput, inputs_that_would_hold
from coordinator.model.references import Target
from coordinator.model.runstate import State
from coordinator.model.standings import Standings
from coordinator.model.view import Standing


def outlook(standings: Standings, decision: Decision) -> str:
    """What would make it fire.

    :param standings: also decides about the inputs, to say how they are.
    """
    if decision.judged is None:
        return "It waits for nothing here: its own schedule, or a person, starts it."
    if decision.fires:
        return "It fires now, by the watcher that leads."
    asked = list(_Outlook(standings, decision.target).of(decision, decision.judged))
    idle = decision.judged.holds and not decision.due and not decision.ready and not decision.ignored
    if idle and not MOVING.isdisjoint(decision.obstacles):
        return f"Its run goes on, and nothing is new since. It fires again when {', and '.join(asked)}."
    return f"{'Nothing that it needs is new. ' if idle else ''}It fires when {', and '.join(asked)}."


class _Outlook:
    def __init__(self, standings: Standings, target: Target) -> None:
        self._standings = standings
        self._target = target

    def of(self, decision: Decision, judged: Judged) -> Iterator[str]:
        if not MOVING.isdisjoint(decision.obstacles):
            yield "its present run has ended"
        yield from self._obstacles(decision)
        if decision.ignored:
            yield "a person runs it (rerun: ignore)"
        elif not judged.holds:
            yield self._what_is_missing(judged)
        elif not decision.due and not decision.ready:
            yield self._another(judged)
        for one in inputs_that_would_hold(judged):
            if one.busy and one.holds is False and judged.holds:
                yield f"{self._name(one)} has come to rest ({self._how_it_is(one)})"

    def _obstacles(self, decision: Decision) -> Iterator[str]:
        if Obstacle.HELD in decision.obstacles:
            yield f"it is released (coordinator release {self._target.pipeline})"
        if Obstacle.BLOCKED in decision.obstacles and decision.due:
            yield "its environment takes the request (it is tried again by itself)"
        if Obstacle.UNREADABLE_RECORD in decision.obstacles:
            yield "its trigger record is mended or deleted"

    def _what_is_missing(self, judged: Judged) -> str:
        """What a part of the condition that does not hold needs for holding."""
        if isinstance(judged, JudgedInput):
            cleared = "is cleared and " if self._has_failed(judged) else ""
            return f"{self._name(judged)} {cleared}{asked_for(judged.dependency)} ({self._how_it_is(judged)})"
        missing = [branch for branch in judged.branches if not branch.holds]
        needed = judged.n - (len(judged.branches) - len(missing))
        parts = [self._bracketed(branch, self._what_is_missing(branch)) for branch in missing]
        if needed == len(missing):
            return listed(parts, " and ")
        if needed == 1:
            return listed(parts, " or ")
        return f"{needed} of these: {listed(parts)}"

    def _another(self, judged: Judged) -> str:
        """What would be news for a part of the condition that holds."""
        if isinstance(judged, JudgedInput):
            return f"{self._name(judged)} completes again"
        parts = [
            self._another(branch) if branch.holds else self._bracketed(branch, self._what_is_missing(branch))
            for branch in judged.branches
        ]
        return listed(parts, " or ")

    @staticmethod
    def _bracketed(judged: Judged, text: str) -> str:
        several = isinstance(judged, JudgedBranch) and sum(not branch.holds for branch in judged.branches) > 1
        return f"({text})" if several else text

    def _name(self, one: JudgedInput) -> str:
        return named(one.target, self._target)

    def _has_failed(self, one: JudgedInput) -> bool:
        state = run_state(one.seen)
        return state is not None and state.state is State.FAILED and one.standing is Standing.SETTLED

    def _how_it_is(self, one: JudgedInput) -> str:
        """In short: the causes, which are told beside this, name runs and reasons."""
        state = run_state(one.seen)
        if one.standing is Standing.SETTLED:
            return state_of(one) if state is None else f"it {did(state, in_run=False)}"
        upstream = self._standings.decide(one.target)
        if Obstacle.RUNNING in upstream.obstacles and state is not None:
            return f"it {did(state, in_run=False)}"
        own = [f"it {cause.says}" for cause in own_causes(self._standings, upstream)]
        return "; ".join(own) or f"it {reason(upstream)}"
