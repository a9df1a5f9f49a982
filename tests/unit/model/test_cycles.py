"""Cycles of dependencies: which are accepted, which are refused, and why."""

from __future__ import annotations

import json

import pytest

from coordinator.model.cycles import STARTS_ITSELF, WAITS_FOR_EVER, Cycle, find_cycles
from coordinator.model.documents import DependenciesError, parse_document
from coordinator.model.publishing.never_met import never_met

YESTERDAY = {"pipeline": "B", "partition": "-1 day"}


def cycles(document: object) -> list[Cycle]:
    return find_cycles(parse_document(json.dumps(document), source="test"))


def refusal(document: object) -> str:
    with pytest.raises(DependenciesError) as caught:
        parse_document(json.dumps(document), source="test")
    (problem,) = caught.value.problems
    assert problem.reason.startswith("closes a cycle: ")
    return problem.remedy


@pytest.mark.parametrize(
    "document",
    [
        {"A": ["U", YESTERDAY], "B": "A"},
        {"A": ["U", {"pipeline": "A", "partition": "-1 hour"}]},
        {"A": ["U", {"pipeline": "A", "task": "load", "partition": "-1 month"}]},
        {"A": {"upstream": {"any": ["U", {**YESTERDAY, "trigger": False}]}}, "B": "A"},
        {"A": ["U", YESTERDAY], "B": ["A", {"pipeline": "C", "partition": "-2 days"}], "C": "B"},
        {"A": ["U", YESTERDAY], "B": ["V", {"pipeline": "A", "partition": "-1 day"}]},
    ],
    ids=["of two", "itself", "its own task", "as a gate", "two cycles", "back in both"],
)
def test_a_cycle_that_goes_back_in_time_is_accepted(document: object) -> None:
    found = cycles(document)
    assert len(found) == 1
    assert not found[0].refusal
    assert list(never_met(parse_document(json.dumps(document), source="test"))) == []


def test_why_a_cycle_is_accepted_is_said() -> None:
    (found,) = cycles({"A": ["U", YESTERDAY], "B": "A"})
    assert str(found) == "A -> B -> A; A needs an earlier partition of B; A starts only with U"


@pytest.mark.parametrize(
    "document",
    [
        {"A": ["U", "B"], "B": "A"},
        {"A": ["U", "B", YESTERDAY], "B": "A"},
        {"A": ["U", YESTERDAY], "B": "A", "C": ["A", "D"], "D": "C"},
    ],
    ids=["plain", "both ways", "beside one that goes back"],
)
def test_a_cycle_in_one_partition_is_refused(document: object) -> None:
    assert refusal(document) == WAITS_FOR_EVER


@pytest.mark.parametrize(
    "document",
    [
        {"A": [YESTERDAY], "B": "A"},
        {"A": {"upstream": {"any": ["U", YESTERDAY]}}, "B": "A"},
        {"A": [{"pipeline": "U", "partition": "latest"}, YESTERDAY], "B": "A"},
        {"A": {"upstream": ["U", YESTERDAY], "deadline": "06:00", "on_late": "fire"}, "B": "A"},
    ],
    ids=["nothing outside", "either", "the newest of outside is always there", "fires when it is late"],
)
def test_a_cycle_that_would_start_itself_is_refused(document: object) -> None:
    assert refusal(document) == STARTS_ITSELF


@pytest.mark.parametrize("partition", ["+1 day", "start_of_day", "latest"])
def test_a_cycle_must_not_go_another_way(partition: str) -> None:
    assert "offsets back in time" in refusal(
        {"A": ["U", YESTERDAY], "B": {"upstream": {"pipeline": "A", "partition": partition}}}
    )


def test_hours_without_their_offset_have_no_order() -> None:
    """In the night in which clocks are turned back, half past two less an hour may be half past two."""
    hours = {
        "offset": "-1 hour",
        "timezone": "Europe/Berlin",
        "input_format": "%Y-%m-%dT%H",
        "output_format": "%Y-%m-%dT%H",
    }
    with pytest.raises(DependenciesError) as caught:
        parse_document(json.dumps({"A": ["U", {"pipeline": "A", "partition": hours}]}), source="test")
    assert any("depends on itself" in problem.reason for problem in caught.value.problems)
