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
    yield Line(depth, judged.holds, input_in_words(judged, target))
    if judged.standing is not Standing.SETTLED:
        yield Line(depth + 1, None, f"{judged.standing}: {why(judged)}")


def input_in_words(one: JudgedInput, target: Target) -> str:
    """An input: its state, run, time and revision, what was consumed of it, and whether it is new."""
    state = run_state(one.seen)
    name = named(one.target, target)
    label = str(one.dependency).replace(str(one.dependency.upstream), name, 1)
    parts = [f"{label}: {state_of(one)}{run_in_words(state) if state is not None else ''}"]
    if one.seen is not None and state is not None:
        parts.append(f"revision {one.seen.revision}")
    parts.extend(_news(one))
    return ", ".join(parts)


def _news(one: JudgedInput) -> Iterator[str]:
    """Whether it is new, and what was consumed before."""
    consumed = one.consumed
    if one.met and not one.new:
        yield "consumed" if consumed is not None else "from before this dependency, so not new"
    elif consumed is None:
        if one.new:
            yield "new"
    else:
        queued = moment("queued at", consumed.attempt.queued_at)
        before = f"revision {consumed.revision} was consumed ({consumed.state}{queued})"
        yield f"new: {before}" if one.new else before
