"""The cases where every environment is an Airflow 2, on a real etcd with HTTP servers in place of Airflow."""

from __future__ import annotations

from pathlib import Path

import pytest

from coordinator.config.etcd import EtcdSettings
from tests.worlds import cases, sensor_cases, task_cases, wait_cases
from tests.worlds.real import RealWorld

INVISIBLE = {"case_wait_of_a_sensor_that_was_cleared", "case_tested_by_hand"}
"""What Airflow 2 does not show: a cleared task that has not begun (its wait goes when the sensor writes another one),
and a second ``airflow dags test`` for the same date, whose run has the same run_id and the same start."""


@pytest.mark.parametrize("name", [name for name in cases.ON_REAL_ETCD if name not in INVISIBLE])
def test_case(name: str, etcd_settings: EtcdSettings, tmp_path: Path) -> None:
    with RealWorld(etcd_settings, tmp_path, old=True) as world:
        cases.CASES[name](world)


@pytest.mark.parametrize("name", task_cases.ON_REAL_ETCD)
def test_task_case(name: str, etcd_settings: EtcdSettings, tmp_path: Path) -> None:
    with RealWorld(etcd_settings, tmp_path, old=True) as world:
        task_cases.CASES[name](world)


@pytest.mark.parametrize("name", [name for name in wait_cases.ON_REAL_ETCD if name not in INVISIBLE])
def test_wait_case(name: str, etcd_settings: EtcdSettings, tmp_path: Path) -> None:
    with RealWorld(etcd_settings, tmp_path, old=True) as world:
        wait_cases.CASES[name](world)


@pytest.mark.parametrize("name", sensor_cases.ON_REAL_ETCD)
def test_sensor_case(name: str, etcd_settings: EtcdSettings, tmp_path: Path) -> None:
    with RealWorld(etcd_settings, tmp_path, old=True) as world:
        sensor_cases.CASES[name](world)
