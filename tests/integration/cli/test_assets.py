"""``coordinator assets``, and what the other commands say of bridges, on a real etcd."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from coordinator.cli.failures import ExitCode
from coordinator.commands.emit import write_event
from coordinator.model.assets.events import AssetEventDocument, new_event_id
from coordinator.model.conditions import leaves
from coordinator.model.documents import parse_document
from coordinator.model.order import GivenOrder, Order, read_order
from coordinator.model.publishing.publication import Activation, Publication, dump_publication
from coordinator.model.references import PipelineRef, Target
from coordinator.model.trigger import Action, Status, TriggerRecord, dump_record
from coordinator.store.connection import EtcdStore
from coordinator.store.keys import Keys
from coordinator.store.port import Put, Transaction
from tests.command_line import Cli

BRIDGE = {"from": "sales", "to": ["finance"], "match": ["s3://lake/*"]}
ANSWER = "404: finance knows no asset s3://lake/new"


class Bridged:
    """``sales`` hands on to ``finance``; an event is parked there, and another one waits."""

    def __init__(self, cli: Cli, config: Path, store: EtcdStore, keys: Keys) -> None:
        self._cli, self._config, self._store, self.keys = cli, config, store, keys
        self.edit({})
        self.parked, self.waiting = self._emit("s3://lake/new"), self._emit("s3://lake/orders")
        self._emit("gs://other")
        self.record(self.parked, Status.BLOCKED)

    def edit(self, more: dict[str, Any]) -> None:
        """Publish the bridge, with more fields."""
        document = parse_document(json.dumps({"assets": [BRIDGE | more]}), source="test")
        active = {
            (pipeline, leaf.identity): Activation(1)
            for pipeline, entry in document.items()
            for leaf in leaves(entry.condition)
        }
        self._put(self.keys.dependencies("default"), dump_publication(Publication(document, active)))

    def record(self, event_id: str, status: Status) -> None:
        """Write the record of a delivery."""
        record = TriggerRecord(status, 1, Action.CREATE, None, "t", 1, last_error=ANSWER)
        self._put(self.keys.trigger(self.target(event_id)), dump_record(record))

    @staticmethod
    def target(event_id: str) -> Target:
        return Target(PipelineRef("finance", "assets from sales"), event_id)

    def _put(self, key: str, value: bytes) -> None:
        self._store.commit(Transaction((), (Put(key, value),)))

    def _emit(self, uri: str) -> str:
        document = AssetEventDocument(uri=uri, dag_id="load", run_id="run", timestamp=datetime.now(UTC))
        event_id = new_event_id(document)
        write_event(self._store, self.keys, "sales", event_id, document)
        return event_id

    def order(self, event_id: str) -> Any:
        found = self._store.get(self.keys.order(self.target(event_id)))
        return None if found is None else read_order(found.value)

    def __call__(self, *arguments: str) -> Any:
        return self._cli(*arguments, "-c", self._config)


@pytest.fixture
def bridged(cli: Cli, config: Path, etcd: EtcdStore, keys: Keys) -> Bridged:
    return Bridged(cli, config, etcd, keys)


@pytest.mark.promise("assets")
def test_what_is_parked_or_waits_is_listed_with_the_answer(bridged: Bridged) -> None:
    result = bridged("assets", "list", "--json")
    assert result.exit_code == ExitCode.PROBLEM
    answer = json.loads(result.stdout)
    assert answer["parked"] == 1
    parked, waiting = answer["events"]
    assert parked.pop("age") < 60
    assert parked == {
        "event": bridged.parked,
        "pipeline": "finance/assets from sales",
        "partition": bridged.parked,
        "from": "sales",
        "to": "finance",
        "uri": "s3://lake/new",
        "dag_id": "load",
        "run_id": "run",
        "status": "blocked",
        "says": ANSWER,
        "remedies": [f"coordinator assets replay {bridged.parked}"],
    }
    assert (waiting["event"], waiting["status"]) == (bridged.waiting, "waiting")
    shown = bridged("assets", "list").stdout
    assert "s3://lake/new" in shown
    assert ANSWER in shown
    assert "gs://other" not in shown, "no bridge hands it on"
    elsewhere = bridged("assets", "list", "--to", "hr")
    assert (elsewhere.exit_code, elsewhere.stdout.strip()) == (0, "no asset event is on its way")


@pytest.mark.promise("assets")
def test_what_is_over_is_listed_only_when_asked_for(bridged: Bridged) -> None:
    bridged.edit({"except": ["s3://lake/new"]})
    bridged.record(bridged.parked, Status.WITHDRAWN)
    (waiting,) = json.loads(bridged("assets", "list", "--json").stdout)["events"]
    assert waiting["event"] == bridged.waiting
    everything = json.loads(bridged("assets", "list", "--all", "--json").stdout)["events"]
    assert [one["status"] for one in everything] == ["withdrawn", "waiting"]


@pytest.mark.promise("assets")
def test_a_replay_is_an_order_for_what_is_parked(bridged: Bridged) -> None:
    result = bridged("assets", "replay", "--all", "--reason", "T-1", "--who", "ann", "--json")
    assert [one["event"] for one in json.loads(result.stdout)["replayed"]] == [bridged.parked]
    order = bridged.order(bridged.parked)
    assert isinstance(order, GivenOrder)
    assert (order.order, order.who, order.why) == (Order.RELEASE, "ann", "T-1")
    assert bridged.order(bridged.waiting) is None
    assert bridged("assets", "replay", "--all", "--to", "hr").exit_code == 0
    assert "ann" in bridged("acts").stdout


def test_what_is_not_parked_is_not_replayed(bridged: Bridged) -> None:
    result = bridged("assets", "replay", bridged.waiting)
    assert result.exit_code != 0
    assert "not parked" in result.stderr
    assert bridged("assets", "replay").exit_code != 0


@pytest.mark.promise("assets")
def test_status_and_explain_say_why_an_event_is_parked(bridged: Bridged) -> None:
    shown = bridged("status")
    assert shown.exit_code == ExitCode.PROBLEM
    assert ANSWER in shown.stdout
    explained = bridged("explain", "finance/assets from sales", bridged.parked)
    assert ANSWER in explained.stdout


def test_a_plan_shows_the_bridges_that_it_adds_and_takes_out(bridged: Bridged, tmp_path: Path) -> None:
    file = tmp_path / "new.json"
    file.write_text(json.dumps({"assets": [BRIDGE | {"to": ["hr"]}]}))
    result = bridged("plan", str(file), "--offline", "--json")
    changes = {change["pipeline"] for change in json.loads(result.stdout)["changes"]}
    assert changes == {"finance/assets from sales", "hr/assets from sales"}
    shown = bridged("plan", str(file), "--offline").stdout
    assert "hr/assets from sales" in shown
    assert "s3://lake/*" in shown


def test_nobody_reports_marks_or_reruns_an_asset_event(bridged: Bridged) -> None:
    rerun = bridged("rerun", "sales/asset events", bridged.parked, "--yes")
    assert rerun.exit_code not in (0, ExitCode.MISTAKE)
    assert "tasks emit asset events" in rerun.stderr, rerun.stderr
    for arguments in (
        ("report", "sales/asset events", "success", "-p", "x"),
        ("mark", "finance/assets from sales", bridged.parked, "success", "--yes"),
    ):
        result = bridged(*arguments)
        assert result.exit_code not in (0, ExitCode.MISTAKE), arguments
        assert "the coordinator calls asset events so" in result.stderr, result.stderr


def test_validate_counts_bridges_apart(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "dependencies.json"
    file.write_text(json.dumps({"report": ["load"], "assets": [BRIDGE | {"to": ["finance", "hr"]}]}))
    shown = json.loads(cli("validate", str(file), "--json").stdout)
    assert (shown["pipelines"], shown["dependencies"], shown["bridges"]) == (1, 1, 2)


def test_other_commands_show_bridges_too(bridged: Bridged) -> None:
    for command in ("gaps", "status --all", "dependencies show"):
        result = bridged(*command.split())
        assert result.exit_code in (0, ExitCode.PROBLEM), (command, result.stderr)
    assert "s3://lake/*" in bridged("dependencies", "show").stdout
    assert bridged("explain", "finance/assets from sales", bridged.waiting).exit_code == 0
