"""Places: which limits keep something waiting that is due now, told from one reading of etcd."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from coordinator.model.decide import Obstacle
from coordinator.model.references import Target
from coordinator.model.trigger import Status, TriggerRecord
from coordinator.watcher.dispatcher import EnvironmentLimits
from coordinator.watcher.reading import Reading


def waits_for(reading: Reading, target: Target, environment_limits: Mapping[str, EnvironmentLimits]) -> Iterator[str]:
    """What a target that would fire now waits for, a sentence each; the watcher's settings may be others.

    :param environment_limits: as far as they are known here.
    """
    pipeline = target.pipeline
    node = reading.standings.graph.node(pipeline)
    most = node.downstream.max_in_flight if node is not None else None
    environment = environment_limits.get(pipeline.environment, EnvironmentLimits())
    if most is None and environment.max_runs_in_flight is None:
        return
    flying = [one.pipeline for one in _in_flight(reading) if one.pipeline.environment == pipeline.environment]
    if most is not None and (count := flying.count(pipeline)) >= most:
        yield f"it waits for a place: partitions of {pipeline} in flight: {count}, and max_in_flight is {most}"
    limit = environment.max_runs_in_flight
    if limit is not None and len(flying) >= limit:
        yield (
            f"it waits for a place: runs in flight in environment {pipeline.environment}: {len(flying)}, and its "
            f"max_runs_in_flight is {limit}"
        )


def _in_flight(reading: Reading) -> Iterator[Target]:
    for target in reading.cache.targets():
        seen = reading.cache.record(target)
        if (
            seen is not None
            and isinstance(seen.value, TriggerRecord)
            and seen.value.status in (Status.INTENT, Status.SENT)
            and Obstacle.IN_FLIGHT in reading.standings.decide(target).obstacles
        ):
            yield target
