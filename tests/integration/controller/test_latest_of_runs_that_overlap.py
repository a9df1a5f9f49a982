"""``latest`` of an upstream of which some run always goes on holds nobody back: the cases, played by a process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from coordinator.config.etcd import EtcdSettings
from tests.integration.controller.waiting import until
from tests.integration.controller.worlds import ServedWorld
from tests.worlds.partition_cases import case_latest_beside_one_long_run, case_latest_of_runs_that_overlap
from tests.worlds.world import World


class PlayedByAProcess(ServedWorld):
    """Publishes as a case expects it: the watcher obeys when it is said."""

    def dependencies(self, document: Mapping[str, Any]) -> None:
        super().dependencies(document)
        watcher = self.serve()
        until(lambda: bool(watcher.events("dependencies.loaded")), "the document is obeyed")

    def nothing_is_due(self) -> bool:
        """What waits for a run that goes on is no work of the watcher's: that it is idle says enough."""
        return True


@pytest.fixture
def world(etcd_settings: EtcdSettings, tmp_path: Path) -> Iterator[PlayedByAProcess]:
    with PlayedByAProcess(etcd_settings, tmp_path) as world:
        yield world


@pytest.mark.promise("downtime")
@pytest.mark.parametrize("case", [case_latest_of_runs_that_overlap, case_latest_beside_one_long_run])
def test_it_runs_in_each_of_ten_partitions(world: PlayedByAProcess, case: Callable[[World], None]) -> None:
    case(world)
