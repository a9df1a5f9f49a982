"""Somebody overwrites or deletes a published document by hand while a pipeline is due and waits: nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.config.etcd import EtcdSettings
from coordinator.model.publishing.publication import Publication, read_publication
from coordinator.store.embedded import EmbeddedEtcd
from coordinator.store.port import Delete
from tests.integration.controller.waiting import until
from tests.integration.controller.worlds import FaultyWorld

RUBBISH = b"\xff rubbish"


@pytest.fixture
def held(etcd_server: EmbeddedEtcd, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[FaultyWorld]:
    """R has completed, and D, which depends on it, is held."""
    settings = EtcdSettings(endpoints=[etcd_server.endpoint], prefix=f"/overwritten/{request.node.name}")
    with FaultyWorld(settings, tmp_path) as world:
        world.by_hand("R")
        world.dependencies({"D": "R"})
        world.hold("D")
        world.trigger("R")
        world.run("R")
        world.settle()
        assert world.counts("D") == {"D": 0}
        yield world


def _revision(world: FaultyWorld) -> int:
    item = world.store.get(world.keys.dependencies("default"))
    return item.mod_revision if item is not None and _is_readable(item.value) else 0


def _is_readable(value: bytes) -> bool:
    return isinstance(read_publication(value, source="a test"), Publication)


def _runs_when_released(world: FaultyWorld, after: int) -> None:
    until(lambda: _revision(world) > after, "the document is published again")
    world.release("D")
    world.until_done("D", runs=1)
    world.settle()
    assert world.counts("D") == {"D": 1}


@pytest.mark.promise("bad-file")
@pytest.mark.parametrize("what", ["overwritten", "overwritten twice", "deleted"])
def test_what_was_due_starts_under_a_watcher_that_goes_on(held: FaultyWorld, what: str) -> None:
    key, before = held.keys.dependencies("default"), _revision(held)
    if what == "deleted":
        held.write(Delete(key))
    else:
        for _ in range(1 if what == "overwritten" else 2):
            held.put(key, RUBBISH)
    _runs_when_released(held, before)


@pytest.mark.promise("bad-file")
def test_what_was_due_starts_under_a_watcher_that_comes_later(held: FaultyWorld) -> None:
    before = _revision(held)
    held.stop_watcher()
    held.put(held.keys.dependencies("default"), RUBBISH)
    held.put(held.keys.dependencies("default"), RUBBISH)
    held.start_watcher()
    _runs_when_released(held, before)
