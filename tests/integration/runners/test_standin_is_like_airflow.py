"""The stand-in is held to what a real Airflow answered (:mod:`tests.airflow_model.conversation`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from coordinator.model.runstate import State
from tests.airflow_model.conversation import DAGS, KEYED, differences, steps
from tests.standin.airflow import StandInAirflow


def _wrong_number(conf: dict[str, Any]) -> str | None:
    if isinstance(conf.get("n", 1), int):
        return None
    return (
        f"Invalid input for param n: {conf['n']!r} is not of type 'integer'\n\nFailed validating 'type' in schema:\n"
        f"    {{'type': 'integer'}}\n\nOn instance:\n    {conf['n']!r}"
    )


@pytest.fixture
def airflow() -> Iterator[StandInAirflow]:
    with StandInAirflow() as airflow:
        for dag_id in DAGS:
            airflow.dag(
                dag_id,
                refuse=_wrong_number if dag_id == "choosy" else None,
                tasks=dag_id != "empty",
                paused=dag_id in ("sleeping", "keyed_by_asset", "keyed_by_cron"),
                keys=KEYED.get(dag_id),
            )
        airflow.model.assets.add("orders", dag_id="keyed_by_asset")
        yield airflow


def test_the_stand_in_answers_as_a_real_airflow_did(airflow: StandInAirflow) -> None:
    def bring_to(dag_id: str, run_id: str, state: str) -> None:
        if state == "running":
            airflow.start(dag_id, run_id)
        else:
            airflow.finish(dag_id, run_id, State(state))

    found = differences(airflow.base_url, {"admin": "admin", "eve": "eve"}, bring_to, web_pages=False)
    assert not found, "\n".join(found)
    assert len(steps()) > 110
