"""Plans by which a promise was broken once, cut down, each named for what holds now: ``found/*.json``."""

from pathlib import Path

import pytest

from tests.simulation.plan import Plan
from tests.simulation.playing import play

FOUND = sorted((Path(__file__).parent / "found").glob("*.json"))


@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.stem)
def test_it_holds_now(path: Path) -> None:
    outcome = play(Plan.from_json(path.read_text()))
    assert outcome.broken is None, outcome.story
