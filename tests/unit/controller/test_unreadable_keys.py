"""What cannot be read is a problem of its key for as long as the key is there."""

from __future__ import annotations

import pytest

from coordinator.controller.state.cache import Cache
from coordinator.model.references import PipelineRef, Target
from coordinator.store.keys import Keys
from coordinator.store.port import Changed, Changes, KeyValue

KEYS = Keys()


@pytest.mark.parametrize(
    "target",
    [
        Target(PipelineRef("e", "short"), "p"),
        Target(PipelineRef("e", "d" * 900), "p" * 900),
        Target(PipelineRef("e", "\U0001f600" * 60), "\U0001f600" * 60),
    ],
    ids=["short", "longer than what is shown of a key", "escaped"],
)
def test_a_key_that_is_deleted_leaves_no_problem(target: Target) -> None:
    cache = Cache(KEYS)
    key = KEYS.state(target)
    cache.apply(Changes((Changed(key, 1, KeyValue(key, b"x", 1, 1)),), 1), now=0.0, live=True)
    assert len(cache.problems) == 1
    cache.apply(Changes((Changed(key, 2, None),), 2), now=0.0, live=True)
    assert cache.problems == {}
