"""A hundred random waves with faults: each pipeline below a cleared run once, after its inputs, at rest in the end."""

import pytest

from tests.simulation.waves import play


@pytest.mark.parametrize("seed", range(100))
def test_wave(seed: int) -> None:
    play(seed)
