"""The three Airflows are started once for this folder, and have ended when its last test has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.config.settings import EtcdSettings
from coordinator.store.connection import EtcdStore, connect
from tests.e2e.several.environments import Environments, started

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """These first: a worker of xdist that is idle takes tests from the end of another one's, so one worker has them."""
    items.sort(key=lambda item: not item.path.is_relative_to(HERE))


@pytest.fixture(scope="package")
def environments(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environments]:
    with started(tmp_path_factory.mktemp("several")) as environments:
        yield environments


@pytest.fixture
def store(environments: Environments) -> Iterator[EtcdStore]:
    store = connect(EtcdSettings(endpoints=[environments.etcd.endpoint]))
    yield store
    store.close()
