"""What is said twice is kept once, and what nobody says any more is forgotten."""

from __future__ import annotations

import sys

from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import Attempt, RunState, State
from coordinator.watcher.sharing import Recent, Sharing

PIPELINE = PipelineRef("sales", "load_orders")


def text(number: int) -> str:
    """A new object each time."""
    return f"partition {number:07}"


def test_a_text_that_comes_again_soon_is_the_same_object() -> None:
    recent: Recent[str] = Recent(most=10)
    first = recent(text(0))
    for number in range(1, 10):
        recent(text(number))
    assert recent(text(0)) is first


def test_a_text_that_keeps_coming_is_the_same_object_however_many_others_come() -> None:
    recent: Recent[str] = Recent(most=10)
    first = recent(text(0))
    for number in range(1, 1000):
        recent(text(number))
        assert recent(text(0)) is first


def test_a_million_partitions_that_are_dropped_again_leave_no_memory_taken() -> None:
    """Python's own table of interned strings keeps each of them for ever, from CPython 3.12 on."""
    sharing = Sharing(lambda _: None, recent=1000)

    def drop(first: int) -> None:
        for number in range(first, first + 100_000):
            sharing.target(Target(PIPELINE, text(number)))
            sharing.state(RunState(State.SUCCESS, Attempt(run_id=f"run {number}")))

    drop(0)
    before = sys.getallocatedblocks()
    for first in range(100_000, 1_000_000, 100_000):
        drop(first)
    assert sys.getallocatedblocks() - before < 10_000
