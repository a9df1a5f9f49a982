"""The watcher on a real etcd, between stand-in Airflows that misbehave."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.config.etcd import EtcdSettings
from tests.command_line import cli  # noqa: F401 - a fixture
from tests.integration.controller.worlds import FaultyWorld, ServedWorld


@pytest.fixture
def world(etcd_settings: EtcdSettings, tmp_path: Path) -> Iterator[FaultyWorld]:
    """A watcher in this process, on the session's etcd."""
    with FaultyWorld(etcd_settings, tmp_path) as world:
        yield world


@pytest.fixture
def served(etcd_settings: EtcdSettings, tmp_path: Path) -> Iterator[ServedWorld]:
    """Watchers as processes, on the session's etcd."""
    with ServedWorld(etcd_settings, tmp_path) as world:
        yield world
