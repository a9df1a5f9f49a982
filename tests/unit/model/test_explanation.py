"""What an explanation says, in worlds that are as they are: each cause is named down to the run that blocks."""

from __future__ import annotations

import json
import re

import pytest

from coordinator.model.explanation import Explanation, Kind, as_json, explain
from coordinator.model.runstate import RunState, read_run_state
from coordinator.reading.reading import read
from coordinator.store.port import Put
from tests.worlds.cases import CASES
from tests.worlds.simulated import SimulatedWorld
from tests.worlds.world import PARTITION, target

CHAIN = {"team_b/A": "R", "B": "team_b/A", "D": ["B", "R"]}
RUN = f"coordinator__{PARTITION}__1"


@pytest.fixture
def world() -> SimulatedWorld:
    return SimulatedWorld()


def explained(world: SimulatedWorld, name: str, partition: str = PARTITION) -> Explanation:
    return explain(read(world.store, world.keys).propagation, target(name, partition))


def lines(explanation: Explanation) -> list[str]:
    marks = {True: "+", False: "-", None: " "}
    return [f"{'  ' * line.depth}{marks[line.holds]} {line.text}" for line in explanation.lines]


def kinds(explanation: Explanation) -> list[tuple[str, Kind]]:
    return [(str(cause.target.pipeline), cause.kind) for cause in explanation.causes]


def test_a_run_far_up_that_goes_on_is_named_with_its_run_and_the_way_to_it(world: SimulatedWorld) -> None:
    world.dependencies(CHAIN)
    world.first_run("R")
    world.by_hand("team_b/A")
    world.rerun("R")
    world.settle()
    world.start("team_b/A")
    world.settle()
    about = explained(world, "D")
    (cause,) = about.causes
    assert (str(cause.target.pipeline), cause.kind, cause.run_id) == ("team_b/A", Kind.RUNNING, RUN)
    assert cause.since is not None
    assert cause.remedy == ""
    (sentence,) = about.because()
    assert sentence.startswith(f"team_b/A is running in run {RUN} since 2026-11-21T")
    assert sentence.endswith(" (behind B)")
    assert about.outlook == "It fires when B succeeds (it is due and waits for team_b/A)."
    assert about.headline.endswith("is due and waits for B")


def test_a_failure_says_why_if_its_environment_said_so(world: SimulatedWorld) -> None:
    world.dependencies({"D": "R"})
    note = {"state": "failed", "run_id": "x", "note": "exit status 3\x1b; its log: /var/log/1"}
    world.write(Put(world.keys.state(target("R")), json.dumps(note).encode()))
    (cause,) = explained(world, "D").causes
    assert cause.says.startswith("failed in run x (exit status 3\\x1b; its log: /var/log/1)")


def test_only_a_failure_keeps_a_note() -> None:
    for state, kept in (("failed", "why"), ("success", None), ("running", None)):
        for more in ({}, {"of": "another writer"}):
            found = read_run_state(json.dumps({"state": state, "note": "why", **more}).encode())
            assert isinstance(found, RunState)
            assert found.note == kept


def test_what_people_can_do_is_not_cut_silently_and_names_whole_commands(world: SimulatedWorld) -> None:
    upstreams = [f"U{number}" for number in range(13)]
    world.dependencies({"D": upstreams})
    world.first_run("U0")
    world.settle()
    about = explained(world, "D")
    assert about.remedies()[0] == (
        "U1: run it in this partition (if its run is queued there: is its DAG paused?); outside Airflow, report "
        "success or failed: "
        f"coordinator report U1 success -p {PARTITION}"
    )
    assert len(about.remedies()) == len(as_json(about)["remedies"]) == 12, "programs are told all"
    assert about.remedies_in_short() == [*about.remedies()[:10], "and 2 more: see them with --json"]


def test_a_failure_far_up_is_named_with_its_run_and_what_to_do(world: SimulatedWorld) -> None:
    world.dependencies(CHAIN)
    world.first_run("R")
    world.by_hand("team_b/A")
    world.rerun("R")
    world.settle()
    world.run("team_b/A", "failed")
    world.settle()
    about = explained(world, "D")
    assert kinds(about) == [("team_b/A", Kind.FAILED)]
    assert about.remedies() == [
        f"team_b/A: clear its run {RUN} once what broke it is fixed, or: coordinator rerun team_b/A {PARTITION}"
    ]
    assert "cannot run by itself: B is stuck" in about.headline
    near = explained(world, "B")
    assert near.outlook.startswith("It fires when team_b/A is cleared and succeeds (it failed at 2026-11-21T")


def test_a_hold_is_told_with_its_reason_and_how_to_release_it(world: SimulatedWorld) -> None:
    world.dependencies(CHAIN)
    world.first_run("R")
    world.hold("B")
    world.rerun("R")
    world.settle()
    about = explained(world, "D")
    assert kinds(about) == [("B", Kind.HELD)]
    assert list(about.because()) == ["B is held: 'a test' by it"]
    assert about.remedies() == ["B: coordinator release B"]
    itself = explained(world, "B")
    assert itself.outlook == "It fires when it is released (coordinator release B)."
    assert list(itself.because()) == ["it is held: 'a test' by it"]


def test_a_hold_on_what_need_not_run_is_no_cause(world: SimulatedWorld) -> None:
    world.dependencies(CHAIN)
    world.first_run("R")
    world.hold("B")
    assert explained(world, "D").causes == ()
    assert explained(world, "B").causes == ()


def test_an_environment_without_an_answer_is_named_with_the_request(world: SimulatedWorld) -> None:
    world.dependencies(CHAIN)
    world.first_run("R")
    world.down("team_b")
    world.rerun("R")
    world.settle()
    (cause,) = explained(world, "D").causes
    assert str(cause.target.pipeline) == "team_b/A"
    assert cause.kind in (Kind.IN_FLIGHT, Kind.STARTING)


def test_what_nobody_has_seen_yet_is_found_at_the_top(world: SimulatedWorld) -> None:
    world.dependencies(CHAIN)
    about = explained(world, "D")
    assert kinds(about) == [("R", Kind.NOT_YET)]
    assert about.outlook == "It fires when B succeeds (not yet) and R succeeds (not yet)."
    assert about.headline.endswith("is settled: it still needs B, R")


def test_a_shared_ancestor_is_named_once_and_a_thousand_ways_take_no_time(world: SimulatedWorld) -> None:
    """Twenty layers of two, each on both of the layer above: a million ways from bottom to top."""
    document: dict[str, object] = {"L1a": "R", "L1b": "R"}
    for layer in range(2, 21):
        for side in "ab":
            document[f"L{layer}{side}"] = [f"L{layer - 1}a", f"L{layer - 1}b"]
    world.dependencies(document)
    world.by_hand("R")
    world.trigger("R")
    world.run("R", "failed")
    world.settle()
    about = explained(world, "L20a")
    assert kinds(about) == [("R", Kind.FAILED)]
    (sentence,) = about.because()
    assert " (behind L19a <- L18a <- ... <- L2a <- L1a)" in sentence


def test_the_tree_tells_of_each_input_what_counted(world: SimulatedWorld) -> None:
    world.dependencies({"D": {"upstream": {"any": [["A", "B"], "C"]}}})
    world.first_run("A", "C")
    world.rerun("A")
    world.settle()
    world.clear("C")
    world.start("C")
    world.settle()
    said = lines(explained(world, "D"))
    assert said[:2] == ["- any (0 of 2 hold)", "  - all (1 of 2 hold)"]
    assert re.fullmatch(r"    \+ A: success, revision \d+, new", said[2])
    assert said[3].startswith(f"        in run scheduled__{PARTITION} at 2026-11-21T")
    assert said[4] == "    - B: not yet"
    assert re.fullmatch(r"  - C: running, revision \d+", said[5])
    assert re.fullmatch(r"      revision \d+ was used before \(success queued at 2026-11-21T\S+\)", said[6])
    assert said[7].startswith(f"      busy: is running in run scheduled__{PARTITION} since ")


def test_the_outlook_follows_the_condition(world: SimulatedWorld) -> None:
    world.dependencies(
        {
            "D": {"upstream": {"all": [{"any": ["A", "B"]}, {"pipeline": "C", "on": "failure"}]}},
            "E": {"upstream": {"at_least": 2, "of": ["A", "B", "C"]}},
        }
    )
    either = "(A succeeds (not yet) or B succeeds (not yet))"
    assert explained(world, "D").outlook == f"It fires when {either} and C fails (not yet)."
    assert explained(world, "E").outlook == (
        "It fires when 2 of these: A succeeds (not yet), B succeeds (not yet), C succeeds (not yet)."
    )
    world.first_run("A", "C")
    assert explained(world, "E").outlook == (
        "Nothing that it needs is new. It fires when A completes again or B succeeds (not yet) or C completes again."
    )
    assert "C fails (it succeeded at " in explained(world, "D").outlook


def test_only_what_a_rollup_still_waits_for_is_needed(world: SimulatedWorld) -> None:
    half = {"mapper": "rollup", "window": "day", "wait": 3}
    world.dependencies({"D": {"upstream": [{"pipeline": "hourly", "partition": half}, "C"]}})
    day = "2026-11-20T00:00:00Z"
    world.trigger("hourly", partition="2026-11-20T04:00:00Z")
    world.run("hourly", partition="2026-11-20T04:00:00Z")
    world.settle()
    said = explained(world, "D", day).headline
    assert "it still needs (2 of these 23: hourly, hourly@2026-11-20T01:00:00Z, " in said
    assert said.endswith(", and 13 more), C")


def test_what_is_needed_follows_the_condition(world: SimulatedWorld) -> None:
    world.dependencies(
        {
            "D": {"upstream": {"all": [{"any": ["A", "B"]}, "C"]}},
            "E": {"upstream": {"at_least": 2, "of": ["A", "B", "C"]}},
            "F": {"upstream": {"any": [["A", "B"], "C"]}},
            "G": {"upstream": {"all": [["A", "B"], "C"]}},
        }
    )
    needs = {name: explained(world, name).headline.partition("it still needs ")[2] for name in "DEFG"}
    assert needs == {"D": "(A or B), C", "E": "2 of these 3: A, B, C", "F": "(A, B) or C", "G": "A, B, C"}
    world.first_run("A")
    needs = {name: explained(world, name).headline.partition("it still needs ")[2] for name in "DEFG"}
    assert needs == {"D": "C", "E": "B or C", "F": "B or C", "G": "B, C"}


def test_a_partition_to_which_a_mapping_gives_no_input_never_fires(world: SimulatedWorld) -> None:
    rollup = {"pipeline": "hourly", "partition": {"mapper": "rollup", "window": "day"}}
    open_towards_upstream = {"pipeline": "events", "partition": "start_of_day"}
    world.dependencies(
        {"D": [rollup, "C"], "E": {"upstream": {"any": [rollup, "C"]}}, "F": {"upstream": open_towards_upstream}}
    )
    noon = "2026-11-20T12:00:00Z"
    about = explained(world, "D", noon)
    told = f"no partition of hourly by rollup of the day's hours belongs to {noon}"
    assert about.headline == f"D@{noon} never fires in this partition: {told}"
    assert about.outlook == f"It fires when a person orders it to run: {told}."
    assert explained(world, "E", noon).headline == f"E@{noon} is settled: it still needs C"
    assert explained(world, "E", noon).outlook == "It fires when C succeeds (not yet)."
    day = "2026-11-20T00:00:00Z"
    needed = f"a partition of events by start of day that belongs to {day}"
    assert explained(world, "F", day).headline == f"F@{day} is settled: it still needs {needed}"


def test_a_failure_handler_of_a_run_that_has_not_ended_does_not_claim_to_be_due(world: SimulatedWorld) -> None:
    world.dependencies({"alert": {"upstream": {"pipeline": "A", "on": "failure"}}})
    world.by_hand("A")
    world.trigger("A")
    world.start("A")
    world.settle()
    assert explained(world, "alert").headline.endswith(" waits for the end of A, and fires only on a failure")


def test_one_that_runs_says_so_and_that_its_end_is_waited_for(world: SimulatedWorld) -> None:
    world.dependencies({"D": "A"})
    world.by_hand("D")
    world.first_run("A")
    world.start("D")
    about = explained(world, "D")
    assert kinds(about) == [("D", Kind.RUNNING)]
    assert about.outlook == (
        "Its present run has not ended, and nothing is new since. "
        "It fires again when its present run has ended, and A completes again."
    )
    world.rerun("A")
    assert explained(world, "D").outlook == "It fires when its present run has ended."


def test_of_a_run_that_has_not_begun_it_is_told_that_a_paused_dag_keeps_it_queued(world: SimulatedWorld) -> None:
    """Nothing in etcd tells a paused DAG from a slow one."""
    world.dependencies({"D": "A"})
    world.by_hand("D")
    world.first_run("A")
    about = explained(world, "D")
    assert "goes on" not in about.outlook
    (sentence,) = about.because()
    assert sentence.endswith("; while its DAG is paused it stays queued (coordinator doctor names paused DAGs)")
    world.start("D")
    world.settle()
    (sentence,) = explained(world, "D").because()
    assert "paused" not in sentence


def test_while_one_runs_what_it_waits_for_afterwards_is_no_cause(world: SimulatedWorld) -> None:
    world.dependencies({"D": "A"})
    world.by_hand("D")
    world.first_run("A")
    world.start("D")
    world.clear("A")
    world.start("A")
    world.settle()
    assert kinds(explained(world, "D")) == [("D", Kind.RUNNING)]


def test_an_unreadable_state_and_an_unreadable_record_are_told(world: SimulatedWorld) -> None:
    world.dependencies({"D": "A"})
    world.write(Put(world.keys.state(target("A")), b"finished"))
    about = explained(world, "D")
    assert kinds(about) == [("A", Kind.UNREADABLE)]
    assert "cannot be read" in lines(about)[0]
    world.first_run("A")
    world.write(Put(world.keys.trigger(target("D")), b"{"))
    about = explained(world, "D")
    assert Kind.UNREADABLE in [cause.kind for cause in about.causes]
    assert "its trigger record is repaired or deleted" in about.outlook


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_everything_in_every_case_can_be_explained(name: str) -> None:
    """Whatever is not settled has a cause, and the JSON is JSON."""
    world = SimulatedWorld()
    CASES[name](world)
    reading = read(world.store, world.keys)
    for one in {*reading.cache.targets(), *reading.propagation.unsettled()}:
        about = explain(reading.propagation, one)
        assert about.outlook
        if reading.propagation.readiness(one) != "settled" and not about.decision.fires:
            assert about.causes, about.headline
        told = json.loads(json.dumps(as_json(about)))
        assert told["says"] == about.headline
        assert len(told["causes"]) == len(about.causes)
