"""An asset of one real Airflow is an upstream of a pipeline in another one, without a bridge."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.assets.conftest import Two
from tests.e2e.assets.test_handed_on import WITHIN, coordinator, patiently
from tests.e2e.conftest import eventually
from tests.e2e.test_main_job import WatcherProcess


def runs_for(two: Two, partition: str) -> list[Any]:
    """The runs of ``after_private`` in the partition of a run of sales."""
    found = patiently(lambda: two.finance.api.runs("after_private"))
    return [run for run in found if run["conf"].get("coordinator", {}).get("partition") == partition]


@pytest.mark.promise("asset-upstreams")
def test_an_event_starts_what_waits_for_the_asset_and_again_after_a_clear(two: Two) -> None:
    """Its run has no partition key and no logical date: the partition is its run_id. Nobody watches at first."""
    watcher = WatcherProcess(two.folder)
    watcher.start()
    eventually(lambda: "asset at" in coordinator(two, "graph").stdout, "the dependency is published", within=WITHIN)
    watcher.stop()
    run_id = "waited_for"
    patiently(lambda: two.sales.api.trigger("private", None, run_id=run_id))
    watcher = WatcherProcess(two.folder)
    watcher.start()
    try:
        eventually(lambda: [run["state"] for run in runs_for(two, run_id)] == ["success"], "it has run", within=WITHIN)
        (first,) = runs_for(two, run_id)
        patiently(lambda: two.sales.api.clear("private", run_id))
        eventually(
            lambda: (
                [(run["state"], run["queued_at"] > first["queued_at"]) for run in runs_for(two, run_id)]
                == [("success", True)]
            ),
            "the same run has run again",
            within=WITHIN,
        )
        (again,) = runs_for(two, run_id)
        assert again["dag_run_id"] == first["dag_run_id"]
        explained = coordinator(two, "explain", "finance/after_private", run_id)
        assert "sales/asset at s3://lake/private/eu" in explained.stdout, explained.stdout + explained.stderr
    finally:
        watcher.stop()
