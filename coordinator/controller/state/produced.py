"""Which runs emit which assets, as far as this watcher has read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from coordinator.model.assets.completions import AssetCompletion
from coordinator.model.graph import SensorEdge
from coordinator.model.references import Target
from coordinator.model.view import SeenState


class Produced:
    """Assets that others wait for, by the runs that emit them. An asset is as ready as those are, as a run with a
    sensor is as what the sensor waits for."""

    def __init__(self) -> None:
        self._behind: dict[Target, dict[Target, None]] = {}
        self._edges: dict[SensorEdge, int] = {}
        self._uses: Counter[SensorEdge] = Counter()

    def exchange(self, asset: Target, before: SeenState | None, after: SeenState | None) -> bool:
        """An asset in a partition has another state. Returns whether pipelines are connected that were not before."""
        gone, come = _producers(before), _producers(after)
        for producer in gone - come:
            edge = _edge(asset, producer)
            self._uses[edge] -= 1
            if not self._uses[edge]:
                del self._uses[edge], self._edges[edge]
            behind = self._behind[producer]
            del behind[asset]
            if not behind:
                del self._behind[producer]
        is_new = False
        for producer in come - gone:
            edge = _edge(asset, producer)
            is_new = is_new or edge not in self._uses
            self._uses[edge] += 1
            assert after is not None
            self._edges.setdefault(edge, after.revision)
            self._behind.setdefault(producer, {})[asset] = None
        return is_new

    def behind(self, producer: Target) -> Iterable[Target]:
        """The assets that a pipeline has emitted when it ran in a partition."""
        return self._behind.get(producer, ())

    def assets(self) -> set[Target]:
        """Every asset of which it is known what has emitted it."""
        return {asset for assets in self._behind.values() for asset in assets}

    def edges(self) -> Mapping[SensorEdge, int]:
        """The pipelines of assets with those of their producers, each with the etcd revision at which it was seen."""
        return self._edges

    def clear(self) -> None:
        for one in (self._behind, self._edges, self._uses):
            one.clear()


def _producers(seen: SeenState | None) -> set[Target]:
    return set(seen.value.producers) if seen is not None and isinstance(seen.value, AssetCompletion) else set()


def _edge(asset: Target, producer: Target) -> SensorEdge:
    return SensorEdge(asset.pipeline, producer.pipeline, asset.partition == producer.partition)
