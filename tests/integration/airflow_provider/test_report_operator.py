"""``ReportOperator``: a retry repeats its report, and a clear of its run is another completion."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from coordinator.airflow_provider.report_operator import ReportOperator
from coordinator.config.settings import EtcdSettings
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunState, read_run_state
from coordinator.store.connection import EtcdStore
from coordinator.store.keys import Keys

K = "2026-11-20T00:00:00Z"


def context(*, clear_number: int | None) -> dict[str, object]:
    run = SimpleNamespace(
        dag_id="watch_sap", run_id="manual__1", logical_date=None, partition_key=K, conf={}, clear_number=clear_number
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
