"""``make example-datafusion`` as people run it: it plays to the end, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.test_demo import DEMO_LIMIT, Demo


@pytest.fixture
def example(tmp_path: Path) -> Iterator[Demo]:
    demo = Demo(tmp_path, module="examples.datafusion")
    yield demo
    demo.end()


@pytest.mark.timeout(600)
def test_the_example_of_data_fusion_plays_to_its_end(example: Demo) -> None:
    assert example.process.wait(2 * DEMO_LIMIT) == 0, example.said
    assert (
        "✓ each table was loaded once, payments once more after its failure; then one check, one report" in example.said
    )
    assert "✓ orders was loaded once more, and nothing else; then one check, one report" in example.said
    assert "✓ the rows were read anew: each of the 6 tables was loaded once; then one check, one report" in example.said
    example.await_nothing_left()
    assert not list(example.temporary.glob("coordinator-datafusion-*"))
