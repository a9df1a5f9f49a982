"""Which keys of etcd a question needs: a question about one pipeline needs few of a million."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from coordinator.model.closure import Closure, Place, what_decides, with_all_below
from coordinator.model.graph import Graph
from coordinator.model.named_partitions import spellings
from coordinator.model.references import PipelineRef, Target
from coordinator.model.view import SeenWait
from coordinator.model.waits import Wait, WaitStatus
from coordinator.store.keys import Keys
from coordinator.store.port import Listing, Store, key_bytes

ONE_BY_ONE = 3
"""Partitions of a pipeline that are read one by one. If there are more, everything from the first to the last is read
at once: a question is about neighbours (the newest ones or a window), and a request takes half a millisecond."""


@dataclass(frozen=True, slots=True)
class About:
    """The subject of a question.

    :ivar partitions: of the pipeline; empty: all of them.
    :ivar below: also everything that can run because of these.
    """

    pipeline: PipelineRef
    partitions: tuple[str, ...] = ()
    below: bool = False

    def closure(self, graph: Graph, waits: Iterable[SeenWait] = ()) -> Closure:
        """Everything that the answer depends on.

        :param waits: of sensors. What those of the pipeline still wait for belongs to it, in each spelling.
        """
        places: set[Place] = {(self.pipeline, one) for one in self.partitions} or {(self.pipeline, None)}
        if self.below:
            places = set().union(*(with_all_below(graph, place) for place in places))
        for seen in waits:
            run, wait = seen.ref.run, seen.value
            if not isinstance(wait, Wait) or wait.status is not WaitStatus.WAITING:
                continue
            if run.pipeline == self.pipeline and (not self.partitions or run.partition in self.partitions):
                places |= {(wait.upstream.pipeline, one) for one in spellings(wait.upstream.partition)}
        return what_decides(graph, places)


def listing_of(store: Store, keys: Keys, graph: Graph, closure: Closure, revision: int) -> Listing:
    """The keys of a closure, with all holds and the watchers, as etcd would list them at one revision.

    A range may contain more than is needed: keys with the same beginning as a needed partition, or between two of them.

    :raises Compacted: etcd has dropped the revision meanwhile.
    """
    ranges = [(prefix, prefix) for prefix in (keys.leader, keys.heartbeat, keys.watchers, keys.every("hold"))]
    for pipeline, partitions in closure.items():
        ranges += _ranges(keys, pipeline, partitions)
        if graph.fans_out(pipeline):  # only the rows name the items
            prefixes = [keys.items_of(kind, pipeline) for kind in ("order", "state", "trigger")]
            ranges += zip(prefixes, prefixes, strict=True)
    listings = [
        store.list(first, through=last, revision=revision, largest=keys.largest_value) for first, last in ranges
    ]
    # In the order of etcd: a watermark comes before the states that it concerns, a state before its record.
    items = {item.key: item for listing in listings for item in listing.items}
    return Listing([items[key] for key in sorted(items)], revision, listings[0].cluster_id)


def _ranges(keys: Keys, pipeline: PipelineRef, partitions: Collection[str] | None) -> Iterator[tuple[str, str]]:
    yield keys.watermark(pipeline), keys.watermark(pipeline)
    if partitions is None:
        for every in (keys.order(Target(pipeline, "")), keys.states_of(pipeline), keys.triggers_of(pipeline)):
            yield every, every
        return
    for of in (keys.order, keys.state, keys.trigger):
        wanted = sorted((of(Target(pipeline, one)) for one in partitions), key=key_bytes)
        if len(wanted) <= ONE_BY_ONE:
            yield from zip(wanted, wanted, strict=True)
        else:
            yield wanted[0], wanted[-1]
