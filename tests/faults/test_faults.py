"""Some of the faults, each once: what ``make faults`` plays in full."""

from __future__ import annotations

from pathlib import Path

import pytest

import tests.faults.strikes  # noqa: F401 - fills the registry
from tests.faults.drill import drill
from tests.faults.registry import FAULTS, Fault


@pytest.mark.promise("once", "not-early", "downtime")
@pytest.mark.parametrize("fault", [one for one in FAULTS.values() if one.in_every_test_run], ids=lambda one: one.name)
def test_nothing_is_lost_doubled_or_early(fault: Fault, tmp_path: Path) -> None:
    survived = drill(fault, seed=1, times=1, directory=tmp_path)
    assert survived.broken is None, survived.broken
    assert survived.strikes == 1
    assert survived.starts > 0
