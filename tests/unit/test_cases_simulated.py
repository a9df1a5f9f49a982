"""The cases that shaped the rule, played in memory on virtual time."""

import pytest

from tests.worlds.cases import CASES
from tests.worlds.simulated import SimulatedWorld


@pytest.mark.parametrize("name", CASES)
def test_case(name: str) -> None:
    CASES[name](SimulatedWorld())
