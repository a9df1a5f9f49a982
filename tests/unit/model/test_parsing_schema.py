"""The published JSON Schema says the same as the parser, as far as a schema can."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from coordinator.model.conditions import On
from coordinator.model.dependencies import Catchup, Document, OnLate, Rerun, Settle
from coordinator.model.documents import DependenciesError, dump_document, json_schema, parse_document
from coordinator.model.documents.schema_of_forms import SHIPPED, written
from tests.unit.model.test_parsing_properties import documents, near_misses, words

SCHEMA = json_schema()
VALIDATOR = Draft202012Validator(SCHEMA)


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_other_programs_know_the_schema_by_a_name_that_stays() -> None:
    assert SCHEMA["$id"] == "urn:etcd-coordinator:dependencies:2"


def test_a_schema_that_refers_to_it_by_its_name_means_the_same() -> None:
    registry = Registry().with_resource(SCHEMA["$id"], DRAFT202012.create_resource(SCHEMA))
    of_a_team = Draft202012Validator({"$ref": SCHEMA["$id"], "maxProperties": 1}, registry=registry)
    assert of_a_team.is_valid({"a": "b"})
    assert not of_a_team.is_valid({"a": {"upstream": "b", "setle": "wave"}})


def test_the_shipped_schema_is_the_one_of_the_forms() -> None:
    assert SHIPPED.read_text(encoding="utf-8") == written(), "run `make schema`"


def test_its_words_are_the_parsers() -> None:
    entry = SCHEMA["$defs"]["entry"]["anyOf"][2]["properties"]
    assert entry["rerun"]["enum"] == list(Rerun)
    assert entry["settle"]["enum"] == list(Settle)
    assert entry["catchup"]["enum"] == list(Catchup)
    assert entry["on_late"]["enum"] == list(OnLate)
    assert SCHEMA["$defs"]["condition"]["anyOf"][2]["properties"]["on"]["enum"] == list(On)


@pytest.mark.slow
@given(documents())
def test_every_good_document_is_valid(document: Document) -> None:
    VALIDATOR.validate(dump_document(document))


def is_read(value: Any) -> bool:
    try:
        parse_document(json.dumps(value), source="anything")
    except DependenciesError:
        return False
    return True


@pytest.mark.slow
@given(st.dictionaries(words, near_misses, max_size=3))
def test_what_the_parser_reads_the_schema_allows(value: dict[str, Any]) -> None:
    if is_read(value):
        VALIDATOR.validate(value)


@pytest.mark.parametrize(
    "value",
    [
        {"a": None},
        {"a": []},
        {"a": ["b", "b"]},
        {"a": "b/"},
        {" a": "b"},
        {"a": {"upstream": "b", "setle": "wave"}},
        {"a": {"upstream": "b", "rerun": "held"}},
        {"a": {"upstream": "b", "partition": "-1 day"}},
        {"a": {"upstream": "b", "catchup": "some"}},
        {"a": {"upstream": "b", "max_in_flight": 0}},
        {"a": {"upstream": "b", "on_late": "fire"}},
        {"a": {"upstream": "b", "deadline": "25:00"}},
        {"a": {"upstream": "b", "deadline": {"at": "06:00", "days": -1}}},
        {"a": {"upstream": "b", "deadline": {"at": "06:00", "after": "1 day"}}},
        {"a": [{"pipeline": "b", "partition": "1 day"}]},
        {"a": [{"pipeline": "b", "partition": {"mapper": "rollup"}}]},
        {"a": [{"pipeline": "b", "partition": {"mapper": "fan_out", "window": "day", "wait": 1}}]},
        {"a": [{"pipeline": "b", "trigger": "false"}]},
        {"a": [{"pipeline": "b", "max_age": "1 month"}]},
        {"a": {"upstream": "b", "conf": {"coordinator": 1}}},
        {"a": {"any": ["b"]}},
        {"a": {"upstream": {"any": ["b"], "all": ["c"]}}},
        {"a": {"upstream": {"at_least": 0, "of": ["b"]}}},
        {"a": {"upstream": {"pipeline": "b", "on": "succes"}}},
    ],
)
def test_what_the_parser_refuses_for_its_form_the_schema_refuses_too(value: dict[str, Any]) -> None:
    assert not is_read(value)
    assert not VALIDATOR.is_valid(value)
