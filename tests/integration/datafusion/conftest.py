"""A stand-in CDAP, and runners on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from coordinator.runners.datafusion.runner import DataFusionRunner
from coordinator.runners.datafusion.settings import DataFusionSettings
from tests.standin.cdap import StandInCdap

MakeRunner = Callable[..., DataFusionRunner]


@pytest.fixture
def cdap() -> Iterator[StandInCdap]:
    with StandInCdap() as running:
        running.app("quick", takes=0.2)
        running.app("slow")
        running.app("failing", takes=0.0, ends="FAILED")
        yield running


@pytest.fixture
def make_runner(cdap: StandInCdap) -> Iterator[MakeRunner]:
    """Makes runners on the stand-in. Keywords are settings."""
    made: list[DataFusionRunner] = []

    def make(**changes: Any) -> DataFusionRunner:
        given = {
            "kind": "datafusion",
            "url": cdap.url,
            "login": "none",
            "listed_within": timedelta(seconds=0.4),
            "pipelines": {name: {"app": name} for name in ("quick", "slow", "failing")},
            **changes,
        }
        made.append(DataFusionRunner("fusion", DataFusionSettings.model_validate(given)))
        return made[-1]

    yield make
    for one in made:
        one.close()
