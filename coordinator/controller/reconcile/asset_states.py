"""The states of assets that pipelines wait for (docs/architecture.md#assets-as-upstreams).

An event of such an asset is a completion of it, in the partition of its ``partition_key``, or else of the run that has
emitted it. The leader writes it as the state of the asset in that partition. From then on the asset is an upstream like
any other. Of several events in a partition the newest one counts, by the clocks of the listeners.

Nothing in the dependencies says who emits an asset. So a loop through one is found by its events: one that was emitted
by a pipeline below the asset, as far as events have shown, does not count.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from heapq import nsmallest
from itertools import chain

import structlog

from coordinator.controller.reconcile.ledger import Ledger
from coordinator.controller.state.cache import Cache
from coordinator.controller.writes import RETRY_AFTER
from coordinator.model.assets.events import AssetState
from coordinator.model.assets.names import EVENTS, asset_of, is_asset
from coordinator.model.graph import Graph
from coordinator.model.partitions.instants import date_in_run_id, partition_in_run_id
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.references import PipelineRef, Target
from coordinator.model.view import SeenState, readable_state

_log = structlog.get_logger(__name__)

AT_ONCE = 500
"""Events that are handled in one step, which must be short."""


class AssetStates:
    """Used by the deciding thread only.

    :ivar loops: the assets that pipelines below them emit, with one of these pipelines. Any thread may ask.
    """

    def __init__(self, propagation: Propagation, cache: Cache, ledger: Ledger) -> None:
        self._propagation = propagation
        self._cache = cache
        self._ledger = ledger
        self._graph: Graph | None = None
        self._assets: dict[PipelineRef, int] = {}
        self._pending: dict[Target, float] = {}
        self._of_unknown_runs: defaultdict[PipelineRef, set[Target]] = defaultdict(set)
        self._emitted_by: defaultdict[PipelineRef, set[PipelineRef]] = defaultdict(set)
        self.loops: dict[PipelineRef, PipelineRef] = {}

    def start_over(self) -> None:
        """Look at every event again: a term begins, or everything was listed."""
        self._graph, self._assets = None, {}

    def note(self, changed: Iterable[Target]) -> None:
        """Note what has changed in etcd: events, and runs that may have emitted some."""
        if not self._assets:
            return
        for target in changed:
            if target.pipeline.dag_id == EVENTS:
                self._pending[target] = 0.0
            elif waiting := self._of_unknown_runs.pop(target.pipeline, None):
                self._pending.update(dict.fromkeys(waiting, 0.0))

    def next_at(self) -> float | None:
        """Monotonic seconds of the next look at an event; 0: at once."""
        return min(self._pending.values(), default=None)

    def step(self, now: float) -> None:
        """Write the states that events make. :param now: monotonic seconds."""
        graph = self._propagation.graph
        if graph is not self._graph:
            self._graph, self._assets = graph, graph.assets()
            self.loops = {}
            self._emitted_by.clear()
            events = (one for one in self._cache.targets() if one.pipeline.dag_id == EVENTS) if self._assets else ()
            self._pending = dict.fromkeys(events, 0.0)
        newest: dict[Target, tuple[Target, AssetState]] = {}
        # Oldest first: the event that closes a loop is the one that does not count.
        due = [event for event, at in self._pending.items() if at <= now]
        for event in nsmallest(AT_ONCE, due, key=self._revision_of):
            found = self._state_of(event)
            if found is None:
                del self._pending[event]
                continue
            target, state = found
            self._pending[event] = now + RETRY_AFTER  # until the state is seen in etcd
            if target not in newest or _is_newer(state, newest[target][1]):
                newest[target] = event, state
        for target, (event, state) in newest.items():
            document = state.document().model_copy(update={"event": event.partition, "extra": {}})
            _log.info("asset.emitted", asset=str(target.pipeline), partition=target.partition, event_id=event.partition)
            self._ledger.state(target, document.to_value(), askers=frozenset())

    def _revision_of(self, event: Target) -> int:
        seen = self._cache.state(event)
        return seen.revision if seen is not None else 0

    def _state_of(self, event: Target) -> tuple[Target, AssetState] | None:
        """The asset and the partition of an event; ``None``: nothing is to be written for it now."""
        seen = self._cache.state(event)
        if seen is None or not isinstance(seen.value, AssetState):
            return None
        state, environment = seen.value, event.pipeline.environment
        asset = asset_of(environment, state.uri)
        if asset not in self._assets:
            return None
        document = state.document()
        producer = PipelineRef(environment, document.dag_id) if document.dag_id else None
        if producer is not None:
            if self._is_below(producer, asset):
                if asset not in self.loops:
                    self.loops[asset] = producer
                    _log.warning("asset.loop", asset=str(asset), pipeline=str(producer))
                return None
            self._emitted_by[asset].add(producer)
        if seen.revision <= self._assets[asset]:
            return None  # it was emitted before anybody waited for it
        partition = document.partition_key
        if not partition and producer is not None and document.run_id:
            partition = self._partition_of(producer, document.run_id)
            if partition is None:
                self._of_unknown_runs[producer].add(event)
                return None
        if not partition:
            _log.warning("asset.no_partition", asset=str(asset), event_id=event.partition)
            return None
        target = Target(asset, partition)
        return (target, state) if _is_newer(state, _asset_state(self._cache.state(target))) else None

    def _partition_of(self, producer: PipelineRef, run_id: str) -> str | None:
        """The partition of a run, if its state is known."""
        likely = Target(producer, partition_in_run_id(run_id) or date_in_run_id(run_id) or run_id)
        others = (target for target in self._cache.targets() if target.pipeline == producer)
        for target in chain((likely,), others):
            run = readable_state(self._cache.state(target))
            if run is not None and run.attempt.run_id == run_id:
                return target.partition
        return None

    def _is_below(self, pipeline: PipelineRef, asset: PipelineRef) -> bool:
        """Whether an asset is above a pipeline, through dependencies, sensors, and assets that have been emitted."""
        graph = self._propagation.graph
        known, to_visit = {pipeline}, [pipeline]
        while to_visit:
            one = to_visit.pop()
            above = self._emitted_by[one] if is_asset(one) else graph.directly_above(one)
            if asset in above:
                return True
            to_visit += (new := set(above) - known)
            known |= new
        return False


def _asset_state(seen: SeenState | None) -> AssetState | None:
    return seen.value if seen is not None and isinstance(seen.value, AssetState) else None


def _is_newer(state: AssetState, other: AssetState | None) -> bool:
    """Whether an event was emitted later; of two at one moment, the one whose id is greater."""
    if other is None:
        return True
    assert state.observed_at is not None
    assert other.observed_at is not None
    return (state.observed_at, state.attempt.run_id or "") > (other.observed_at, other.attempt.run_id or "")
