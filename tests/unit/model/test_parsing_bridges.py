"""``assets`` at the top of dependencies.json: bridges, and every mistake in them."""

from __future__ import annotations

import json
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from coordinator.model.assets.bridges import Bridge, Forwarding, bridges_in
from coordinator.model.documents import DependenciesError, dump_document, json_schema, parse_document
from coordinator.model.publishing.owners import objections_to
from coordinator.model.publishing.publication import Publication, Published, dump_publication, read_publication
from coordinator.model.publishing.resuming import Terms, publish
from coordinator.model.references import PipelineRef
from tests.unit.model.test_asset_events import NOON


def problems(document: object) -> list[str]:
    with pytest.raises(DependenciesError) as caught:
        parse_document(json.dumps(document), source="f", environments=["sales", "finance", "hr", "a", "b", "c"])
    return [f"{one.path}: {one.reason}" for one in caught.value.problems]


def bridge(source: str, *to: str, **more: Any) -> dict[str, Any]:
    return {"from": source, "to": [*to], **more}


def test_a_bridge_is_read_and_written() -> None:
    written = {
        "report": ["load"],
        "assets": [
            bridge("sales", "finance", "hr", match=["s3://lake/orders/*", "s3://lake/rates"]),
            bridge("sales", "finance", match=["gs://*"], **{"except": ["gs://tmp/*"]}, rerun="once"),
            bridge("sales", "hr", explicit=True),
        ],
    }
    document = parse_document(json.dumps(written), source="f")
    assert [*bridges_in(document)] == [
        Bridge("sales", "finance", ("s3://lake/orders/*", "s3://lake/rates")),
        Bridge("sales", "finance", ("gs://*",), ("gs://tmp/*",), Forwarding.ONCE),
        Bridge("sales", "hr", ("s3://lake/orders/*", "s3://lake/rates")),
        Bridge("sales", "hr", explicit=True),
    ]
    dumped = dump_document(document)
    assert parse_document(json.dumps(dumped), source="f") == document
    jsonschema.validate(dumped, json_schema())
    jsonschema.validate(written, json_schema())


def test_without_match_all_of_them_are_handed_on() -> None:
    (found,) = bridges_in(parse_document(json.dumps({"assets": [bridge("sales", "finance")]}), source="f"))
    assert found.match == ("*",)


@pytest.mark.parametrize(
    ("assets", "expected"),
    [
        ("x", "assets: expected a list of bridges, each an object; found 'x' (a pipeline of that name is written"),
        (["x"], "assets[0]: expected an object with 'from' and 'to'; found 'x'"),
        ([{"from": "sales"}], "assets[0]: 'to' is missing"),
        ([bridge("sales")], "assets[0].to: expected a list of environments, not empty; found a list"),
        ([bridge("sale", "hr")], "assets[0].from: unknown environment 'sale' (did you mean 'sales'?)"),
        ([bridge("sales", "hrr")], "assets[0].to[0]: unknown environment 'hrr' (did you mean 'hr'?)"),
        ([bridge("sales", "hr/x")], "assets[0].to[0]: expected the name of an environment, without '/'"),
        ([bridge("sales", "sales")], "assets[0].to: sales would hand its events on to itself"),
        ([bridge("sales", "hr", "hr")], "assets[0].to[1]: 'hr' is there twice"),
        ([bridge("sales", "hr", match=[])], "assets[0].match: expected a list of patterns, not empty; found a list"),
        ([bridge("sales", "hr", match=[3])], "assets[0].match[0]: expected a URI, in which * stands for any"),
        ([bridge("sales", "hr", match="s3")], "assets[0].match: expected a list of patterns, not empty; found 's3'"),
        ([bridge("sales", "hr", matches=["x"])], "assets[0].matches: unknown field 'matches' of a bridge (did you"),
        ([bridge("sales", "hr", rerun="clear")], "assets[0].rerun: expected 'forward' or 'once'; found 'clear'"),
        ([bridge("sales", "hr"), bridge("sales", "hr")], "assets[1]: '*' from sales to hr is there twice"),
        (
            [bridge("sales", "hr"), bridge("sales", "hr", match=["s3*"], rerun="once")],
            "assets[1]: * and s3* from sales to hr may be about one asset, and only one of them has",
        ),
        (
            [bridge("a", "b"), bridge("b", "a", match=["s3*"])],
            "assets[1]: asset events would go in a circle: ",
        ),
        (
            [bridge("a", "b"), bridge("b", "c", match=["s3*"]), bridge("c", "a", match=["*x"])],
            "assets[2]: asset events would go in a circle: ",
        ),
    ],
)
def test_a_mistake_is_refused_with_its_place(assets: object, expected: str) -> None:
    found = problems({"assets": assets})
    assert len(found) == 1, found
    assert found[0].startswith(expected), found


@pytest.mark.parametrize(
    "assets",
    [
        [bridge("a", "b", match=["s3*"]), bridge("b", "a", match=["gs*"])],
        [bridge("a", "b"), bridge("b", "c"), bridge("a", "c", match=["s3*"])],
        [bridge("a", "b"), bridge("b", "a", **{"except": ["*"]})],
        [bridge("a", "b", match=["x*"]), bridge("b", "c"), bridge("c", "a", match=["y*"])],
    ],
)
def test_what_goes_in_no_circle_is_good(assets: object) -> None:
    assert parse_document(json.dumps({"assets": assets}), source="f")


@pytest.mark.parametrize("name", ["sales/asset events", "hr/assets from sales", "hr/assets once from sales"])
def test_the_names_of_asset_events_are_no_pipelines(name: str) -> None:
    for document in ({name: ["a/x"]}, {"a/x": [name]}):
        (found,) = problems(document)
        assert "is no DAG: the coordinator calls asset events so" in found


def test_a_published_document_with_a_pipeline_of_that_name_is_still_read() -> None:
    document = parse_document('{"assets": ["load"]}', source="f", in_force=True)
    assert [*document] == [PipelineRef("default", "assets")]
    assert dump_document(document) == {"default/assets": ["load"]}


def published(owner: str, document: object) -> Published:
    parsed = parse_document(json.dumps(document), source=owner)
    return Published(publish(parsed, None, 0, Terms(NOON)), 5)


def test_bridges_keep_their_activation() -> None:
    value = published("default", {"assets": [bridge("a", "b", match=["x"])]}).value
    assert isinstance(value, Publication)
    wider = parse_document(
        json.dumps({"assets": [bridge("a", "b", match=["x", "y"], **{"except": ["z"]})]}), source="f"
    )
    again = publish(wider, value, 5, Terms(NOON))
    read = read_publication(dump_publication(again), source="key")
    assert isinstance(read, Publication)
    (node,) = read.nodes(9)
    assert {leaf.mapping.match: since for leaf, since in node.active_since.items()} == {"x": 5, "y": 9}  # type: ignore[union-attr]


def test_a_circle_over_two_documents_is_refused() -> None:
    one = {"b": published("b", {"assets": [bridge("a", "b")]})}
    closing = parse_document(json.dumps({"assets": [bridge("b", "a")]}), source="f")
    (objection,) = objections_to("a", closing, one)
    assert "in a circle: " in objection.reason
    assert objection.pipeline == PipelineRef("a", "assets from b")
    harmless = parse_document(json.dumps({"assets": [bridge("c", "a")]}), source="f")
    assert objections_to("a", harmless, one) == []


def test_who_receives_declares_it() -> None:
    document = parse_document(json.dumps({"assets": [bridge("a", "b")]}), source="f")
    assert objections_to("b", document, {}) == []
    (objection,) = objections_to("a", document, {})
    assert "it belongs to b" in objection.reason
