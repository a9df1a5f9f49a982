"""What is refused though it is a good document: mass removals, and names that look like a typo."""

from __future__ import annotations

import json
from typing import Any

import pytest

from coordinator.model.dependencies import Document
from coordinator.model.documents import parse_document
from coordinator.model.publishing.difference import difference
from coordinator.model.publishing.guard import Known, misspelt, replacements, too_many_removed, too_much_resumed
from coordinator.model.references import PipelineRef, Target


def document(content: dict[str, Any]) -> Document:
    return parse_document(json.dumps(content), source="test")


def known(*missing: str, unasked: str | None = None) -> Known:
    return Known(frozenset(map(PipelineRef.parse, missing)), {} if unasked is None else {unasked: "it is away"})


def refused(before: dict[str, Any], after: dict[str, Any], of: Known) -> list[str]:
    return list(misspelt(replacements(difference(document(before), document(after))), of))


@pytest.mark.parametrize(
    ("there", "removed", "is_refused"),
    [(5, 5, False), (6, 6, True), (30, 6, False), (29, 6, True), (100, 20, False), (100, 21, True)],
)
def test_more_than_a_fifth_and_more_than_five_may_not_go_at_once(there: int, removed: int, is_refused: bool) -> None:
    before = document({f"D{number}": "A" for number in range(there)})
    after = dict(list(before.items())[removed:])
    assert (too_many_removed(before, difference(before, after)) is not None) is is_refused


def test_a_dag_that_exists_may_not_be_replaced_by_one_that_does_not() -> None:
    before = {"D": ["sales/extract_orders", "B"]}
    after = {"D": ["sales/extract_order", "B"]}
    (reason,) = refused(before, after, known("sales/extract_order"))
    assert "D: sales/extract_order stands where sales/extract_orders stood" in reason
    assert refused(before, after, known()) == [], "it is there"
    assert refused(before, after, known("sales/extract_order", "sales/extract_orders")) == [], "neither is there"
    assert refused(before, after, known(unasked="sales")) == [], "nobody knows"


def test_the_downstream_may_be_the_one_that_is_misspelt() -> None:
    (reason,) = refused({"load": ["A", "B"]}, {"laod": ["A", "B"]}, known("laod"))
    assert "laod stands where load stood" in reason
    assert refused({"load": ["A", "B"]}, {"other": ["A"]}, known("other")) == [], "it waits for something else"


def test_an_unknown_dag_that_replaces_nothing_is_no_typo() -> None:
    assert refused({"D": "A"}, {"D": ["A", "B"]}, known("B")) == []
    assert refused({"D": ["A", "B"]}, {"D": ["A"]}, known()) == []


def test_the_nearest_name_is_the_one_that_was_meant() -> None:
    (reason,) = refused({"D": ["orders", "customers"]}, {"D": ["order"]}, known("order"))
    assert "order stands where orders stood" in reason


def test_what_resumes_may_start_so_many_partitions() -> None:
    targets = [Target(PipelineRef("default", "D"), str(number)) for number in range(3)]
    assert too_much_resumed(targets, 3) is None
    reason = too_much_resumed(targets, 2)
    assert reason is not None
    assert "up to 3 partitions of D" in reason
    assert "--fresh" in reason
