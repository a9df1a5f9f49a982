"""Assets that pipelines wait for: what an event says, and in which partition (docs/architecture.md#assets).

An event names the run that emitted it. Its partition is its own partition_key, else that of this run, which the state
of the run says. Everything follows from what is in etcd: so nothing is lost with a leader, and writing again what a
predecessor has written changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

import structlog

from coordinator.controller.reconcile.ledger import Ledger
from coordinator.controller.state.cache import Cache
from coordinator.model.assets.completions import AssetCompletion, Told, dump_completion, with_event, with_run
from coordinator.model.assets.events import AssetState
from coordinator.model.assets.names import EVENTS, asset_of
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.references import PipelineRef, Target
from coordinator.model.view import readable_state

_log = structlog.get_logger(__name__)

LOOK_AGAIN_AFTER = 2.0
"""Seconds after which what was written is compared with etcd."""

MOST_AT_ONCE = 200
"""Events in one step, which must be short."""

_Run = tuple[PipelineRef, str]
"""A pipeline, and a run_id."""


class AssetStates:
    """Which events are still to be written as completions. A standby keeps them, too.

    :ivar loops: the assets that pipelines below them emit, with one of these pipelines. Any thread may ask.
    """

    def __init__(self, propagation: Propagation, cache: Cache, ledger: Ledger) -> None:
        self._propagation = propagation
        self._cache = cache
        self._ledger = ledger
        self._assets: frozenset[PipelineRef] | None = None
        self._due: dict[Target, float] = {}
        self._waiting: dict[_Run, set[Target]] = {}
        self._late: set[Target] = set()
        self._runs: dict[Target, float] = {}
        self.loops: dict[PipelineRef, PipelineRef] = {}

    def start_over(self) -> None:
        """Look at every event again: a term begins, or everything is listed."""
        self._assets = None
        for one in (self._due, self._waiting, self._late, self._runs):
            one.clear()

    def _look_at_all(self) -> None:
        """Compare every event with etcd: a new leader finds out what its predecessor has not written."""
        self.start_over()
        self._assets = self._propagation.graph.assets
        self.loops = {asset: one for asset, one in self.loops.items() if asset in self._assets}
        if not self._assets:
            return
        wanted = [event for event in self._cache.events() if self._is_wanted(event)]
        runs = (self._run_of(event) for event in wanted)
        self._cache.index_runs({run[0] for run in runs if run is not None})
        self._due.update(dict.fromkeys(wanted, 0.0))
        self._runs.update(dict.fromkeys(self._cache.produced.assets(), 0.0))

    def note(self, changed: Iterable[Target]) -> None:
        """States have changed: of events, or of runs whose events wait for them, or that have emitted assets."""
        if not self._assets:
            return
        for target in changed:
            if target.pipeline.dag_id == EVENTS:
                if self._is_wanted(target):
                    self._due[target] = 0.0
                continue
            self._runs.update(dict.fromkeys(self._cache.produced.behind(target), 0.0))
            if self._waiting and (state := readable_state(self._cache.state(target))) is not None:
                found = self._waiting.pop((target.pipeline, state.attempt.run_id or ""), ())
                self._late.update(found)
                self._due.update(dict.fromkeys(found, 0.0))

    def next_at(self) -> float | None:
        """Monotonic seconds at which there is something to write, or to compare; 0: at once."""
        if self._assets != self._propagation.graph.assets:
            return 0.0
        return min((*self._due.values(), *self._runs.values()), default=None)

    def step(self, now: float) -> None:
        """Put what is due into the ledger. :param now: monotonic seconds."""
        if self._assets != self._propagation.graph.assets:
            self._look_at_all()
        found: dict[Target, AssetCompletion] = {}
        due = [event for event, at in self._due.items() if at <= now][:MOST_AT_ONCE]
        for target in sorted(due, key=self._revision):
            self._due[target] = now + LOOK_AGAIN_AFTER
            if not self._take_in(target, found):
                del self._due[target]
                self._late.discard(target)
        for asset in [asset for asset, at in self._runs.items() if at <= now][:MOST_AT_ONCE]:
            self._runs[asset] = now + LOOK_AGAIN_AFTER
            if not self._compare_runs(asset, found):
                del self._runs[asset]
        for asset, completion in found.items():
            _log.info("asset.emitted", asset=str(asset.pipeline), partition=asset.partition, event_id=completion.event)
            value = dump_completion(completion, reported_by=self._ledger.reported_by)
            self._ledger.state(asset, value, askers=frozenset())

    def _take_in(self, target: Target, found: dict[Target, AssetCompletion]) -> bool:
        """Whether an event changes the completion of its asset. :param found: what is to be written."""
        seen = self._cache.state(target)
        if seen is None or not isinstance(seen.value, AssetState) or seen.value.observed_at is None:
            return False
        told = self._told(target, seen.value, seen.revision)
        if (partition := _partition_of(seen.value, told)) is None:
            return False
        asset = Target(asset_of(target.pipeline.environment, seen.value.uri), partition)
        if told.producer is not None:
            self._note_loop(asset, told.producer)
        run = self._cache.state(told.producer) if told.producer is not None else None
        known = self._known(asset, found)
        return self._is_to_be_written(asset, with_event(known, told, readable_state(run)), found)

    def _compare_runs(self, asset: Target, found: dict[Target, AssetCompletion]) -> bool:
        """Whether the runs of its producers change the completion of an asset."""
        known = self._known(asset, found)
        if known is None:
            return False
        completion = known
        for producer in known.producers:
            completion = with_run(completion, producer, readable_state(self._cache.state(producer)))
        return self._is_to_be_written(asset, completion, found)

    def _known(self, asset: Target, found: dict[Target, AssetCompletion]) -> AssetCompletion | None:
        known = found.get(asset) or readable_state(self._cache.state(asset))
        return known if isinstance(known, AssetCompletion) else None

    def _is_to_be_written(
        self, asset: Target, completion: AssetCompletion, found: dict[Target, AssetCompletion]
    ) -> bool:
        watermark = self._cache.watermark(asset.pipeline)
        if completion == self._known(asset, found) or (watermark is not None and watermark.has_expired(completion)):
            return asset in found
        found[asset] = completion
        return True

    def _note_loop(self, asset: Target, producer: Target) -> None:
        """Note an asset that a pipeline below it emits: to that pipeline, such an event is not new."""
        if asset.partition != producer.partition or asset.pipeline in self.loops:
            return
        if self._propagation.graph.is_above(asset.pipeline, producer.pipeline):
            self.loops[asset.pipeline] = producer.pipeline
            _log.warning("asset.loop", asset=str(asset.pipeline), pipeline=str(producer.pipeline))

    def _is_wanted(self, event: Target) -> bool:
        state = readable_state(self._cache.state(event))
        return isinstance(state, AssetState) and asset_of(event.pipeline.environment, state.uri) in (self._assets or ())

    def _revision(self, event: Target) -> int:
        seen = self._cache.state(event)
        return seen.revision if seen is not None else 0

    def _run_of(self, event: Target) -> _Run | None:
        """The run that emitted an event, perhaps in another environment, from where it was handed on."""
        state = readable_state(self._cache.state(event))
        if not isinstance(state, AssetState) or state.run is None:
            return None
        dag_id, run_id = state.run
        return PipelineRef(state.path[0] if state.path else event.pipeline.environment, dag_id), run_id

    def _told(self, target: Target, event: AssetState, revision: int) -> Told:
        """What an event tells. While the partition of its run is unknown, it waits for the state of that."""
        assert event.observed_at is not None
        producer, run = None, self._run_of(target)
        if run is not None:
            partition = self._cache.partition_of_run(*run)
            if partition is None:
                self._waiting.setdefault(run, set()).add(target)
            else:
                producer = Target(run[0], partition)
        run_id = run[1] if run is not None else None
        return Told(target.partition, revision, event.observed_at, run_id, producer, target in self._late)


def _partition_of(event: AssetState, told: Told) -> str | None:
    """The partition that an event is about; ``None``: that of its run, which is unknown. One that no run has emitted,
    and that has no key, is about nothing but itself."""
    if event.partition_key is not None:
        return event.partition_key
    if told.producer is not None:
        return told.producer.partition
    return told.event if told.run_id is None else None
