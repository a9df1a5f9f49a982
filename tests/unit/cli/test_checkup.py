"""``doctor``: what an answer of etcd or of an environment means."""

from __future__ import annotations

import json

import pytest

from coordinator.cli.checkup import (
    evaluate_environment,
    evaluate_member,
    silent_sources,
    tasks_by_environment,
)
from coordinator.cli.finding import Finding, Grade
from coordinator.config.airflow import AirflowSettings
from coordinator.config.settings import Settings
from coordinator.model.bounds import MIB
from coordinator.model.documents import parse_document
from coordinator.model.references import PipelineRef
from coordinator.runners.port import EnvironmentFault, EnvironmentReport, MissingTask
from coordinator.store.connection import MemberStatus


def member(**fields: object) -> list[Finding]:
    defaults: dict[str, object] = {"endpoint": "127.0.0.1:2379", "version": "3.6.14", "has_leader": True}
    return list(evaluate_member(MemberStatus(**{**defaults, **fields}), quota=2048 * MIB))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("version", "grade"),
    [
        ("3.4.23", Grade.WARNING),
        ("3.5.0", Grade.WARNING),
        ("3.5.2", Grade.WARNING),
        ("3.5.3", Grade.WARNING),
        ("3.5.32", Grade.WARNING),
        ("3.5.33", Grade.WARNING),
        ("3.6.0", Grade.WARNING),
        ("3.6.14", Grade.OK),
        ("3.7.0", Grade.WARNING),
        ("3.7.1", Grade.OK),
        ("3.10.1", Grade.OK),
        ("", Grade.WARNING),
    ],
)
def test_versions_with_known_mistakes_are_warned_of(version: str, grade: Grade) -> None:
    (finding,) = member(version=version)
    assert finding.grade is grade


def test_the_inconsistent_versions_are_named_for_what_they_are() -> None:
    assert "consistency" in member(version="3.5.1")[0].found
    assert "consistency" not in member(version="3.5.3")[0].found


@pytest.mark.parametrize(
    ("size", "quota", "grades"),
    [
        (1000, 0, [Grade.OK]),
        (1100, 0, [Grade.OK, Grade.WARNING]),
        (1700, 0, [Grade.OK, Grade.PROBLEM]),
        (1700, 8192, [Grade.OK]),
        (60, 100, [Grade.OK, Grade.WARNING]),
    ],
)
def test_a_database_that_fills_up_is_said_well_before_it_is_full(size: int, quota: int, grades: list[Grade]) -> None:
    findings = member(db_size=size * MIB, db_quota=quota * MIB)
    assert [finding.grade for finding in findings] == grades
    assert all("of its quota of" in finding.found for finding in findings[1:])


@pytest.mark.parametrize("alarm", ["NOSPACE", "CORRUPT"])
def test_an_alarm_is_a_problem(alarm: str) -> None:
    assert any(f.grade is Grade.PROBLEM and alarm in f.found for f in member(alarms=(alarm,)))


def test_a_cluster_without_a_leader_is_a_problem() -> None:
    assert any(f.grade is Grade.PROBLEM and "no leader" in f.found for f in member(has_leader=False))


def test_a_member_that_does_not_answer_is_a_problem_and_nothing_else_is_said_of_it() -> None:
    (finding,) = member(problem="no answer", version="", has_leader=False)
    assert finding.grade is Grade.PROBLEM
    assert finding.found == "no answer"


def environment(**fields: object) -> list[Finding]:
    report = EnvironmentReport(version="3.3.2", **fields)  # type: ignore[arg-type]
    return list(evaluate_environment("team_b", report, 3))


def test_a_good_environment_is_said_to_be_good() -> None:
    assert [finding.grade for finding in environment()] == [Grade.OK]


def test_missing_and_paused_dags_are_problems_by_name() -> None:
    missing, paused = environment(missing_dags=("a",), paused_dags=("b", "c"))
    assert missing.grade is paused.grade is Grade.PROBLEM
    assert missing.found == "DAGs that do not exist there: a"
    assert paused.found == "DAGs that are paused: b, c"
    assert missing.subject == "environment team_b"


def test_a_missing_task_is_a_problem_with_what_may_be_meant() -> None:
    (found,) = environment(missing_tasks=(MissingTask("orders", "laod", ("load",)),))
    assert found.grade is Grade.PROBLEM
    assert found.found == "DAG orders has no task 'laod', which something waits for"
    assert found.remedy.startswith("correct its name in dependencies.json, or in the sensor that waits")
    assert found.remedy.endswith(": did you mean load?")


def test_tasks_are_asked_about_by_environment_and_dag() -> None:
    named = map(PipelineRef.parse, ("a", "team_b/c"))
    tasks = [PipelineRef("default", "a", "load"), PipelineRef("team_b", "c", "x"), PipelineRef("team_b", "c", "y")]
    assert tasks_by_environment([*named, *tasks]) == {"default": {"a": {"load"}}, "team_b": {"c": {"x", "y"}}}


def test_very_many_names_stay_readable() -> None:
    (missing,) = environment(missing_dags=tuple(f"d{i}" for i in range(500)))
    assert missing.found.endswith("d9 and 490 more")


def test_an_environments_own_problem_is_passed_on() -> None:
    (finding,) = environment(problem="401: wrong password", fault=EnvironmentFault.LOGIN)
    assert finding.grade is Grade.PROBLEM
    assert finding.found == "401: wrong password"


@pytest.mark.parametrize("kind", ["airflow", "airflow2", "composer", "mwaa"])
def test_the_remedy_fits_the_kind_of_the_environment(kind: str) -> None:
    def remedy(fault: EnvironmentFault) -> str:
        report = EnvironmentReport(problem="something", fault=fault)
        (finding,) = evaluate_environment("team_b", report, 0, kind=kind)
        return str(finding.remedy)

    told = " ".join(map(remedy, EnvironmentFault))
    assert "{" not in told
    assert ("correct the username and the password" in told) is (kind in ("airflow", "airflow2"))
    assert ("InvokeRestApi" in told) is (kind == "mwaa")
    assert ("2.9 to 2.11" in told) is (kind == "airflow2")


def test_each_fault_of_an_environment_has_a_remedy_of_its_own() -> None:
    found = [*environment(missing_dags=("a",)), *environment(paused_dags=("b",))]
    for fault in EnvironmentFault:
        found += environment(problem="something", fault=fault)
    remedies = [finding.remedy for finding in found]
    assert all(remedies)
    assert len(set(remedies)) == len(EnvironmentFault) + 2
    assert not any("{" in remedy for remedy in remedies)


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({}, []),
        ({"plugin": False}, ["no plugin reports there"]),
        ({"observe": True}, ["no plugin reports there"]),
        ({"kind": "airflow2"}, ["an Airflow 2 tells no plugin of them"]),
    ],
)
@pytest.mark.promise("assets")
@pytest.mark.parametrize(
    "document",
    [
        {"assets": [{"from": "sales", "to": ["finance"]}]},
        {"D": {"upstream": {"asset": "s3://lake/orders", "environment": "sales"}}},
    ],
    ids=["bridge", "upstream"],
)
def test_an_environment_that_tells_of_no_events_is_a_problem(
    document: dict[str, object], settings: dict[str, object], found: list[str]
) -> None:
    sales = AirflowSettings.model_validate({"url": "http://127.0.0.1:1", **settings})
    read = parse_document(json.dumps(document), source="f")
    findings = [*silent_sources(read, Settings(environments={"sales": sales}))]
    assert [finding.subject for finding in findings] == ["asset events of sales"] * len(found)
    assert all(reason in finding.found for reason, finding in zip(found, findings, strict=True))
