"""Judging a condition: which inputs count, which branches hold, and what they would be if things went on.

Every branch is judged three times, each time more generously:

* ``holds``       with the inputs that count now
* ``would_hold``  ... and those that are busy, as if they ended well
* ``if_mended``   ... and those that failed anew or are stuck, as if somebody mended them

so that "wait" (something used is still coming) and "stuck" (only mending would help) are differences between
two judgements, and a branch that does not hold contributes nothing: neither newness nor unsettledness.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from coordinator.model.conditions import Condition, Dependency, On
from coordinator.model.dependencies import Settle
from coordinator.model.durations import after
from coordinator.model.graph import Node
from coordinator.model.mapping import FanOut, FixedKey, Identity, Latest, Offset, Rollup, StartOf
from coordinator.model.references import Target
from coordinator.model.runstate import RunState, State
from coordinator.model.trigger import Consumed, TriggerRecord
from coordinator.model.view import SeenState, Standing, View

NO_PARTITION = "latest"
"""Stands for the partition of a newest completion that does not exist yet."""


class JudgedInput(NamedTuple):
    """One input of a downstream pipeline, with everything that was weighed. A named tuple, for it is made so often.

    :ivar triggers: it can start the downstream; otherwise it is a gate.
    :ivar met: its state satisfies the dependency.
    :ivar new: it triggers, and its completion is not the one consumed, and younger than the dependency.
    :ivar busy: it is due to run, or running.
    :ivar mendable: it failed anew, or is stuck.
    :ivar expires: when a completion that is met will be older than the dependency allows.
    """

    dependency: Dependency
    target: Target
    seen: SeenState | None
    consumed: Consumed | None
    standing: Standing
    triggers: bool
    met: bool
    new: bool
    holds: bool
    mendable: bool
    expires: datetime | None = None

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
    """An inner node, or the partitions of a dependency whose mapping names several: at least ``n`` of the branches.

    :ivar dependency: the dependency whose partitions these are; ``None`` for a node of the condition.
    """

    n: int
    word: str
    branches: tuple[Judged, ...]
    holds: bool
    would_hold: bool
    if_mended: bool
    dependency: Dependency | None = None


Judged = JudgedInput | JudgedBranch


def judge(view: View, node: Node, target: Target, record: TriggerRecord | None) -> tuple[Judged, list[JudgedInput]]:
    """Judge a downstream pipeline's condition for a partition.

    :param record: what the pipeline has been started for before.
    :returns: the condition, judged, and all its inputs from left to right.
    """
    judge = _Judge(view, node, target, record)
    return judge.visit(node.downstream.condition), judge.inputs


class _Judge:
    def __init__(self, view: View, node: Node, target: Target, record: TriggerRecord | None) -> None:
        self._view = view
        self._node = node
        self._target = target
        self._consumed = record.consumed if record is not None else {}
        self._direct = node.downstream.settle is Settle.DIRECT
        self.inputs: list[JudgedInput] = []
        self._past = 0
        if record is None and (floor := view.floor(target.pipeline)) is not None:
            self._past = floor.revision  # what stood on it may have been removed (case 20)

    def visit(self, condition: Condition) -> Judged:
        if isinstance(condition, Dependency):
            return self._dependency(condition)
        return _branch(condition.n, condition.word, tuple(self.visit(branch) for branch in condition.of))

    def _dependency(self, dependency: Dependency) -> Judged:
        """The inputs that a dependency names for this partition, through its mapping."""
        mapping, upstream, partition = dependency.mapping, dependency.upstream, self._target.partition
        targets: Sequence[Target]
        match mapping:
            case Identity():
                return self._input(dependency, Target(upstream, partition))
            case Latest():
                return self._newest(dependency)
            case FixedKey():
                if partition == mapping.downstream_key:
                    return self._newest(dependency)
                targets = ()
            case StartOf():
                targets = sorted(self._view.gathered(dependency, self._target))
            case _:
                targets = [Target(upstream, one) for one in mapping.upstreams(partition)]
        inputs = tuple(self._input(dependency, target) for target in targets)
        if len(inputs) == 1 and isinstance(mapping, FanOut | Offset):
            return inputs[0]
        needed = mapping.needed(len(targets)) if isinstance(mapping, Rollup) and targets else 1
        return _branch(needed, str(dependency), inputs, dependency)

    def _newest(self, dependency: Dependency) -> JudgedInput:
        newest = self._view.newest(dependency.upstream)
        coming = self._view.is_coming(dependency.upstream)
        triggers = dependency.trigger and (
            isinstance(dependency.mapping, FixedKey) or self._view.is_newest_partition(self._target)
        )
        target = newest or Target(dependency.upstream, NO_PARTITION)
        # Where the newest one has been deleted an older one is the newest again, and is not new for that.
        stood_on = [one.revision for before, one in self._consumed.items() if before.pipeline == dependency.upstream]
        return self._input(
            dependency,
            target,
            standing=Standing.BUSY if coming else None,
            triggers=triggers,
            since=max(stood_on, default=0),
        )

    def _input(
        self,
        dependency: Dependency,
        target: Target,
        *,
        standing: Standing | None = None,
        triggers: bool | None = None,
        since: int = 0,
    ) -> JudgedInput:
        view = self._view
        seen = view.state(target)
        if standing is None:
            standing = view.standing(target)
        if triggers is None:
            triggers = dependency.trigger
        before = self._consumed.get(target)
        met = changed = failed = False
        expires = None
        if seen is not None and isinstance(seen.value, RunState) and seen.value.state.is_terminal:
            met = dependency.on.satisfied_by(seen.value.state)
            since = max(self._node.active_since[dependency], self._past, since)
            changed = seen.revision > since and not _is_consumed(before, seen.value, seen.revision)
            failed = seen.value.state is State.FAILED and dependency.on is On.SUCCESS
            if met and dependency.max_age is not None:
                observed = seen.value.observed_at
                expires = after(observed, dependency.max_age) if observed is not None else None
                met = expires is not None and view.now < expires
        one = JudgedInput(
            dependency,
            target,
            seen,
            before,
            standing,
            triggers=triggers,
            met=met,
            new=changed and triggers,
            holds=met and (standing is Standing.SETTLED or self._direct),
            mendable=standing is Standing.STUCK or (failed and changed),
            expires=expires,
        )
        self.inputs.append(one)
        return one


def judge_input(
    view: View, node: Node, target: Target, record: TriggerRecord | None, dependency: Dependency, upstream: Target
) -> JudgedInput:
    """Judge one input alone, which a dependency names whatever has arrived. Parameters as in :func:`judge`."""
    return _Judge(view, node, target, record)._input(dependency, upstream)


def _branch(n: int, word: str, branches: tuple[Judged, ...], dependency: Dependency | None = None) -> JudgedBranch:
    return JudgedBranch(
        n=n,
        word=word,
        branches=branches,
        holds=sum(branch.holds for branch in branches) >= n,
        would_hold=sum(branch.would_hold for branch in branches) >= n,
        if_mended=sum(branch.if_mended for branch in branches) >= n,
        dependency=dependency,
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


def inputs_if_mended(judged: Judged) -> Iterator[JudgedInput]:
    """The inputs of the branches that would hold if somebody mended what failed."""
    if not judged.if_mended:
        return
    if isinstance(judged, JudgedInput):
        yield judged
    else:
        for branch in judged.branches:
            yield from inputs_if_mended(branch)


def all_inputs(judged: Judged) -> Iterator[JudgedInput]:
    """Every input of the condition, from left to right."""
    if isinstance(judged, JudgedInput):
        yield judged
    else:
        for branch in judged.branches:
            yield from all_inputs(branch)
