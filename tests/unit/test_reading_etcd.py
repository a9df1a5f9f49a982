"""Every document in etcd is read in one way: what anybody wrote there is a value or says why it is none."""

from __future__ import annotations

import ast
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import coordinator
from coordinator.commands.acts import read_act
from coordinator.controller.state.heartbeat import read_heartbeat
from coordinator.model import bounds
from coordinator.model.hold import read_hold
from coordinator.model.order import read_order
from coordinator.model.publishing.edition import read_published_before
from coordinator.model.publishing.publication import read_publication
from coordinator.model.reporters import read_last_seen, read_reporter
from coordinator.model.retention.sweep import read_sweep
from coordinator.model.retention.watermark import read_watermark
from coordinator.model.runstate import read_run_state
from coordinator.model.stored import Unreadable
from coordinator.model.trigger import read_record

READERS: dict[str, tuple[Callable[[bytes], Any], int]] = {
    "a run state": (read_run_state, bounds.RUN_STATE),
    "a trigger record": (read_record, bounds.RECORD),
    "a publication": (partial(read_publication, source="test"), bounds.PUBLICATION),
    "what an owner has published before": (read_published_before, bounds.SMALL_VALUE),
    "a hold": (read_hold, bounds.SMALL_VALUE),
    "an order": (read_order, bounds.SMALL_VALUE),
    "a watermark": (read_watermark, bounds.SMALL_VALUE),
    "a leader heartbeat": (read_heartbeat, bounds.SMALL_VALUE),
    "what a sweep did": (read_sweep, bounds.SMALL_VALUE),
    "an act": (read_act, bounds.SMALL_VALUE),
    "what a reporter says about itself": (read_reporter, bounds.REPORTER),
    "the last sign of a reporter": (read_last_seen, bounds.REPORTER),
}


@pytest.mark.parametrize("what", READERS)
def test_a_value_that_is_too_large_says_what_it_is_and_what_to_do(what: str) -> None:
    read, most = READERS[what]
    remedy = "split it by owner" if what == "a publication" else "put a shorter one, or delete the key"
    assert read(b" " * (most + 1)) == Unreadable(f"more than {most} bytes, the most that {what} has: {remedy}")


@pytest.mark.parametrize("what", READERS)
@pytest.mark.parametrize(
    "value",
    [b"", b"{", b"[]", b"7", b"null", b"\xff", b'"\\ud800"', b"[" * 15_000, b"9" * 5000],
    ids=["nothing", "broken off", "a list", "a number", "null", "not UTF-8", "half a pair", "deep", "many digits"],
)
def test_what_cannot_be_read_says_why_and_never_raises(what: str, value: bytes) -> None:
    found = READERS[what][0](value)
    assert isinstance(found, Unreadable)
    assert found.reason
    found.reason.encode()


@pytest.mark.slow
def test_nobody_else_turns_bytes_into_a_reason() -> None:
    """A reader of its own would have bounds, exceptions and words of its own."""
    package = Path(coordinator.__file__).parent
    catch_and_say = []
    for file in sorted(package.rglob("*.py")):
        for handler in (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.ExceptHandler)):
            calls = (node.func for node in ast.walk(handler) if isinstance(node, ast.Call))
            if any(isinstance(function, ast.Name) and function.id == Unreadable.__name__ for function in calls):
                catch_and_say.append(str(file.relative_to(package)))
    assert set(catch_and_say) == {"model/stored.py"}
