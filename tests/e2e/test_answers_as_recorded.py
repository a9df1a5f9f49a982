"""A real Airflow answers as it was recorded, and as the model in ``tests/airflow_model`` therefore does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from examples.demo.airflow import AirflowProcess
from tests.airflow_model.conversation import DAGS, differences
from tests.e2e.conftest import HERE, eventually


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[AirflowProcess]:
    """An Airflow of its own: the conversation asks for all runs and all DAGs."""
    with AirflowProcess(
        tmp_path,
        dags_folder=HERE / "recorded_dags",
        env={"AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin,eve:viewer"},
        expected_dags=DAGS,
    ) as process:
        yield process


@pytest.mark.timeout(400)
def test_a_real_airflow_answers_as_recorded(fresh: AirflowProcess, tmp_path: Path) -> None:
    passwords = json.loads((tmp_path / "passwords.json").read_text())
    token = fresh.api.token()

    def bring_to(dag_id: str, run_id: str, state: str) -> None:
        address = f"{fresh.url}/api/v2/dags/{dag_id}/dagRuns/{run_id}"
        headers = {"Authorization": f"Bearer {token}"}
        eventually(
            lambda: requests.get(address, headers=headers, timeout=10).json().get("state") == state,
            f"{dag_id}/{run_id} is {state}",
        )

    found = differences(fresh.url, passwords, bring_to, web_pages=True)
    assert not found, "\n".join(found)
