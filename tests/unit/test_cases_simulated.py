"""The cases that shaped the rule, and those of conditions, partitions and gates, played in memory on virtual time."""

import pytest

from tests.worlds import (
    asset_cases,
    asset_emission_cases,
    asset_feedback_cases,
    asset_upstream_cases,
    asset_wave_cases,
    cases,
    condition_cases,
    item_cases,
    partition_cases,
    people_cases,
    retention_cases,
    retry_cases,
    sensor_cases,
    task_cases,
    wait_cases,
)
from tests.worlds.simulated import SimulatedWorld


@pytest.mark.parametrize("name", cases.CASES)
def test_case(name: str) -> None:
    cases.CASES[name](SimulatedWorld())


@pytest.mark.parametrize("name", cases.ON_REAL_ETCD)
def test_case_where_nothing_reports(name: str) -> None:
    cases.CASES[name](SimulatedWorld(observed=True))


@pytest.mark.parametrize("name", partition_cases.CASES)
def test_partition_case(name: str) -> None:
    partition_cases.CASES[name](SimulatedWorld())


@pytest.mark.parametrize("name", condition_cases.CASES)
def test_condition_case(name: str) -> None:
    condition_cases.CASES[name](SimulatedWorld())


@pytest.mark.parametrize("name", people_cases.CASES)
def test_people_case(name: str) -> None:
    people_cases.CASES[name](SimulatedWorld())


@pytest.mark.parametrize("name", task_cases.CASES)
def test_task_case(name: str) -> None:
    task_cases.CASES[name](SimulatedWorld())


@pytest.mark.parametrize("name", item_cases.CASES)
def test_item_case(name: str) -> None:
    item_cases.CASES[name](SimulatedWorld())


@pytest.mark.parametrize("name", item_cases.ON_REAL_ETCD)
def test_item_case_where_nothing_reports(name: str) -> None:
    item_cases.CASES[name](SimulatedWorld(observed=True))


@pytest.mark.parametrize("name", wait_cases.CASES)
def test_wait_case(name: str) -> None:
    wait_cases.CASES[name](SimulatedWorld())


@pytest.mark.parametrize("name", sensor_cases.CASES)
def test_sensor_case(name: str) -> None:
    sensor_cases.CASES[name](SimulatedWorld())


@pytest.mark.parametrize("name", retention_cases.CASES)
def test_retention_case(name: str) -> None:
    retention_cases.CASES[name](SimulatedWorld())


@pytest.mark.parametrize("name", retry_cases.CASES)
def test_retry_case(name: str) -> None:
    retry_cases.CASES[name](SimulatedWorld())


@pytest.mark.parametrize("name", asset_upstream_cases.CASES)
def test_assets_as_upstreams(name: str) -> None:
    asset_upstream_cases.CASES[name](SimulatedWorld(environments=asset_cases.ENVIRONMENTS))


@pytest.mark.parametrize("name", asset_wave_cases.CASES)
def test_waves_over_assets(name: str) -> None:
    asset_wave_cases.CASES[name](SimulatedWorld())


@pytest.mark.parametrize("name", asset_emission_cases.CASES)
def test_emissions_of_assets(name: str) -> None:
    asset_emission_cases.CASES[name](SimulatedWorld())


@pytest.mark.parametrize("name", asset_feedback_cases.CASES)
def test_feedback_through_assets(name: str) -> None:
    asset_feedback_cases.CASES[name](SimulatedWorld())


@pytest.mark.parametrize("name", asset_cases.CASES)
def test_asset_case(name: str) -> None:
    asset_cases.CASES[name](SimulatedWorld(environments=asset_cases.ENVIRONMENTS))
