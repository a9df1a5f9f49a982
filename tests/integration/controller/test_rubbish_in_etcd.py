"""What cannot be read is "not yet" and is shown as a problem; it stops nothing but its own pipeline."""

from __future__ import annotations

import json
from typing import Any

import pytest

from coordinator.model.trigger import Status
from coordinator.store.port import Delete, Put, Transaction
from tests.command_line import Cli
from tests.integration.controller.waiting import until
from tests.integration.controller.worlds import FaultyWorld
from tests.worlds.world import PARTITION, target

RUBBISH = {
    "random bytes": b"\xff\xfe\x00\x80\x9c",
    "nothing": b"",
    "another word": b"finished",
    "null": b"null",
    "a list": b'[{"state": "success"}]',
    "a number": b"17",
    "no state": b"{}",
    "another state": b'{"state": "exploded"}',
    "a state that is none": b'{"state": {"state": "success"}}',
    "queued_at a number": b'{"state": "success", "queued_at": 1763596800}',
    "queued_at no date": b'{"state": "success", "queued_at": "yesterday"}',
    "queued_at before time": b'{"state": "success", "queued_at": "0001-01-01T00:00:00+14:00"}',
    "attempt infinite": b'{"state": "success", "attempt": 1e999}',
    "half a surrogate pair": b'{"state": "success", "run_id": "\\ud800"}',
    "cut off": b'{"state": "succe',
    "deep": b"[" * 50_000,
    "huge": b'{"state": "success", "note": "' + b"x" * 1_000_000 + b'"}',
}


def _record(**fields: object) -> bytes:
    whole = {"status": "done", "sequence": 1, "action": "create", "run_id": "r", "token": "t", "wave": 1}
    return json.dumps({**whole, **fields}).encode()


RUBBISH_RECORDS = {
    **RUBBISH,
    "another status": _record(status="perhaps"),
    "when before time": _record(when="0001-01-01T00:00:00+14:00"),
    "an input that is none": _record(consumed=[{"pipeline": "", "partition": "k", "revision": 1, "state": "success"}]),
}


def _problems(cli: Cli, world: FaultyWorld) -> dict[str, str]:
    result = cli("status", "--config", world.config(), "--json")
    assert result.exit_code == 1, result.output
    problems: dict[str, str] = json.loads(result.stdout)["problems"]
    assert cli("status", "--config", world.config()).exit_code == 1
    return problems


def _is_shown_as_a_problem(world: FaultyWorld, *keys: str) -> None:
    """What :meth:`Watcher.health` says."""
    watcher = world.watcher
    assert watcher is not None
    until(lambda: not set(keys) - watcher.health().problems.keys(), f"the watcher names {keys}")


def _goes_on(world: FaultyWorld, wave: int) -> None:
    """The watcher is alive, and triggers."""
    world.complete("R", wave=wave)
    world.until_done("A", "B", runs=wave)


@pytest.mark.promise("rubbish")
def test_a_state_that_cannot_be_read_is_not_yet_and_shown(world: FaultyWorld, cli: Cli) -> None:
    upstreams = [f"U{number}" for number in range(len(RUBBISH))]
    downstreams = [f"D{number}" for number in range(len(RUBBISH))]
    document: dict[str, Any] = {"A": "R", "B": "A"}
    world.dependencies({**document, **dict(zip(downstreams, upstreams, strict=True))})
    for name, value in zip(upstreams, RUBBISH.values(), strict=True):
        world.put(world.keys.state(target(name)), value)
    _goes_on(world, 1)
    assert world.counts(*downstreams) == dict.fromkeys(downstreams, 0)
    problems = _problems(cli, world)
    for name, what in zip(upstreams, RUBBISH, strict=True):
        assert world.keys.state(target(name)) in problems, what
    _is_shown_as_a_problem(world, *(world.keys.state(target(name)) for name in upstreams))
    world.stop_watcher()
    world.start_watcher()  # it reads all of it again
    _goes_on(world, 2)
    for name in upstreams:
        world.put(world.keys.state(target(name)), b"success")
    world.until_done(*downstreams, runs=1)
    world.settle()
    assert cli("status", "--config", world.config()).exit_code == 0


@pytest.mark.promise("rubbish")
def test_a_record_that_cannot_be_read_keeps_its_pipeline_from_running_and_is_shown(
    world: FaultyWorld, cli: Cli
) -> None:
    downstreams = [f"D{number}" for number in range(len(RUBBISH_RECORDS))]
    world.dependencies({"A": "R", "B": "A", **dict.fromkeys(downstreams, "R")})
    for name, value in zip(downstreams, RUBBISH_RECORDS.values(), strict=True):
        world.put(world.keys.trigger(target(name)), value)
    _goes_on(world, 1)
    world.stop_watcher()
    world.start_watcher()
    _goes_on(world, 2)
    assert world.counts(*downstreams) == dict.fromkeys(downstreams, 0)
    problems = _problems(cli, world)
    for name, what in zip(downstreams, RUBBISH_RECORDS, strict=True):
        assert world.keys.trigger(target(name)) in problems, what
    _is_shown_as_a_problem(world, *(world.keys.trigger(target(name)) for name in downstreams))
    for name in downstreams:
        world.delete_record(name)
    world.until_done(*downstreams, runs=1)
    world.settle()
    assert cli("status", "--config", world.config()).exit_code == 0


FOREIGN_KEYS = [
    "what/ever",
    "state",
    "state/default/A",
    f"state/default/A/{PARTITION}/more",
    f"trigger/default/A/{PARTITION}/more",
    f"state//A/{PARTITION}",
    "leader/of/the/pack",
    # Other spellings of keys that exist: taken for them, they would be at revisions that no compare finds.
    f"state/default/R/{PARTITION.replace('-', '%2D')}",
    f"trigger/default/A/{PARTITION.replace('-', '%2d')}",
    "state/default/R/%FF%FE",
    "state/default/R/2026-11-20\udcff",  # how the store shows a byte that is no UTF-8
    "\udcff\udcfe",
]


@pytest.mark.promise("rubbish")
def test_keys_that_are_none_of_ours_are_ignored_and_shown(world: FaultyWorld, cli: Cli) -> None:
    world.dependencies({"A": "R", "B": "A"})
    _goes_on(world, 1)
    for key in FOREIGN_KEYS:
        world.put(world.keys.root + key, b"success")
        _goes_on(world, wave := FOREIGN_KEYS.index(key) + 2)
        assert world.counts("A", "B") == {"A": wave, "B": wave}, key
    problems = _problems(cli, world)
    assert len(problems) == len(FOREIGN_KEYS), [place for place in problems if "ignored" not in problems[place]]
    assert any("\\xff\\xfe" in place for place in problems), "bytes are shown as people can read them"
    for key in FOREIGN_KEYS:
        world.store.commit(Transaction((), (Delete(world.keys.root + key),)))
    assert cli("status", "--config", world.config()).exit_code == 0


def test_thousands_of_foreign_keys_hide_nothing_that_is_wrong_with_a_watcher(world: FaultyWorld) -> None:
    world.dependencies({"A": "R"})
    watcher = world.watcher
    assert watcher is not None
    keys = [f"{world.keys.root}junk/{number}" for number in range(2_000)]
    for first in range(0, len(keys), 100):
        world.store.commit(Transaction((), tuple(Put(key, b"junk") for key in keys[first : first + 100])))
    world.put(world.keys.dependencies("team_b"), b"rubbish")
    until(lambda: watcher.health().problems_count == len(keys) + 2, "all are counted: the document for itself, too")
    health = watcher.health()
    assert next(iter(health.problems)) == "dependencies"
    assert world.keys.dependencies("team_b") in health.problems
    assert len(health.problems) + sum(health.problems_not_shown.values()) == health.problems_count
    assert len(health.problems) < 30
    for first in range(0, len(keys), 100):
        world.store.commit(Transaction((), tuple(Delete(key) for key in keys[first : first + 100])))
    world.store.commit(Transaction((), (Delete(world.keys.dependencies("team_b")),)))
    until(lambda: not watcher.health().problems_count, "nothing is wrong any more")


@pytest.mark.promise("bad-file")
def test_published_dependencies_that_cannot_be_used_leave_the_last_good_ones_in_force(
    world: FaultyWorld, cli: Cli
) -> None:
    world.dependencies({"A": "R", "B": "A"})
    values = [
        b"\xff\xfe",
        b"{}",
        b'{"dependencies": []}',
        b'{"dependencies": {"A": "R"}, "active_since": {"A": {"R": 1e999}}}',
        b'{"dependencies": {"R": "A"}}',  # closes a cycle with what the file says
        b'{"dependencies": {"A": "elsewhere"}}',  # declares what the file declares
    ]
    key = world.keys.dependencies("team_b")
    watcher = world.watcher
    assert watcher is not None
    for wave, value in enumerate(values, start=1):
        world.put(key, value)
        _goes_on(world, wave)
        assert _problems(cli, world), value
        assert watcher.health().problems, value
        world.store.commit(Transaction((), (Delete(key),)))
        until(lambda: not watcher.health().problems, "nothing is wrong any more")
        until(lambda: cli("status", "--config", world.config()).exit_code == 0, "status says so, too")


@pytest.mark.promise("rubbish")
def test_other_keys_that_cannot_be_read_are_shown_and_stop_nothing(world: FaultyWorld, cli: Cli) -> None:
    world.dependencies({"A": "R", "B": "A", "H": "R"})
    keys = (world.keys.root + "hold/default/H", world.keys.watcher("nobody"))
    for key in keys:
        world.put(key, b"\xff\xfe")
    _goes_on(world, 1)
    assert keys[0] in _problems(cli, world)
    _is_shown_as_a_problem(world, keys[0])
    world.settle()
    assert world.runs("H") == 0, "whoever wrote it wanted it held"
    world.release("H")
    world.until_done("H", runs=1)


@pytest.mark.promise("rubbish")
def test_a_state_that_was_deleted_or_never_written_is_not_yet(world: FaultyWorld, cli: Cli) -> None:
    world.dependencies({"A": "R", "B": "A", "D": ["R", "never"], "E": ["R", "deleted"]})
    world.complete("deleted")
    world.settle()
    world.delete_state("deleted")
    _goes_on(world, 1)
    world.settle()
    assert world.counts("D", "E") == {"D": 0, "E": 0}
    assert cli("status", "--config", world.config()).exit_code == 0, "waiting is nothing wrong"
    world.put(world.keys.state(target("deleted")), b"success")
    world.put(world.keys.state(target("never")), b"success")
    world.until_done("D", "E", runs=1)
    record = world.record("D")
    assert record is not None
    assert record.status is Status.DONE


def test_a_leader_key_that_was_deleted_or_overwritten_stops_nobody_for_good(world: FaultyWorld) -> None:
    world.dependencies({"A": "R", "B": "A"})
    world.store.commit(Transaction((), (Delete(world.keys.leader),)))
    _goes_on(world, 1)
    world.store.commit(Transaction((), (Put(world.keys.leader, b"\xff"),)))
    world.store.commit(Transaction((), (Delete(world.keys.leader),)))
    _goes_on(world, 2)
