"""Assets as upstreams in dependencies.json: every form, and every mistake in them."""

from __future__ import annotations

import json
from datetime import timedelta

import jsonschema  # type: ignore[import-untyped]
import pytest

from coordinator.model.assets.names import LONGEST_URI, asset_of
from coordinator.model.conditions import Dependency, all_of
from coordinator.model.documents import DependenciesError, dump_document, json_schema, parse_document
from coordinator.model.partitions import Offset, Unit
from coordinator.model.publishing.publication import Publication, dump_publication, read_publication
from coordinator.model.publishing.resuming import Terms, publish
from coordinator.model.publishing.started_twice import started_twice
from coordinator.model.references import PipelineRef
from tests.unit.model.test_asset_events import NOON

ORDERS = "s3://lake/orders/eu"
LOCAL = {"asset": "local", "environment": "default"}


def problems(upstream: object) -> list[str]:
    text = json.dumps({"D": {"upstream": upstream}})
    with pytest.raises(DependenciesError) as caught:
        parse_document(text, source="f", environments=["default", "sales", "finance"])
    return [f"{one.path}: {one.reason}" for one in caught.value.problems]


def test_assets_are_read_and_written() -> None:
    written = {
        "D": {
            "upstream": [
                "A",
                {"asset": ORDERS, "environment": "sales"},
                {
                    "asset": "local",
                    "environment": "default",
                    "partition": "-1 day",
                    "trigger": False,
                    "max_age": "36 hours",
                },
            ]
        }
    }
    document = parse_document(json.dumps(written), source="f")
    assert document[PipelineRef("default", "D")].condition == all_of(
        Dependency(PipelineRef("default", "A")),
        Dependency(asset_of("sales", ORDERS)),
        Dependency(
            asset_of("default", "local"),
            mapping=Offset(-1, Unit.DAY),
            trigger=False,
            max_age=timedelta(hours=36),
        ),
    )
    dumped = dump_document(document)
    assert dumped == {"D": written["D"]["upstream"]}
    assert parse_document(json.dumps(dumped), source="f") == document
    jsonschema.validate(written, json_schema())
    publication = publish(document, None, 0, Terms(NOON))
    read_back = read_publication(dump_publication(publication), source="f")
    assert isinstance(read_back, Publication)
    assert read_back.document == document


@pytest.mark.parametrize(
    ("upstream", "expected"),
    [
        ({"asset": ORDERS, "environment": "sale"}, "D.upstream.environment: unknown environment 'sale' (did you mean"),
        ({"asset": ORDERS, "enviroment": "sales"}, "D.upstream.enviroment: unknown field 'enviroment' (did you mean"),
        ({"asset": ORDERS}, "D.upstream: 'environment' is missing"),
        ({"assets": ORDERS}, "D.upstream.assets: unknown field 'assets' (did you mean 'asset'?)"),
        ({"asset": "", "environment": "sales"}, "D.upstream.asset: expected the URI of an asset; found ''"),
        ({"asset": [ORDERS], "environment": "sales"}, "D.upstream.asset: expected the URI of an asset; found a list"),
        (
            {"asset": "s3://lake/*", "environment": "sales"},
            "D.upstream.asset: 's3://lake/*' is a pattern, as bridges have it",
        ),
        ({"asset": "x" * (LONGEST_URI + 1)}, "D.upstream.asset: expected the URI of an asset of at most"),
        ({"asset": ORDERS, "task": "load"}, "D.upstream.task: 'task' belongs beside 'pipeline'"),
        ({"asset": ORDERS, "on": "failure"}, "D.upstream.on: 'on' belongs beside 'pipeline'"),
        ({"asset": ORDERS, "pipeline": "A"}, "D.upstream: 'pipeline' and 'asset' in one object"),
        (f"sales/asset at {ORDERS}", f"D.upstream: 'sales/asset at {ORDERS}' is no DAG"),
        ([{"asset": ORDERS, "environment": "sales"}] * 2, f"D.upstream[1]: sales/asset at {ORDERS} is listed twice"),
    ],
)
def test_mistakes_are_named(upstream: object, expected: str) -> None:
    assert [one for one in problems(upstream) if one.startswith(expected)], problems(upstream)


def twice(document: object) -> list[str]:
    return [str(one.pipeline) for one in started_twice(parse_document(json.dumps(document), source="f"))]


def test_a_bridge_and_a_dependency_on_one_asset_are_told() -> None:
    waits = {"upstream": {"asset": ORDERS, "environment": "sales"}}
    bridge = {"from": "sales", "to": ["finance"], "match": ["s3://lake/*"]}
    assert twice({"finance/D": waits, "assets": [bridge]}) == ["finance/D"]
    assert twice({"hr/D": waits, "assets": [bridge]}) == []
    assert twice({"finance/D": waits, "assets": [{**bridge, "except": ["s3://lake/orders/*"]}]}) == []
    assert twice({"finance/D": waits, "assets": [{**bridge, "match": ["gs://*"]}]}) == []
