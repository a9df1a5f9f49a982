"""The cases that shaped the rule, on a real etcd with HTTP servers in place of Airflow."""

from pathlib import Path

import pytest

from coordinator.config.etcd import EtcdSettings
from tests.worlds import (
    asset_wave_cases,
    cases,
    item_cases,
    partition_cases,
    people_cases,
    retention_cases,
    retry_cases,
    sensor_cases,
    task_cases,
    wait_cases,
)
from tests.worlds.real import RealWorld


@pytest.mark.parametrize("name", cases.ON_REAL_ETCD)
def test_case(name: str, etcd_settings: EtcdSettings, tmp_path: Path) -> None:
    with RealWorld(etcd_settings, tmp_path) as world:
        cases.CASES[name](world)


@pytest.mark.parametrize("name", partition_cases.ON_REAL_ETCD)
def test_partition_case(name: str, etcd_settings: EtcdSettings, tmp_path: Path) -> None:
    with RealWorld(etcd_settings, tmp_path) as world:
        partition_cases.CASES[name](world)


@pytest.mark.parametrize("name", people_cases.ON_REAL_ETCD)
def test_people_case(name: str, etcd_settings: EtcdSettings, tmp_path: Path) -> None:
    with RealWorld(etcd_settings, tmp_path) as world:
        people_cases.CASES[name](world)


@pytest.mark.parametrize("name", retention_cases.ON_REAL_ETCD)
def test_retention_case(name: str, etcd_settings: EtcdSettings, tmp_path: Path) -> None:
    with RealWorld(etcd_settings, tmp_path) as world:
        retention_cases.CASES[name](world)


@pytest.mark.parametrize("name", retry_cases.ON_REAL_ETCD)
def test_retry_case(name: str, etcd_settings: EtcdSettings, tmp_path: Path) -> None:
    with RealWorld(etcd_settings, tmp_path) as world:
        retry_cases.CASES[name](world)


@pytest.mark.parametrize("name", task_cases.ON_REAL_ETCD)
def test_task_case(name: str, etcd_settings: EtcdSettings, tmp_path: Path) -> None:
    with RealWorld(etcd_settings, tmp_path) as world:
        task_cases.CASES[name](world)


@pytest.mark.parametrize("name", item_cases.ON_REAL_ETCD)
def test_item_case(name: str, etcd_settings: EtcdSettings, tmp_path: Path) -> None:
    with RealWorld(etcd_settings, tmp_path) as world:
        item_cases.CASES[name](world)


@pytest.mark.parametrize("name", wait_cases.ON_REAL_ETCD)
def test_wait_case(name: str, etcd_settings: EtcdSettings, tmp_path: Path) -> None:
    with RealWorld(etcd_settings, tmp_path) as world:
        wait_cases.CASES[name](world)


@pytest.mark.parametrize("name", sensor_cases.ON_REAL_ETCD)
def test_sensor_case(name: str, etcd_settings: EtcdSettings, tmp_path: Path) -> None:
    with RealWorld(etcd_settings, tmp_path) as world:
        sensor_cases.CASES[name](world)


@pytest.mark.parametrize("name", asset_wave_cases.CASES)
def test_waves_over_assets(name: str, etcd_settings: EtcdSettings, tmp_path: Path) -> None:
    with RealWorld(etcd_settings, tmp_path) as world:
        asset_wave_cases.CASES[name](world)
