"""The JSON of the page is what the command prints, and an error says what was meant instead."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from coordinator.model.runstate import State
from tests.command_line import Cli
from tests.integration.ui.conftest import EVIL, Etcd, K, Ui


def printed(cli: Cli, config: Path, *arguments: object) -> Any:
    return as_of_one_revision(json.loads(cli("explain", *arguments, "--json", "-c", config).stdout))


def as_of_one_revision(answer: Any) -> Any:
    """Without the revision of etcd that was read: others use this etcd, too."""
    assert isinstance(answer.pop("revision"), int)
    return answer


@pytest.mark.parametrize("pipeline", ["publish", "load", "other", "reference", "team_b/extract"])
def test_an_explanation_is_that_of_the_command(ui: Ui, cli: Cli, config: Path, pipeline: str) -> None:
    environment, _, dag_id = pipeline.rpartition("/")
    answer = ui.get(f"/api/v1/explain/{environment or 'default'}/{dag_id}/{quote(K, safe='')}")
    assert answer.status_code == 200
    assert as_of_one_revision(answer.json()) == printed(cli, config, pipeline, K)


def test_the_newest_partitions_are_those_of_the_command(ui: Ui, cli: Cli, config: Path) -> None:
    answer = ui.get("/api/v1/explain/default/publish?limit=7")
    assert as_of_one_revision(answer.json()) == printed(cli, config, "publish", "--limit", 7)
    assert [row["partition"] for row in answer.json()["partitions"]] == [K]


def test_a_partition_is_read_in_any_spelling_that_the_command_reads(ui: Ui, cli: Cli, config: Path) -> None:
    answer = ui.get("/api/v1/explain/default/publish/2026-11-20")
    assert answer.json()["partition"] == K
    assert as_of_one_revision(answer.json()) == printed(cli, config, "publish", "2026-11-20")


def test_the_past_is_explained_as_it_stood(ui: Ui, cli: Cli, config: Path, world: Etcd) -> None:
    before = world.report("reference", State.SUCCESS, partition="2026-11-21T00:00:00Z")
    world.report("reference", State.FAILED, partition="2026-11-21T00:00:00Z", day=1)
    path = f"/api/v1/explain/default/publish/{quote('2026-11-21T00:00:00Z')}"
    then = ui.get(f"{path}?rev={before}")
    assert as_of_one_revision(then.json()) == printed(cli, config, "publish", "2026-11-21T00:00:00Z", "--rev", before)
    assert then.json()["condition"]["branches"][1]["state"] == "success"
    assert ui.get(path).json()["condition"]["branches"][1]["state"] == "failed"


def test_a_task_is_told_as_by_the_command(ui: Ui, cli: Cli, config: Path) -> None:
    answer = ui.get(f"/api/v1/explain/team_b/extract/{quote(K)}?task=load")
    assert as_of_one_revision(answer.json()) == printed(cli, config, "team_b/extract", K, "--task", "load")


def test_it_says_in_words_what_the_command_says(ui: Ui, cli: Cli, config: Path) -> None:
    said = ui.get(f"/api/v1/explain/default/publish/{quote(K)}").json()["in_words"]
    text = " ".join(cli("explain", "publish", K, "-c", config).stdout.split())
    lines = [line["text"] for line in said["condition"]]
    for part in [*lines, *said["because"], said["outlook"], *said["remedies"], said["state"], *said["trigger"]]:
        assert part in text, f"{part!r} is not in {text!r}"
    assert len(lines) > 2
    load = {"pipeline": "load", "partition": K, "state": None, "run_id": None, "run_of": None, "readiness": "stuck"}
    assert said["condition"][1]["about"] == load
    assert said["condition"][1]["text"].startswith(said["condition"][1]["name"])


def test_names_from_outside_are_data(ui: Ui) -> None:
    names = [quote(one, safe="") for one in (EVIL, f"{EVIL}/x", f"{EVIL}:%2F/1")]
    answer = ui.get("/api/v1/explain/" + "/".join(names))
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json()["partition"] == f"{EVIL}:%2F/1"
    assert answer.json()["pipeline"] == f"{EVIL}/{EVIL}/x"


def test_an_unknown_pipeline_is_told_with_those_that_may_be_meant(ui: Ui) -> None:
    for path in ("/api/v1/explain/default/publsh", f"/api/v1/explain/default/publsh/{K}"):
        answer = ui.get(path)
        error = answer.json()["error"]
        assert (answer.status_code, error["kind"]) == (404, "unknown_pipeline")
        assert {"environment": "default", "dag_id": "publish"} in error["near"]
        assert "publsh: no published document names it" in error["says"]


def test_an_unknown_partition_is_told_with_those_that_may_be_meant(ui: Ui) -> None:
    answer = ui.get("/api/v1/explain/default/publish/2026-11-20T03:00:00Z")
    error = answer.json()["error"]
    assert (answer.status_code, error["kind"]) == (404, "unknown_partition")
    assert error["near"] == [K]
    assert K in error["newest"]
    assert "nothing is known of publish in partition 2026-11-20T03:00:00Z" in error["says"]


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/explain/default/publish?rev=soon", 400, "rev: expected a whole number"),
        ("/explain/default/publish?rev=9223372036854775808", 400, "rev: expected a whole number"),
        ("/explain/default/publish?limit=0", 400, "limit: expected at least 1"),
        ("/explain/default/publish?limit=100000", 400, "limit: expected a whole number up to 200"),
        ("/explain/default/%FF", 400, "is not UTF-8"),
        (f"/explain/default/{'a' * 1001}", 400, "expected 1 to 1000 characters"),
        ("/explain/a%2Fb/publish", 400, "has a '/'"),
        (f"/explain/default/publish/{K}?rev=900000000", 404, "has not come yet"),
        ("/nothing", 404, "Nothing matches"),
    ],
)
def test_what_cannot_be_answered_is_said_as_json(ui: Ui, path: str, status: int, says: str) -> None:
    answer = ui.get(f"/api/v1{path}")
    assert answer.status_code == status
    assert says in answer.json()["error"]["says"]


def test_the_pages_of_airflow_are_those_that_people_reach(ui: Ui) -> None:
    assert ui.get("/api/v1/environments").json()["environments"] == {
        "team_b": {
            "dag": "https://team-b.example/airflow/dags/{DAG_ID}",
            "run": "https://team-b.example/airflow/dags/{DAG_ID}/runs/{RUN_ID}",
        },
        "default": {
            "dag": "http://127.0.0.1:8080/dags/{DAG_ID}/grid",
            "run": "http://127.0.0.1:8080/dags/{DAG_ID}/grid?dag_run_id={RUN_ID}",
        },
    }
