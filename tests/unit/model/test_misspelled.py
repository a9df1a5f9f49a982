"""A slip in the name of an upstream is told; two names that may both be right are not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from coordinator.model.documents import parse_document
from coordinator.model.publishing.misspelled import is_slip, misspelled


def told(document: dict[str, Any]) -> list[str]:
    return [str(one) for one in misspelled(parse_document(json.dumps(document), source="test"))]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sales.lod", "sales.load"),
        ("sales_load", "sales.load"),
        ("salesload", "sales_load"),
        ("Sales_Load", "sales_load"),
        ("sales_laod", "sales_load"),
        ("raw_order", "raw_orders"),
        ("raw_custamers", "raw_customers"),
        ("taem_b/load", "team_b/load"),
        ("01_pipline", "01_pipeline"),
    ],
)
def test_a_slip_is_seen(one: str, other: str) -> None:
    assert is_slip(one, other)
    assert is_slip(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("etl_1", "etl_2"),
        ("etl_1", "etl_11"),
        ("etl_1_1", "etl_11"),
        ("01_pipeline", "02_pipeline"),
        ("pipeline1", "pipeline"),
        ("load_eu", "load_us"),
        ("etl_a", "etl_b"),
        ("cost", "post"),
        ("east", "west"),
        ("team_b/load", "team_c/load"),
        ("sales/load", "crm/load"),
        ("load", "load_customers"),
        ("load", "load"),
    ],
)
def test_two_names_are_none(one: str, other: str) -> None:
    assert not is_slip(one, other)


def test_an_upstream_that_looks_like_a_declared_one_is_told() -> None:
    (slip,) = told({"sales.load": "extract", "report": "sales.lod"})
    assert slip == (
        "report: no entry declares sales.lod, and its name is very like that of others: did you mean sales.load?; "
        "where sales.lod is meant, nothing need be done"
    )


def test_an_upstream_that_looks_like_one_that_others_name_more_often_is_told() -> None:
    assert told({"a": "extract", "b": "extract", "c": "extarct"})[0].startswith("c: no entry declares extarct")
    assert told({"a": "extract", "b": "extarct"}) == [], "nobody can tell which of them is meant"


def test_names_that_are_declared_or_numbered_are_left_alone() -> None:
    assert told({"sales.load": "extract", "sales.lod": "extract", "report": ["sales.lod", "sales.load"]}) == []
    assert told({"etl_1": "extract", "report": ["etl_1", "etl_2"], "sums": "etl_1"}) == []
