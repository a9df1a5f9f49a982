"""The review finds what waits though nothing is due about it, and only that, a piece at a time."""

from __future__ import annotations

import json

import pytest

from coordinator.controller.reconcile import review
from coordinator.controller.reconcile.review import Review
from coordinator.controller.state.cache import Cache
from coordinator.model.graph import Graph
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.publishing.owners import merge
from coordinator.model.references import PipelineRef, Target
from coordinator.model.trigger import Action, Status, TriggerRecord, dump_record
from coordinator.store.keys import Keys
from coordinator.store.port import KeyValue, Listing

KEYS = Keys()
STATE = json.dumps({"state": "success", "run_id": "r", "queued_at": "2026-11-20T00:00:00Z"}).encode()
DEPENDENCIES = json.dumps({"dependencies": {"D": "A", "I": {"upstream": "A", "rerun": "ignore"}}}).encode()


def _target(name: str, partition: str) -> Target:
    return Target(PipelineRef("default", name), partition)


def _review(records: dict[Target, TriggerRecord], *states: Target) -> Review:
    items = [KeyValue(KEYS.dependencies("default"), DEPENDENCIES, 2, 2)]
    items += [KeyValue(KEYS.state(target), STATE, 3, 9) for target in states]
    items += [KeyValue(KEYS.trigger(target), dump_record(record), 4, 5) for target, record in records.items()]
    cache = Cache(KEYS)
    cache.replace(Listing(items, 10, 1))
    propagation = Propagation(Graph(), cache)
    propagation.replace_graph(merge(cache.published)[0], cache.targets())
    return Review(cache, propagation)


def _record(status: Status, **more: object) -> TriggerRecord:
    return TriggerRecord(status, 1, Action.CREATE, "r", "t", 1, **more)  # type: ignore[arg-type]


def _all(review: Review) -> set[Target]:
    review.begin()
    found: set[Target] = set()
    while review:
        found.update(review.piece())
    return found


def test_a_run_that_has_ended_and_is_not_done_yet_is_found() -> None:
    ended, done, flying = _target("D", "ended"), _target("D", "done"), _target("D", "flying")
    records = {ended: _record(Status.SENT), done: _record(Status.DONE), flying: _record(Status.SENT)}
    assert _all(_review(records, ended, done)) == {ended}, "what flies is busy, and examined for that"


def test_a_task_that_was_not_looked_at_since_its_run_ended_is_found() -> None:
    """A predecessor may have ended in between."""
    items = [KeyValue(KEYS.dependencies("default"), DEPENDENCIES, 2, 2)]
    for partition, run_ended in (("asked", True), ("unasked", False)):
        task = Target(PipelineRef("default", "A", "load"), partition)
        queued_at = "2026-11-20T00:00:00Z"
        seen = {"state": "success", "run_id": "r", "attempt": 7, "run_queued_at": queued_at, "run_ended": run_ended}
        items.append(KeyValue(KEYS.state(task.whole), STATE, 3, 9))
        items.append(KeyValue(KEYS.state(task), json.dumps(seen).encode(), 3, 8))
    cache = Cache(KEYS)
    cache.replace(Listing(items, 10, 1))
    assert _all(Review(cache, Propagation(Graph(), cache))) == {Target(PipelineRef("default", "A", "load"), "unasked")}


def test_what_ignores_news_and_what_was_given_up_are_found() -> None:
    ignoring, skipped, ordinary = _target("I", "p"), _target("D", "q"), _target("D", "p")
    records = {
        ignoring: _record(Status.DONE),
        skipped: _record(Status.DONE, skipped=True),
        ordinary: _record(Status.DONE),
    }
    assert _all(_review(records)) == {ignoring, skipped}


def test_it_goes_through_all_of_them_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(review, "PIECE", 3)
    ended = [_target("D", str(number)) for number in range(10)]
    reviewing = _review(dict.fromkeys(ended, _record(Status.SENT)), *ended)
    reviewing.begin()
    pieces = []
    while reviewing:
        pieces.append(len(list(reviewing.piece())))
    assert pieces == [3, 3, 3, 1]


def test_what_was_left_is_dropped_with_the_term() -> None:
    ended = _target("D", "p")
    reviewing = _review({ended: _record(Status.SENT)}, ended)
    reviewing.begin()
    reviewing.clear()
    assert not reviewing
    assert list(reviewing.piece()) == []
