"""Tallies: counts of the inputs of a wide condition, so that a change of one input need not evaluate all of them.

Deciding about a pipeline with two thousand inputs takes milliseconds, and each input changes two or three times. A
tally keeps the evaluation of each input, and the sums for each branch. When an input changes (*moves*), only that input
is evaluated again, and the sums are updated; if the outcome is the same as before, so is the decision, and it is not
made again. :func:`~coordinator.model.decide.decide` has the last word: a tally never decides anything, and it is
compared with each decision that is made.

Only inputs are counted. Any other change (of the target's own state, record, order or hold, of the time or the graph)
drops the tally.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

from coordinator.model.assets.names import is_asset
from coordinator.model.conditions import Dependency
from coordinator.model.deadline import AfterFirstInput, TimeOfDay
from coordinator.model.decide import Decision, Obstacle
from coordinator.model.evaluation import Evaluated, EvaluatedInput, evaluate_input
from coordinator.model.graph import Graph, Node
from coordinator.model.partitions import FixedKey, Latest, gathers, rolls_up
from coordinator.model.references import PipelineRef, Target
from coordinator.model.retention.watermark import Watermark
from coordinator.model.trigger import Status, TriggerRecord
from coordinator.model.view import Readiness, View, readable_record

WIDE = 32
"""The number of inputs above which counting costs less than deciding."""

ROOM = 200_000
"""Inputs that all tallies together may keep; each takes some 200 bytes. The least used tally is dropped first."""

Outcome = tuple[bool, ...]
"""Everything that a decision takes from its inputs, except which completions it would use."""

# The contributions of an input: whether it holds, would hold, would hold if repaired; and at these levels: whether it
# is new, due, coming (busy, and may still bring a completion), or has a pending change.
_HOLDS, _WOULD, _REPAIRED, _NEW, _DUE, _COMING, _PENDING = range(7)
_LEVEL: Final = (_HOLDS, _WOULD, _REPAIRED, _HOLDS, _WOULD, _WOULD, _REPAIRED)
"""The evaluation that each contribution belongs to."""

_Counts = tuple[int, ...]


class _Branch:
    """:ivar sums: over its branches."""

    __slots__ = ("n", "parent", "sums")

    def __init__(self, n: int, parent: _Branch | None) -> None:
        self.n = n
        self.parent = parent
        self.sums = [0] * 7

    def counts(self) -> _Counts:
        """Its contribution to its parent branch: nothing if it does not hold."""
        holds = [int(self.sums[level] >= self.n) for level in (_HOLDS, _WOULD, _REPAIRED)]
        return (*holds, *(self.sums[what] * holds[_LEVEL[what]] for what in (_NEW, _DUE, _COMING, _PENDING)))

    def add(self, counts: _Counts, less: _Counts) -> None:
        """:param less: the earlier counts that these replace."""
        before = self.counts() if self.parent is not None else None
        for what, count in enumerate(counts):
            self.sums[what] += count - less[what]
        if self.parent is not None and before is not None and (after := self.counts()) != before:
            self.parent.add(after, before)


class Tally:
    """The inputs of one target.

    :ivar moved: inputs whose counts may have changed.
    """

    def __init__(self, decision: Decision, watermark: Watermark | None) -> None:
        assert decision.evaluated is not None
        self.watermark = watermark
        self.moved: list[Target] = []
        self._is_stuck = decision.readiness is Readiness.STUCK
        self._root = _Branch(1, None)
        self._places: dict[Target, list[int]] = {}
        self._inputs: list[tuple[Dependency, _Branch]] = []
        self._counts: list[tuple[_Counts, bool, bool]] = []
        self._pending = 0
        self._add(decision.evaluated, self._root)
        self.outcome = self._outcome()

    def __len__(self) -> int:
        return len(self._inputs)

    def is_same(self, view: View, node: Node, target: Target, record: TriggerRecord | None) -> bool:
        """Count the moved inputs again. Returns whether the decision is the same as the one this was made from."""
        new_trouble = False
        for upstream in self.moved:
            for place in self._places.get(upstream, ()):
                dependency, branch = self._inputs[place]
                before, had_pending_change, was_repairable = self._counts[place]
                one = evaluate_input(view, node, target, record, dependency, upstream)
                counts, has_pending_change = _counts_of(one), one.has_pending_change
                self._counts[place] = counts, has_pending_change, one.repairable
                self._pending += has_pending_change - had_pending_change
                new_trouble = new_trouble or (one.repairable and not was_repairable)
                branch.add(counts, before)
        self.moved.clear()
        before_that, self.outcome = self.outcome, self._outcome()
        # Each failed input of a stuck target is followed, because somebody may clear it.
        return self.outcome == before_that and not (new_trouble and self._is_stuck)

    def _outcome(self) -> Outcome:
        return (*(count > 0 for count in self._root.sums), self._pending > 0)

    def _add(self, evaluated: Evaluated, branch: _Branch) -> None:
        if isinstance(evaluated, EvaluatedInput):
            self._places.setdefault(evaluated.target, []).append(len(self._inputs))
            self._inputs.append((evaluated.dependency, branch))
            counts, has_pending_change = _counts_of(evaluated), evaluated.has_pending_change
            self._counts.append((counts, has_pending_change, evaluated.repairable))
            self._pending += has_pending_change
            for what, count in enumerate(counts):
                branch.sums[what] += count
            return
        inner = _Branch(evaluated.n, branch)
        for one in evaluated.branches:
            self._add(one, inner)
        for what, count in enumerate(inner.counts()):
            branch.sums[what] += count


_SHARED: dict[_Counts, _Counts] = {}
"""One object for equal counts: there are few different ones."""


def _counts_of(one: EvaluatedInput) -> _Counts:
    busy = one.busy
    holds, would, repaired = one.holds, one.would_hold, one.if_repaired
    counts = (
        int(holds),
        int(would),
        int(repaired),
        int(holds and one.new),
        int(would and one.triggers and (one.new or busy)),
        int(would and busy),
        int(repaired and one.has_pending_change),
    )
    return _SHARED.setdefault(counts, counts)


class Tallies:
    """The tallies of all targets with wide conditions that are not about to start."""

    def __init__(self, graph: Graph, *, room: int = ROOM) -> None:
        self._graph = graph
        self._room = room
        self._size = 0
        self._tallies: OrderedDict[Target, Tally] = OrderedDict()
        self._wide = {node.downstream.pipeline for node in graph.nodes() if _can_be_counted(node)}

    def __bool__(self) -> bool:
        return bool(self._tallies)

    def counts(self, pipeline: PipelineRef) -> bool:
        """Whether partitions of this pipeline may have a tally."""
        return pipeline in self._wide

    def get(self, target: Target) -> Tally | None:
        return self._tallies.get(target)

    def targets(self) -> Iterator[Target]:
        return iter(tuple(self._tallies))

    def moved(self, downstream: Target, upstream: Target) -> None:
        """The counts of an input may have changed."""
        if (tally := self._tallies.get(downstream)) is not None:
            tally.moved.append(upstream)

    def drop(self, target: Target) -> Tally | None:
        """Drop a tally: something else has changed, or the target is decided about again."""
        if (tally := self._tallies.pop(target, None)) is not None:
            self._size -= len(tally)
        return tally

    def is_same(self, view: View, target: Target) -> bool:
        """Whether a target's decision is the same as the last one, despite the changes of its inputs."""
        tally, node = self._tallies.get(target), self._graph.node(target.pipeline)
        if tally is None or node is None:
            return False
        if tally.watermark is not view.watermark(target.pipeline):
            self.drop(target)
            return False
        record = readable_record(view.record(target))
        self._tallies.move_to_end(target)
        return tally.is_same(view, node, target, record)

    def keep(self, view: View, decision: Decision) -> Tally | None:
        """Count the inputs of a decision that has just been made, if its condition is wide."""
        target = decision.target
        self.drop(target)
        if target.pipeline not in self._wide or decision.evaluated is None:
            return None
        tally = Tally(decision, view.watermark(target.pipeline))
        matters = _needs_its_inputs(view, decision) or _awaits_its_deadline(self._graph, view, decision)
        if len(tally) > WIDE and not matters:
            self._tallies[target] = tally
            self._size += len(tally)
            while self._size > self._room:
                _, least = self._tallies.popitem(last=False)
                self._size -= len(least)
        return tally


def _can_be_counted(node: Node) -> bool:
    """Whether counting works for a pipeline: its inputs are named beforehand, may be many, and depend on nothing
    else."""
    if isinstance(node.downstream.deadline, AfterFirstInput):
        return False
    if node.downstream.items is not None:
        return False  # its items are counted (coordinator.model.items.whole)
    leaves = list(node.leaves())
    if any(leaf.upstream.task or is_asset(leaf.upstream) for leaf in leaves):
        return False  # a task and an asset depend on the state of a run, too
    if any(leaf.max_age is not None or isinstance(leaf.mapping, Latest | FixedKey) for leaf in leaves):
        return False
    if any(gathers(leaf.mapping) for leaf in leaves):
        return False
    return len(leaves) > WIDE or any(rolls_up(leaf.mapping) for leaf in leaves)


def _needs_its_inputs(view: View, decision: Decision) -> bool:
    """Whether it matters which completions it would use, and not only the outcome."""
    if decision.late or decision.skips or decision.ignored:
        return True
    if not decision.ready or decision.obstacles - {Obstacle.BLOCKED, Obstacle.IN_FLIGHT}:
        return False
    recorded = view.record(decision.target)
    record = recorded.value if recorded is not None else None
    # An intent that waits to be sent is withdrawn if its inputs have changed; a run that has begun goes on.
    is_running = isinstance(record, TriggerRecord) and record.status is Status.SENT
    return Obstacle.IN_FLIGHT not in decision.obstacles or not is_running


def _awaits_its_deadline(graph: Graph, view: View, decision: Decision) -> bool:
    """Whether it is a backfill, and no input has begun yet: its deadline depends on the first one that begins."""
    node = graph.node(decision.target.pipeline)
    if node is None or not isinstance(node.downstream.deadline, TimeOfDay) or not decision.has_pending_change:
        return False
    if decision.due_by is not None or view.state(decision.target) is not None or view.record(decision.target):
        return False
    return node.downstream.deadline.for_partition(decision.target.partition) is not None
