"""The index of partitions, for mappings that do not name the partitions themselves.

``start_of``    its inputs are known only as they arrive: they are grouped by downstream partition; so are those of a
    ``chain`` or ``product`` with such a member
``latest`` and ``fixed_key``  the input is the upstream's newest completion
``latest``      is an input of every partition of its downstream: it starts the newest one, and is a gate for the
    others, of which only those with a pending change are affected by it

A downstream with ``latest`` has the partitions in which it has a key, or in which an upstream has a key or is
unsettled. If ``latest`` is its only mapping, it has the partitions in which it has a key, and those in which an
upstream has completed and none is busy: if the runs of upstreams overlap, one of them is always busy, and each
partition becomes the newest in turn. Partitions in which an upstream is busy are *coming*. So all partitions follow
from what is in etcd, and not from what a watcher has seen before.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterator

from coordinator.model.conditions import Dependency, leaves
from coordinator.model.decide import Decision
from coordinator.model.graph import Graph
from coordinator.model.partitions import Assets, Chain, FixedKey, Latest, Mapping, Product, StartOf, gathers
from coordinator.model.partitions.instants import partition_order
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunState
from coordinator.model.view import Facts, Readiness

_Gathering = tuple[PipelineRef, Mapping, str]
"""Upstream, mapping, partition of the downstream."""

_Completion = tuple[int, str]
"""The etcd revision, negated so that the newest comes first, and the partition."""

FEW = 64
"""Up to so many completions of a pipeline, a clean-up is not worth it."""


class PartitionIndex:
    """Kept up to date by :class:`.propagation.Propagation`; empty where no mapping needs it."""

    def __init__(self, graph: Graph, facts: Facts) -> None:
        self._graph = graph
        self._facts = facts
        self._gathering: dict[PipelineRef, list[StartOf | Assets | Chain | Product]] = {}
        self._followed_by: dict[PipelineRef, list[PipelineRef]] = {}
        self._wanted_newest: set[PipelineRef] = set()
        self.with_latest: set[PipelineRef] = set()
        self._by_latest_alone: set[PipelineRef] = set()
        for node in graph.nodes():
            downstream = node.downstream.pipeline
            mappings = [(leaf.upstream, leaf.mapping) for leaf in leaves(node.downstream.condition)]
            for upstream, mapping in mappings:
                match mapping:
                    case StartOf() | Assets() | Chain() | Product() if gathers(mapping):
                        gathering = self._gathering.setdefault(upstream, [])
                        if mapping not in gathering:  # many downstreams may share it
                            gathering.append(mapping)
                    case FixedKey():
                        self._wanted_newest.add(upstream)
                    case Latest():
                        self._wanted_newest.add(upstream)
                        self._followed_by.setdefault(upstream, []).append(downstream)
                        self.with_latest.add(downstream)
            if all(isinstance(mapping, Latest) for _, mapping in mappings):
                self._by_latest_alone.add(downstream)
        self._gathered: dict[_Gathering, dict[Target, None]] = {}
        self._completions: dict[PipelineRef, list[_Completion]] = {}
        self._tidied: dict[PipelineRef, int] = {}
        self._upstreams_of_latest = {
            leaf.upstream
            for node in graph.nodes()
            if node.downstream.pipeline in self.with_latest
            for leaf in node.leaves()
        }
        self._known_by: dict[PipelineRef, dict[str, set[Target]]] = {}
        self._coming: dict[PipelineRef, dict[str, set[Target]]] = {}
        self._newest_partition: dict[PipelineRef, str] = {}
        self._pending: dict[PipelineRef, set[str]] = {}

    # -- for a view ------------------------------------------------------------------------------------------------

    def gathered(self, dependency: Dependency, downstream: Target) -> Collection[Target]:
        return self._gathered.get((dependency.upstream, dependency.mapping, downstream.partition), ())

    def newest(self, upstream: PipelineRef, *, without: Callable[[Target], bool] = lambda _: False) -> Target | None:
        """The partition whose terminal state has the greatest revision. Outdated entries are dropped."""
        heap = self._completions.get(upstream, [])
        while heap and not self._is_present(upstream, heap[0]):
            heapq.heappop(heap)
        if not heap:
            return None
        newest = Target(upstream, heap[0][1])
        if not without(newest):
            return newest
        present = (Target(upstream, one[1]) for one in sorted(heap) if self._is_present(upstream, one))
        return next((one for one in present if not without(one)), None)

    def is_newest_partition(self, downstream: Target) -> bool:
        return self._newest_partition.get(downstream.pipeline) == downstream.partition

    def is_coming_partition(self, downstream: Target) -> bool:
        if downstream.partition not in self._coming.get(downstream.pipeline, ()):
            return False
        newest = self._newest_partition.get(downstream.pipeline)
        return newest is None or partition_order(newest) < partition_order(downstream.partition)

    # -- what keeps it up to date -----------------------------------------------------------------------------------

    def note_change(self, target: Target, readiness: Readiness) -> list[Target]:
        """A key of the target was created, changed or deleted.

        :param readiness: its readiness before.
        :returns: targets whose role as the newest or as a coming partition may have changed.
        """
        self._gather(target, readiness)
        if target.pipeline in self._wanted_newest:
            seen = self._facts.state(target)
            if seen is not None and isinstance(seen.value, RunState) and seen.value.state.is_terminal:
                heap = self._completions.setdefault(target.pipeline, [])
                heapq.heappush(heap, (-seen.came_at, target.partition))
                if len(heap) > 2 * self._tidied.get(target.pipeline, FEW):
                    self._tidy(target.pipeline, heap)
        return self._know(target, readiness)

    def note_readiness(self, target: Target, readiness: Readiness) -> list[Target]:
        """The readiness of a target has changed. :returns: as :meth:`note_change`."""
        self._gather(target, readiness)
        return self._know(target, readiness)

    def note_decision(self, decision: Decision) -> None:
        pipeline, partition = decision.target
        if pipeline in self.with_latest:
            has_pending_change = self._pending.setdefault(pipeline, set())
            (has_pending_change.add if decision.has_pending_change else has_pending_change.discard)(partition)

    def has_followers(self, upstream: PipelineRef) -> bool:
        """Whether any pipeline depends on it through ``latest``."""
        return upstream in self._followed_by

    def followers(self, upstream: Target) -> Iterator[Target]:
        """The downstream partitions that a change of an upstream can affect through ``latest``."""
        for downstream in self._followed_by.get(upstream.pipeline, ()):
            partitions = set(self._pending.get(downstream, ()))
            if (newest := self._newest_partition.get(downstream)) is not None:
                partitions.add(newest)
            if downstream in self._by_latest_alone:
                partitions.add(upstream.partition)
            for partition in partitions:
                yield Target(downstream, partition)

    def _is_present(self, upstream: PipelineRef, completion: _Completion) -> bool:
        seen = self._facts.state(Target(upstream, completion[1]))
        return seen is not None and seen.came_at == -completion[0]

    def _tidy(self, upstream: PipelineRef, heap: list[_Completion]) -> None:
        """Drop outdated entries below the newest one, which would not come to the top as long as newer ones come. This
        is done when there are twice as many as the last time, so that a completion costs the same however many there
        are.
        """
        heap[:] = sorted({one for one in heap if self._is_present(upstream, one)})
        self._tidied[upstream] = max(FEW, len(heap))

    def _know(self, target: Target, readiness: Readiness) -> list[Target]:
        """Note which partitions of downstreams with ``latest`` exist because of a target, and which no longer do."""
        owns, feeds = target.pipeline in self.with_latest, target.pipeline in self._upstreams_of_latest
        if not (owns or feeds):
            return []
        has_key = any(fact(target) for fact in (self._facts.state, self._facts.record, self._facts.order))
        moved = self._known(target, target, has_key) if owns else []
        if feeds:
            for downstream in self._graph.dependents(target):
                if downstream.pipeline in self.with_latest:
                    moved += self._known(downstream, target, has_key or readiness is not Readiness.SETTLED)
            for pipeline in self._followed_by.get(target.pipeline, ()):
                if pipeline in self._by_latest_alone:
                    downstream = Target(pipeline, target.partition)
                    _note(self._coming, downstream, target, readiness is Readiness.BUSY)
                    moved += self._known(downstream, target, self._has_completed(target))
        return moved

    def _has_completed(self, target: Target) -> bool:
        seen = self._facts.state(target)
        return seen is not None and isinstance(seen.value, RunState) and seen.value.state.is_terminal

    def _known(self, downstream: Target, through: Target, known: bool) -> list[Target]:
        pipeline, partition = downstream
        _note(self._known_by, downstream, through, known)
        before = self._newest_partition.get(pipeline)
        newest = before
        if not self._is_known(downstream):
            if partition == before:
                partitions = (one for one in self._known_by[pipeline] if self._is_known(Target(pipeline, one)))
                newest = max(partitions, key=partition_order, default=None)
        elif before is None or partition_order(before) < partition_order(partition):
            newest = partition
        if newest == before:
            return []
        if newest is None:
            del self._newest_partition[pipeline]
        else:
            self._newest_partition[pipeline] = newest
        touched = {one for one in (before, newest) if one is not None} | self._coming.get(pipeline, {}).keys()
        return [Target(pipeline, one) for one in touched]

    def _is_known(self, downstream: Target) -> bool:
        known_by = self._known_by.get(downstream.pipeline, {}).get(downstream.partition, ())
        coming = downstream.partition in self._coming.get(downstream.pipeline, ())
        return downstream in known_by or (bool(known_by) and not coming)

    def _gather(self, target: Target, readiness: Readiness) -> None:
        for mapping in self._gathering.get(target.pipeline, ()):
            known = self._facts.state(target) or self._facts.record(target) or readiness is not Readiness.SETTLED
            for partition in mapping.downstreams(target.partition):
                gathering = (target.pipeline, mapping, partition)
                if known:
                    self._gathered.setdefault(gathering, {})[target] = None
                elif (gathered := self._gathered.get(gathering)) is not None:
                    gathered.pop(target, None)
                    if not gathered:
                        del self._gathered[gathering]


def _note(noted: dict[PipelineRef, dict[str, set[Target]]], downstream: Target, through: Target, holds: bool) -> None:
    """Note whether something is true of a downstream partition because of a target."""
    partitions = noted.setdefault(downstream.pipeline, {})
    if holds:
        partitions.setdefault(downstream.partition, set()).add(through)
    elif (found := partitions.get(downstream.partition)) is not None:
        found.discard(through)
        if not found:
            del partitions[downstream.partition]
