"""Several publishers on one etcd, each with its own file: the lead goes to and fro, an old file counts for nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

import pytest
import structlog

from coordinator.commands.proposal import Proposal, Signature
from coordinator.commands.publish import apply, read_publications
from coordinator.commands.report import write_report
from coordinator.config.publication import PublicationSettings
from coordinator.controller.clock import SystemClock
from coordinator.controller.leading import publisher
from coordinator.controller.leading.dag_checks import DagChecks
from coordinator.controller.leading.publisher import Publisher, Writer
from coordinator.controller.leading.watched_file import WatchedFile
from coordinator.controller.state.cache import Cache
from coordinator.model import bounds
from coordinator.model.documents import parse_document
from coordinator.model.publishing.publication import Publication, read_publication
from coordinator.model.publishing.resuming import Terms
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunStateDocument, State
from coordinator.store.keys import Keys
from coordinator.store.memory import MemoryEtcd, MemoryStore
from coordinator.store.port import Delete, Put, Transaction

KEYS = Keys()
OLD, NEW, THIRD = {"D": "A"}, {"D": "A", "E": "A"}, {"D": ["A", "B"]}


class Ahead(SystemClock):
    """A clock that can be moved."""

    by = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.by


class Watcher:
    """As much of one as publishes."""

    def __init__(self, store: MemoryStore, file: Path, document: dict[str, Any], **settings: Any) -> None:
        self.clock = clock = Ahead()
        self._store = store
        self._file = file
        self.cache = Cache(KEYS)
        self.edit(document)
        self.publisher = Publisher(
            WatchedFile(file, {"default"}),
            owner="default",
            cache=self.cache,
            settings=PublicationSettings(**settings),
            checks=DagChecks({}, clock=clock.monotonic, answered=lambda: None),
            writer=Writer(store, KEYS, file.name, clock),
        )
        self.follow()

    def edit(self, document: dict[str, Any]) -> None:
        """Whether it sees that depends on whether it runs: :meth:`follow` and :meth:`lead` are its turns."""
        self._file.with_suffix(".new").write_text(json.dumps(document))
        self._file.with_suffix(".new").rename(self._file)  # another inode, however coarse the times of files are

    def follow(self) -> None:
        self._take_in()
        self.publisher.read()
        self.publisher.take_turn(term=None, connected=True)

    def lead(self) -> None:
        """It leads from now on, and has two turns: one that publishes, one that sees that."""
        self._store.commit(Transaction((), (Delete(KEYS.leader),)))
        term = self._store.commit(Transaction((), (Put(KEYS.leader, b"{}"),))).revision
        for _ in range(2):
            self._take_in()
            self.publisher.read()
            self.publisher.publish(term=term)

    def _take_in(self) -> None:
        self.cache.replace(self._store.list(KEYS.root))


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(MemoryEtcd())


Start = Callable[..., Watcher]


@pytest.fixture
def start(store: MemoryStore, tmp_path: Path) -> Start:
    numbers = iter(range(100))

    def start(document: dict[str, Any], **settings: Any) -> Watcher:
        return Watcher(store, tmp_path / f"{next(numbers)}.json", document, **settings)

    return start


def in_force(store: MemoryStore) -> tuple[int, list[str]]:
    """Version, and pipelines with their conditions."""
    found = store.get(KEYS.dependencies("default"))
    assert found is not None
    read = read_publication(found.value, source="test")
    assert isinstance(read, Publication)
    return read.version, [f"{name} <- {downstream.condition}" for name, downstream in read.document.items()]


def by_hand(store: MemoryStore, document: dict[str, Any]) -> None:
    """As ``coordinator apply``."""
    clock = SystemClock()
    parsed = parse_document(json.dumps(document), source="test")
    proposal = Proposal("default", parsed, read_publications(store, KEYS), Terms(clock.now()))
    apply(store, KEYS, proposal, Signature("ann", clock.now()))


def complete(store: MemoryStore, name: str, partition: str) -> None:
    report = RunStateDocument(state=State.SUCCESS, run_id="r", attempt=1)
    write_report(store, KEYS, Target(PipelineRef.parse(name), partition), report)


def test_old_and_new_take_turns_and_only_the_new_one_is_published(store: MemoryStore, start: Start) -> None:
    start(OLD).lead()
    start(NEW).lead()
    for _ in range(3):
        old = start(OLD)
        old.lead()
        assert "older than what is in force" in str(old.publisher.problem)
        new = start(NEW)
        new.lead()
        assert new.publisher.problem is None
    assert in_force(store) == (2, ["D <- A", "E <- A"])


def overwrite(store: MemoryStore) -> None:
    store.commit(Transaction((), (Put(KEYS.dependencies("default"), b"rubbish"),)))


def activations(store: MemoryStore) -> dict[str, int]:
    """From which revision on each pipeline's only dependency counts."""
    found = store.get(KEYS.dependencies("default"))
    assert found is not None
    read = read_publication(found.value, source="test")
    assert isinstance(read, Publication)
    return {str(name): one.revision for (name, _), one in read.activations(found.mod_revision).items()}


@pytest.mark.parametrize("was_away", [False, True])
def test_an_overwritten_document_goes_on_from_its_last_readable_version(
    store: MemoryStore, start: Start, *, was_away: bool
) -> None:
    watcher = start(OLD)
    watcher.lead()
    by_hand(store, NEW)
    if not was_away:
        watcher.follow()
    before = activations(store)
    for _ in range(2):
        complete(store, "A", "2026-11-20")
        overwrite(store)
    watcher.edit(NEW)
    watcher.lead()
    assert watcher.publisher.problem is None
    assert in_force(store) == (3, ["D <- A", "E <- A"])
    assert activations(store) == before


@pytest.mark.parametrize("hours", [1, 3])
def test_a_deleted_document_resumes_as_long_as_what_was_taken_out(store: MemoryStore, start: Start, hours: int) -> None:
    watcher = start(NEW, resume_within="2 hours")
    watcher.lead()
    before = activations(store)
    store.commit(Transaction((), (Delete(KEYS.dependencies("default")),)))
    watcher.follow()
    watcher.clock.by = timedelta(hours=hours)
    watcher.follow()
    watcher.lead()
    resumes = activations(store) == before
    assert resumes is (hours < 2)


def test_any_file_is_published_where_the_document_was_deleted(store: MemoryStore, start: Start) -> None:
    """Nothing is in force that could be newer."""
    start(OLD).lead()
    start(NEW).lead()
    old = start(OLD)
    assert old.publisher.problem is not None
    store.commit(Transaction((), (Delete(KEYS.dependencies("default")),)))
    old.lead()
    assert old.publisher.problem is None
    assert in_force(store) == (3, ["D <- A"])


@pytest.mark.parametrize("mended", [NEW, THIRD], ids=["as before", "as never before"])
def test_a_file_that_is_mended_while_the_document_cannot_be_read_is_published(
    store: MemoryStore, start: Start, mended: dict[str, Any]
) -> None:
    start(NEW).lead()
    start(OLD).lead()
    by_hand(store, OLD)
    overwrite(store)
    watcher = start({"D": "D"})
    watcher.lead()
    assert watcher.publisher.problem is not None
    watcher.edit(mended)
    watcher.lead()
    assert watcher.publisher.problem is None
    assert in_force(store)[0] > 2


def test_an_older_file_does_not_take_the_place_of_an_overwritten_document(store: MemoryStore, start: Start) -> None:
    start(OLD).lead()
    start(NEW).lead()
    before = activations(store)
    overwrite(store)
    old = start(OLD)
    old.lead()
    assert "older than what is in force" in str(old.publisher.problem)
    start(NEW).lead()
    assert activations(store) == before


def test_a_document_of_before_etcd_was_restored_is_not_gone_on_from(store: MemoryStore, start: Start) -> None:
    watcher = start(OLD)
    watcher.lead()
    by_hand(store, NEW)
    watcher.follow()
    restored = MemoryStore(MemoryEtcd())
    cache = watcher.cache
    assert "default" in cache.last_readable
    cache.replace(restored.list(KEYS.root))
    assert not cache.last_readable


def test_a_running_watcher_with_an_old_file_publishes_it_once_it_is_edited(store: MemoryStore, start: Start) -> None:
    start(OLD).lead()
    start(NEW).lead()
    old = start(OLD)
    old.lead()
    old.edit(THIRD)
    old.lead()
    assert in_force(store) == (3, ["D <- all(A, B)"])
    old.edit(OLD)
    old.lead()
    assert in_force(store) == (4, ["D <- A"]), "taking something back is an edit"
    assert old.publisher.problem is None


def test_an_edit_that_a_standby_saw_counts_while_it_is_about_what_is_in_force(store: MemoryStore, start: Start) -> None:
    leader, standby, late = start(NEW), start(NEW), start(NEW)
    leader.lead()
    for one in (standby, late):
        one.follow()
        one.edit(OLD if one is standby else THIRD)
        one.follow()
    standby.lead()
    assert in_force(store) == (2, ["D <- A"])
    late.lead()
    assert in_force(store) == (2, ["D <- A"])
    assert "it was edited when version 1 was in force, and version 2 was published since" in str(late.publisher.problem)
    late.edit({**THIRD, "F": "A"})
    late.lead()
    assert in_force(store)[0] == 3, "edited again, it is about what is in force now"


def test_edits_in_quick_succession_build_on_each_other(store: MemoryStore, start: Start) -> None:
    leader, standby = start(OLD), start(OLD)
    leader.lead()
    standby.follow()
    for one in (standby, leader):
        one.edit(NEW)
    standby.follow()
    standby.edit(THIRD)
    standby.follow()
    leader.lead()
    assert in_force(store) == (2, ["D <- A", "E <- A"])
    standby.lead()
    assert in_force(store) == (3, ["D <- all(A, B)"]), "its file said what is in force before that edit"


def test_what_is_applied_is_not_put_back(store: MemoryStore, start: Start) -> None:
    watcher = start(OLD)
    watcher.lead()
    by_hand(store, NEW)
    for _ in range(2):
        watcher.lead()
    assert in_force(store) == (2, ["D <- A", "E <- A"])
    assert "was published before version 2" in str(watcher.publisher.problem)
    by_hand(store, OLD)
    watcher.lead()
    assert watcher.publisher.problem is None


def test_a_file_is_published_where_nothing_is_in_force(store: MemoryStore, start: Start) -> None:
    start(OLD).lead()
    start(NEW).lead()
    store.commit(Transaction((), (Delete(KEYS.dependencies("default")),)))
    start(OLD).lead()
    assert in_force(store) == (3, ["D <- A"]), "the version grows all the same"


def test_a_resumption_of_very_much_is_refused_until_it_is_accepted(store: MemoryStore, start: Start) -> None:
    watcher = start({"D": "A", "E": "A"}, resume_limit=2)
    watcher.lead()
    watcher.edit({"D": "A"})
    watcher.lead()
    for number in range(3):
        complete(store, "A", str(number))
    watcher.edit({"D": "A", "E": "A"})
    watcher.lead()
    assert "up to 3 partitions of E may start at once" in str(watcher.publisher.problem)
    assert in_force(store) == (2, ["D <- A"])
    watcher.edit({"D": "A", "E": "A", "accept": 1})
    watcher.lead()
    assert in_force(store)[0] == 2, "that was another version"
    watcher.edit({"D": "A", "E": "A", "accept": 2})
    watcher.lead()
    assert in_force(store) == (3, ["D <- A", "E <- A"])
    assert watcher.publisher.problem is None


def test_a_refused_file_is_a_problem_again_once_its_watcher_leads_again(store: MemoryStore, start: Start) -> None:
    """One that was frozen for longer than its lease has followed in between, and has compared the file as a standby."""
    watcher = start({"D": ["A", "B", "C", "F", "G", "H"], "E": "A"})
    watcher.lead()
    watcher.edit({"E": "A"})
    watcher.lead()
    refused = watcher.publisher.problem
    assert refused is not None
    watcher.follow()
    assert watcher.publisher.problem is None, "who leads shows it"
    watcher.lead()
    assert watcher.publisher.problem == refused
    assert in_force(store)[0] == 1


def test_a_file_that_is_too_large_is_a_problem_until_it_is_edited(
    store: MemoryStore, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = start(OLD)
    watcher.lead()
    monkeypatch.setattr(bounds, "PUBLICATION_PARTS", 20)
    watcher.edit({"D": list("ABCEFGHIJKLMNOPQRSTUVW")})
    with structlog.testing.capture_logs() as logs:
        watcher.lead()
        watcher.lead()
    assert "values of JSON; expected at most 20" in (watcher.publisher.problem or "")
    assert [line["event"] for line in logs] == ["dependencies.read", "dependencies.refused"], (
        "and it is not tried again"
    )
    assert in_force(store) == (1, ["D <- A"])
    watcher.edit(NEW)
    watcher.lead()
    assert (in_force(store), watcher.publisher.problem) == ((2, ["D <- A", "E <- A"]), None)


def test_what_is_forgotten_because_too_much_was_taken_out_is_said(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = start({"D": ["A", "B", "C"]})
    watcher.lead()
    monkeypatch.setattr(bounds, "RETIRED", 1)
    watcher.edit({"D": "C"})
    with structlog.testing.capture_logs() as logs:
        watcher.lead()
    (line,) = (line for line in logs if line["event"] == "dependencies.forgotten")
    assert (line["dependencies"], line["owner"]) == (1, "default")


def test_a_mistake_about_the_file_ends_no_watcher_and_is_tried_again(
    store: MemoryStore, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(OLD).lead()

    def broken(*_: object) -> NoReturn:
        raise ValueError("Exceeds the limit")

    new = start(NEW)
    with monkeypatch.context() as patched, structlog.testing.capture_logs() as logs:
        patched.setattr(publisher, "effects_of", broken)
        new.lead()
        new.lead()
    assert in_force(store) == (1, ["D <- A"])
    assert "not published by a mistake in the coordinator: ValueError: Exceeds" in str(new.publisher.problem)
    assert [one["event"] for one in logs].count("dependencies.broken") == 1
    new.lead()
    assert in_force(store) == (2, ["D <- A", "E <- A"])
    assert new.publisher.problem is None


def test_a_file_with_many_mistakes_is_told_of_in_one_line(tmp_path: Path) -> None:
    watched = WatchedFile(tmp_path / "dependencies.json", {"default"})
    watched.path.write_text('{"A": 1,\n "B": 2,\n "C": 3}')
    watched.read()
    assert watched.problem is not None
    assert watched.problem.startswith(f"{watched.path}:1:7: A: expected")
    assert watched.problem.endswith(f" (and 2 more: coordinator validate {watched.path})")
    assert "\n" not in watched.problem
    watched.path.write_text('{"A": 1}')
    watched.read()
    assert "more" not in watched.problem
