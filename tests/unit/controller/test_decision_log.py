"""The decision log answers, for every case, why each run was started; its lines stay readable whatever is in them."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from coordinator.controller.decision_log import DecisionLog, Entry, line_of
from coordinator.model.consumption import NAMED, Consumed, Consumption
from coordinator.model.order import GivenOrder, Order, dump_order
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import Attempt, State
from coordinator.model.trigger import Action, Status, TriggerRecord
from coordinator.store.port import Put
from tests.worlds.cases import CASES
from tests.worlds.simulated import SimulatedWorld, VirtualClock
from tests.worlds.world import PARTITION, target

D = Target(PipelineRef("default", "D"), "p")


class LoggedWorld(SimulatedWorld):
    """Every watcher of it writes its decisions to the same list."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        super().__init__()

    def start_watcher(self) -> None:
        super().start_watcher()
        assert self.watcher is not None
        name = f"watcher-{self._count}"
        decisions = DecisionLog(self.entries.append, clock=self.clock, who=name)
        self.watcher.reconciler._trigger_log._decisions = decisions

    def lines(self, *what: str) -> list[dict[str, Any]]:
        lines = [json.loads(line_of(entry)) for entry in self.entries]
        return [line for line in lines if not what or line["what"] in what]


@pytest.mark.parametrize("name", CASES)
def test_every_run_that_was_started_has_one_line_that_says_why(name: str) -> None:
    world = LoggedWorld()
    CASES[name](world)
    fired = {line["token"]: line for line in world.lines("fire")}
    assert len(fired) == len(world.lines("fire")), "a token is of one intent"
    sent = [line["token"] for line in world.lines("sent")]
    assert len(sent) == len(set(sent)), "an intent is sent once"
    for token in sent:
        (line,) = (line for line in world.lines("fire") if line["token"] == token)
        assert any(one["new"] for one in line["inputs"]), "there is a reason"
        assert line["decided_on"] >= max(one["revision"] for one in line["inputs"])
        assert line["decided_on"] < line["recorded_at"]
        assert line["when"].endswith("Z")
        assert line["who"].startswith("watcher-")
    started = Counter(
        (str(PipelineRef(environment, dag_id)), partition)
        for environment, airflow in world.airflows.items()
        for dag_id, partition in airflow.effects
    )
    of_lines = Counter((fired[token]["pipeline"], fired[token]["partition"]) for token in sent)
    assert of_lines == started


def test_it_says_why_a_pipeline_ran_a_second_time() -> None:
    world = LoggedWorld()
    world.dependencies({"D": ["A", "B"]})
    world.first_run("A", "B")
    world.rerun("A")
    world.settle()
    first, second = (line for line in world.lines("fire") if line["pipeline"] == "D")
    assert (first["sequence"], first["action"]) == (1, "create")
    assert (second["sequence"], second["action"], second["run_id"]) == (2, "clear", first["run_id"])
    cleared, as_before = second["inputs"]
    assert (cleared["pipeline"], cleared["new"], as_before["pipeline"], as_before["new"]) == ("A", True, "B", False)
    assert cleared["run_id"] == f"scheduled__{PARTITION}"
    assert cleared["revision"] > cleared["before"]
    assert as_before["revision"] == as_before["before"]
    assert {one["pipeline"]: one["revision"] for one in first["inputs"]} == {
        "A": cleared["before"],
        "B": as_before["before"],
    }
    assert [line["what"] for line in world.lines() if line["token"] == second["token"]] == ["fire", "sent", "done"]


def test_it_says_what_made_an_intent_be_withdrawn() -> None:
    world = LoggedWorld()
    CASES["case_16_upstream_reruns_meanwhile"](world)
    (withdrawn,) = world.lines("withdrawn")
    assert withdrawn["reason"] == "the decision has changed: A is running"
    (taken_over,) = world.lines("taken_over")
    assert taken_over["token"] == withdrawn["token"]
    assert taken_over["who"] != world.lines("fire")[0]["who"]


def test_it_says_what_was_ignored_and_what_was_adopted() -> None:
    world = LoggedWorld()
    CASES["case_04_one_that_ignores"](world)
    ignored, *_ = world.lines("ignored")
    assert [one["pipeline"] for one in ignored["inputs"] if one["new"]] == ["R"]
    world = LoggedWorld()
    world.dependencies({"D": "A"})
    world.by_hand("D", "A")
    world.trigger("D")
    world.start("D")
    world.finish("D")
    world.delete_state("D")
    world.trigger("A")
    world.run("A")
    world.settle()
    (adopted,) = world.lines("adopted")
    assert f"scheduled__{PARTITION}" in adopted["reason"]


def line(inputs: int = 1, *, partition: str = "p", error: str | None = None) -> dict[str, Any]:
    used = {
        Target(PipelineRef("default", f"U{number}"), "p"): Consumed(number, Attempt("r", None, 1), State.SUCCESS)
        for number in range(inputs)
    }
    record = TriggerRecord(
        Status.BLOCKED, 1, Action.CREATE, None, "t", 7, inputs=Consumption.of(used), last_error=error
    )
    taken: list[Entry] = []
    DecisionLog(taken.append, clock=VirtualClock(), who="w").note(
        Target(D.pipeline, partition), record, previous=None, decided_on=7
    )
    text = line_of(taken[0])
    assert "\n" not in text
    result = json.loads(text)
    assert isinstance(result, dict)
    return result


def test_a_line_names_so_many_inputs_and_counts_the_others() -> None:
    few, many = line(NAMED), line(1440)
    assert (len(few["inputs"]), few.get("more_inputs")) == (NAMED, None)
    assert (len(many["inputs"]), many["more_inputs"]) == (NAMED, 1440 - NAMED)


def test_a_line_stays_a_line_whatever_is_in_it() -> None:
    said = line(partition="x" * 100_000 + "\n", error="403: <html>\n" + "y" * 100_000)
    assert said["reason"].startswith("403: <html>\n")
    assert len(json.dumps(said)) < 10_000


def test_it_says_what_a_person_has_ordered() -> None:
    world = LoggedWorld()
    world.dependencies({"D": "A"})
    world.first_run("A")
    given = GivenOrder(Order.RERUN, who="ann", why="late file")
    world.write(Put(world.keys.order(target("D")), dump_order(given)))
    world.settle()
    first, second = world.lines("fire")
    assert second["reason"] == f"D@{PARTITION} fires now, as a person has ordered"
    assert not any(one["new"] for one in second["inputs"])
    assert (first["reason"], world.runs("D")) == (f"D@{PARTITION} fires now", 2)


def test_it_says_what_was_given_up_for_being_late() -> None:
    world = LoggedWorld()
    world.dependencies({"D": {"upstream": ["A", "B"], "deadline": "1 minute", "on_late": "skip"}})
    world.first_run("A")
    world.settle()
    (skipped,) = world.lines("skipped")
    assert skipped["reason"].startswith("skipped: it is late: it was due by 2026-11-21T")
    assert [one["pipeline"] for one in skipped["inputs"]] == ["A"]
    assert world.lines("fire") == []
