"""The runner's conversations, which are tested on the stand-in, hold on the real Airflow too."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.e2e.conftest import REPOSITORY, AirflowApi

PYTEST = (sys.executable, "-m", "pytest", "-q", "-rA", "--color=no", "-p", "no:cacheprovider")


@pytest.mark.promise("answers")
@pytest.mark.timeout(600)
def test_the_runners_conversations_hold_on_a_real_airflow(airflow_api: AirflowApi) -> None:
    done = subprocess.run(
        [*PYTEST, "tests/integration/runners", "-k", "real"],
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
    # Tests of the stand-in alone are selected too where their name says "real", and pass without an Airflow.
    passed = re.findall(r"^PASSED (\S+\[real\])$", done.stdout, re.MULTILINE)
    assert any("test_a_created_run_carries_our_token_and_is_found_again" in one for one in passed), passed
    assert any("test_a_clear_makes_a_new_attempt_of_the_same_run" in one for one in passed), passed
    assert any("test_a_stop_ends_that_attempt_and_no_other" in one for one in passed), passed
