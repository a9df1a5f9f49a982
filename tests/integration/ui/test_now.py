"""What needs a person, as JSON; and the stream that says what has changed."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from coordinator.commands.acts import Signature
from coordinator.commands.hold import delete_hold, put_hold
from coordinator.config.etcd import EtcdSettings
from coordinator.model.hold import Hold
from coordinator.model.references import PipelineRef
from coordinator.model.runstate import State
from coordinator.store.connection import connect
from coordinator.store.embedded import EmbeddedEtcd
from coordinator.store.keys import Keys
from coordinator.ui.views.changes import MOST
from tests.command_line import Cli
from tests.integration.ui.conftest import DOCUMENT, NOON, Etcd, K, Serve, Ui

SAME = ("attention", "attention_counts", "stuck", "problems", "problems_count", "leader", "watchers", "needs_person")


class Stream:
    """A stream of changes."""

    def __init__(self, ui: Ui) -> None:
        self._answer = ui.get("/api/v1/changes", stream=True)
        assert self._answer.status_code == 200, self._answer.text
        assert self._answer.headers["Content-Type"].startswith("text/event-stream")
        self._lines = self._answer.iter_lines(chunk_size=1, decode_unicode=True)

    def event(self) -> Any:
        """The next event."""
        line = next(line for line in self._lines if line.startswith("data: "))
        return json.loads(line.removeprefix("data: "))

    def until(self, key: str, value: Any) -> Any:
        """The next event with this value."""
        return next(event for event in iter(self.event, None) if event[key] == value)

    def close(self) -> None:
        self._answer.close()


@contextlib.contextmanager
def streaming(ui: Ui) -> Iterator[Stream]:
    with contextlib.closing(Stream(ui)) as stream:
        yield stream


def now_of(ui: Ui, *, revision: int = 0) -> Any:
    """What needs a person, once everything up to a revision has been read."""
    until = time.monotonic() + 30
    while (answer := ui.get("/api/v1/now")).status_code != 200 or answer.json()["revision"] < revision:
        assert time.monotonic() < until, answer.text
        time.sleep(0.05)
    return answer.json()


def without_ages(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_ages(one) for name, one in value.items() if name not in ("age", "written_ago")}
    return [without_ages(one) for one in value] if isinstance(value, list) else value


def test_it_is_what_status_says(ui: Ui, cli: Cli, config: Path, world: Etcd) -> None:
    revision = world.report("team_b/extract", State.FAILED, partition="2026-11-22T00:00:00Z", run_id="r22")
    found = now_of(ui, revision=revision)
    status = json.loads(cli("status", "--json", "--limit", 50, "-c", config).stdout)
    assert {name: without_ages(found[name]) for name in SAME} == {name: without_ages(status[name]) for name in SAME}
    assert ["team_b/extract", "2026-11-22T00:00:00Z"] in [
        [one["pipeline"], one["partition"]] for one in found["attention"]
    ]


def test_a_change_is_told_with_the_pipelines_that_it_affects(ui: Ui, world: Etcd) -> None:
    now_of(ui)
    with streaming(ui) as stream:
        first = stream.event()
        assert first["pipelines"] is None, "whoever begins to listen knows nothing yet"
        assert first["away"] is None
        revision = world.report("team_b/extract", State.SUCCESS, partition="2026-11-23T00:00:00Z")
        event = next(event for event in iter(stream.event, None) if event["pipelines"])
        assert event["revision"] >= revision
        assert {"team_b/extract", "load", "other"} <= set(event["pipelines"])
        assert "reference" not in event["pipelines"]
        assert now_of(ui)["revision"] >= event["revision"], "what was told is in the next answer"


def test_an_explanation_is_not_older_than_the_change_that_was_told(ui: Ui, world: Etcd) -> None:
    partition = "2026-11-24T00:00:00Z"
    path = f"/api/v1/explain/default/other/{partition}"
    world.report("team_b/extract", State.RUNNING, partition=partition)
    with streaming(ui) as stream:
        stream.event()
        for day, state in enumerate((State.FAILED, State.SUCCESS, State.FAILED), 1):
            ui.get(path)  # an answer is good for a second
            revision = world.report("team_b/extract", state, partition=partition, day=day)
            while (event := stream.event())["revision"] < revision:
                pass
            found = ui.get(f"{path}?after={event['revision']}").json()
            assert found["condition"]["branches"][0]["state"] == state


def test_it_writes_nothing(ui: Ui, world: Etcd) -> None:
    before = [(kv.key, kv.mod_revision) for kv in world.store.list(world.keys.root).items]
    now_of(ui)
    with streaming(ui) as stream:
        stream.event()
        ui.get(f"/api/v1/explain/default/publish/{K}")
    assert [(kv.key, kv.mod_revision) for kv in world.store.list(world.keys.root).items] == before


def test_streams_leave_places_for_others(ui: Ui) -> None:
    with contextlib.ExitStack() as open_streams:
        for _ in range(MOST):
            open_streams.enter_context(streaming(ui)).event()
        refused = ui.get("/api/v1/changes")
        assert (refused.status_code, refused.json()["error"]["kind"]) == (503, "busy")
        assert now_of(ui)
    until = time.monotonic() + 30
    while ui.get("/api/v1/changes", stream=True).status_code != 200:  # a place is free once its window is gone
        assert time.monotonic() < until
        time.sleep(0.1)


@pytest.fixture
def own_etcd(tmp_path: Path) -> Iterator[EmbeddedEtcd]:
    """A real etcd that this test may stop and freeze."""
    with EmbeddedEtcd(tmp_path / "own-etcd") as server:
        yield server


@pytest.fixture
def own_world(own_etcd: EmbeddedEtcd, keys: Keys) -> None:
    store = connect(EtcdSettings(endpoints=[own_etcd.endpoint], prefix=keys.prefix))
    etcd = Etcd(store, keys)
    etcd.publish(DOCUMENT)
    etcd.report("team_b/extract", State.FAILED)
    store.close()


@pytest.mark.usefixtures("own_world")
def test_while_etcd_is_away_the_last_picture_stays_and_says_so(
    serve: Serve, own_etcd: EmbeddedEtcd, keys: Keys
) -> None:
    ui = serve(own_etcd.endpoint, keys)
    before = now_of(ui)
    with streaming(ui) as stream:
        stream.event()
        own_etcd.stop()
        away = next(event for event in iter(stream.event, None) if event["away"])
        assert away["away"]["since"]
        assert away["away"]["says"]
        assert without_ages(now_of(ui)["attention"]) == without_ages(before["attention"])
        with streaming(ui) as other:
            assert other.event()["away"]["since"] == away["away"]["since"], "since it was first missed"
        own_etcd.start()
        assert stream.until("away", None)["revision"] >= before["revision"]


@pytest.mark.usefixtures("own_world")
def test_before_everything_is_read_it_says_so(serve: Serve, own_etcd: EmbeddedEtcd, keys: Keys) -> None:
    own_etcd.freeze()
    try:
        ui = serve(own_etcd.endpoint, keys)
        answer = ui.get("/api/v1/now")
        assert (answer.status_code, answer.json()["error"]["kind"]) == (503, "not_read")
    finally:
        own_etcd.thaw()
    assert now_of(ui)["attention"]


def test_it_ends_although_somebody_listens(serve: Serve, etcd_server: EmbeddedEtcd, keys: Keys) -> None:
    ui = serve(etcd_server.endpoint, keys)
    with streaming(ui) as stream:
        stream.event()
        assert ui.end() == 0
        with pytest.raises((StopIteration, requests.RequestException)):
            stream.until("revision", -1)


def test_the_graph_says_how_each_stands_in_a_partition(ui: Ui, world: Etcd) -> None:
    partition = "2026-11-27T00:00:00Z"
    world.report("reference", State.RUNNING, partition=partition)
    now_of(ui, revision=world.report("team_b/extract", State.FAILED, partition=partition))
    found = ui.get(f"/api/v1/graph?partition={partition}").json()
    names = [one["pipeline"] for one in found["pipelines"]]
    assert {(names[one], names[other]) for one, other in found["edges"]} == {
        ("team_b/extract", "load"),
        ("team_b/extract", "other"),
        ("load", "publish"),
        ("reference", "publish"),
    }
    kinds = {one["pipeline"]: one["kind"] for one in found["pipelines"]}
    assert kinds == {
        "team_b/extract": "failed",
        "load": "stuck",
        "other": "waiting",
        "publish": "stuck",
        "reference": "running",
    }
    assert partition in found["partitions"]
    assert ui.get("/api/v1/graph").json()["partition"] in found["partitions"]


def test_the_history_is_what_the_commands_print(ui: Ui, cli: Cli, config: Path, world: Etcd) -> None:
    world.publish({**DOCUMENT, "new": "reference"})
    publish = PipelineRef("default", "publish")
    put_hold(world.store, world.keys, publish, Hold(who="ana", why="a check", since=NOON))
    delete_hold(world.store, world.keys, publish, Signature("bo", NOON + timedelta(hours=1)))
    now_of(ui, revision=world.store.list(world.keys.leader).revision)
    found = ui.get("/api/v1/history").json()
    assert found["acts"] == json.loads(cli("acts", "--json", "-c", config).stdout)["acts"]
    assert [(one["act"], one["who"]) for one in found["acts"]] == [("release", "bo"), ("hold", "ana")]
    (owner,) = found["owners"]
    log = json.loads(cli("dependencies", "log", "--json", "-c", config).stdout)
    assert [one["revision"] for one in owner["versions"]] == [one["revision"] for one in log["versions"]]
    change = {"pipeline": "new", "kind": "begins", "added": ["reference"], "removed": [], "fields": ["upstream"]}
    assert owner["versions"][0]["changed"] == [change]
    assert ui.get("/api/v1/history?limit=1").json()["more_acts"]
    assert ui.get("/api/v1/history?limit=0").status_code == 400
    world.publish(DOCUMENT)
