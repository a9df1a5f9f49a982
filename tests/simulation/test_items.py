"""Random plays of items. Any further seeds: ``Play(seed).play()``."""

import pytest

from tests.simulation.items import Play

pytestmark = pytest.mark.promise("items")


@pytest.mark.parametrize("seed", range(12))
def test_items_at_random(seed: int) -> None:
    Play(seed).play()
