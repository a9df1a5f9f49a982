"""The runner's conversations, which are tested on the stand-in, hold on the real Airflow too."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.e2e.conftest import REPOSITORY, AirflowApi


@pytest.mark.timeout(600)
def test_the_runners_conversations_hold_on_a_real_airflow(airflow_api: AirflowApi) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "tests/integration/runners", "-k", "real", "-q", "-p", "no:cacheprovider"],
        cwd=REPOSITORY,
        env={
            **os.environ,
            "COORDINATOR_TEST_AIRFLOW_URL": airflow_api.base_url,
            "COORDINATOR_TEST_AIRFLOW_USERNAME": airflow_api.username,
            "COORDINATOR_TEST_AIRFLOW_PASSWORD": airflow_api.password,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=540,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
