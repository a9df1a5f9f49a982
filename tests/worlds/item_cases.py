"""Pipelines that fan out over rows, as scripts: the table of items in ``docs/dependencies.md``."""

from __future__ import annotations

from typing import Any

import pytest

from coordinator.model.runstate import RunState, State
from coordinator.model.trigger import Status
from tests.worlds.cases import Case
from tests.worlds.world import World

FROM_FILE = {"from": {"file": "tables"}, "key": "name"}


def table(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, **more}


def _fanned(world: World, *names: str, items: dict[str, Any] | None = None, **entry: Any) -> None:
    """``load`` waits for U and fans out over a file that has these rows; D waits for ``load``."""
    world.dependencies({"load": {"upstream": "U", "items": items or FROM_FILE, **entry}, "D": "load"})
    world.by_hand("U")
    if items is None or "file" in items["from"]:
        world.rows([table(name) for name in names])


def _comes(world: World) -> None:
    world.trigger("U")
    world.run("U")
    world.settle()


def _state(world: World, name: str) -> State | None:
    found = world.state(name)
    return found.state if isinstance(found, RunState) else None


@pytest.mark.promise("items")
def case_items_once_each(world: World) -> None:
    """Each row has a run of its own, with the row in its conf; D runs once, after all have ended."""
    _fanned(world, "orders", "parts")
    world.by_hand("load")
    _comes(world)
    assert [len(world.all_runs(name)) for name in ("load[orders]", "load[parts]", "load")] == [1, 1, 0]
    (run,) = world.all_runs("load[orders]")
    assert run.conf["item"] == table("orders")
    assert run.conf["coordinator"]["item"] == "orders"
    assert [one["pipeline"] for one in run.conf["coordinator"]["inputs"]] == ["U"]
    world.run("load[orders]")
    world.settle()
    assert _state(world, "load") is State.RUNNING
    assert world.runs("D") == 0
    world.run("load[parts]")
    world.settle()
    assert _state(world, "load") is State.SUCCESS
    assert world.runs("D") == 1


@pytest.mark.promise("items", "kill")
def case_items_killed_before_the_rows_are_read(world: World) -> None:
    """The watcher is killed after it has decided to read the rows, and again before it starts an item: each row has one
    run."""
    _fanned(world, "orders", "parts")
    world.kill_before_request("load")
    world.trigger("U")
    world.run("U")
    world.settle()
    assert world.runs("load[orders]") == 0
    world.kill_before_request("load[parts]")
    world.start_watcher()
    world.settle()
    world.start_watcher()
    world.settle()
    assert [world.runs(name) for name in ("load[orders]", "load[parts]", "D")] == [1, 1, 1]


@pytest.mark.promise("items", "takeover")
def case_items_of_a_frozen_watcher(world: World) -> None:
    """The watcher stands still before it starts an item, another one takes over, and it goes on later: each row has one
    run."""
    _fanned(world, "orders", "parts", "sales")
    world.freeze_before_request("load[parts]")
    world.trigger("U")
    world.run("U")
    world.settle()
    world.start_watcher()
    world.settle()
    world.thaw()
    world.settle()
    assert [world.runs(name) for name in ("load[orders]", "load[parts]", "load[sales]", "D")] == [1, 1, 1, 1]


@pytest.mark.promise("items")
def case_items_one_fails_and_is_cleared(world: World) -> None:
    """One item fails: D waits. A person clears its run, and it succeeds: D runs, and no other item runs again."""
    _fanned(world, "orders", "parts")
    world.by_hand("load")
    _comes(world)
    world.run("load[orders]", "failed")
    world.run("load[parts]")
    world.settle()
    found = world.state("load")
    assert isinstance(found, RunState)
    assert (found.state, found.note) == (State.FAILED, "1 of 2 items have not succeeded: orders")
    assert world.runs("D") == 0
    world.rerun("load[orders]")
    world.settle()
    assert [world.runs(name) for name in ("load[orders]", "load[parts]", "D")] == [2, 1, 1]


@pytest.mark.promise("items", "retries")
def case_items_one_is_retried(world: World) -> None:
    """One item fails, and is started again by itself, with its row: D sees nothing of it. One that has no retry left
    has failed, and so has the whole, once all have ended."""
    _fanned(world, "orders", "parts", retries=1)
    world.by_hand("load")
    _comes(world)
    world.run("load[orders]", "failed")
    world.run("load[parts]")
    world.settle()
    assert _state(world, "load") is State.RUNNING
    assert world.runs("D") == 0
    world.run("load[orders]")
    world.settle()
    assert _state(world, "load") is State.SUCCESS
    assert [world.runs(name) for name in ("load[orders]", "load[parts]", "D")] == [2, 1, 1]
    (run,) = world.all_runs("load[orders]")
    assert run.conf["item"] == table("orders")
    world.rerun("U")
    world.settle()
    for _ in range(2):
        world.run("load[orders]", "failed")
        world.settle()
    assert _state(world, "load") is State.RUNNING
    world.run("load[parts]")
    world.settle()
    assert _state(world, "load") is State.FAILED
    assert [world.runs(name) for name in ("load[orders]", "load[parts]", "D")] == [4, 2, 1]


@pytest.mark.promise("items")
def case_items_one_is_cleared_after_its_success(world: World) -> None:
    """A person clears the run of one item: it alone runs again, and D runs once more after it."""
    _fanned(world, "orders", "parts")
    _comes(world)
    assert world.runs("D") == 1
    world.by_hand("load")
    world.clear("load[parts]")
    world.start("load[parts]")
    world.settle()
    assert _state(world, "load") is State.RUNNING
    world.finish("load[parts]")
    world.settle()
    assert [world.runs(name) for name in ("load[orders]", "load[parts]", "D")] == [1, 2, 2]


@pytest.mark.promise("items")
def case_items_read_anew(world: World) -> None:
    """U completes again: the rows are read anew. A row that is the same has its run cleared, another row under the same
    key has a run of its own, and one that is gone counts no more, though it had failed."""
    _fanned(world, "orders", "parts", "old")
    world.by_hand("load")
    _comes(world)
    world.run("load[orders]")
    world.run("load[parts]")
    world.run("load[old]", "failed")
    world.by_itself("load")
    world.settle()
    assert world.runs("D") == 0
    world.rows([table("orders"), table("parts", since="2026"), table("sales")])
    world.rerun("U")
    world.settle()
    runs = {name: len(world.all_runs(f"load[{name}]")) for name in ("orders", "parts", "old", "sales")}
    assert runs == {"orders": 1, "parts": 2, "old": 1, "sales": 1}
    assert [world.runs(f"load[{name}]") for name in runs] == [2, 2, 1, 1]
    assert world.all_runs("load[parts]")[-1].conf["item"] == table("parts", since="2026")
    assert world.runs("D") == 1


@pytest.mark.promise("items")
def case_items_still_running_when_the_upstream_completes_again(world: World) -> None:
    """U completes again while an item runs: that is waited for, and no item has two runs at once."""
    _fanned(world, "orders", "parts")
    world.by_hand("load")
    _comes(world)
    world.run("load[orders]")
    world.start("load[parts]")
    world.rerun("U")
    world.settle()
    record = world.record("load")
    assert record is not None
    assert record.sequence == 1
    world.finish("load[parts]")
    world.settle()
    world.run("load[orders]")
    world.run("load[parts]")
    world.settle()
    assert [world.runs(name) for name in ("load[orders]", "load[parts]", "D")] == [2, 2, 1]


@pytest.mark.promise("items", "not-early")
def case_items_in_a_diamond(world: World) -> None:
    """D waits for U, too: after U it waits for all items, also the second time, when all of them had succeeded before.
    So it does when U completes and the rows are read while nothing tells of the items yet."""
    world.dependencies({"load": {"upstream": "U", "items": FROM_FILE}, "D": ["load", "U"]})
    world.by_hand("U", "load")
    world.rows([table("orders"), table("parts")])
    _comes(world)
    world.run("load[orders]")
    world.run("load[parts]")
    world.settle()
    assert world.runs("D") == 1
    world.rerun("U")
    world.settle()
    assert world.runs("D") == 1
    world.run("load[parts]")
    world.settle()
    assert world.runs("D") == 1
    world.run("load[orders]")
    world.settle()
    assert world.runs("D") == 2


@pytest.mark.promise("items", "not-early")
def case_items_one_ends_while_no_watcher_runs(world: World) -> None:
    """The state of ``load`` says success, and one item has failed since, while no watcher ran: D does not run for U."""
    world.dependencies({"load": {"upstream": "V", "items": FROM_FILE}, "D": ["load", "U"]})
    world.by_hand("U", "V")
    world.rows([table("orders"), table("parts")])
    world.trigger("U")
    world.trigger("V")
    world.run("U")
    world.run("V")
    world.settle()
    assert world.runs("D") == 1
    world.by_hand("load")
    world.stop_watcher()
    world.rerun("load[orders]", "failed")
    world.rerun("U")
    world.start_watcher()
    world.settle()
    assert (_state(world, "load"), world.runs("D")) == (State.FAILED, 1)
    world.rerun("load[orders]")
    world.settle()
    assert world.runs("D") == 2


@pytest.mark.promise("items")
def case_items_whose_rows_are_deleted(world: World) -> None:
    """Somebody deletes the trigger record of ``load``, with the rows: it has never run. The rows are read again, and
    each item runs for them."""
    _fanned(world, "orders", "parts")
    _comes(world)
    world.delete_record("load")
    world.settle()
    assert [world.runs(name) for name in ("load[orders]", "load[parts]", "D")] == [2, 2, 2]


@pytest.mark.promise("items", "takeover")
def case_items_that_nobody_has_begun(world: World) -> None:
    """One of two items runs, and the other one waits for it (``max_in_flight``), when another watcher takes over: of
    the second one, etcd has nothing but its row."""
    _fanned(world, "orders", "parts", max_in_flight=1)
    world.by_hand("load")
    _comes(world)
    (first,) = [name for name in ("load[orders]", "load[parts]") if world.all_runs(name)]
    world.stop_watcher()
    world.run(first)
    world.by_itself("load")
    world.start_watcher()
    world.settle()
    assert [world.runs(name) for name in ("load[orders]", "load[parts]", "D")] == [1, 1, 1]


@pytest.mark.promise("items", "following")
def case_items_that_nobody_reports(world: World) -> None:
    """Nothing reports where ``load`` runs: the ends of its items are found out, and so is a clear of the one that has
    failed."""
    world.silence("team_b")
    world.dependencies({"team_b/load": {"upstream": "U", "items": FROM_FILE}, "D": "team_b/load"})
    world.by_hand("U", "team_b/load")
    world.rows([table("orders"), table("parts")])
    _comes(world)
    world.run("team_b/load[orders]", "failed")
    world.run("team_b/load[parts]")
    world.settle_until(lambda: _state(world, "team_b/load") is State.FAILED, "the ends are found out")
    world.settle()
    assert world.runs("D") == 0
    world.rerun("team_b/load[orders]")
    world.settle_until(lambda: world.runs("D") == 1, "D runs")
    assert [world.runs(f"team_b/load[{key}]") for key in ("orders", "parts")] == [2, 1]


@pytest.mark.promise("items")
def case_items_taken_out_of_the_entry(world: World) -> None:
    """The entry loses its ``items`` while one runs: that is waited for, and D runs. The next time ``load`` runs as one
    run; with its ``items`` back, it fans out again."""
    _fanned(world, "orders", "parts")
    world.by_hand("load")
    _comes(world)
    world.run("load[orders]")
    world.start("load[parts]")
    world.dependencies({"load": "U", "D": "load"})
    world.finish("load[parts]")
    world.settle()
    assert (_state(world, "load"), world.runs("D")) == (State.SUCCESS, 1)
    world.rerun("U")
    world.settle()
    world.run("load")
    world.settle()
    assert [world.runs(name) for name in ("load[orders]", "load[parts]", "load", "D")] == [1, 1, 1, 2]
    world.dependencies({"load": {"upstream": "U", "items": FROM_FILE}, "D": "load"})
    world.rerun("U")
    world.settle()
    world.run("load[orders]")
    world.run("load[parts]")
    world.settle()
    assert [world.runs(name) for name in ("load[orders]", "load[parts]", "load", "D")] == [2, 2, 1, 3]


@pytest.mark.promise("items")
def case_items_without_a_row(world: World) -> None:
    """No row at all is a failure, unless the entry says otherwise."""
    _fanned(world)
    _comes(world)
    found = world.state("load")
    assert isinstance(found, RunState)
    assert found.state is State.FAILED
    assert found.note is not None
    assert found.note.endswith(" has no rows")
    assert world.runs("D") == 0
    world.rows([table("orders")])
    world.order("load", "rerun")
    world.settle()
    assert [world.runs(name) for name in ("load[orders]", "D")] == [1, 1]


def case_items_without_a_row_are_a_success(world: World) -> None:
    """``on_empty: "success"``: D runs, each time that U completes."""
    _fanned(world, items={**FROM_FILE, "on_empty": "success"})
    _comes(world)
    assert (_state(world, "load"), world.runs("D")) == (State.SUCCESS, 1)
    world.rerun("U")
    world.settle()
    assert (_state(world, "load"), world.runs("D")) == (State.SUCCESS, 2)


def case_items_without_a_row_are_skipped(world: World) -> None:
    """``on_empty: "skip"``: ``load`` has no state, D does not run, and does not wait for it either."""
    _fanned(world, items={**FROM_FILE, "on_empty": "skip"})
    world.dependencies(
        {
            "load": {"upstream": "U", "items": {**FROM_FILE, "on_empty": "skip"}},
            "D": "load",
            "E": {"upstream": {"any": ["load", "U"]}},
        }
    )
    _comes(world)
    record = world.record("load")
    assert record is not None
    assert (record.status, _state(world, "load")) == (Status.DONE, None)
    assert [world.runs(name) for name in ("D", "E")] == [0, 1]
    world.rows([table("orders")])
    world.rerun("U")
    world.settle()
    assert [world.runs(name) for name in ("load[orders]", "D", "E")] == [1, 1, 2]
    world.rows([])
    world.rerun("U")
    world.settle()
    assert _state(world, "load") is None
    assert [world.runs(name) for name in ("load[orders]", "D", "E")] == [1, 1, 3]


@pytest.mark.promise("items")
def case_items_with_a_bad_row(world: World) -> None:
    """A row without the key: nothing starts, and the record says where. It is tried again, and goes on once the file is
    good."""
    _fanned(world)
    world.rows([table("orders"), {"nome": "parts"}])
    world.trigger("U")
    world.run("U")
    world.settle_until(lambda: _refusal(world) != "", "it is refused")
    assert "row 2: it has no 'name'" in _refusal(world)
    assert world.runs("load[orders]") == 0
    assert world.runs("D") == 0
    world.rows([table("orders"), table("parts")])
    world.settle_until(lambda: world.runs("D") == 1, "D runs")
    assert [world.runs(name) for name in ("load[orders]", "load[parts]")] == [1, 1]


def case_items_whose_file_comes_late(world: World) -> None:
    """There is no file yet: nothing starts until there is one."""
    _fanned(world)
    world.rows(None)
    world.trigger("U")
    world.run("U")
    world.settle_until(lambda: "no such file" in _refusal(world), "it is refused")
    world.rows([table("orders")])
    world.settle_until(lambda: world.runs("D") == 1, "D runs")


def case_items_of_the_conf(world: World) -> None:
    """The rows are in the entry's own conf, which each run gets, too."""
    conf = {"tables": [table("orders"), table("parts")], "mode": "full"}
    _fanned(world, items={"from": "conf.tables", "key": "name"}, conf=conf)
    _comes(world)
    assert [world.runs(name) for name in ("load[orders]", "load[parts]", "D")] == [1, 1, 1]
    (run,) = world.all_runs("load[parts]")
    assert (run.conf["item"], run.conf["mode"]) == (table("parts"), "full")


def case_items_held(world: World) -> None:
    """``load`` is held while its items run: those go on, and nothing more starts until it is released."""
    _fanned(world, "orders", max_in_flight=1)
    world.rows([table("orders"), table("parts")])
    world.by_hand("load")
    _comes(world)
    world.hold("load")
    started = [name for name in ("load[orders]", "load[parts]") if world.all_runs(name)]
    assert len(started) == 1
    world.run(started[0])
    world.settle()
    assert sum(len(world.all_runs(name)) for name in ("load[orders]", "load[parts]")) == 1
    world.release("load")
    world.settle()
    assert sum(len(world.all_runs(name)) for name in ("load[orders]", "load[parts]")) == 2


@pytest.mark.promise("items", "orders")
def case_items_ordered(world: World) -> None:
    """A person orders one item: it alone runs again. The order of the whole reads the rows, and runs them all."""
    _fanned(world, "orders", "parts")
    _comes(world)
    world.order("load[orders]", "rerun")
    world.settle()
    assert [world.runs(name) for name in ("load[orders]", "load[parts]", "D")] == [2, 1, 2]
    world.rows([table("parts")])
    world.order("load", "rerun")
    world.settle()
    assert [world.runs(name) for name in ("load[orders]", "load[parts]", "D")] == [2, 2, 3]


def case_items_that_have_no_row_are_not_ordered(world: World) -> None:
    """An order for an item that the rows do not name starts nothing."""
    _fanned(world, "orders")
    _comes(world)
    world.order("load[parts]", "rerun")
    world.settle()
    assert [world.runs(name) for name in ("load[orders]", "load[parts]", "D")] == [1, 0, 1]


def case_items_marked(world: World) -> None:
    """A failed item is marked as a success: the pipeline has succeeded, and D runs."""
    _fanned(world, "orders", "parts")
    world.by_hand("load")
    _comes(world)
    world.run("load[orders]", "failed")
    world.run("load[parts]")
    world.settle()
    world.mark("load[orders]", "success")
    world.settle()
    assert (_state(world, "load"), world.runs("D")) == (State.SUCCESS, 1)


def case_items_below_items(world: World) -> None:
    """``check`` waits for ``load`` and fans out itself, over the same file; the diamond below runs once."""
    world.dependencies(
        {
            "load": {"upstream": "U", "items": FROM_FILE},
            "check": {"upstream": "load", "items": FROM_FILE},
            "D": ["load", "check", "U"],
        }
    )
    world.rows([table("orders"), table("parts")])
    world.by_hand("U")
    _comes(world)
    assert [world.runs(f"{name}[{key}]") for name in ("load", "check") for key in ("orders", "parts")] == [1, 1, 1, 1]
    assert world.runs("D") == 1
    world.by_hand("load")
    world.clear("load[orders]")
    world.run("load[orders]")
    world.settle()
    assert [world.runs(f"{name}[{key}]") for name in ("load", "check") for key in ("orders", "parts")] == [2, 1, 2, 2]
    assert world.runs("D") == 2


def case_items_of_which_one_run_is_made_by_hand(world: World) -> None:
    """A person runs the DAG itself, for the same date: its end is no completion of ``load``, whose items have ended."""
    _fanned(world, "orders")
    _comes(world)
    world.by_hand("load")
    world.trigger("load")
    world.run("load", "failed")
    world.settle()
    assert (_state(world, "load"), world.runs("D")) == (State.SUCCESS, 1)


@pytest.mark.promise("items")
def case_items_are_removed_after_the_whole(world: World) -> None:
    """Retention removes a partition with its items, and those below have been removed before."""
    _fanned(world, "orders", "parts")
    _comes(world)
    for day in ("2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z"):
        world.rows([table("orders"), table("parts")], partition=day)
        world.comes("U", day)
    world.settle()
    assert world.state("load[orders]") is not None
    world.retain(max_partitions=2, min_age="0 seconds", every="10 seconds")
    world.settle_until(lambda: world.record("load[orders]") is None, "its items are gone")
    world.settle()
    assert [world.state(name) for name in ("D", "load", "load[orders]", "load[parts]")] == [None] * 4
    assert [world.runs(name) for name in ("load[orders]", "D")] == [1, 1]


def _refusal(world: World) -> str:
    """Why the rows are refused; empty: they are not."""
    record = world.record("load")
    is_refused = record is not None and record.status is Status.BLOCKED
    return (record.last_error or "") if is_refused and record is not None else ""


CASES: dict[str, Case] = {name: script for name, script in globals().items() if name.startswith("case_")}

ON_REAL_ETCD = list(CASES)
