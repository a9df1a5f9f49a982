"""What another document would change: everything that is written otherwise, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from coordinator.model.dependencies import Document
from coordinator.model.documents import parse_document
from coordinator.model.publishing.difference import FieldChange, difference


def document(content: dict[str, Any]) -> Document:
    return parse_document(json.dumps(content), source="test")


def test_what_begins_ceases_and_differs_is_told_apart() -> None:
    found = difference(document({"B": "A", "C": "A", "D": "A"}), document({"B": "A", "C": ["A", "B"], "E": "A"}))
    assert [str(change.pipeline) for change in found.begins] == ["E"]
    assert [str(change.pipeline) for change in found.ceases] == ["D"]
    assert [str(change.pipeline) for change in found.differs] == ["C"]
    assert found
    assert (found.dependencies_added, found.dependencies_removed) == (2, 1)


def test_a_changed_condition_names_the_dependencies_that_come_and_go() -> None:
    (change,) = difference(
        document({"D": ["A", "B"]}),
        document({"D": {"upstream": {"any": ["B", {"pipeline": "A", "on": "failure"}]}}}),
    ).changes
    assert [str(dependency) for dependency in change.added] == ["A on failure"]
    assert [str(dependency) for dependency in change.removed] == ["A"]
    (field,) = change.fields
    assert field == FieldChange("upstream", ["A", "B"], {"any": ["B", {"pipeline": "A", "on": "failure"}]})


def test_another_condition_over_the_same_upstreams_brings_no_dependency() -> None:
    found = difference(document({"D": ["A", "B"]}), document({"D": {"upstream": {"any": ["A", "B"]}}}))
    assert found
    assert (found.dependencies_added, found.dependencies_removed) == (0, 0)


@pytest.mark.parametrize(
    ("fields", "changed"),
    [
        ({"rerun": "ignore"}, FieldChange("rerun", None, "ignore")),
        ({"settle": "direct"}, FieldChange("settle", None, "direct")),
        ({"conf": {"days": 7}}, FieldChange("conf", None, {"days": 7})),
    ],
)
def test_a_changed_policy_is_a_difference(fields: dict[str, Any], changed: FieldChange) -> None:
    (change,) = difference(document({"D": "A"}), document({"D": {"upstream": "A", **fields}})).changes
    assert change.fields == (changed,)
    assert not change.added
    assert not change.removed


def test_one_and_true_are_not_the_same_conf() -> None:
    def with_conf(value: Any) -> Document:
        return document({"D": {"upstream": "A", "conf": {"full": value}}})

    assert difference(with_conf(1), with_conf(True))
    assert difference(with_conf(1), with_conf(1.0))
    assert not difference(with_conf(1), with_conf(1))


def test_the_same_in_other_words_is_no_difference() -> None:
    short = document({"D": "A", "E": ["A", "B"]})
    long = document(
        {
            "default/E": {"upstream": {"all": ["default/A", {"pipeline": "B", "on": "success"}]}, "conf": {}},
            "D": {"upstream": "A", "rerun": "clear", "settle": "wave"},
        }
    )
    assert not difference(short, long)
    assert not difference(document({}), document({}))
