"""Names in addresses are one segment each, encoded whole, and come out as they went in."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from coordinator.model import bounds
from coordinator.ui.paths import BadAddress, EncodedPaths, name_in, number_in, path_of, pipeline_in

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)


def request(query: str = "", **names: str) -> Request:
    return Request({"type": "http", "path_params": names, "query_string": query.encode(), "headers": []})


@given(name=NAMES)
def test_a_name_comes_out_as_it_went_in(name: str) -> None:
    encoded = path_of("explain", name)
    assert encoded.isascii()
    _, view, segment = encoded.split("/")
    assert view == "explain"
    assert name_in(request(name=segment), "name") == name


@pytest.mark.parametrize("encoded", ["", "%FF", "%C3", "a" * (bounds.NAME + 1)])
def test_what_is_no_name_is_refused(encoded: str) -> None:
    with pytest.raises(BadAddress, match="name: "):
        name_in(request(name=encoded), "name")


def test_the_first_slash_of_a_reference_divides_so_an_environment_has_none() -> None:
    assert pipeline_in(request(environment="a", dag_id="b%2Fc")) == ("a", "b/c", "")
    with pytest.raises(BadAddress, match="environment: 'a/b'"):
        pipeline_in(request(environment="a%2Fb", dag_id="c"))


@pytest.mark.parametrize("text", ["-1", "1.5", "", "٣", "1" * 40, "101", "0x1"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(BadAddress, match="rev: expected a whole number up to 100"):
        number_in(request(f"rev={quote(text)}"), "rev", default=0, most=100)


def test_a_number_is_read_and_may_be_left_out() -> None:
    assert number_in(request("rev=100"), "rev", default=0, most=100) == 100
    assert number_in(request(), "rev", default=7) == 7


@pytest.mark.parametrize(
    ("prefix", "sent", "seen"),
    [
        ("", "/explain/a%2Fb/c", "/explain/a%2Fb/c"),
        ("/page", "/page/explain/a", "/explain/a"),
        ("/page", "/explain/a", "/explain/a"),
        ("/page", "/page/", "/"),
        ("/page", "/pages/x", "/pages/x"),
    ],
)
def test_routes_see_the_path_as_it_was_sent_without_the_prefix(prefix: str, sent: str, seen: str) -> None:
    found: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        del receive, send
        found.append(scope["path"])

    async def nothing(*_: Any) -> Any:
        return None

    scope = {"type": "http", "raw_path": sent.encode(), "path": "decoded"}
    asyncio.run(EncodedPaths(app, prefix)(scope, nothing, nothing))
    assert found == [seen]
