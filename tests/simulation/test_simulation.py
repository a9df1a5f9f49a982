"""Random worlds with people and faults: every promise holds in some hundred of them; `make simulate` plays more."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from coordinator.model import consumption
from coordinator.model.propagation import tally
from tests.simulation.drawing import draw
from tests.simulation.plan import Plan
from tests.simulation.playing import play

SEEDS = 300
PART = 50
"""Seeds in one process, so that whichever worker is free plays the next of them."""


@pytest.mark.promise("once", "not-for-the-past", "kill", "late-reports", "following", "bad-file")
@pytest.mark.parametrize("first", range(0, SEEDS, PART))
def test_all_promises_hold_in_some_hundred_worlds(first: int) -> None:
    """Watchers are killed right before and after each write and request, and at moments drawn at random; reports come
    late, repeated or never. It is played by the very command that replays: with another order of sets a seed is another
    play."""
    command = [sys.executable, "-m", "tests.simulation", "--first", str(first), "--seeds", str(PART), "--jobs", "1"]
    played = subprocess.run(
        command, capture_output=True, text=True, timeout=280, check=False, cwd=Path(__file__).parents[2], env=os.environ
    )
    assert played.returncode == 0, played.stdout + played.stderr
    assert f"{PART} seeds in" in played.stdout


@pytest.mark.promise("once")
def test_all_promises_hold_where_records_name_the_newest_input_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As records of wide windows do: of each other completion that was used they keep a fingerprint."""
    monkeypatch.setattr(consumption, "NAMED", 1)
    for seed in range(30):
        assert play(draw(seed)).broken is None, seed


@pytest.mark.promise("once")
def test_all_promises_hold_where_every_condition_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """As conditions of dozens of inputs are: what one of them does is added up, not decided about."""
    monkeypatch.setattr(tally, "WIDE", 0)
    for seed in range(30):
        assert play(draw(seed)).broken is None, seed


def test_a_plan_survives_being_written_down() -> None:
    plan = draw(7)
    assert Plan.from_json(plan.to_json()) == plan


def test_the_same_plan_is_the_same_play() -> None:
    first, second = play(draw(11)), play(draw(11))
    assert [str(event.time) for event in first.history.events] == [str(event.time) for event in second.history.events]
    assert first.history.counts == second.history.counts
