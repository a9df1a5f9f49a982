"""The three Airflows are started once for this folder, and have ended when its last test has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.config.etcd import EtcdSettings
from coordinator.store.connection import EtcdStore, connect
from tests.e2e.airflow2 import PYTHON
from tests.e2e.required import required
from tests.e2e.several.environments import Environments, started

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """These first: a worker of xdist that is idle takes tests from the end of another one's, so one worker has them.

    The start of three Airflows counts for the first of them; on a busy machine it takes minutes.
    """
    items.sort(key=lambda item: not item.path.is_relative_to(HERE))
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.timeout(900))


@pytest.fixture(scope="package")
def environments(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environments]:
    if not PYTHON.exists():
        required("Airflow 2.11", "Python 3.11 or 3.12, and then: make airflow2")
    with started(tmp_path_factory.mktemp("several")) as environments:
        yield environments


@pytest.fixture
def store(environments: Environments) -> Iterator[EtcdStore]:
    store = connect(EtcdSettings(endpoints=[environments.etcd.endpoint]))
    yield store
    store.close()
