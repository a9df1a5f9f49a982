"""What is broken on purpose is noticed: by few seeds, each by the promise that it breaks."""

import pytest

from tests.simulation.mutations import MUTATIONS, hunt

LIMIT = 400
"""Seeds. Most are caught by the first dozens; `python -m tests.simulation.mutations` prints the table."""


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_mutation_is_caught(mutation: str) -> None:
    caught = hunt(mutation, limit=LIMIT)
    assert caught.seeds is not None, f"{mutation}: {LIMIT} seeds, and every promise held"
