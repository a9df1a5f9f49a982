"""The same checks on what hypothesis draws: bytes as they come, structured ones, and seeds with a piece exchanged."""

from __future__ import annotations

from functools import lru_cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.registry import TARGETS
from tests.fuzz.tape import STRUCTURED
from tests.fuzz.target import Target

HEAVY = {"reconciler": 15, "cache": 40, "http": 40, "settings": 60}
"""Examples of those that take milliseconds each."""


@lru_cache
def _seeds(target: Target) -> list[bytes]:
    return [path.read_bytes() for path in sorted((*target.corpus.glob("*"), *target.found.glob("*")))]


@st.composite
def _exchanged(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    seed = draw(st.sampled_from(seeds))
    start = draw(st.integers(0, len(seed)))
    end = draw(st.integers(start, min(len(seed), start + 16)))
    return seed[:start] + draw(st.binary(max_size=16)) + seed[end:]


@pytest.mark.promise("bad-input")
@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
def test_no_bytes_break_anything(target: Target) -> None:
    inputs = st.one_of(
        st.binary(max_size=200),
        st.binary(min_size=20, max_size=400).map(lambda tape: STRUCTURED + tape),
        _exchanged(_seeds(target)),
    )

    @settings(max_examples=HEAVY.get(target.name, 100), deadline=None, suppress_health_check=list(HealthCheck))
    @given(inputs)
    def holds(data: bytes) -> None:
        target.check(data)

    holds()
