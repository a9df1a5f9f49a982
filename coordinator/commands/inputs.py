"""The completions that a run uses, for its tasks: ``coordinator.inputs()``.

``conf.coordinator`` names the inputs that a run was created with. A cleared run keeps its conf, so those are the inputs
of the first start. This module reads the trigger record in etcd, which is written again with each start.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from coordinator.config.loading import load_settings
from coordinator.config.settings import Settings
from coordinator.errors import CoordinatorError
from coordinator.model.assets.names import part_of
from coordinator.model.consumption import Consumed, Consumption, Fingerprint
from coordinator.model.partitions.instants import dag_or_item, partition_of_run
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunState, State
from coordinator.model.states import read_state
from coordinator.model.trigger import Status, TriggerRecord, read_record
from coordinator.model.view import SeenState
from coordinator.store.keys import Keys, StateKey
from coordinator.store.of_process import store_of_this_process
from coordinator.store.port import KeyValue, Store

FEW = 32
"""Keys of a pipeline that are read one by one; if there are more, all of the pipeline's keys are read at once."""


class InputsUnknown(CoordinatorError):
    """The inputs of a run are not recorded, or the record is about another run."""


class RunInput(NamedTuple):
    """A completion that a run uses.

    A record with more than 32 completions keeps only fingerprints of the older ones. If such a completion is still
    present in etcd, all fields are set. If the input has completed again since, or its state was deleted, ``run_id``,
    ``state`` and
    ``revision`` are ``None``: a completion was used, and its details are not known any more.

    :ivar pipeline: ``environment/dag_id``, or ``dag_id`` in the environment ``default``.
    :ivar revision: etcd revision of the completion.
    :ivar task: the task of the pipeline whose completion it is; ``None``: the whole run's.
    :ivar asset: the URI of the asset whose event it is, if it is one; ``run_id`` is of the run that emitted it.
    """

    pipeline: str
    partition: str
    run_id: str | None
    state: State | None
    revision: int | None
    task: str | None = None
    asset: str | None = None


def inputs(
    pipeline: str | PipelineRef | None = None,
    *,
    partition: str | None = None,
    run_id: str | None = None,
    dag_run: Any = None,
    settings: Settings | str | Path | None = None,
) -> list[RunInput]:
    """The completions that a run uses, as of the last time that the coordinator started it.

    Without arguments, inside a task: those of the task's own run. A run that the coordinator did not start has none.
    With conditions that need not use all of their inputs (``any``, ``at_least``, a number in ``wait``) the result
    includes completions of earlier starts in this partition that the newest start did not use.

    :param pipeline: ``environment/dag_id``, or ``dag_id`` in the environment ``default``. ``partition`` is then
        required.
    :param run_id: the run; ``None``: the newest one that the coordinator started in the partition.
    :param dag_run: Airflow's, as in a task's context; by default that of the running task. Its environment is
        ``[reporter] environment`` of the settings.
    :param settings: the settings, or their file; by default as ``load_settings()`` finds them. Their etcd user needs
        permission to read ``trigger/`` and ``state/``.
    :returns: in the order of pipelines and partitions.
    :raises InputsUnknown: the record cannot be read, or is about another run; or no run is named.
    :raises ConfigurationError: the settings are wrong.
    :raises StoreUnavailable: etcd could not be reached.
    """
    loaded = settings if isinstance(settings, Settings) else load_settings(settings)
    if pipeline is None:
        target, run_id = _run_of(dag_run if dag_run is not None else _own_dag_run(), loaded.reporter.environment)
    elif partition is None:
        raise InputsUnknown(f"which partition of {pipeline}? Expected partition=..., for example 2026-11-20T00:00:00Z")
    else:
        target = Target(pipeline if isinstance(pipeline, PipelineRef) else PipelineRef.parse(pipeline), partition)
    return read_inputs(store_of_this_process(loaded.etcd), Keys(loaded.etcd.prefix), target, run_id=run_id)


def read_inputs(store: Store, keys: Keys, target: Target, *, run_id: str | None = None) -> list[RunInput]:
    """As :func:`inputs`, for code that has a store already."""
    found = store.get(keys.trigger(target))
    if found is None:
        return []
    record = read_record(found.value)
    if not isinstance(record, TriggerRecord):
        raise InputsUnknown(f"{found.key}: the trigger record cannot be read: {record.reason}")
    if run_id is not None and record.run_id != run_id:
        raise InputsUnknown(
            f"{target}: its trigger record is about run {record.run_id}, not about run {run_id}; "
            "only the newest run that the coordinator started in a partition has its inputs recorded"
        )
    # While the answer to the request is unknown, the run may have begun already: its inputs are those of the intent.
    stands_on = record.inputs if record.status is Status.INTENT else record.consumed
    if target.pipeline.item:  # it stands on the rows, and these on what its pipeline was started for
        return read_inputs(store, keys, Target(target.pipeline.fanned_out, target.partition))
    return sorted(_told(store, keys, stands_on), key=lambda one: (one.pipeline, one.partition))


def _told(store: Store, keys: Keys, stands_on: Consumption) -> Iterator[RunInput]:
    for target, used in stands_on.named.items():
        yield _in_full(target, used)
    for pipeline, window in stands_on.windows.items():
        present = _states(store, keys, pipeline, window.fingerprints)
        for partition, fingerprint in window.fingerprints.items():
            yield _recognised(Target(pipeline, partition), fingerprint, present.get(partition))


def _in_full(target: Target, used: Consumed) -> RunInput:
    pipeline, part = str(target.pipeline.whole), part_of(target.pipeline)
    return RunInput(pipeline, target.partition, used.attempt.run_id, used.state, used.revision, **part)


def _recognised(target: Target, fingerprint: Fingerprint, seen: SeenState | None) -> RunInput:
    state = seen.value if seen is not None else None
    pipeline, part = str(target.pipeline.whole), part_of(target.pipeline)
    if seen is None or not isinstance(state, RunState) or not fingerprint.is_same(state, seen.revision):
        return RunInput(pipeline, target.partition, None, None, None, **part)
    return RunInput(pipeline, target.partition, state.attempt.run_id, state.state, seen.revision, **part)


def _states(store: Store, keys: Keys, pipeline: PipelineRef, partitions: Collection[str]) -> Mapping[str, SeenState]:
    """The states of some partitions, read one after the other: values of other writers may be of any size."""
    present = {}
    for item in _items(store, keys, pipeline, partitions):
        match keys.parse(item.key):
            case StateKey(target) if target.pipeline == pipeline and target.partition in partitions:
                present[target.partition] = SeenState(read_state(target, item.value), item.mod_revision)
    return present


def _items(store: Store, keys: Keys, pipeline: PipelineRef, partitions: Collection[str]) -> Iterator[KeyValue]:
    if len(partitions) > FEW:
        for page in store.pages(keys.states_of(pipeline)):
            yield from page.items
        return
    for partition in partitions:
        if (item := store.get(keys.state(Target(pipeline, partition)))) is not None:
            yield item


def _run_of(dag_run: Any, environment: str) -> tuple[Target, str]:
    """The target and run_id of a DAG run. (Airflow 2 has no partition keys.)"""
    partition = partition_of_run(
        run_id=dag_run.run_id,
        logical_date=dag_run.logical_date,
        partition_key=getattr(dag_run, "partition_key", None),
        conf=dag_run.conf,
    )
    dag_id = dag_or_item(dag_run.dag_id, dag_run.run_id, dag_run.conf)
    return Target(PipelineRef(environment, dag_id), partition), dag_run.run_id


def _own_dag_run() -> Any:
    """The DAG run of the task that runs in this process."""
    for module in ("airflow.sdk", "airflow.operators.python"):  # Airflow 3, Airflow 2
        try:
            return import_module(module).get_current_context()["dag_run"]
        except (ImportError, AttributeError):
            continue
        except RuntimeError as error:  # Airflow: no task runs here
            raise InputsUnknown(
                f"no task runs in this process ({error}); expected a pipeline and a partition"
            ) from error
    raise InputsUnknown("no Airflow in this process; expected a pipeline and a partition")
