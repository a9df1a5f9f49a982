"""A standby has compared its file beside what is published before it leads: that takes long with many pipelines.

And it leads only once it is known what stands there.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from coordinator.commands.proposal import Proposal
from coordinator.config.airflow import AirflowSettings
from coordinator.config.publication import PublicationSettings
from coordinator.config.settings import Settings
from coordinator.controller.clock import SystemClock
from coordinator.controller.leading.dag_checks import DagChecks
from coordinator.controller.leading.publisher import Publisher, Writer
from coordinator.controller.leading.watched_file import WatchedFile
from coordinator.controller.service import FileToPublish, Watcher
from coordinator.controller.state.cache import Cache
from coordinator.model.publishing.publication import Published, read_publication
from coordinator.store.keys import Keys
from coordinator.store.memory import MemoryEtcd, MemoryStore
from coordinator.store.port import Committed, Put, StoreUnavailable, Transaction
from coordinator.store.reflector import Snapshot

KEYS = Keys()


@pytest.fixture
def comparisons(monkeypatch: pytest.MonkeyPatch) -> list[Proposal]:
    """Grows with each time that a document is compared."""
    found: list[Proposal] = []
    objections = Proposal.objections
    monkeypatch.setattr(Proposal, "objections", lambda self: (found.append(self), objections(self))[1])
    return found


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(MemoryEtcd())


class Stage:
    """A publisher, and what it has read of etcd."""

    def __init__(self, store: MemoryStore, file: Path, document: str) -> None:
        file.write_text(document)
        clock = SystemClock()
        self._store = store
        self._cache = Cache(KEYS)
        self.publisher = Publisher(
            WatchedFile(file, {"default"}),
            owner="default",
            cache=self._cache,
            settings=PublicationSettings(),
            checks=DagChecks({}, clock=clock.monotonic, answered=lambda: None),
            writer=Writer(store, KEYS, "w", clock),
        )
        self.take_in()
        self.publisher.read()

    def take_in(self) -> None:
        self._cache.replace(self._store.list(KEYS.root))


def _published(store: MemoryStore) -> dict[str, Published]:
    found = store.get(KEYS.dependencies("default"))
    if found is None:
        return {}
    return {"default": Published(read_publication(found.value, source="test"), found.mod_revision)}


def _lead(store: MemoryStore) -> int:
    return store.commit(Transaction((), (Put(KEYS.leader, b"{}"),))).revision


def test_what_was_compared_as_a_standby_is_not_compared_again_when_it_leads(
    store: MemoryStore, tmp_path: Path, comparisons: list[Proposal]
) -> None:
    term = _lead(store)
    stage = Stage(store, tmp_path / "d.json", '{"D": "A"}')
    publisher = stage.publisher
    publisher.compare()
    assert (publisher.publish(term=term) or 0) > term
    assert len(comparisons) == 1
    stage.take_in()
    for _ in range(3):
        publisher.compare()
    assert publisher.publish(term=term) == 0
    assert len(comparisons) == 2, "once for each state of what is published"


def test_a_standby_publishes_nothing_by_comparing_and_its_successor_still_does(
    store: MemoryStore, tmp_path: Path, comparisons: list[Proposal]
) -> None:
    term = _lead(store)
    stage = Stage(store, tmp_path / "d.json", '{"D": "A"}')
    publisher = stage.publisher
    publisher.compare()
    assert _published(store) == {}
    other = store.commit(Transaction((), (Put(KEYS.root + "retention", b""),))).revision
    stage.take_in()
    assert (publisher.publish(term=term) or 0) > other, "on the newest revision, though compared before it"
    assert len(comparisons) == 1


class SilentStore(MemoryStore):
    """Answers no transaction that publishes something while it is silent."""

    silent = True

    def commit(self, transaction: Transaction) -> Committed:
        if self.silent and any(operation.key == KEYS.dependencies("default") for operation in transaction.then):
            raise StoreUnavailable("a test")
        return super().commit(transaction)


def test_no_term_begins_while_it_is_not_known_whether_the_file_is_published(tmp_path: Path) -> None:
    store = SilentStore(MemoryEtcd())
    file = tmp_path / "d.json"
    file.write_text('{"D": "A"}')
    settings = Settings(environments={"default": AirflowSettings(url="http://127.0.0.1:1")})
    watcher = Watcher(settings, store=store, runners={}, file=FileToPublish(file))
    reconciler, candidate = watcher.reconciler, watcher._candidate

    def take_in_everything() -> None:
        assert watcher._inbox.put_update(Snapshot(store.list(KEYS.root)))
        watcher._turn()

    take_in_everything()
    candidate.step()
    assert candidate.leadership() is not None
    take_in_everything()
    assert not reconciler.leads
    store.silent = False
    take_in_everything()
    assert not reconciler.leads, "it is published, and not read yet"
    take_in_everything()
    assert reconciler.leads
    assert _published(store)
