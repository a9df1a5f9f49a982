"""Patterns of URIs: which URIs are theirs, and whether two of them can share one."""

from __future__ import annotations

import itertools
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.model.partitions import Assets
from coordinator.model.partitions.patterns import covers, matches, overlap

ALPHABET = "ab"
PATTERNS = st.text(alphabet="ab*", max_size=6)
URIS = [
    "".join(letters) for length in range(8) for letters in itertools.product(ALPHABET, repeat=length)
]  # whatever two patterns of six characters share, they share one of these or a longer one of the same kind


@pytest.mark.parametrize(
    ("pattern", "uri", "expected"),
    [
        ("s3://lake/orders/*", "s3://lake/orders/eu", True),
        ("s3://lake/orders/*", "s3://lake/orders/eu/2026", True),
        ("s3://lake/orders/*", "s3://lake/orders/", True),
        ("s3://lake/orders/*", "s3://lake/orders", False),
        ("s3://lake/orders", "s3://lake/orders", True),
        ("s3://lake/orders", "s3://lake/orders/eu", False),
        ("*/tmp/*", "s3://lake/tmp/1", True),
        ("a*a", "a", False),
        ("a?[b]", "a?[b]", True),
        ("a?[b]", "axb", False),
        ("*", "", True),
    ],
)
def test_a_star_stands_for_any_characters_and_nothing_else_is_special(pattern: str, uri: str, expected: bool) -> None:
    assert matches(pattern, uri) is expected


@given(PATTERNS, st.text(alphabet=ALPHABET, max_size=8))
def test_a_pattern_matches_as_a_regular_expression_does(pattern: str, uri: str) -> None:
    expression = ".*".join(map(re.escape, pattern.split("*")))
    assert matches(pattern, uri) is (re.fullmatch(expression, uri) is not None)


@given(PATTERNS, PATTERNS)
def test_patterns_that_share_a_uri_overlap(one: str, other: str) -> None:
    if any(matches(one, uri) and matches(other, uri) for uri in URIS):
        assert overlap(one, other)
        assert overlap(other, one)


@given(st.text(alphabet="ab*", max_size=3), st.text(alphabet="ab*", max_size=3))
def test_patterns_that_overlap_share_a_uri(one: str, other: str) -> None:
    if overlap(one, other):
        assert any(matches(one, uri) and matches(other, uri) for uri in URIS)


@given(PATTERNS, PATTERNS)
def test_a_pattern_covers_what_it_matches_all_of(wider: str, pattern: str) -> None:
    if covers(wider, pattern):
        assert all(matches(wider, uri) for uri in URIS if matches(pattern, uri))


def test_no_pattern_takes_long() -> None:
    began = time.monotonic()
    assert not matches("*a" * 120 + "b", "a" * 1500)
    assert time.monotonic() - began < 0.1


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (Assets("s3://lake/*"), Assets("s3://lake/orders/*"), True),
        (Assets("s3://lake/*"), Assets("gs://*"), False),
        (Assets("s3://lake/*", ("s3://lake/orders/*",)), Assets("s3://lake/orders/eu/*"), False),
        (Assets("s3://lake/*", ("s3://lake/orders/eu",)), Assets("s3://lake/orders/*"), True),
    ],
)
def test_what_is_left_out_is_not_shared(one: Assets, other: Assets, expected: bool) -> None:
    assert one.shares(other) is other.shares(one) is expected
