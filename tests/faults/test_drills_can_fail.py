"""Drills fail when something is broken in the watchers; ``python -m tests.faults.noticing`` plays all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.noticing import notice
from tests.faults.sabotage import SABOTAGES

IN_EVERY_TEST_RUN = (
    "no_fence_and_no_guard",
    "repeated_without_asking",
    "look_ignored",
    "missed_while_disconnected",
    "sent_written_before_the_request",
    "records_forgotten_by_a_restart",
)
A_FEW = 3


@pytest.mark.parametrize("name", IN_EVERY_TEST_RUN)
def test_a_drill_notices_what_is_broken(name: str, tmp_path: Path) -> None:
    noticed = notice(name, limit=A_FEW, directory=tmp_path)
    assert noticed.strikes is not None, f"{SABOTAGES[name].fault!r} was survived {A_FEW} times by watchers with {name}"
