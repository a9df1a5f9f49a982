"""The stand-in answers as CDAP does, as far as CDAP's own classes and documentation say it.

The forms are those of ``RunRecord``, ``ProgramRunStatus``, ``BatchProgramStart`` and ``BatchProgramResult`` in CDAP's
``cdap-proto``, and of "Lifecycle Microservices" in its documentation. A field that those do not have, or of another
type, is a mistake of the stand-in.
"""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest
import requests
from pydantic import BaseModel, ConfigDict, TypeAdapter

from tests.standin.cdap import StandInCdap

PROGRAM = {"appId": "slow", "programType": "Workflow", "programId": "DataPipelineWorkflow"}
RUNS = "/v3/namespaces/default/apps/slow/workflows/DataPipelineWorkflow/runs"

Status = Literal[
    "PENDING",
    "STARTING",
    "RUNNING",
    "SUSPENDED",
    "RESUMING",
    "STOPPING",
    "COMPLETED",
    "FAILED",
    "KILLED",
    "REJECTED",
]


class Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class RunRecord(Strict):
    """Seconds since 1970; what is not known is left out, and never null."""

    runid: str
    starting: int
    status: Status
    properties: dict[str, str]
    cluster: dict[str, Any]
    start: int = 0
    end: int = 0
    suspend: int = 0
    resume: int = 0
    stopping: int = 0
    profile: dict[str, str] = {}


class ProgramStarted(Strict):
    appId: str
    programType: Literal["Workflow"]
    programId: str
    statusCode: int
    runId: str = ""
    error: str = ""


class Version(Strict):
    version: str


RECORDS = TypeAdapter(list[RunRecord])
STARTED = TypeAdapter(list[ProgramStarted])


def post(cdap: StandInCdap, path: str, body: Any = None) -> requests.Response:
    return requests.post(cdap.url + path, data=None if body is None else json.dumps(body), timeout=10)


def get(cdap: StandInCdap, path: str, **query: int) -> requests.Response:
    return requests.get(cdap.url + path, params=query, timeout=10)


def start(cdap: StandInCdap, app: str = "slow", **arguments: str) -> ProgramStarted:
    answer = post(cdap, "/v3/namespaces/default/start", [{**PROGRAM, "appId": app, "runtimeargs": arguments}])
    assert answer.status_code == 200
    (one,) = STARTED.validate_json(answer.content)
    return one


def test_a_start_is_answered_for_each_program_and_names_the_run(cdap: StandInCdap) -> None:
    programs = [{**PROGRAM, "runtimeargs": {"a": "b"}}, {**PROGRAM, "appId": "unknown"}]
    taken, unknown = STARTED.validate_json(post(cdap, "/v3/namespaces/default/start", programs).content)
    assert (taken.appId, taken.statusCode, taken.error) == ("slow", 200, "")
    assert taken.runId
    assert (unknown.appId, unknown.statusCode, unknown.runId) == ("unknown", 404, "")
    assert unknown.error


def test_equal_starts_make_different_runs(cdap: StandInCdap) -> None:
    assert start(cdap, a="b").runId != start(cdap, a="b").runId


def test_a_program_that_runs_alone_refuses_the_second(cdap: StandInCdap) -> None:
    cdap.app("alone", concurrent=False)
    assert start(cdap, "alone").statusCode == 200
    assert start(cdap, "alone").statusCode == 409


@pytest.mark.parametrize("status", Status.__args__)  # type: ignore[attr-defined]
def test_a_record_has_the_fields_of_cdap_and_its_arguments_as_one_text(cdap: StandInCdap, status: str) -> None:
    run_id = start(cdap, a="b").runId
    (run,) = cdap.runs_of("slow")
    cdap.become(run, status)
    (listed,) = RECORDS.validate_json(get(cdap, RUNS).content)
    assert listed == RunRecord.model_validate_json(get(cdap, f"{RUNS}/{run_id}").content)
    assert (listed.runid, listed.status) == (run_id, status)
    assert json.loads(listed.properties["runtimeArgs"]) == {"a": "b"}
    assert bool(listed.end) == (status in ("COMPLETED", "FAILED", "KILLED", "REJECTED"))


def test_a_list_is_bounded_by_number_and_by_times(cdap: StandInCdap) -> None:
    for number in range(5):
        start(cdap, number=str(number))
    assert len(RECORDS.validate_json(get(cdap, RUNS, limit=2).content)) == 2
    first = cdap.runs_of("slow")[0].starting
    assert RECORDS.validate_json(get(cdap, RUNS, start=first + 3600).content) == []
    assert RECORDS.validate_json(get(cdap, RUNS, end=first).content) == []  # the end does not belong to it
    assert len(RECORDS.validate_json(get(cdap, RUNS, start=first).content)) == 5


def test_a_stop_ends_a_run_and_is_refused_once_it_has_ended(cdap: StandInCdap) -> None:
    run_id = start(cdap).runId
    assert post(cdap, f"{RUNS}/{run_id}/stop").status_code == 200
    assert RunRecord.model_validate_json(get(cdap, f"{RUNS}/{run_id}").content).status == "KILLED"
    assert post(cdap, f"{RUNS}/{run_id}/stop").status_code == 400


def test_what_is_not_there_is_refused_in_plain_text(cdap: StandInCdap) -> None:
    for answer in (
        get(cdap, RUNS.replace("slow", "unknown")),
        get(cdap, f"{RUNS}/0d3d8a4e-0000-11ee-0000-000000000000"),
        get(cdap, RUNS.replace("default", "elsewhere")),
    ):
        assert (answer.status_code, answer.headers["Content-Type"]) == (404, "text/plain")
        assert answer.text


def test_too_many_runs_are_refused_as_a_whole_and_kept_as_rejected(cdap: StandInCdap) -> None:
    cdap.most = 1
    start(cdap)
    assert post(cdap, "/v3/namespaces/default/start", [PROGRAM]).status_code == 429
    states = [one.status for one in RECORDS.validate_json(get(cdap, RUNS).content)]
    assert sorted(states) == ["REJECTED", "RUNNING"]


def test_the_version_and_a_token_that_is_not_accepted(cdap: StandInCdap) -> None:
    assert Version.model_validate_json(get(cdap, "/v3/version").content).version
    cdap.token = "secret"
    assert get(cdap, "/v3/version").status_code == 401
