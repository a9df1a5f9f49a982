"""What ``coordinator status`` begins with, and what its exit code tells an alert, on a real etcd."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from coordinator.cli.failures import ExitCode
from coordinator.commands.report import write_report
from coordinator.model.documents import parse_document
from coordinator.model.publishing.publication import Publication, dump_publication
from coordinator.model.references import PipelineRef, Target
from coordinator.model.reporters import ReporterStatus
from coordinator.model.runstate import RunStateDocument, State
from coordinator.model.trigger import Action, Status, TriggerRecord, dump_record
from coordinator.store.connection import EtcdStore
from coordinator.store.keys import Keys
from coordinator.store.port import Put, Transaction
from coordinator.store.presence import Presence, written
from tests.command_line import Cli

DAYS = [f"2026-11-{day:02}T00:00:00Z" for day in range(1, 29)]
CHAIN = {"load_orders": "extract", "report": "load_orders", "mail": "report"}


class Etcd:
    """What stands in etcd, set by hand: a leader, documents, states and records."""

    def __init__(self, cli: Cli, config: Path, store: EtcdStore, keys: Keys) -> None:
        self._cli, self._config, self._store, self.keys = cli, config, store, keys
        now = datetime.now(UTC)
        self.put(keys.leader, Presence("w", "host", 1, written(now)).to_value())
        self.put(keys.reporter("default", "r"), ReporterStatus(host="h", pid=1, since=now, written_at=now).to_value())

    def put(self, *pairs: Any) -> None:
        puts = tuple(Put(key, value) for key, value in zip(pairs[::2], pairs[1::2], strict=True))
        self._store.commit(Transaction((), puts))

    def dependencies(self, document: Mapping[str, Any]) -> None:
        parsed = parse_document(json.dumps(document), source="test")
        self.put(self.keys.dependencies("default"), dump_publication(Publication(parsed, {})))

    def report(self, name: str, state: State, partition: str = DAYS[0], *, ago: float = 0.0) -> None:
        at = datetime.now(UTC) - timedelta(seconds=ago)
        document = RunStateDocument(state=state, run_id=f"run_{name}", queued_at=at, observed_at=at, end_date=at)
        write_report(self._store, self.keys, Target(PipelineRef.parse(name), partition), document)

    def status(self, *arguments: object) -> Any:
        return self._cli("status", "-c", self._config, *arguments)

    def answer(self, *arguments: object) -> dict[str, Any]:
        result = self.status("--json", *arguments)
        answer: dict[str, Any] = json.loads(result.stdout)
        assert answer["needs_person"] is (result.exit_code == ExitCode.PROBLEM), result.exit_code
        return answer


@pytest.fixture
def world(cli: Cli, config: Path, etcd: EtcdStore, keys: Keys) -> Etcd:
    return Etcd(cli, config, etcd, keys)


def test_a_failed_run_comes_first_with_its_age_its_remedy_and_all_that_waits_behind_it(world: Etcd) -> None:
    world.dependencies(CHAIN)
    world.report("extract", State.FAILED, ago=7400)
    world.report("extract", State.SUCCESS, DAYS[1])
    result = world.status()
    assert result.exit_code == ExitCode.PROBLEM
    first, *others = result.stdout.splitlines()
    assert first.startswith("needs a person: 1 failed; 3 partitions stuck; leader: w")
    (row,) = [line for line in others if line.startswith("failed ")]
    for said in (
        "extract",
        DAYS[0],
        "2 h 3 min",
        "load_orders, report, mail",
        "failed in run run_extract",
        "clear its run",
    ):
        assert said in row
    (busy,) = [line for line in others if line.startswith("load_orders ")]
    assert DAYS[1] in busy
    answer = world.answer()
    (failed,) = answer["attention"]
    assert 7400 <= failed.pop("age") < 7460
    assert failed.pop("since") is not None
    assert failed.pop("says").startswith("failed in run run_extract at 20")
    assert failed == {
        "kind": "failed",
        "needs_person": True,
        "pipeline": "extract",
        "partition": DAYS[0],
        "run_id": "run_extract",
        "remedy": f"clear its run run_extract once what broke it is fixed, or: coordinator rerun extract {DAYS[0]}",
        "waiting": {
            "partitions": 3,
            "pipelines": 3,
            "nearest": [{"pipeline": name, "partition": DAYS[0]} for name in CHAIN],
        },
    }
    assert (answer["attention_counts"], answer["stuck"]) == ({"failed": 1}, 3)


def test_a_failed_run_that_nothing_waits_behind_needs_a_person_where_a_document_names_it(world: Etcd) -> None:
    world.dependencies(CHAIN | {"clean_up": {"upstream": {"pipeline": "scratch", "on": "done"}}})
    world.report("somebody_elses", State.FAILED)
    world.report("scratch", State.FAILED)
    assert world.answer()["attention"] == [], "one is in no document, and of the other any end will do"
    world.report("mail", State.FAILED)
    (failed,) = world.answer()["attention"]
    assert (failed["pipeline"], failed["waiting"]["partitions"]) == ("mail", 0)
    world.report("mail", State.RUNNING, ago=-1)
    assert world.answer()["attention"] == [], "it has been cleared, and runs again"


def test_one_line_says_that_all_is_well(world: Etcd) -> None:
    world.dependencies(CHAIN)
    result = world.status()
    assert result.exit_code == ExitCode.OK
    (line,) = result.stdout.splitlines()
    assert line.startswith("all is well; nothing is busy; leader: w (host, pid 1) since ")


def test_a_hold_is_shown_with_what_waits_behind_it_and_alerts_nobody(cli: Cli, config: Path, world: Etcd) -> None:
    world.dependencies(CHAIN)
    assert cli("hold", "load_orders", "--reason", "moving house", "-c", config).exit_code == ExitCode.OK
    for day in DAYS[:2]:
        world.report("extract", State.SUCCESS, day)
    (held,) = world.answer()["attention"]
    assert (held["kind"], held["needs_person"], held["pipeline"], held["partition"]) == (
        "held",
        False,
        "load_orders",
        None,
    )
    assert held["waiting"]["partitions"] == 6, "of load_orders itself and of the two below it"
    assert held["remedy"] == "coordinator release load_orders"
    result = world.status()
    assert result.exit_code == ExitCode.OK
    assert result.stdout.startswith("all is well; 6 partitions stuck; 1 held; nothing is busy; leader: ")
    assert "moving house" in result.stdout


def test_each_cause_counts_and_failures_come_before_the_rest(world: Etcd) -> None:
    world.dependencies(
        {
            "blocked": "a",
            "again": {"upstream": "a", "rerun": "hold"},
            "late": {"upstream": ["a", "b"], "deadline": "1 hour"},
        }
    )
    world.report("a", State.SUCCESS, ago=3 * 3600)
    world.report("blocked", State.FAILED, DAYS[1])
    refused = TriggerRecord(Status.BLOCKED, 1, Action.CREATE, "r", "t", 1, last_error="404 Dag blocked not found")
    ran = TriggerRecord(Status.DONE, 1, Action.CREATE, "r", "t", 1, order=1)
    for name, record in (("blocked", refused), ("again", ran)):
        world.put(world.keys.trigger(Target(PipelineRef("default", name), DAYS[0])), dump_record(record))
    found = [(one["kind"], one["pipeline"], one["needs_person"]) for one in world.answer()["attention"]]
    assert found == [
        ("failed", "blocked", True),
        ("blocked", "blocked", True),
        ("waiting for release", "again", True),
        ("late", "late", True),
    ]


def test_of_many_the_newest_are_shown_and_the_rest_is_counted(world: Etcd) -> None:
    world.dependencies(CHAIN | {"other": "source"})
    for day in DAYS:
        world.report("extract", State.FAILED, day)
    world.report("source", State.FAILED, DAYS[3])
    answer = world.answer("--limit", 3)
    shown = [(one["pipeline"], one["partition"]) for one in answer["attention"]]
    assert shown == [("extract", DAYS[-1]), ("extract", DAYS[-2]), ("source", DAYS[3])], "none hides the others"
    assert (answer["attention_counts"], answer["stuck"]) == ({"failed": 29}, 28 * 3 + 1)
    assert "26 more failed: see them with --limit or --pipeline" in world.status("--limit", 3).stdout


def test_what_is_asked_for_is_told_with_the_cause_far_above_it(world: Etcd) -> None:
    world.dependencies(CHAIN | {"other": "source"})
    for name in ("extract", "source"):
        world.report(name, State.FAILED)
    (cause,) = world.answer("--pipeline", "mail")["attention"]
    assert cause["pipeline"] == "extract"
    assert [row["pipeline"] for row in world.answer("--pipeline", "mail")["pipelines"]] == ["mail"]
    assert world.answer("--partition", DAYS[5])["attention"] == []
