"""Links from Airflow to the page: only where one is configured, and whatever the configuration is, Airflow goes on."""

from __future__ import annotations

import ast
import importlib.util
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from coordinator.airflow_plugin import links
from tests.unit.airflow_plugin.test_plugin import plugin, plugin_of_airflow2

__all__ = ["plugin", "plugin_of_airflow2"]

RUN = SimpleNamespace(dag_id="a dag", run_id="manual__2026-11-20T00:00:00+00:00")


@pytest.fixture(autouse=True)
def nothing_is_configured(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for variable in ("COORDINATOR_CONFIG", "COORDINATOR_UI__URL", "COORDINATOR_REPORTER__ENVIRONMENT"):
        monkeypatch.delenv(variable, raising=False)
    links._page.cache_clear()
    yield
    links._page.cache_clear()


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COORDINATOR_UI__URL", "https://coordinator.example/page/")
    monkeypatch.setenv("COORDINATOR_REPORTER__ENVIRONMENT", "team b")


@pytest.fixture
def plugin_with_links(plugin: ModuleType) -> ModuleType:
    """Airflow's base class of links is there, too."""
    sys.modules["airflow.sdk"].BaseOperatorLink = object  # type: ignore[attr-defined]
    return plugin


def all_of(plugin: ModuleType) -> list[list[Any]]:
    made = plugin.CoordinatorPlugin()
    return [made.external_views, made.operator_extra_links, made.global_operator_extra_links]


def test_without_a_page_there_are_no_links(plugin: ModuleType) -> None:
    assert all_of(plugin) == [[], [], []]


@pytest.mark.usefixtures("configured")
def test_a_run_and_a_dag_lead_to_the_page(plugin: ModuleType) -> None:
    views = plugin.CoordinatorPlugin().external_views
    hrefs = {view["destination"]: view["href"] for view in views}
    assert hrefs == {
        "dag_run": "https://coordinator.example/page/runs/team%20b/{DAG_ID}/{RUN_ID}",
        "dag": "https://coordinator.example/page/explain/team%20b/{DAG_ID}",
    }
    routes = [view["url_route"] for view in views]
    assert len(set(routes)) == 2, "Airflow shows no view without a route, and only one with each"


@pytest.mark.usefixtures("configured")
def test_airflow_may_take_a_view_out_of_the_list_that_it_gets(plugin: ModuleType) -> None:
    made = plugin.CoordinatorPlugin()
    made.external_views.remove(made.external_views[0])
    assert len(made.external_views) == 1


@pytest.mark.usefixtures("configured")
def test_in_airflow_3_sensors_have_a_link_and_other_tasks_none(plugin_with_links: ModuleType) -> None:
    _, of_sensors, of_all = all_of(plugin_with_links)
    assert of_all == []
    (link,) = of_sensors
    assert link.name == "Explanation"
    assert [(one.__module__, one.__name__) for one in link.operators] == [
        ("coordinator.airflow_provider.sensor", "PipelineSensor")
    ]
    expected = "https://coordinator.example/page/runs/team%20b/a%20dag/manual__2026-11-20T00%3A00%3A00%2B00%3A00"
    assert link.get_link(object(), ti_key=RUN) == expected


def test_a_sensor_is_named_as_it_is() -> None:
    """Without importing it, which would import Airflow."""
    place = importlib.util.find_spec(links._PIPELINE_SENSOR.__module__)
    assert place is not None
    assert place.origin is not None
    tree = ast.parse(Path(place.origin).read_text())
    assert links._PIPELINE_SENSOR.__name__ in {one.name for one in tree.body if isinstance(one, ast.ClassDef)}


@pytest.mark.usefixtures("configured")
def test_in_airflow_2_each_task_has_a_link(plugin_of_airflow2: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("airflow.models", "airflow.models.baseoperatorlink"):
        module = ModuleType(name)
        module.BaseOperatorLink = object  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, name, module)
    _, of_sensors, of_all = all_of(plugin_of_airflow2)
    assert of_sensors == []
    (link,) = of_all
    assert link.operators == []
    assert link.get_link(object(), ti_key=RUN).startswith("https://coordinator.example/page/runs/team%20b/a%20dag/")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("COORDINATOR_CONFIG", "/nowhere/coordinator.toml"),
        ("COORDINATOR_UI__URL", "no address"),
        ("COORDINATOR_ETCD__TIMEOUT", "soon"),
    ],
)
@pytest.mark.usefixtures("configured")
def test_a_configuration_that_cannot_be_used_costs_the_links_and_nothing_else(
    plugin: ModuleType, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    assert all_of(plugin) == [[], [], []]
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith("coordinator.no_links: ")


@pytest.mark.usefixtures("configured")
def test_an_airflow_that_lacks_the_class_has_no_links_of_sensors(
    plugin: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    views, of_sensors, _ = all_of(plugin)
    assert len(views) == 2
    assert of_sensors == []
    assert "coordinator.no_links" in caplog.text


@pytest.mark.slow
def test_importing_the_plugin_reads_no_configuration_and_imports_neither_pydantic_nor_grpc() -> None:
    """Airflow imports it in every task."""
    program = (
        "import sys, types\n"
        "for name in ('airflow', 'airflow.sdk', 'airflow.sdk.plugins_manager'):\n"
        "    sys.modules[name] = types.ModuleType(name)\n"
        "sys.modules['airflow.sdk.plugins_manager'].AirflowPlugin = object\n"
        "import coordinator.airflow_plugin.plugin as plugin\n"
        "plugin.CoordinatorPlugin()\n"
        "print(*sorted(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=Path(__file__).parents[3],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    imported = set(done.stdout.split())
    assert "coordinator.airflow_plugin.plugin" in imported
    assert imported.isdisjoint({"pydantic", "grpc", "coordinator.airflow_plugin.links", "coordinator.config.loading"})
