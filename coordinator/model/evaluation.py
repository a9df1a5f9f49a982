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
from datetime import datetime
from typing import NamedTuple

import msgspec

from coordinator.model.conditions import Condition, Dependency, On
from coordinator.model.consumption import NOTHING, Consumed, Fingerprint
from coordinator.model.dependencies import Settle
from coordinator.model.durations import after
from coordinator.model.graph import Node
from coordinator.model.partitions import FanOut, FixedKey, Identity, Latest, Offset, Rollup, StartOf
from coordinator.model.references import Target
from coordinator.model.runstate import RunState, State
from coordinator.model.trigger import TriggerRecord
from coordinator.model.view import SeenState, Standing, View

NO_PARTITION = "latest"
"""Stands for the partition of a newest completion that does not exist yet."""


class JudgedInput(NamedTuple):
    """One input of a downstream pipeline, with everything that was weighed. A named tuple, for it is made so often.

    :ivar triggers: it can start the downstream; otherwise it is a gate.
    :ivar met: its state satisfies the dependency.
    :ivar consumed: the completion of it that was used, as far as that is kept.
    :ivar new: it triggers, and its completion is not the one consumed, and younger than the dependency.
    :ivar busy: it is due to run, or running.
    :ivar mendable: it failed anew, or is stuck.
    :ivar awaited: the partitions that are waited for, where the input is the newest completion: they make it busy.
    :ivar expires: when a completion that is met will be older than the dependency allows.
    """

    dependency: Dependency
    target: Target
    seen: SeenState | None
    consumed: Consumed | Fingerprint | None
    standing: Standing
    triggers: bool
    met: bool
    new: bool
    holds: bool
    mendable: bool
    expires: datetime | None = None
    awaited: tuple[Target, ...] = ()

    @property
    def busy(self) -> bool:
        return self.standing is Standing.BUSY

    @property
    def would_hold(self) -> bool:
        return self.holds or self.busy

    @property
    def if_mended(self) -> bool:
        return self.holds or self.busy or self.mendable


class JudgedBranch(msgspec.Struct, frozen=True):
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
        self._consumed = record.consumed if record is not None else NOTHING
        self._direct = node.downstream.settle is Settle.DIRECT
        self.inputs: list[JudgedInput] = []
        self._newest_known: set[str] | None = None
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
        """The upstream's newest completion. Others may come for ever: waited for are those of this wave alone."""
        view, upstream = self._view, dependency.upstream
        newest = view.newest(upstream)
        triggers = dependency.trigger and (
            isinstance(dependency.mapping, FixedKey)
            or view.is_newest_partition(self._target)
            or view.is_coming_partition(self._target)
        )
        # Where the newest one has been deleted an older one is the newest again, and is not new for that.
        since = self._consumed.newest_revision((upstream,))
        expected = {self._target.partition, *(one.partition for one in self._consumed.as_newest_of(upstream))}
        if newest is None or not self._is_changed(dependency, newest, since):
            # It has still to bring what others of this wave have brought: for its waves, one run.
            expected |= self._newest_partitions()
        awaited = (Target(upstream, one) for one in expected)
        busy = tuple(one for one in awaited if view.standing(one) is Standing.BUSY)
        return self._input(
            dependency,
            newest or Target(upstream, NO_PARTITION),
            busy=busy,
            triggers=triggers,
            since=since,
        )

    def _newest_partitions(self) -> set[str]:
        """The partitions of the newest completions that this partition stands on, of whatever upstream."""
        if self._newest_known is None:
            upstreams = {leaf.upstream for leaf in self._node.leaves() if isinstance(leaf.mapping, Latest | FixedKey)}
            newest = (self._view.newest(upstream) for upstream in upstreams)
            self._newest_known = {one.partition for one in newest if one is not None}
        return self._newest_known

    def _is_changed(self, dependency: Dependency, target: Target, since: int) -> bool:
        """Whether a completion is another than the one used, and younger than all that is the past."""
        seen = self._view.state(target)
        if seen is None or not isinstance(seen.value, RunState):
            return False
        since = max(self._node.active_since[dependency], self._past, since)
        return seen.revision > since and not is_consumed(self._consumed.get(target), seen.value, seen.revision)

    def _input(
        self,
        dependency: Dependency,
        target: Target,
        *,
        busy: tuple[Target, ...] = (),
        triggers: bool | None = None,
        since: int = 0,
    ) -> JudgedInput:
        view = self._view
        seen = view.state(target)
        standing = Standing.BUSY if busy else view.standing(target)
        if triggers is None:
            triggers = dependency.trigger
        before = self._consumed.get(target)
        met = changed = failed = False
        expires = None
        if seen is not None and isinstance(seen.value, RunState) and seen.value.state.is_terminal:
            met = dependency.on.satisfied_by(seen.value.state)
            since = max(self._node.active_since[dependency], self._past, since)
            changed = seen.revision > since and not is_consumed(before, seen.value, seen.revision)
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
            awaited=busy,
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


def is_consumed(used: Consumed | Fingerprint | None, present: RunState, revision: int) -> bool:
    """Whether this completion is the one that was used."""
    return used is not None and used.is_same(present, revision)


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
