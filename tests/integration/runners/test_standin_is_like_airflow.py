"""The stand-in is held to what a real Airflow 3.3.2 answered: each recorded request, asked again.

Compared are the status and the shape of the body: the same fields with values of the same type, and the same
words wherever Airflow says why it refuses. ``recorded/airflow-3.3.2.json`` was taken down on SQLite, from DAGs
with the names and properties that the fixture declares.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

import tests.airflow_model as model
from coordinator.model.runstate import State
from tests.standin.airflow import StandInAirflow

RECORDED = Path(model.__file__).parent / "recorded" / "airflow-3.3.2.json"

ONLY_REAL = {
    "an address that does not exist, outside the API": "Airflow's web pages",
}


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
        for dag_id in ("quick", "slow", "broken"):
            airflow.dag(dag_id)
        airflow.dag("choosy", refuse=_wrong_number)
        airflow.dag("empty", tasks=False)
        airflow.dag("sleeping", paused=True)
        yield airflow


def test_the_stand_in_answers_as_a_real_airflow_did(airflow: StandInAirflow) -> None:
    steps = json.loads(RECORDED.read_text())["steps"]
    tokens: dict[str, str] = {"malformed": "no.such.token"}
    compared = 0
    problems = []
    for step in steps:
        if "until" in step:
            _bring_to(airflow, **step["until"])
            continue
        if step["name"] in ONLY_REAL:
            continue
        asked, expected = step["request"], step["answer"]
        headers = {"Authorization": f"Bearer {tokens[asked['auth']]}"} if asked["auth"] in tokens else {}
        answer = requests.request(
            asked["method"],
            airflow.base_url + asked["path"],
            headers=headers,
            data="{" if "no JSON" in step["name"] else None,
            json=asked["body"],
            timeout=10,
        )
        body: Any = answer.json() if answer.content else None
        if asked["path"] == "/auth/token" and answer.status_code == 201:
            tokens[asked["body"]["username"]] = body["access_token"]
        if answer.status_code != expected["status"]:
            problems.append(f"{step['name']}: {answer.status_code}, Airflow answered {expected['status']}: {body}")
        problems += [f"{step['name']}: {problem}" for problem in _differences("body", body, expected["body"])]
        compared += 1
    assert not problems, "\n".join(problems)
    assert compared > 70


def _bring_to(airflow: StandInAirflow, *, dag_id: str, run_id: str, state: str) -> None:
    if state == "running":
        airflow.start(dag_id, run_id)
    else:
        airflow.finish(dag_id, run_id, State(state))


def _differences(place: str, found: Any, real: Any) -> Iterator[str]:
    """Where the shapes part. The words of a refusal, states and names are compared as they are."""
    if isinstance(real, dict) and isinstance(found, dict):
        for key in found.keys() - real.keys():
            yield f"{place}.{key} is not in Airflow's answer"
        for key in real.keys() - found.keys() - {"is_backfillable", "file_token"}:
            yield f"{place}.{key} is missing"
        for key in found.keys() & real.keys():
            yield from _differences(f"{place}.{key}", found[key], real[key])
    elif isinstance(real, list) and isinstance(found, list):
        if "task_instances" in place:
            return
        if len(real) != len(found):
            yield f"{place} has {len(found)} entries, not {len(real)}"
        for index, (one, other) in enumerate(zip(found, real, strict=False)):
            yield from _differences(f"{place}[{index}]", one, other)
    elif (found is None) != (real is None) and not place.endswith("last_scheduling_decision"):
        yield f"{place} is {found!r}, not {real!r}"
    elif None not in (found, real) and type(found) is not type(real) and not {type(found), type(real)} <= {int, float}:
        yield f"{place} is a {type(found).__name__}, not a {type(real).__name__}"
    elif place in ("body.detail", "body.state", "body.error") or place.endswith((".msg", ".type", ".loc")):
        # Airflow names two patterns for run ids, and what pydantic complains about in the login differs by version.
        if found != real and not real.startswith(("The run_id provided", "1 validation error for LoginBody")):
            yield f"{place} is {found!r}, not {real!r}"
    elif place.endswith((".dag_run_id", ".dag_id", ".logical_date")) and not (
        found == real or str(real).startswith("manual__")
    ):
        yield f"{place} is {found!r}, not {real!r}"
