"""Which partition a run of Airflow is about, by what stands in etcd, else by its run_id alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from coordinator.errors import CoordinatorError
from coordinator.model.partitions.instants import date_in_run_id, item_in_run_id, partition_in_run_id
from coordinator.model.phrases import counted
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunState, read_run_state
from coordinator.model.trigger import TriggerRecord, read_record
from coordinator.reading.naming import read_target
from coordinator.reading.partition_names import newest_first
from coordinator.store.keys import Keys, StateKey, TriggerKey
from coordinator.store.port import KeyValue, Store

_NEWEST = 5


class RunNotFound(CoordinatorError):
    """No key names the run, and its run_id does not say which partition it is about.

    :ivar looked_for: where it was looked for, sentence by sentence.
    :ivar newest: the newest partitions of its pipeline.
    """

    def __init__(self, message: str, *, looked_for: Sequence[str], newest: Sequence[str]) -> None:
        super().__init__(message)
        self.looked_for = looked_for
        self.newest = newest


@dataclass(frozen=True, slots=True)
class RunPartition:
    """:ivar is_certain: false: no key names the run yet, and its run_id has the date of this partition.

    :ivar item: the item of its pipeline that it is of; empty: of none.
    """

    partition: str
    is_certain: bool
    item: str = ""


def partition_of_run_id(store: Store, keys: Keys, pipeline: PipelineRef, run_id: str) -> RunPartition:
    """The partition of a run: by the key that names the run, else by its run_id.

    :raises UnknownPipeline: nothing is known of the pipeline.
    :raises RunNotFound: nothing is known of the run.
    """
    if (of_item := item_in_run_id(run_id)) is not None:
        there, key = of_item
        if run_id in _runs_named(store, keys, Target(pipeline.with_item(key), there)):
            return RunPartition(there, is_certain=True, item=key)
    ours, dated = partition_in_run_id(run_id), date_in_run_id(run_id)
    for partition in (ours, dated, run_id):  # where it usually is, without reading all partitions
        if partition is not None and run_id in _runs_named(store, keys, Target(pipeline, partition)):
            return RunPartition(partition, is_certain=True)
    partitions: set[str] = set()
    for target, is_it in _search(store, keys, pipeline, run_id):
        if is_it:
            return RunPartition(target.partition, is_certain=True)
        partitions.add(target.partition)
    reading, target, named = read_target(store, keys, pipeline, ours or dated or run_id, below=False, new_pipeline=True)
    reading.require(pipeline)
    if ours is not None:
        return RunPartition(ours, is_certain=True)
    another = _runs_named(store, keys, target)
    if dated is not None and named.known and not another:
        return RunPartition(named.partition, is_certain=False)
    raise RunNotFound(
        f"no run {run_id} of {pipeline} is known",
        looked_for=tuple(_looked_for(pipeline, run_id, len(partitions), dated, another)),
        newest=newest_first(partitions)[:_NEWEST],
    )


def _looked_for(pipeline: PipelineRef, run_id: str, count: int, dated: str | None, another: set[str]) -> Iterator[str]:
    if count:
        where = counted(count, "partition of it that is known", "partitions of it that are known")
        yield f"neither a run state nor a trigger record of {pipeline} names the run {run_id} ({where})"
    else:
        yield f"no run of {pipeline} has been reported, and none has been started by the coordinator"
    if dated is None:
        yield "the run_id names no date"
    elif another:
        yield f"the run_id has the date {dated}, and that partition belongs to the run {min(another)}"
    else:
        yield f"the run_id has the date {dated}, which is no partition of {pipeline}"


def _runs_named(store: Store, keys: Keys, target: Target) -> set[str]:
    """The runs that the state and the record of a target name."""
    items = (store.get(key) for key in (keys.state(target), keys.trigger(target)))
    named = (_run_named(keys, item) for item in items if item is not None)
    return {run_id for run_id in named if run_id is not None}


def _search(store: Store, keys: Keys, pipeline: PipelineRef, run_id: str) -> Iterator[tuple[Target, bool]]:
    """Every target that has a run state or a record, and whether that names the run."""
    for prefix in (keys.states_of(pipeline), keys.triggers_of(pipeline)):
        for page in store.pages(prefix):
            for item in page.items:
                match keys.parse(item.key):
                    case StateKey(target) | TriggerKey(target):
                        # Most values are told apart by their bytes, which is fast.
                        yield target, run_id.encode() in item.value and _run_named(keys, item) == run_id


def _run_named(keys: Keys, item: KeyValue) -> str | None:
    if len(item.value) > keys.largest_value(item.key):
        return None
    match keys.parse(item.key):
        case StateKey():
            state = read_run_state(item.value)
            return state.attempt.run_id if isinstance(state, RunState) else None
        case TriggerKey():
            record = read_record(item.value)
            return record.run_id if isinstance(record, TriggerRecord) else None
    return None
