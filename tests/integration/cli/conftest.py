"""The command line on a real etcd."""

from __future__ import annotations

from pathlib import Path

import pytest

from coordinator.config.etcd import EtcdSettings
from tests.command_line import cli  # noqa: F401 - a fixture


@pytest.fixture
def config(tmp_path: Path, etcd_settings: EtcdSettings) -> Path:
    """A coordinator.toml that names the session's etcd, and no environment."""
    file = tmp_path / "coordinator.toml"
    file.write_text(f'[etcd]\nendpoints = ["{etcd_settings.endpoints[0]}"]\nprefix = "{etcd_settings.prefix}"\n')
    return file
