"""The condition as a tree: each node true or false, each input with what was weighed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from coordinator.model.explanation.words import moment, named, run_in_words, run_state, state_of
from coordinator.model.judgement import Judged, JudgedBranch, JudgedInput
from coordinator.model.references import Target
from coordinator.model.view import Standing


@dataclass(frozen=True, slots=True)
class Line:
    """One line.

    :ivar depth: how far in it stands.
    :ivar holds: whether this part of the condition holds; ``None`` for a line that only adds to the one above.
    """

    depth: int
    holds: bool | None
    text: str


Why = Callable[[JudgedInput], str]
"""Why an input is not at rest."""


def tree(judged: Judged, target: Target, why: Why = lambda one: str(one.standing)) -> Iterator[Line]:
    """The condition of a pipeline in a partition, from the top.

    :param why: asked about each input that is busy or stuck.
    """
    yield from _lines(judged, target, why, 0)


def _lines(judged: Judged, target: Target, why: Why, depth: int) -> Iterator[Line]:
    if isinstance(judged, JudgedBranch):
        holding = sum(branch.holds for branch in judged.branches)
        yield Line(depth, judged.holds, f"{judged.word} ({holding} of {len(judged.branches)} hold)")
        for branch in judged.branches:
            yield from _lines(branch, target, why, depth + 1)
        return
    yield Line(depth, judged.holds, _input(judged, target))
    if details := "; ".join(_details(judged)):
        yield Line(depth + 1, None, details)
    if judged.standing is not Standing.SETTLED:
        yield Line(depth + 1, None, f"{judged.standing}: {why(judged)}")


def _input(one: JudgedInput, target: Target) -> str:
    """An input in a line: its state, its revision, and whether it is new."""
    name = named(one.target, target)
    parts = [f"{str(one.dependency).replace(str(one.dependency.upstream), name, 1)}: {state_of(one)}"]
    if one.seen is not None and run_state(one.seen) is not None:
        parts.append(f"revision {one.seen.revision}")
    if one.new:
        parts.append("new")
    elif one.met:
        parts.append("consumed" if one.consumed is not None else "from before this dependency, so not new")
    return ", ".join(parts)


def _details(one: JudgedInput) -> Iterator[str]:
    """The run of an input, and what was consumed of it before."""
    state, consumed = run_state(one.seen), one.consumed
    if state is not None and state.state.is_terminal:  # of one that goes on, the reason why it is busy tells it
        yield run_in_words(state).strip()
    if consumed is not None and (one.new or not one.met):
        queued = moment("queued at", consumed.attempt.queued_at)
        yield f"revision {consumed.revision} was consumed ({consumed.state}{queued})"
