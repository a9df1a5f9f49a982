"""Judging a condition: which inputs count, which branches hold, and what they would be if things went on.

Every branch is judged three times, each time more generously:

* ``holds``       with the inputs that count now
* ``would_hold``  ... and those that are busy, as if they ended well
* ``if_mended``   ... and those that failed anew or are stuck, as if somebody mended them

so that "wait" (something used is still coming) and "stuck" (only mending would help) are differences between
two judgements, and a branch that does not hold contributes nothing: neither newness nor unsettledness.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from coordinator.model.conditions import Condition, Dependency, On
from coordinator.model.dependencies import Settle
from coordinator.model.graph import Graph, Node
from coordinator.model.references import Target
from coordinator.model.runstate import RunState, State
from coordinator.model.trigger import Consumed, Inputs
from coordinator.model.view import SeenState, Standing, View


@dataclass(frozen=True, slots=True)
class JudgedInput:
    """One input of a downstream pipeline, with everything that was weighed.

    :ivar met: its state satisfies the dependency.
    :ivar new: its completion is not the one consumed, and younger than the dependency.
    :ivar busy: it is due to run, or running.
    :ivar mendable: it failed anew, or is stuck.
    """

    dependency: Dependency
    target: Target
    seen: SeenState | None
    consumed: Consumed | None
    standing: Standing
    met: bool
    new: bool
    holds: bool
    mendable: bool

    @property
    def busy(self) -> bool:
        return self.standing is Standing.BUSY

    @property
    def would_hold(self) -> bool:
        return self.holds or self.busy

    @property
    def if_mended(self) -> bool:
        return self.holds or self.busy or self.mendable


@dataclass(frozen=True, slots=True)
class JudgedBranch:
    """An inner node, judged: at least ``n`` of the branches."""

    n: int
    word: str
    branches: tuple[Judged, ...]
    holds: bool
    would_hold: bool
    if_mended: bool


Judged = JudgedInput | JudgedBranch


def judge(graph: Graph, view: View, node: Node, target: Target, consumed: Inputs) -> Judged:
    """Judge a downstream pipeline's condition for a partition.

    :param consumed: the completions that the pipeline's record stands on.
    """

    def visit(condition: Condition) -> Judged:
        if isinstance(condition, Dependency):
            return _judge_input(graph, view, node, target, consumed, condition)
        branches = tuple(visit(branch) for branch in condition.of)
        return JudgedBranch(
            n=condition.n,
            word=condition.word,
            branches=branches,
            holds=sum(branch.holds for branch in branches) >= condition.n,
            would_hold=sum(branch.would_hold for branch in branches) >= condition.n,
            if_mended=sum(branch.if_mended for branch in branches) >= condition.n,
        )

    return visit(node.downstream.condition)


def _judge_input(
    graph: Graph, view: View, node: Node, downstream: Target, consumed: Inputs, dependency: Dependency
) -> JudgedInput:
    target = graph.input_of(dependency, downstream)
    seen = view.state(target)
    standing = view.standing(target)
    before = consumed.get(target)
    met = new = failed = False
    if seen is not None and isinstance(seen.value, RunState) and seen.value.state.is_terminal:
        met = dependency.on.satisfied_by(seen.value.state)
        new = seen.revision > node.active_since[dependency] and not _is_consumed(before, seen.value, seen.revision)
        failed = seen.value.state is State.FAILED and dependency.on is On.SUCCESS
    return JudgedInput(
        dependency=dependency,
        target=target,
        seen=seen,
        consumed=before,
        standing=standing,
        met=met,
        new=new,
        holds=met and (standing is Standing.SETTLED or node.downstream.settle is Settle.DIRECT),
        mendable=standing is Standing.STUCK or (failed and new),
    )


def _is_consumed(consumed: Consumed | None, present: RunState, revision: int) -> bool:
    """Whether this completion is the one that was consumed: the same attempt and state put again is the same."""
    if consumed is None:
        return False
    return consumed.revision == revision or (
        consumed.state is present.state and consumed.attempt.same_as(present.attempt)
    )


def inputs_that_hold(judged: Judged) -> Iterator[JudgedInput]:
    """The inputs of the branches that hold: what firing uses."""
    if not judged.holds:
        return
    if isinstance(judged, JudgedInput):
        yield judged
    else:
        for branch in judged.branches:
            yield from inputs_that_hold(branch)


def inputs_that_would_hold(judged: Judged) -> Iterator[JudgedInput]:
    """The inputs of the branches that would hold once what is busy has ended well."""
    if not judged.would_hold:
        return
    if isinstance(judged, JudgedInput):
        yield judged
    else:
        for branch in judged.branches:
            yield from inputs_that_would_hold(branch)


def all_inputs(judged: Judged) -> Iterator[JudgedInput]:
    """Every input of the condition, from left to right."""
    if isinstance(judged, JudgedInput):
        yield judged
    else:
        for branch in judged.branches:
            yield from all_inputs(branch)
