"""What somebody else put into the outbox stops nobody: it is set aside, whatever it is and however it is called."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from coordinator.airflow_plugin.clients import Clients
from coordinator.airflow_plugin.delivery import Delivery
from coordinator.airflow_plugin.outbox import AnyEvent, Event, Outbox, UnreadableEvent
from coordinator.commands.report import write_report
from coordinator.model import bounds
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import InvalidReport, RunStateDocument, State, Verdict
from coordinator.store.keys import Keys
from coordinator.store.memory import MemoryEtcd, MemoryStore

GOOD = Event(environment="default", dag_id="a", partition="k", document=RunStateDocument(state=State.SUCCESS))


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path)


def _deliver(outbox: Outbox) -> list[AnyEvent]:
    delivered: list[AnyEvent] = []
    Delivery(outbox, lambda event: delivered.append(event) or Verdict.NEW, clients=Clients(()), wakeup_pipe=None).run()
    return delivered


@pytest.mark.promise("bad-input")
@pytest.mark.timeout(30)
def test_a_named_pipe_does_not_stop_the_sender(outbox: Outbox) -> None:
    outbox.put(GOOD)
    os.mkfifo(outbox.directory / "0-pipe.json")
    assert _deliver(outbox) == [GOOD]
    assert "0-pipe.json" in outbox.parked


@pytest.mark.timeout(30)
def test_a_directory_and_a_dangling_link_do_not_stop_it_either(outbox: Outbox) -> None:
    (outbox.directory / "0-directory.json").mkdir()
    (outbox.directory / "1-link.json").symlink_to("nowhere")
    outbox.put(GOOD)
    assert _deliver(outbox) == [GOOD]
    assert outbox.parked.names() == ["0-directory.json", "1-link.json"]
    assert "a link to a file that is not there" in outbox.parked.why("1-link.json").reason


def test_a_file_that_is_too_large_is_set_aside_unread(outbox: Outbox) -> None:
    (outbox.directory / "1-large.json").write_bytes(b" " * (bounds.OUTBOX_EVENT + 1))
    with pytest.raises(UnreadableEvent, match=str(bounds.OUTBOX_EVENT)):
        outbox.read("1-large.json")
    assert _deliver(outbox) == []


@pytest.mark.parametrize("name", ["²-x.json", "٣-1.json", "9" * 200 + "-1.json", "-.json", ".json", "a\nb.json"])
def test_any_file_name_is_delivered(outbox: Outbox, name: str) -> None:
    (outbox.directory / name).write_text(GOOD.model_dump_json(), encoding="utf-8")
    assert _deliver(outbox) == [GOOD]


def test_the_largest_report_fits_into_the_outbox(outbox: Outbox) -> None:
    note = "\x01" * (bounds.RUN_STATE // 6 - 100)  # each takes six bytes as JSON
    document = RunStateDocument(state=State.SUCCESS, note=note)
    assert len(document.to_value()) <= bounds.RUN_STATE
    outbox.put(GOOD.model_copy(update={"document": document}))
    assert [event.document.note for event in _deliver(outbox) if isinstance(event, Event)] == [note]


@pytest.mark.parametrize(
    ("environment", "dag_id", "partition"),
    [
        ("", "a", "k"),
        ("e", "", "k"),
        ("e", "a", ""),
        ("e", "a", "k" * 1001),
        ("e" * 1001, "a", "k"),
        ("e", "a\ud800", "k"),
    ],
)
def test_a_report_that_nobody_would_read_is_refused(environment: str, dag_id: str, partition: str) -> None:
    store = MemoryStore(MemoryEtcd())
    target = Target(PipelineRef(environment, dag_id), partition)
    with pytest.raises(InvalidReport):
        write_report(store, Keys(), target, RunStateDocument(state=State.SUCCESS), within=0)
    assert store.list("/").items == []


def test_a_time_before_all_time_is_a_damaged_event_and_not_the_end(outbox: Outbox) -> None:
    document = {"state": "success", "queued_at": "0001-01-01T00:00:00+14:00"}
    damaged = {**json.loads(GOOD.model_dump_json()), "document": document}
    (outbox.directory / "1-1.json").write_text(json.dumps(damaged), encoding="utf-8")
    with pytest.raises(UnreadableEvent, match="calendar"):
        outbox.read("1-1.json")
