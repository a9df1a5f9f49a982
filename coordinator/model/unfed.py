"""Dependencies that nothing seen lately can meet: time zones that never meet, runs that were triggered "now"."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from coordinator.model.conditions import Dependency, leaves
from coordinator.model.dependencies import Document
from coordinator.model.mapping import FixedKey, Identity, Latest
from coordinator.model.references import PipelineRef, Target
from coordinator.model.view import Facts

LATELY = 20
"""Partitions of an upstream, the newest ones that were reported."""


@dataclass(frozen=True, slots=True)
class Unfed:
    """:ivar seen: partitions of the upstream, newest first, of which none belongs to a partition of the pipeline."""

    pipeline: PipelineRef
    dependency: Dependency
    seen: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"{self.pipeline} <- {self.dependency}: none of the {len(self.seen)} partitions of "
            f"{self.dependency.upstream} that were seen last, such as {self.seen[0]}, belongs to a partition of "
            f"{self.pipeline}; expected one that the mapping knows: compare time zones and formats"
        )


def unfed(document: Document, facts: Facts, targets: Iterable[Target]) -> Iterator[Unfed]:
    """The dependencies whose mapping knows none of the upstream's newest partitions.

    :param targets: all that has a state.
    """
    mapped = [
        (pipeline, leaf)
        for pipeline, downstream in document.items()
        for leaf in leaves(downstream.condition)
        if not isinstance(leaf.mapping, Identity | Latest | FixedKey)
    ]
    newest: dict[PipelineRef, list[tuple[int, str]]] = {leaf.upstream: [] for _, leaf in mapped}
    for target in targets if mapped else ():
        known = newest.get(target.pipeline)
        seen = facts.state(target) if known is not None else None
        if known is not None and seen is not None:
            (heapq.heappush if len(known) < LATELY else heapq.heappushpop)(known, (seen.revision, target.partition))
    for pipeline, leaf in mapped:
        partitions = tuple(partition for _, partition in sorted(newest[leaf.upstream], reverse=True))
        if partitions and not any(_downstreams(leaf, partition) for partition in partitions):
            yield Unfed(pipeline, leaf, partitions)


def _downstreams(dependency: Dependency, partition: str) -> tuple[str, ...]:
    return () if isinstance(dependency.mapping, Latest) else dependency.mapping.downstreams(partition)
