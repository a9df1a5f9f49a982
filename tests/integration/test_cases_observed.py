"""The cases where nothing reports and every environment is observed, on a real etcd with HTTP servers as Airflow."""

from __future__ import annotations

from pathlib import Path

import pytest

from coordinator.config.etcd import EtcdSettings
from tests.worlds import cases, task_cases
from tests.worlds.real import RealWorld


@pytest.mark.parametrize("name", cases.ON_REAL_ETCD)
def test_case(name: str, etcd_settings: EtcdSettings, tmp_path: Path) -> None:
    with RealWorld(etcd_settings, tmp_path, observed=True) as world:
        cases.CASES[name](world)


@pytest.mark.parametrize("name", task_cases.ON_REAL_ETCD)
def test_task_case(name: str, etcd_settings: EtcdSettings, tmp_path: Path) -> None:
    with RealWorld(etcd_settings, tmp_path, observed=True) as world:
        task_cases.CASES[name](world)
