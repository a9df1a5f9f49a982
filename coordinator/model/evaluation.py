"""Evaluating a condition: which inputs count, which branches hold, and which would hold later.

Every branch is evaluated three times, each time with more inputs:

* ``holds``        with the inputs that count now
* ``would_hold``   ... and the busy ones, as if they succeeded
* ``if_repaired``  ... and those that failed again or are stuck, as if somebody repaired them

The differences between two evaluations show whether to wait (an input that it would use is still *coming*: it is busy)
and whether it is stuck (only a repair would help). A branch that does not hold contributes nothing: neither anything
new nor anything unsettled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from operator import attrgetter

import msgspec

from coordinator.model.assets.completions import AssetCompletion, readiness_of
from coordinator.model.assets.events import AssetState
from coordinator.model.conditions import Condition, Dependency, On
from coordinator.model.consumption import NOTHING, Consumed, Fingerprint
from coordinator.model.dependencies import Settle
from coordinator.model.durations import after
from coordinator.model.graph import Node
from coordinator.model.partitions import (
    Assets,
    FixedKey,
    Identity,
    Latest,
    Mapping,
    Rollup,
    Segments,
    StartOf,
    gathers,
    rolls_up,
)
from coordinator.model.references import Target, target_of
from coordinator.model.runstate import RunState, State
from coordinator.model.tasks import TaskObservation, observation_of
from coordinator.model.taskstate import TaskState
from coordinator.model.trigger import TriggerRecord
from coordinator.model.view import Readiness, SeenState, View

UNSURE = timedelta(seconds=60)
"""Clocks of environments may differ from ours by so much. A task that ended within it counts as new."""

NO_PARTITION = "latest"
"""The partition of a newest completion that does not exist yet."""


class EvaluatedInput(msgspec.Struct, frozen=True, gc=False):
    """One input of a downstream pipeline, evaluated.

    :ivar triggers: it can start the downstream; otherwise it is a gate.
    :ivar met: its state satisfies the dependency.
    :ivar consumed: its completion that was used, in full or as a fingerprint.
    :ivar new: it triggers, its completion is not the consumed one, and is newer than the activation of the dependency.
    :ivar busy: it is due to run, or running.
    :ivar repairable: it failed again, or is stuck.
    :ivar has_pending_change: it can start the downstream, and has changed, is about to change, or could be repaired.
    :ivar awaited: if the input is a newest completion: the partitions that may still bring a newer one, and make it
        busy.
    :ivar unasked: a task of a run that was there before anybody waited for it: its environment was not asked yet.
    :ivar expires: when its completion will be older than the dependency allows.
    """

    dependency: Dependency
    target: Target
    seen: SeenState | None
    consumed: Consumed | Fingerprint | None
    readiness: Readiness
    triggers: bool
    met: bool
    new: bool
    busy: bool
    repairable: bool
    has_pending_change: bool
    holds: bool
    would_hold: bool
    if_repaired: bool
    expires: datetime | None = None
    awaited: tuple[Target, ...] = ()
    unasked: bool = False


class EvaluatedBranch(msgspec.Struct, frozen=True):
    """An inner node, or the partitions of a dependency whose mapping names several: at least ``n`` of the branches.

    :ivar dependency: the dependency whose partitions these are; ``None`` for a node of the condition.
    """

    n: int
    word: str
    branches: tuple[Evaluated, ...]
    holds: bool
    would_hold: bool
    if_repaired: bool
    dependency: Dependency | None = None


Evaluated = EvaluatedInput | EvaluatedBranch

Level = Callable[[Evaluated], bool]
"""One of the three evaluations; see the module."""

HOLDS: Level = attrgetter("holds")
WOULD_HOLD: Level = attrgetter("would_hold")
IF_REPAIRED: Level = attrgetter("if_repaired")


def evaluate(
    view: View, node: Node, target: Target, record: TriggerRecord | None
) -> tuple[Evaluated, list[EvaluatedInput]]:
    """Evaluate a downstream pipeline's condition for a partition.

    :param record: the trigger record of the target.
    :returns: the condition, evaluated, and all its inputs from left to right.
    """
    evaluator = _Evaluator(view, node, target, record)
    return evaluator.visit(node.downstream.condition), evaluator.inputs


def _needed(mapping: Mapping, inputs: int) -> int:
    """How many of so many inputs must hold."""
    if isinstance(mapping, Rollup | Segments):
        return mapping.needed(inputs) if inputs else 1
    return max(1, inputs) if rolls_up(mapping) else 1


class _Evaluator:
    def __init__(self, view: View, node: Node, target: Target, record: TriggerRecord | None) -> None:
        self._view = view
        self._node = node
        self._target = target
        self._consumed = record.consumed if record is not None else NOTHING
        self._direct = node.downstream.settle is Settle.DIRECT
        self.inputs: list[EvaluatedInput] = []
        self._newest_known: set[str] | None = None
        self._past = 0
        if record is None and (watermark := view.watermark(target.pipeline)) is not None:
            self._past = watermark.revision  # a record that used older ones may have been removed (case 20)

    def visit(self, condition: Condition) -> Evaluated:
        if isinstance(condition, Dependency):
            return self._dependency(condition)
        return _branch(condition.n, condition.word, tuple(self.visit(branch) for branch in condition.of))

    def _dependency(self, dependency: Dependency) -> Evaluated:
        """The inputs of this partition by a dependency's mapping."""
        mapping, upstream, partition = dependency.mapping, dependency.upstream, self._target.partition
        targets: Sequence[Target]
        match mapping:
            case Identity():
                return self._input(dependency, target_of((upstream, partition)))
            case Latest():
                return self._newest(dependency)
            case FixedKey():
                if partition == mapping.downstream_key:
                    return self._newest(dependency)
                targets = ()
            case StartOf():
                targets = sorted(self._view.gathered(dependency, self._target))
            case Assets():
                gathered = sorted(self._view.gathered(dependency, self._target))
                targets = [event for event in gathered if self._is_handed_on(mapping, event)]
            case _ if gathers(mapping):
                targets = sorted(self._view.gathered(dependency, self._target))
            case _:
                targets = [Target(upstream, one) for one in mapping.upstreams(partition)]
        inputs = tuple(self._input(dependency, target) for target in targets)
        if len(inputs) == 1 and not gathers(mapping) and not rolls_up(mapping):
            return inputs[0]
        return _branch(_needed(mapping, len(targets)), str(dependency), inputs, dependency)

    def _newest(self, dependency: Dependency) -> EvaluatedInput:
        """The upstream's newest completion. Newer ones may come for ever: only those of this wave are waited for."""
        view, upstream = self._view, dependency.upstream
        newest = view.newest(upstream, without=lambda one: self._is_emitted_by_itself(dependency, one))
        triggers = dependency.trigger and (
            isinstance(dependency.mapping, FixedKey)
            or view.is_newest_partition(self._target)
            or view.is_coming_partition(self._target)
        )
        # If the newest one was deleted, an older one is the newest again, and must not count as new.
        since = self._consumed.newest_revision((upstream,))
        expected = {self._target.partition, *(one.partition for one in self._consumed.as_newest_of(upstream))}
        if newest is None or not self._is_changed(dependency, newest, since):
            # It is still to complete in partitions in which others of this wave have: one run for the wave.
            expected |= self._newest_partitions()
        awaited = (Target(upstream, one) for one in expected)
        busy = tuple(one for one in awaited if self._readiness(one) is Readiness.BUSY)
        return self._input(
            dependency,
            newest or Target(upstream, NO_PARTITION),
            busy=busy,
            triggers=triggers,
            since=since,
        )

    def _newest_partitions(self) -> set[str]:
        """The partitions of the newest completions that this partition uses, of any upstream."""
        if self._newest_known is None:
            upstreams = {leaf.upstream for leaf in self._node.leaves() if isinstance(leaf.mapping, Latest | FixedKey)}
            newest = (self._view.newest(upstream) for upstream in upstreams)
            self._newest_known = {one.partition for one in newest if one is not None}
        return self._newest_known

    def _is_changed(self, dependency: Dependency, target: Target, since: int) -> bool:
        """Whether a completion is not the used one, and is newer than the watermark and the activation."""
        seen = self._seen(dependency, target)
        if seen is None or not isinstance(seen.value, RunState):
            return False
        return self._is_new(dependency, target, seen, seen.value, since)

    def _is_new(self, dependency: Dependency, target: Target, seen: SeenState, state: RunState, since: int) -> bool:
        """:param since: the etcd revision before which a completion of this input is not new."""
        since = max(self._past, since)
        if not isinstance(state, AssetCompletion):  # of an asset, only that counts that is newer than the dependency
            since = max(self._node.active_since[dependency], since)
        return seen.came_at > since and not is_consumed(self._consumed.get(target), state, seen.used_up_to)

    def _own(self, target: Target) -> list[Target]:
        """The producers of an asset that do not count, because they are this downstream partition, or what it starts:
        it must neither wait for them nor be started by them."""
        seen = self._view.state(target)
        if seen is None or not isinstance(seen.value, AssetCompletion):
            return []
        return [one for one in seen.value.producers if self._view.comes_of(one, self._target)]

    def _seen(self, dependency: Dependency, target: Target) -> SeenState | None:
        """The state of an input; of an asset, as this downstream partition sees it."""
        seen = self._view.state(target)
        if seen is None or not isinstance(seen.value, AssetCompletion):
            return seen
        completion = seen.value.as_input(without=self._own(target), after=self._node.active_since[dependency])
        return SeenState(completion, seen.revision)

    def _readiness(self, target: Target) -> Readiness:
        """The readiness of an input, without what does not count."""
        own = self._own(target)
        return readiness_of(self._view, target, without=own) if own else self._view.readiness(target)

    def _is_emitted_by_itself(self, dependency: Dependency, target: Target) -> bool:
        """Whether all that counts of an asset in a partition was emitted by this downstream partition."""
        seen = self._seen(dependency, target)
        return seen is not None and not seen.came_at and bool(self._own(target))

    def _input(
        self,
        dependency: Dependency,
        target: Target,
        *,
        busy: tuple[Target, ...] = (),
        triggers: bool | None = None,
        since: int = 0,
    ) -> EvaluatedInput:
        view = self._view
        seen = self._seen(dependency, target)
        readiness = Readiness.BUSY if busy else self._readiness(target)
        if triggers is None:
            triggers = dependency.trigger
        before = self._consumed.get(target)
        met = changed = failed = unasked = False
        expires = None
        if target.pipeline.task:
            observation = observation_of(view, target)
            if observation is TaskObservation.OUTDATED and readiness is Readiness.SETTLED:
                # It ended before anybody waited for it: it starts nothing, and is asked about once another input does.
                readiness, triggers, unasked = Readiness.BUSY, False, True
            if observation is not TaskObservation.ENDED:
                seen = None
            elif seen is not None and self._is_past(dependency, target, seen):
                since = seen.revision
        if seen is not None and isinstance(seen.value, RunState) and seen.value.state.is_terminal:
            met = dependency.on.satisfied_by(seen.value.state)
            changed = self._is_new(dependency, target, seen, seen.value, since)
            failed = seen.value.state is State.FAILED and dependency.on is On.SUCCESS
            if met and dependency.max_age is not None:
                ended = seen.value.completed_at
                expires = after(ended, dependency.max_age) if ended is not None else None
                met = expires is not None and view.now < expires
        is_busy = readiness is Readiness.BUSY
        holds = met and (readiness is Readiness.SETTLED or self._direct)
        would_hold = holds or is_busy
        repairable = readiness is Readiness.STUCK or (failed and changed)
        one = EvaluatedInput(
            dependency,
            target,
            seen,
            before,
            readiness,
            triggers=triggers,
            met=met,
            new=changed and triggers,
            busy=is_busy,
            repairable=repairable,
            has_pending_change=triggers and (changed or is_busy or repairable),
            holds=holds,
            would_hold=would_hold,
            if_repaired=would_hold or repairable,
            expires=expires,
            awaited=busy,
            unasked=unasked,
        )
        self.inputs.append(one)
        return one

    def _is_handed_on(self, mapping: Assets, target: Target) -> bool:
        """Whether an asset event goes to this downstream's environment."""
        seen = self._view.state(target)
        event = seen.value if seen is not None else None
        if not isinstance(event, AssetState) or not mapping.takes(event.uri):
            return False
        return event.is_for(self._target.pipeline.environment, explicit=mapping.explicit)

    def _is_past(self, dependency: Dependency, target: Target, seen: SeenState) -> bool:
        """Whether a task ended before the dependency on it became active, although it was looked at later.

        What has run in the present attempt of its run counts by the run's revision alone: the clock of its environment
        may be another one than that of who has published.
        """
        run, active_since = self._view.state(target.whole), self._node.active_since[dependency]
        if run is None or not isinstance(run.value, RunState):
            return False
        if run.revision <= active_since:
            return run.value.state.is_terminal
        ended_at = seen.value.ended_at if isinstance(seen.value, TaskState) else None
        active_at, queued_at = self._node.active_at.get(dependency), run.value.attempt.queued_at
        if ended_at is None or active_at is None or (queued_at is not None and ended_at >= queued_at):
            return False
        return ended_at < active_at - UNSURE


def evaluate_input(
    view: View, node: Node, target: Target, record: TriggerRecord | None, dependency: Dependency, upstream: Target
) -> EvaluatedInput:
    """Evaluate a single input that a mapping names beforehand. Parameters as in :func:`evaluate`."""
    return _Evaluator(view, node, target, record)._input(dependency, upstream)


def _branch(
    n: int, word: str, branches: tuple[Evaluated, ...], dependency: Dependency | None = None
) -> EvaluatedBranch:
    hold = would_hold = if_repaired = 0
    for branch in branches:  # in one go: this is the innermost loop of all
        hold += branch.holds
        would_hold += branch.would_hold
        if_repaired += branch.if_repaired
    return EvaluatedBranch(
        n=n,
        word=word,
        branches=branches,
        holds=hold >= n,
        would_hold=would_hold >= n,
        if_repaired=if_repaired >= n,
        dependency=dependency,
    )


def is_consumed(used: Consumed | Fingerprint | None, present: RunState, revision: int) -> bool:
    """Whether this completion is the one that was used."""
    return used is not None and used.is_same(present, revision)


def inputs_at(evaluated: Evaluated, level: Level) -> list[EvaluatedInput]:
    """The inputs of the branches that hold at a level, from left to right; none if the whole does not hold.

    :param level: :data:`HOLDS`: the inputs that firing now uses. :data:`WOULD_HOLD`: those that firing would use once
        all busy inputs have succeeded. :data:`IF_REPAIRED`: those that it would use if failed and stuck ones were
        repaired.
    """
    found: list[EvaluatedInput] = []
    _add_inputs_at(evaluated, level, found)
    return found


def _add_inputs_at(evaluated: Evaluated, level: Level, found: list[EvaluatedInput]) -> None:
    if not level(evaluated):
        return
    if isinstance(evaluated, EvaluatedInput):
        found.append(evaluated)
    else:
        for branch in evaluated.branches:
            _add_inputs_at(branch, level, found)


def all_inputs(evaluated: Evaluated) -> Iterator[EvaluatedInput]:
    """Every input of the condition, from left to right."""
    if isinstance(evaluated, EvaluatedInput):
        yield evaluated
    else:
        for branch in evaluated.branches:
            yield from all_inputs(branch)
