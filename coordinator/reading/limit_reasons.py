"""Which limits make a due target wait, by one reading of etcd."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from coordinator.controller.dispatch.dispatcher import EnvironmentLimits
from coordinator.controller.state.cache import Cache
from coordinator.model.decide import in_flight
from coordinator.model.references import Target
from coordinator.model.runstate import read_run_state
from coordinator.model.trigger import Status, TriggerRecord, read_record
from coordinator.model.view import SeenState
from coordinator.reading.reading import Reading
from coordinator.store.keys import Keys, TriggerKey
from coordinator.store.port import Store


def limits_reached(
    store: Store, keys: Keys, reading: Reading, target: Target, environment_limits: Mapping[str, EnvironmentLimits]
) -> Iterator[str]:
    """The limits that a target that would fire now waits for, one sentence each. The watcher's settings may differ.

    :param reading: a reading of the target. Runs in flight are read at its revision, if there is a limit for them.
    :param environment_limits: the limits known here.
    :raises Compacted: etcd has dropped that revision meanwhile.
    """
    if not reading.propagation.decide(target).fires:
        return
    pipeline = target.pipeline
    node = reading.propagation.graph.node(pipeline)
    most = node.downstream.max_in_flight if node is not None else None
    limit = environment_limits.get(pipeline.environment, EnvironmentLimits()).max_runs_in_flight
    of_pipeline = keys.trigger(Target(pipeline, ""))
    if most is not None and (count := _in_flight(store, keys, of_pipeline, reading.cache)) >= most:
        yield f"it waits for a place: partitions of {pipeline} in flight: {count}, and max_in_flight is {most}"
    if limit is None:
        return
    of_environment = keys.every("trigger", pipeline.environment)
    if (count := _in_flight(store, keys, of_environment, reading.cache)) >= limit:
        yield (
            f"it waits for a place: runs in flight in environment {pipeline.environment}: {count}, and its "
            f"max_runs_in_flight is {limit}"
        )


def _in_flight(store: Store, keys: Keys, prefix: str, cache: Cache) -> int:
    """How many trigger records under a prefix are of runs in flight, besides those in which a sensor waits."""
    count, revision = 0, cache.revision
    for item in store.list(prefix, revision=revision, largest=keys.largest_value).items:
        match keys.parse(item.key):
            case TriggerKey(target):
                record = read_record(item.value)
                if cache.waits.is_waiting_in(target):
                    continue
                if isinstance(record, TriggerRecord) and record.status in (Status.INTENT, Status.SENT):
                    state = store.get(keys.state(target), revision=revision)
                    seen = SeenState(read_run_state(state.value), state.mod_revision) if state is not None else None
                    count += in_flight(record, item.mod_revision, seen)
    return count
