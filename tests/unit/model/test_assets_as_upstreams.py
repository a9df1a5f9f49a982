"""``{"asset": ..., "environment": ...}`` in dependencies.json: what is read, written again, and refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from coordinator.model.assets.names import LONGEST_URI, asset_of, is_asset, is_of_assets, uri_of
from coordinator.model.conditions import AtLeast, Dependency, leaves
from coordinator.model.documents import DependenciesError, dump_document, parse_document
from coordinator.model.references import PipelineRef, Target
from coordinator.store.keys import Keys, StateKey

URI = "s3://lake/orders/eu"
ASSET = {"asset": URI, "environment": "sales"}
D = PipelineRef("default", "D")


def _parsed(upstream: Any) -> Any:
    document = parse_document(json.dumps({"D": {"upstream": upstream}}), source="f", environments=["default", "sales"])
    assert dump_document(parse_document(json.dumps(dump_document(document)), source="f")) == dump_document(document)
    return document[D].condition


def _refused(upstream: Any) -> str:
    with pytest.raises(DependenciesError) as refused:
        parse_document(json.dumps({"D": {"upstream": upstream}}), source="f", environments=["default", "sales"])
    return str(refused.value)


def test_an_asset_stands_where_a_pipeline_may_stand() -> None:
    found = _parsed({"any": [{**ASSET, "partition": "start_of_day", "max_age": "2 hours"}, [ASSET, "A"]]})
    assert isinstance(found, AtLeast)
    first, second, third = leaves(found)
    assert first.upstream == second.upstream == asset_of("sales", URI)
    assert (str(first.mapping), str(first.max_age)) == ("start of day", "2:00:00")
    assert third.upstream == PipelineRef("default", "A")
    gate = Dependency(asset_of("sales", URI), trigger=False)
    assert gate in leaves(_parsed([{**ASSET, "trigger": False}, "A"]))


@pytest.mark.parametrize(
    ("upstream", "words"),
    [
        ({"asset": URI}, "'environment' is missing"),
        ({**ASSET, "environment": "sale"}, "unknown environment 'sale' (did you mean 'sales'?)"),
        ({**ASSET, "asset": ""}, "expected the URI of an asset"),
        ({**ASSET, "asset": "x" * (LONGEST_URI + 1)}, f"at most {LONGEST_URI} characters"),
        ({**ASSET, "asset": 1}, "expected the URI of an asset"),
        ({**ASSET, "on": "failure"}, "'on' belongs beside 'pipeline'"),
        ({**ASSET, "task": "load"}, "'task' belongs beside 'pipeline'"),
        ({**ASSET, "pipeline": "A"}, "in one object"),
        ([ASSET, ASSET], "is listed twice"),
        (f"sales/asset at {URI}", "is no DAG"),
    ],
)
def test_what_is_wrong_is_refused(upstream: Any, words: str) -> None:
    assert words in _refused(upstream)


@pytest.mark.parametrize("uri", [URI, "events", "a b", "x" * LONGEST_URI, "%2F", "è"])
def test_its_state_has_a_key_of_its_own(uri: str) -> None:
    asset = asset_of("sales", uri)
    assert is_asset(asset)
    assert is_of_assets(asset)
    assert uri_of(asset) == uri
    target, keys = Target(asset, "2026-11-20"), Keys("/coordinator")
    assert keys.parse(keys.state(target)) == StateKey(target)
