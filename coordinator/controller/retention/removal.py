"""Removing the old partitions of one pipeline, a few in a transaction.

Each piece removes what it has decided about. The transaction compares the leader, the watermark, and every key that it
deletes or knows to be absent. It also compares that no state of this pipeline has been put since the states were read:
such a state might lie below the new watermark, and would be lost.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from coordinator.config.retention import RetentionSettings
from coordinator.controller.clock import Clock
from coordinator.controller.retention.candidates import RemovalCandidate, candidate_of, in_order, lowest_kept, to_go
from coordinator.controller.state.cache import Cache
from coordinator.controller.state.revision_times import RevisionTimes
from coordinator.controller.writes import commit_fenced
from coordinator.model.assets.names import is_of_assets
from coordinator.model.conditions import leaves
from coordinator.model.partitions import FixedKey, Latest
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.references import PipelineRef, Target
from coordinator.model.retention.policy import waits_without_record, watermark_without, what_keeps
from coordinator.model.retention.sweep import HeldBack
from coordinator.model.retention.watermark import Watermark, dump_watermark
from coordinator.store.keys import Keys
from coordinator.store.port import Compare, CreateRevisionIs, Delete, ModRevisionIs, NothingPutSince, Put, Store

LOOKED_AT = 250
"""Targets looked at in one piece, where that is cheap: ten microseconds each."""

EVALUATED = 16
"""Partitions evaluated in one piece, and removed in one transaction, which has three compares for each, of 128."""


@dataclass(slots=True)
class Stock:
    """What a sweep works on: every target by pipeline, and the targets that have changed since they were looked at.

    :ivar gone: targets that this sweep has removed; that change of theirs does not count.
    """

    targets: dict[PipelineRef, set[Target]] = field(default_factory=dict)
    news: dict[PipelineRef, set[Target]] = field(default_factory=dict)
    gone: set[Target] = field(default_factory=set)
    times: RevisionTimes = field(default_factory=RevisionTimes)

    def add(self, target: Target) -> None:
        self.targets.setdefault(target.pipeline, set()).add(target)

    def note(self, target: Target) -> None:
        """Note that a target has changed."""
        if target.pipeline.task:
            return  # removed after its run
        if target in self.gone:
            self.gone.discard(target)
            return
        self.add(target)
        self.news.setdefault(target.pipeline, set()).add(target)

    def of(self, pipeline: PipelineRef) -> set[Target]:
        return self.targets.get(pipeline, set())


@dataclass(frozen=True, slots=True)
class SweepContext:
    """Whatever is the same for all pipelines of a sweep.

    :ivar fence: the leadership that may remove something.
    :ivar wait: called with the revision of a transaction: nothing is evaluated before that has been read.
    """

    store: Store
    keys: Keys
    cache: Cache
    propagation: Propagation
    limits: RetentionSettings
    clock: Clock
    fence: CreateRevisionIs
    stock: Stock
    wait: Callable[[int], None]


class Removal:
    """The removal of old partitions of one pipeline, in one sweep.

    :ivar removed: how many partitions were removed.
    :ivar held_back: the partition that is old enough and cannot be removed, if there is one.
    :ivar raced: the removal was ended because something was put meanwhile.
    """

    def __init__(self, pipeline: PipelineRef, context: SweepContext) -> None:
        self._pipeline = pipeline
        self._context = context
        self._keys = context.keys
        self._cache = context.cache
        self._propagation = context.propagation
        self._limits = context.limits.of_assets if is_of_assets(pipeline) else context.limits
        self._clock = context.clock
        self._stock = context.stock
        self._waiting: tuple[int, Target] | None = None
        self._known_up_to = 0
        self.removed = 0
        self.held_back: HeldBack | None = None
        self.raced = False

    def pieces(self) -> Iterator[None]:
        """Remove partitions, the oldest first, up to the first one that cannot be removed."""
        candidates: dict[Target, RemovalCandidate | None] = {}
        ordered: list[RemovalCandidate] = []
        lowest = lowest_kept(ordered)
        start = 0
        for number, target in enumerate(tuple(self._stock.of(self._pipeline)), 1):
            candidates[target] = candidate_of(self._cache, self._stock.times, target)
            if number % LOOKED_AT == 0:
                yield
        news = self._stock.news.pop(self._pipeline, set()) | candidates.keys()
        waiting_known = False
        while True:
            if news:
                candidates.update((target, candidate_of(self._cache, self._stock.times, target)) for target in news)
                ordered, start = in_order(candidate for candidate in candidates.values() if candidate is not None), 0
                lowest = lowest_kept(ordered)
            going = list(itertools.islice(to_go(ordered, start, self._limits, self._clock.now()), EVALUATED))
            if not going:
                return
            if not waiting_known:
                waiting_known = True
                yield from self._look_for_waiting()
            else:
                removed = self._remove(going, lowest[start + 1 :])
                candidates.update((candidate.target, None) for candidate in going[:removed])
                start += removed
                if not removed:
                    return
                yield
            news = self._stock.news.pop(self._pipeline, set())

    def _look_for_waiting(self) -> Iterator[None]:
        """Find the completions that are new to partitions of this pipeline that have no record yet. Later completions
        have higher revisions than everything that is removed."""
        self._known_up_to = self._cache.revision
        node = self._propagation.graph.node(self._pipeline)
        if node is None:
            return
        partitions = {target.partition for target in self._stock.of(self._pipeline)}
        for leaf in leaves(node.downstream.condition):
            for number, upstream in enumerate(tuple(self._stock.of(leaf.pipeline)), 1):
                match leaf.mapping:
                    case Latest():
                        partitions.add(upstream.partition)
                    case FixedKey():
                        partitions.add(leaf.mapping.downstream_key)
                    case _:
                        partitions.update(leaf.mapping.downstreams(upstream.partition))
                if number % LOOKED_AT == 0:
                    yield
        without_record = [one for one in partitions if self._cache.record(Target(self._pipeline, one)) is None]
        for first in range(0, len(without_record), EVALUATED):
            some = without_record[first : first + EVALUATED]
            found = waits_without_record(self._propagation, self._pipeline, some, self._has_lapsed)
            if found is not None and (self._waiting is None or found < self._waiting):
                self._waiting = found
            yield

    def _remove(self, going: Sequence[RemovalCandidate], lowest_behind: Sequence[datetime | None]) -> int:
        """Remove as many of these as can be removed together.

        :param lowest_behind: for each, the lowest queued_at of the states that are kept if it is the last one removed.
        :returns: how many were removed.
        """
        watermark_key = self._keys.watermark(self._pipeline)
        watermark = self._cache.watermark(self._pipeline) or Watermark()
        count, moved = 0, watermark
        for number, (candidate, behind) in enumerate(zip(going, lowest_behind, strict=False), 1):
            keeps = what_keeps(self._propagation, candidate.target, self._has_lapsed)
            if keeps is None:
                watermark = watermark_without(self._propagation, watermark, candidate.target)
                keeps = self._passes(watermark)
            if keeps is None and self._cache.watermark_is_unknown(self._pipeline):
                keeps = f"{watermark_key} cannot be read"
            if keeps is not None:
                self.held_back = HeldBack(candidate.target, keeps)
                break
            if watermark.queued_at is None or behind is None or watermark.queued_at < behind:
                count, moved = number, watermark
        if not count:
            return 0
        targets = [candidate.target for candidate in going[:count]]
        if not self._commit(targets, watermark_key, moved):
            self.raced = True
            return 0
        self._stock.gone.update(targets)
        self._stock.of(self._pipeline).difference_update(targets)
        self.removed += count
        return count

    def _has_lapsed(self, target: Target) -> bool:
        """Whether nothing has happened there for so long that targets that wait for it are given up."""
        give_up_after = self._limits.give_up_after
        if give_up_after is None:
            return False
        candidate = candidate_of(self._cache, self._stock.times, target)
        return (
            candidate is not None
            and candidate.active is not None
            and self._clock.now() - candidate.active >= give_up_after
        )

    def _passes(self, watermark: Watermark) -> str | None:
        """Why the watermark may not rise so far; ``None``: it may."""
        if self._waiting is not None and watermark.revision >= self._waiting[0]:
            return f"{self._waiting[1]} waits, and would lose what is new to it"
        if watermark.revision > self._known_up_to:
            return "one of its inputs has changed meanwhile"
        return None

    def _commit(self, targets: Sequence[Target], watermark_key: str, watermark: Watermark) -> bool:
        cache, keys = self._cache, self._keys
        compares: list[Compare] = [
            ModRevisionIs(watermark_key, cache.watermark_revision(self._pipeline)),
            NothingPutSince(keys.states_of(self._pipeline), cache.revision),
        ]
        operations: list[Put | Delete] = [Put(watermark_key, dump_watermark(watermark))]
        for target in targets:
            for key, seen in (
                (keys.state(target), cache.state(target)),
                (keys.trigger(target), cache.record(target)),
                (keys.order(target), cache.order(target)),
            ):
                compares.append(ModRevisionIs(key, seen.revision if seen is not None else 0))
                if seen is not None:
                    operations.append(Delete(key))
        answer = commit_fenced(self._context.store, self._context.fence, compares, operations)
        if answer.succeeded:
            self._context.wait(answer.revision)
        return answer.succeeded
