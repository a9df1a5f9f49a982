"""What a condition and an entry can say, as scripts: the rows of the tables in ``docs/dependencies.md`` that are not
about partitions. Those are in ``partition_cases.py``, and the cases of the rule itself in ``cases.py``."""

from __future__ import annotations

import pytest

from tests.worlds.cases import Case
from tests.worlds.partition_cases import DAY, NEXT_DAY
from tests.worlds.world import World


def case_on_success(world: World) -> None:
    """D needs A's success, as it does when nothing is said: a failure starts nothing, the success after it does."""
    world.dependencies({"D": {"upstream": {"pipeline": "A", "on": "success"}}, "E": "A"})
    world.comes("A", DAY, "failed")
    world.settle()
    assert (world.runs("D"), world.runs("E")) == (0, 0)
    world.rerun("A")
    world.settle()
    assert (world.runs("D"), world.runs("E")) == (1, 1)


def case_on_failure(world: World) -> None:
    """D needs A's failure: a success starts nothing, each failure starts D once."""
    world.dependencies({"D": {"upstream": {"pipeline": "A", "on": "failure"}}})
    world.comes("A", DAY)
    world.settle()
    assert world.runs("D") == 0
    for state, runs in (("failed", 1), ("success", 1), ("failed", 2)):
        world.rerun("A", state)
        world.settle()
        assert world.runs("D") == runs


def case_on_done(world: World) -> None:
    """D needs an end of A, whichever: each starts it."""
    world.dependencies({"D": {"upstream": {"pipeline": "A", "on": "done"}}})
    world.comes("A", DAY, "failed")
    world.settle()
    assert world.runs("D") == 1
    world.rerun("A")
    world.settle()
    assert world.runs("D") == 2


def case_all(world: World) -> None:
    """A list, or ``all``: D runs once, after the last of them; then for each that completes again."""
    world.dependencies({"D": ["A", "B"], "E": {"upstream": {"all": ["A", "B"]}}})
    world.comes("A", DAY)
    world.settle()
    assert (world.runs("D"), world.runs("E")) == (0, 0)
    world.comes("B", DAY)
    world.settle()
    assert (world.runs("D"), world.runs("E")) == (1, 1)
    world.rerun("A")
    world.settle()
    assert (world.runs("D"), world.runs("E")) == (2, 2)


def case_any(world: World) -> None:
    """``any``: the first of them is enough, and one that completes later runs D again."""
    world.dependencies({"D": {"upstream": {"any": ["A", "B"]}}})
    world.comes("A", DAY, "failed")
    world.comes("B", DAY)
    world.settle()
    assert world.runs("D") == 1
    world.rerun("A")
    world.settle()
    assert world.runs("D") == 2


def case_nested(world: World) -> None:
    """D = any(all(A, B), at_least 2 of C1, C2, C3): whichever branch holds first starts it."""
    world.dependencies({"D": {"upstream": {"any": [["A", "B"], {"at_least": 2, "of": ["C1", "C2", "C3"]}]}}})
    for partition, (*first, last) in ((DAY, ("A", "C1", "C3")), (NEXT_DAY, ("A", "C1", "B"))):
        for name in first:
            world.comes(name, partition)
        world.settle()
        assert world.runs("D", partition=partition) == 0
        world.comes(last, partition)
        world.settle()
        assert world.runs("D", partition=partition) == 1


def case_settle_direct(world: World) -> None:
    """R -> A, D = all(R, A) with ``settle: direct``, and E the same without. R is cleared: D runs with the new R and
    the old A, and again after A; E runs once, after A."""
    world.dependencies({"A": "R", "D": {"upstream": ["R", "A"], "settle": "direct"}, "E": ["R", "A"]})
    world.first_run("R")
    assert (world.runs("D"), world.runs("E")) == (1, 1)
    world.by_hand("A")
    world.rerun("R")
    world.settle()
    assert (world.runs("D"), world.runs("E")) == (2, 1)
    world.run("A")
    world.settle()
    assert (world.runs("D"), world.runs("E")) == (3, 2)


def case_rerun_clear(world: World) -> None:
    """What is due again is cleared, as it is when nothing is said: one run, its run_id and logical date stay."""
    world.dependencies({"D": {"upstream": "A", "rerun": "clear"}, "E": "A"})
    world.first_run("A")
    before = [world.all_runs(name)[0] for name in ("D", "E")]
    world.rerun("A")
    world.settle()
    for name, first in zip(("D", "E"), before, strict=True):
        (run,) = world.all_runs(name)
        assert (run.run_id, run.logical_date) == (first.run_id, first.logical_date)
        assert world.runs(name) == 2


def case_conf(world: World) -> None:
    """The run that is created has the entry's conf, and beside it what it is for and what it stands on."""
    world.dependencies({"D": {"upstream": ["A", "B"], "conf": {"keep_days": 7, "deep": {"list": [1]}}}})
    world.first_run("A", "B")
    (run,) = world.all_runs("D")
    assert {name: value for name, value in run.conf.items() if name != "coordinator"} == {
        "keep_days": 7,
        "deep": {"list": [1]},
    }
    ours = run.conf["coordinator"]
    assert isinstance(ours, dict)
    assert (ours["partition"], ours["sequence"]) == (DAY, 1)
    assert {(one["pipeline"], one["state"]) for one in ours["inputs"]} == {("A", "success"), ("B", "success")}


def case_conf_with_braces(world: World) -> None:
    """What stands in a raw block arrives as it is, without the marks of the block."""
    conf = {"query": "{% raw %}{{ ds }}{% endraw %} and {% raw %}{% if x %}{% endraw %}", "deep": [{"n": 1}]}
    world.dependencies({"D": {"upstream": "A", "conf": conf}})
    world.first_run("A")
    (run,) = world.all_runs("D")
    assert run.conf["query"] == "{{ ds }} and {% if x %}"
    assert run.conf["deep"] == [{"n": 1}]


def case_rollup_of_ends(world: World) -> None:
    """A window with ``on: done`` needs an end in each of its partitions, whichever."""
    mapping = {"mapper": "rollup", "window": "week"}
    world.dependencies({"D": {"upstream": {"pipeline": "A", "partition": mapping, "on": "done"}}})
    for day in range(16, 22):
        world.comes("A", f"2026-11-{day}T00:00:00Z", "failed")
    world.settle()
    assert world.runs("D", partition="2026-11-16T00:00:00Z") == 0
    world.comes("A", "2026-11-22T00:00:00Z")
    world.settle()
    assert world.runs("D", partition="2026-11-16T00:00:00Z") == 1


def case_partition_without_inputs(world: World) -> None:
    """D = all(A, every hour of B). To the partition ``eu`` no hour belongs: there D never runs, whatever A does."""
    hours = {"pipeline": "B", "partition": {"mapper": "rollup", "window": "day", "wait": 1}}
    world.dependencies({"D": ["A", hours]})
    world.comes("A", DAY)
    world.comes("B", DAY)  # midnight is the first hour
    world.settle()
    assert world.runs("D", partition=DAY) == 1
    world.trigger("A", partition="eu", run_id="eu")
    world.run("A", partition="eu")
    world.settle()
    assert world.runs("D", partition="eu") == 0


@pytest.mark.promise("not-for-the-past")
def case_another_age_keeps_what_waits(world: World) -> None:
    """G waits for a gate, and is too old when that opens; ``max_age`` is raised in the file: D runs for G."""
    gate = {"pipeline": "A", "trigger": False}
    world.dependencies({"D": [gate, {"pipeline": "G", "max_age": "2 seconds"}]})
    world.comes("G", DAY)
    world.pass_time()
    world.comes("A", DAY)
    world.settle()
    assert world.runs("D") == 0
    world.dependencies({"D": [gate, {"pipeline": "G", "max_age": "1 day"}]})
    world.settle()
    assert world.runs("D") == 1


CASES: dict[str, Case] = {name: script for name, script in globals().items() if name.startswith("case_")}
