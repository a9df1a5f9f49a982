"""``ReportOperator``: a retry repeats its report, and a clear of its run is another completion, as is a new run."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from coordinator.airflow_provider.report_operator import ReportOperator
from coordinator.config.etcd import EtcdSettings
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunState, RunStateDocument, State, read_run_state
from coordinator.store.connection import EtcdStore
from coordinator.store.keys import Keys
from coordinator.store.port import Put, Transaction

K = "2026-11-20T00:00:00Z"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def context(*, clear_number: int | None, start_date: datetime = NOON) -> dict[str, object]:
    run = SimpleNamespace(
        dag_id="watch_sap",
        run_id="manual__1",
        logical_date=None,
        partition_key=K,
        conf={},
        start_date=start_date,
        clear_number=clear_number,
    )
    return {"dag_run": run, "ti": SimpleNamespace(dag_id="watch_sap", task_id="tell")}


@pytest.mark.promise("once")
@pytest.mark.parametrize("external", [None, "job-7"])
def test_a_retry_repeats_the_report(
    external: str | None, monkeypatch: pytest.MonkeyPatch, etcd_settings: EtcdSettings, etcd: EtcdStore, keys: Keys
) -> None:
    monkeypatch.setenv("COORDINATOR_ETCD__ENDPOINTS", json.dumps(etcd_settings.endpoints))
    monkeypatch.setenv("COORDINATOR_ETCD__PREFIX", etcd_settings.prefix)
    operator = ReportOperator(task_id="tell", pipeline="sap/extract", external_run_id=external)
    assert operator.execute(context(clear_number=None)) == "new"
    written = etcd.get(keys.state(Target(PipelineRef("sap", "extract"), K)))
    assert written is not None
    state = read_run_state(written.value)
    assert isinstance(state, RunState)
    assert state.attempt.run_id == (external or "manual__1")
    assert operator.execute(context(clear_number=0)) == "repeat"
    assert etcd.get(keys.state(Target(PipelineRef("sap", "extract"), K))) == written
    assert operator.execute(context(clear_number=1)) == "new"
    assert operator.execute(context(clear_number=0)) == "outdated"


@pytest.mark.promise("late-reports")
@pytest.mark.parametrize("external", [None, "job-7"])
def test_a_run_that_is_deleted_and_made_again_completes_again(
    external: str | None, monkeypatch: pytest.MonkeyPatch, etcd_settings: EtcdSettings, etcd: EtcdStore, keys: Keys
) -> None:
    """It had been cleared twice, once while it ran. The new run has its name, and no clears. An older version of the
    operator counted clears alone: its report is older."""
    monkeypatch.setenv("COORDINATOR_ETCD__ENDPOINTS", json.dumps(etcd_settings.endpoints))
    monkeypatch.setenv("COORDINATOR_ETCD__PREFIX", etcd_settings.prefix)
    key = keys.state(Target(PipelineRef("sap", "extract"), K))
    counted = RunStateDocument(state=State.SUCCESS, run_id=external or "manual__1", attempt=9)
    etcd.commit(Transaction((), (Put(key, counted.to_value()),)))
    operator = ReportOperator(task_id="tell", pipeline="sap/extract", external_run_id=external)
    again, anew = NOON + timedelta(minutes=5), NOON + timedelta(minutes=6)
    assert operator.execute(context(clear_number=0)) == "new"
    assert operator.execute(context(clear_number=1)) == "new"
    assert operator.execute(context(clear_number=2, start_date=again)) == "new"
    assert operator.execute(context(clear_number=0, start_date=anew)) == "new"
    assert operator.execute(context(clear_number=0, start_date=anew)) == "repeat"
    assert operator.execute(context(clear_number=2, start_date=again)) == "outdated"
