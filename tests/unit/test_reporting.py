"""A report is written once, whatever happens to the answer, and never puts the older over the newer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from coordinator.commands.report import make_document, write_report
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import InvalidReport, RunState, State, Verdict, read_run_state
from coordinator.store.keys import Keys
from coordinator.store.memory import MemoryEtcd
from coordinator.store.port import Put, StoreUnavailable, Transaction
from tests.unit.store.faults import FaultyStore

KEYS = Keys()
TARGET = Target(PipelineRef("default", "a"), "2026-11-20")
KEY = KEYS.state(TARGET)
FIRST = datetime(2026, 11, 20, 1, tzinfo=UTC)
SECOND = FIRST + timedelta(hours=1)


@pytest.fixture
def store() -> FaultyStore:
    return FaultyStore(MemoryEtcd())


def tell(store: FaultyStore, state: str, *, queued_at: datetime | None = None, within: float = 5.0) -> Verdict:
    run_id = None if queued_at is None else "r"
    document = make_document(state, run_id=run_id, queued_at=queued_at)
    return write_report(store, KEYS, TARGET, document, within=within)


def stored_state(store: FaultyStore) -> tuple[State, datetime | None]:
    kv = store.server.get(KEY)
    assert kv is not None
    found = read_run_state(kv.value)
    assert isinstance(found, RunState)
    return found.state, found.attempt.queued_at


def test_an_attempt_is_reported_step_by_step(store: FaultyStore) -> None:
    assert tell(store, "running", queued_at=FIRST) is Verdict.NEW
    assert tell(store, "success", queued_at=FIRST) is Verdict.NEW
    assert stored_state(store) == (State.SUCCESS, FIRST)


def test_a_repeat_is_no_new_completion(store: FaultyStore) -> None:
    tell(store, "success", queued_at=FIRST)
    revision = store.server.revision
    assert tell(store, "success", queued_at=FIRST) is Verdict.REPEAT
    assert store.server.revision == revision


def test_a_late_running_does_not_hide_a_success(store: FaultyStore) -> None:
    tell(store, "success", queued_at=FIRST)
    assert tell(store, "running", queued_at=FIRST) is Verdict.OUTDATED
    assert stored_state(store) == (State.SUCCESS, FIRST)


def test_a_late_report_of_an_older_attempt_does_not_overwrite_a_newer_one(store: FaultyStore) -> None:
    tell(store, "running", queued_at=SECOND)
    assert tell(store, "success", queued_at=FIRST) is Verdict.OUTDATED
    assert stored_state(store) == (State.RUNNING, SECOND)


def test_every_bare_word_is_a_completion(store: FaultyStore) -> None:
    assert [tell(store, "success") for _ in range(2)] == [Verdict.NEW, Verdict.NEW]
    assert store.commits == 2


def test_rubbish_is_overwritten(store: FaultyStore) -> None:
    store.commit(Transaction((), (Put(KEY, b"{rubbish"),)))
    assert tell(store, "success", queued_at=FIRST) is Verdict.NEW


@pytest.mark.parametrize("queued_at", [FIRST, None])
@pytest.mark.parametrize("present", [None, b"success", b"running"])
def test_a_write_whose_answer_was_lost_is_not_done_twice(
    store: FaultyStore, queued_at: datetime | None, present: bytes | None
) -> None:
    if present is not None:
        store.commit(Transaction((), (Put(KEY, present),)))
    revision = store.server.revision
    store.lose_answers = 1
    assert tell(store, "success", queued_at=queued_at) is Verdict.NEW
    assert store.server.revision == revision + 1


def test_a_lost_race_is_decided_again(store: FaultyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = store.commit

    def overtaken(transaction: Transaction) -> object:
        monkeypatch.undo()
        assert tell(store, "success", queued_at=SECOND) is Verdict.NEW
        return commit(transaction)

    monkeypatch.setattr(store, "commit", overtaken)
    assert tell(store, "success", queued_at=FIRST) is Verdict.OUTDATED
    assert stored_state(store) == (State.SUCCESS, SECOND)


def test_it_goes_on_trying_and_then_says_that_etcd_is_away(store: FaultyStore) -> None:
    store.down = True
    with pytest.raises(StoreUnavailable):
        tell(store, "success", within=0.3)


@pytest.mark.parametrize(
    ("state", "fields", "place"),
    [
        ("done", {}, "state"),
        ("success", {"attempt": "three"}, "attempt"),
        ("success", {"queued_at": "yesterday"}, "queued_at"),
        ("success", {"run_id": 7}, "run_id"),
    ],
)
def test_what_is_no_run_state_is_refused_with_its_place(state: str, fields: dict[str, object], place: str) -> None:
    with pytest.raises(InvalidReport, match=place):
        make_document(state, **fields)


@pytest.mark.parametrize("note", ["x" * 100_000, "\ud800"])
def test_what_could_not_be_read_back_is_not_written(store: FaultyStore, note: str) -> None:
    with pytest.raises(InvalidReport):
        write_report(store, KEYS, TARGET, make_document("success", note=note))
    assert store.commits == 0


def test_unknown_fields_are_kept(store: FaultyStore) -> None:
    write_report(store, KEYS, TARGET, make_document("success", rows=17))
    kv = store.server.get(KEY)
    assert kv is not None
    assert b'"rows":17' in kv.value
