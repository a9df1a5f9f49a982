"""``coordinator.inputs``: what a run stands on now, read from a real etcd; not what it stood on when it was created."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

import coordinator
from coordinator.commands.inputs import InputsUnknown, RunInput
from coordinator.commands.report import make_document, write_report
from coordinator.config.etcd import EtcdSettings
from coordinator.config.reporter import ReporterSettings
from coordinator.config.settings import Settings
from coordinator.model.consumption import NAMED, NOTHING, Consumed, Consumption, Inputs
from coordinator.model.partitions.instants import format_instant
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunState, State, read_run_state
from coordinator.model.trigger import Action, Status, TriggerRecord, dump_record
from coordinator.store.connection import EtcdStore
from coordinator.store.keys import Keys
from coordinator.store.port import Delete, Put, Transaction

K = "2026-11-20T00:00:00Z"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
D = Target(PipelineRef("team_b", "d"), K)
RUN = f"coordinator__{K}__1"


def completes(etcd: EtcdStore, keys: Keys, target: Target, *, minutes: int = 0) -> Consumed:
    document = make_document(
        State.SUCCESS, run_id=f"scheduled__{target.partition}", queued_at=NOON + timedelta(minutes=minutes)
    )
    write_report(etcd, keys, target, document)
    found = etcd.get(keys.state(target))
    assert found is not None
    state = read_run_state(found.value)
    assert isinstance(state, RunState)
    return Consumed(found.mod_revision, state.attempt, state.state)


def put_record(
    etcd: EtcdStore, keys: Keys, *, consumed: Inputs, inputs: Inputs | None = None, status: Status = Status.SENT
) -> None:
    intended = Consumption.of(inputs) if inputs is not None else NOTHING
    record = TriggerRecord(status, 1, Action.CREATE, RUN, "t", 1, consumed=Consumption.of(consumed), inputs=intended)
    etcd.commit(Transaction((), (Put(keys.trigger(D), dump_record(record)),)))


@pytest.fixture
def settings(etcd_settings: EtcdSettings) -> Settings:
    return Settings(etcd=etcd_settings, reporter=ReporterSettings(environment="team_b"))


def run(**more: object) -> SimpleNamespace:
    """Airflow's dag_run, as a task's context has it."""
    columns = {"dag_id": "d", "run_id": RUN, "logical_date": datetime(2026, 11, 20, tzinfo=UTC), "conf": {}}
    return SimpleNamespace(**columns, partition_key=None, **more)


def test_a_task_is_told_what_its_run_stands_on_now(etcd: EtcdStore, keys: Keys, settings: Settings) -> None:
    upstream = Target(PipelineRef("default", "a"), K)
    first = completes(etcd, keys, upstream)
    put_record(etcd, keys, consumed={upstream: first})
    told = [RunInput("a", K, f"scheduled__{K}", State.SUCCESS, first.revision)]
    assert coordinator.inputs("team_b/d", partition=K, settings=settings) == told
    assert coordinator.inputs(dag_run=run(), settings=settings) == told

    again = completes(etcd, keys, upstream, minutes=5)
    assert coordinator.inputs(dag_run=run(), settings=settings) == told, "it has completed again, and is not used yet"
    put_record(etcd, keys, consumed={upstream: first}, inputs={upstream: again}, status=Status.INTENT)
    (now,) = coordinator.inputs(dag_run=run(), settings=settings)
    assert now.revision == again.revision > first.revision


def test_of_a_wide_window_each_input_is_told_as_far_as_it_is_known(
    etcd: EtcdStore, keys: Keys, settings: Settings
) -> None:
    upstream = PipelineRef("default", "hourly")
    hours = [format_instant(datetime(2026, 11, 1, tzinfo=UTC) + timedelta(hours=hour)) for hour in range(100)]
    used = {Target(upstream, hour): completes(etcd, keys, Target(upstream, hour)) for hour in hours}
    put_record(etcd, keys, consumed=used)
    told = coordinator.inputs("team_b/d", partition=K, settings=settings)
    assert [(one.partition, one.revision) for one in told] == [
        (hour, used[Target(upstream, hour)].revision) for hour in hours
    ]

    completes(etcd, keys, Target(upstream, hours[0]), minutes=5)
    etcd.commit(Transaction((), (Delete(keys.state(Target(upstream, hours[1]))),)))
    completes(etcd, keys, Target(upstream, hours[-1]), minutes=5)
    later = coordinator.inputs("team_b/d", partition=K, settings=settings)
    unknown = [RunInput("hourly", hour, None, None, None) for hour in hours[:2]]
    assert later == unknown + told[2:], f"the newest {NAMED} are told in full whatever has become of them"


def test_a_run_that_the_coordinator_did_not_start_has_none(etcd: EtcdStore, keys: Keys, settings: Settings) -> None:
    assert etcd.get(keys.trigger(D)) is None
    assert coordinator.inputs(dag_run=run(), settings=settings) == []


def test_inputs_of_another_run_are_not_told(etcd: EtcdStore, keys: Keys, settings: Settings) -> None:
    put_record(etcd, keys, consumed={})
    with pytest.raises(InputsUnknown, match=f"is about run {RUN}, not about run manual__1"):
        coordinator.inputs("team_b/d", partition=K, run_id="manual__1", settings=settings)


def test_it_says_what_is_missing(etcd: EtcdStore, keys: Keys, settings: Settings) -> None:
    with pytest.raises(InputsUnknown, match="which partition of d"):
        coordinator.inputs("d", settings=settings)
    with pytest.raises(InputsUnknown, match="expected a pipeline and a partition"):
        coordinator.inputs(settings=settings)
    etcd.commit(Transaction((), (Put(keys.trigger(D), b"rubbish"),)))
    with pytest.raises(InputsUnknown, match="cannot be read"):
        coordinator.inputs("team_b/d", partition=K, settings=settings)


def test_a_process_that_forks_loads_no_grpc_for_it() -> None:
    """Until it is called, that is."""
    script = (
        "import coordinator, sys; assert 'grpc' not in sys.modules; coordinator.inputs; print('grpc' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
