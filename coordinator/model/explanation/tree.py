"""The condition as a tree: each node true or false, each input with its details."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from coordinator.model.conditions import Dependency
from coordinator.model.consumption import Consumed
from coordinator.model.evaluation import Evaluated, EvaluatedBranch, EvaluatedInput
from coordinator.model.explanation.headline import is_out_of_reach
from coordinator.model.explanation.words import LISTED, input_named, listed, moment, run_in_words, state_of
from coordinator.model.references import Target
from coordinator.model.view import Readiness, readable_state

SHOWN = 3
"""Partitions of one dependency that are shown one by one; if there are more, only those that do not hold."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line.

    :ivar depth: its indentation.
    :ivar holds: whether this part of the condition holds; ``None`` for a line that only adds to the one above.
    :ivar about: the input that it is about, if it is about one.
    :ivar name: how ``text`` names that.
    """

    depth: int
    holds: bool | None
    text: str
    about: EvaluatedInput | None = None
    name: str = ""


Why = Callable[[EvaluatedInput], str]
"""Returns why an input is not settled."""


def tree(evaluated: Evaluated, target: Target, why: Why = lambda one: str(one.readiness)) -> Iterator[Line]:
    """The condition of a pipeline in a partition, from the top.

    :param why: called for each input that is busy or stuck.
    """
    yield from _lines(evaluated, target, why, 0)


def _lines(evaluated: Evaluated, target: Target, why: Why, depth: int) -> Iterator[Line]:
    if isinstance(evaluated, EvaluatedInput):
        name = input_named(evaluated, target)
        yield Line(depth, evaluated.holds, _input(evaluated, name), evaluated, name)
        if details := "; ".join(_details(evaluated)):
            yield Line(depth + 1, None, details)
        if evaluated.readiness is not Readiness.SETTLED:
            yield Line(depth + 1, None, f"{evaluated.readiness}: {why(evaluated)}")
    elif evaluated.dependency is not None:
        yield from _partitions(evaluated, evaluated.dependency, target, why, depth)
    else:
        holding = sum(branch.holds for branch in evaluated.branches)
        yield Line(depth, evaluated.holds, f"{evaluated.word} ({holding} of {len(evaluated.branches)} hold)")
        for branch in evaluated.branches:
            yield from _lines(branch, target, why, depth + 1)


def _partitions(
    evaluated: EvaluatedBranch, dependency: Dependency, target: Target, why: Why, depth: int
) -> Iterator[Line]:
    """The partitions that a mapping names, summarised: of a day of hours, the missing ones are of interest."""
    if not evaluated.branches:
        yet = "" if is_out_of_reach(evaluated) else " yet"
        yield Line(depth, False, f"{dependency}: no partition of it belongs to {target.partition}{yet}")
        return
    inputs = [branch for branch in evaluated.branches if isinstance(branch, EvaluatedInput)]
    missing = [one for one in inputs if not one.holds]
    counted = f"{len(inputs) - len(missing)} of {len(inputs)} hold"
    if evaluated.n != len(inputs):
        counted += f", {evaluated.n} needed"
    folded = len(inputs) > SHOWN
    if folded and missing:
        counted += f"; missing: {listed([one.target.partition for one in missing])}"
    yield Line(depth, evaluated.holds, f"{dependency}: {counted}")
    interesting = [one for one in missing if one.seen is not None or one.readiness is not Readiness.SETTLED]
    for one in interesting[:LISTED] if folded else inputs:
        yield from _lines(one, target, why, depth + 1)
    news = sum(one.new and one.holds for one in inputs)
    if folded and news:
        yield Line(depth + 1, None, f"{news} of them new")


def _input(one: EvaluatedInput, name: str) -> str:
    """An input in a line: its state, its revision, and whether it is new."""
    state = readable_state(one.seen)
    parts = [f"{str(one.dependency).replace(str(one.dependency.upstream), name, 1)}: {state_of(one.seen)}"]
    if one.seen is not None and state is not None:
        parts.append(f"revision {one.seen.revision}")
    if one.dependency.max_age is not None and state is not None and one.dependency.on.satisfied_by(state.state):
        age = moment("fresh until", one.expires) if one.met else moment("too old since", one.expires)
        parts.append(age.strip() or "of unknown age")
    if one.new:
        parts.append("new")
    elif one.dependency.trigger and not one.triggers:
        parts.append("starts the newest partition only")
    elif one.met and one.triggers:
        parts.append("used before" if one.consumed is not None else "from before this dependency, so not new")
    return ", ".join(parts)


def _details(one: EvaluatedInput) -> Iterator[str]:
    """The run of an input, and what was used of it before."""
    state, consumed = readable_state(one.seen), one.consumed
    if state is not None and state.state.is_terminal:  # for a run that goes on, the reason why it is busy names it
        yield run_in_words(state).strip()
    if isinstance(consumed, Consumed) and (one.new or not one.met):
        queued = moment("queued at", consumed.attempt.queued_at)
        yield f"revision {consumed.revision} was used before ({consumed.state}{queued})"
