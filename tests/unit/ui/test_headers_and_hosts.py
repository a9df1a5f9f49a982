"""Who may show the page in a frame, and by which names it may be asked for."""

from __future__ import annotations

import pytest

from coordinator.config.airflow import AirflowSettings
from coordinator.ui.airflow_pages import airflow_pages
from coordinator.ui.headers import policy
from coordinator.ui.hosts import host_in


def ancestors(*pages: str) -> list[str]:
    (found,) = [part for part in policy(pages).split("; ") if part.startswith("frame-ancestors ")]
    return found.split(" ")[1:]


def test_only_the_airflows_that_are_configured_may_show_it_in_a_frame() -> None:
    assert ancestors() == ["'self'"]
    assert ancestors("https://a.example/airflow", "http://[::1]:8080", "https://a.example/other") == [
        "'self'",
        "http://[::1]:8080",
        "https://a.example",
    ]


def test_an_address_that_could_add_to_the_policy_is_left_out() -> None:
    assert ancestors("https://a.example;script-src") == ["'self'"]
    assert ancestors("https://a,b") == ["'self'"]


@pytest.mark.parametrize(
    ("header", "host"),
    [
        ("localhost:8610", "localhost"),
        ("LOCALHOST", "localhost"),
        ("[::1]:8610", "::1"),
        ("10.0.0.1", "10.0.0.1"),
        ("a.example.:1", "a.example"),
        ("", ""),
        ("[::1", ""),
        ("[127.0.0.1]evil.example", ""),
        ("[::1%evil.example]", ""),
    ],
)
def test_the_host_is_read_out_of_the_header(header: str, host: str) -> None:
    assert host_in(header) == host


def test_pages_of_airflow_are_where_people_reach_them() -> None:
    environments = {
        "new": AirflowSettings(url="http://airflow:8080", web_url="https://new.example/"),
        "old": AirflowSettings(kind="airflow2", url="http://old:8080"),
        "aws": AirflowSettings.model_validate({"kind": "mwaa", "mwaa_name": "m", "region": "eu-central-1"}),
    }
    assert airflow_pages(environments) == {
        "new": {
            "dag": "https://new.example/dags/{DAG_ID}",
            "run": "https://new.example/dags/{DAG_ID}/runs/{RUN_ID}",
        },
        "old": {
            "dag": "http://old:8080/dags/{DAG_ID}/grid",
            "run": "http://old:8080/dags/{DAG_ID}/grid?dag_run_id={RUN_ID}",
        },
    }
