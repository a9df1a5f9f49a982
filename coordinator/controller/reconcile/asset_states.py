"""Assets that pipelines wait for: what an event says, and in which partition (docs/architecture.md#assets).

An event names the run that emitted it. Its partition is its own partition_key, else that of this run, which the state
of the run says. Everything follows from what is in etcd: so nothing is lost with a leader, and writing again what a
predecessor has written changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import structlog

from coordinator.controller.queue.due import Due
from coordinator.controller.reconcile.ledger import Ledger
from coordinator.controller.state.cache import Cache
from coordinator.model.assets.completions import (
    AssetCompletion,
    Told,
    dump_completion,
    silent_since,
    with_event,
    with_run,
    with_silence,
)
from coordinator.model.assets.events import AssetState
from coordinator.model.assets.names import EVENTS, asset_of, is_asset
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.references import PipelineRef, Target
from coordinator.model.view import readable_state

_log = structlog.get_logger(__name__)

LOOK_AGAIN_AFTER = 2.0
"""Seconds after which what was written is compared with etcd."""

MOST_AT_ONCE = 200
"""Events in one step, which must be short."""

ON_THE_WAY = 10.0
"""Seconds for which an event may still be on its way once the end of its run is known, or the state of a run once an
event of it is known: they come from different processes."""

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
        self._events = Due()
        self._emitted = Due()
        self._waiting: dict[_Run, set[Target]] = {}
        self._waits_until: dict[Target, float] = {}
        self._ended: dict[tuple[Target, Target], tuple[datetime, float]] = {}
        self.loops: dict[PipelineRef, PipelineRef] = {}

    def start_over(self) -> None:
        """Look at every event again: a term begins, or everything is listed.

        Since when something is known stays: it is known no later for that.
        """
        self._assets = None
        for one in (self._events, self._emitted, self._waiting):
            one.clear()

    def _look_at_all(self) -> None:
        """Compare every event with etcd: a new leader finds out what its predecessor has not written."""
        self.start_over()
        self._assets = self._propagation.graph.assets
        self.loops = {asset: one for asset, one in self.loops.items() if asset in self._assets}
        self._waits_until = {event: at for event, at in self._waits_until.items() if self._is_wanted(event)}
        self._ended = {ended: known for ended, known in self._ended.items() if ended[0].pipeline in self._assets}
        if not self._assets:
            return
        wanted = [event for event in self._cache.events() if self._is_wanted(event)]
        runs = (self._run_of(event) for event in wanted)
        self._cache.index_runs({run[0] for run in runs if run is not None})
        for event in wanted:
            self._look_at(event)
        for asset in self._cache.produced.assets():
            self._emitted.put(asset, 0.0)

    def note(self, changed: Iterable[Target]) -> None:
        """States have changed: of events, or of runs whose events wait for them, or that have emitted assets."""
        if not self._assets:
            return
        for target in changed:
            if target.pipeline.dag_id == EVENTS:
                if self._is_wanted(target):
                    self._look_at(target)
                continue
            for asset in (target,) if is_asset(target.pipeline) else self._cache.produced.behind(target):
                self._emitted.put(asset, 0.0)
            if self._waiting and (state := readable_state(self._cache.state(target))) is not None:
                for attempt in (state.attempt, *state.earlier):
                    for event in self._waiting.pop((target.pipeline, attempt.run_id or ""), ()):
                        self._look_at(event)

    def next_at(self) -> float | None:
        """Monotonic seconds at which there is something to write, or to compare; 0: at once."""
        if self.has_backlog():
            return 0.0
        return min((at for at in (self._events.next_at(), self._emitted.next_at()) if at is not None), default=None)

    def has_backlog(self) -> bool:
        """Whether there are events that nobody has looked at yet."""
        return self._is_outdated() or self._events.next_at() == 0.0

    def _is_outdated(self) -> bool:
        """Whether other assets are upstreams by now."""
        present = self._propagation.graph.assets
        return self._assets is not present and self._assets != present

    def step(self, now: float) -> None:
        """Put what is due into the ledger. :param now: monotonic seconds."""
        if self._is_outdated():
            self._look_at_all()
        self._assets = self._propagation.graph.assets
        found: dict[Target, AssetCompletion] = {}
        for event in sorted(self._events.take(now, MOST_AT_ONCE), key=self._revision):
            if (at := self._take_in(event, found, now)) is not None:
                self._events.put(event, at)
        for asset in self._emitted.take(now, MOST_AT_ONCE):
            if (at := self._compare_runs(asset, found, now)) is not None:
                self._emitted.put(asset, at)
        for asset, completion in found.items():
            known = self._known(asset, {})
            if known is None or known.counted < completion.counted:
                _log.info(
                    "asset.emitted", asset=str(asset.pipeline), partition=asset.partition, event_id=completion.event
                )
            value = dump_completion(completion, reported_by=self._ledger.reported_by)
            self._ledger.state(asset, value, askers=frozenset())

    def _look_at(self, event: Target) -> None:
        self._events.put(event, 0.0, order=self._revision(event))

    def _take_in(self, target: Target, found: dict[Target, AssetCompletion], now: float) -> float | None:
        """Count an event. Returns when to look at it again; ``None``: never, unless something changes.

        :param found: what is to be written.
        """
        seen = self._cache.state(target)
        if seen is None or not isinstance(seen.value, AssetState) or seen.value.emitted_at is None:
            return None
        told = self._told(target, seen.value, seen.revision)
        if (partition := _partition_of(seen.value, told)) is None:
            return None
        asset = Target(asset_of(target.pipeline.environment, seen.value.uri), partition)
        known = self._known(asset, found)
        run = None
        if told.pipeline is not None and told.partition is not None:
            producer = Target(told.pipeline, told.partition)
            self._note_loop(asset, producer)
            run = readable_state(self._cache.state(producer))
        completion = with_event(known, told, run, counted=self._ledger.known_revision)
        if completion != known and told.pipeline is not None and told.partition is None:
            until = self._waits_until.setdefault(target, now + ON_THE_WAY)
            if now < until:
                return until
        self._waits_until.pop(target, None)
        return now + LOOK_AGAIN_AFTER if self._is_to_be_written(asset, completion, found) else None

    def _compare_runs(self, asset: Target, found: dict[Target, AssetCompletion], now: float) -> float | None:
        """Compare the completion of an asset with the runs of its producers. Returns when to do so again."""
        known = self._known(asset, found)
        if known is None:
            return None
        completion, counted = known, self._ledger.known_revision
        again = []
        for producer in known.producers:
            run = readable_state(self._cache.state(producer))
            completion = with_run(completion, producer, run, counted=counted)
            if (attempt := silent_since(self._cache, completion, producer)) is None:
                self._ended.pop((asset, producer), None)
                continue
            ended, since = self._ended.get((asset, producer), (None, now))
            if ended != attempt:
                self._ended[asset, producer] = attempt, (since := now)
            if now < since + ON_THE_WAY:
                again.append(since + ON_THE_WAY)
            elif self.has_backlog():
                again.append(now + LOOK_AGAIN_AFTER)  # its event may be among those
            else:
                completion = with_silence(completion, producer, attempt)
        if self._is_to_be_written(asset, completion, found):
            again.append(now + LOOK_AGAIN_AFTER)
        return min(again, default=None)

    def _known(self, asset: Target, found: dict[Target, AssetCompletion]) -> AssetCompletion | None:
        known = found.get(asset) or readable_state(self._cache.state(asset))
        return known if isinstance(known, AssetCompletion) else None

    def _is_to_be_written(
        self, asset: Target, completion: AssetCompletion, found: dict[Target, AssetCompletion]
    ) -> bool:
        """Whether a completion is another one than what is in etcd. :param found: gets it."""
        watermark = self._cache.watermark(asset.pipeline)
        if completion == self._known(asset, found) or (watermark is not None and watermark.has_expired(completion)):
            return asset in found
        found[asset] = completion
        return True

    def _note_loop(self, asset: Target, producer: Target) -> None:
        """Note an asset that is emitted by what it starts: to that, such an event is not new."""
        if asset.pipeline in self.loops or not self._propagation.graph.is_above(asset.pipeline, producer.pipeline):
            return
        if any(self._propagation.comes_of(producer, waiter) for waiter in self._propagation.dependents(asset)):
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
        assert event.emitted_at is not None
        run = self._run_of(target)
        if run is None:
            return Told(target.partition, revision, event.emitted_at, None, None, None)
        partition = self._cache.partition_of_run(*run)
        if partition is None:
            self._waiting.setdefault(run, set()).add(target)
        return Told(target.partition, revision, event.emitted_at, *run, partition)


def _partition_of(event: AssetState, told: Told) -> str | None:
    """The partition that an event is about; ``None``: that of its run, which is unknown. One that no run has emitted,
    and that has no key, is about nothing but itself."""
    if event.partition_key is not None:
        return event.partition_key
    return told.partition if told.pipeline is not None else told.event
