"""Which etcd an Airflow connection names, and that the modules for DAG files import little."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from coordinator.airflow_provider import PipelineSensor, get_provider_info
from coordinator.airflow_provider.airflow_names import TriggerEvent
from coordinator.airflow_provider.etcd_config import from_configuration, from_connection
from coordinator.airflow_provider.hook import EtcdHook
from coordinator.airflow_provider.trigger import WaitTrigger
from coordinator.config.settings import Settings
from coordinator.errors import ConfigurationError


@dataclass
class FakeConnection:
    """The fields that are read of an Airflow connection."""

    conn_id: str = "etcd_default"
    host: str | None = "etcd.example.com"
    port: int | None = None
    login: str | None = None
    password: str | None = None
    extra_dejson: dict[str, Any] = field(default_factory=dict)


def test_a_connection_names_the_etcd_and_this_airflow() -> None:
    config = from_connection(FakeConnection(login="sales", password="s3cret", extra_dejson={"environment": "sales"}))
    assert (config.etcd.endpoints, config.etcd.prefix) == (["etcd.example.com:2379"], "/coordinator")
    assert (config.etcd.username, config.etcd.password()) == ("sales", "s3cret")
    assert config.environment == "sales"
    assert "s3cret" not in repr((config, config.etcd.password_source()))


def test_without_an_environment_that_of_the_host_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COORDINATOR_REPORTER__ENVIRONMENT", "sales")
    assert from_connection(FakeConnection()).environment == "sales"
    assert from_connection(FakeConnection(extra_dejson={"environment": "finance"})).environment == "finance"


def test_endpoints_in_the_extra_replace_host_and_port() -> None:
    extra = {"endpoints": "a:2379, b:2380", "prefix": "/own", "ca_cert": "", "key": None}
    config = from_connection(FakeConnection(extra_dejson=extra))
    assert (config.etcd.endpoints, config.etcd.prefix) == (["a:2379", "b:2380"], "/own")
    assert (config.environment, config.etcd.password(), config.etcd.username) == ("default", None, None)


def test_the_connection_in_the_documentation_is_valid() -> None:
    (text,) = re.findall(r"--conn-json '(.*?)'", Path("docs/airflow.md").read_text(encoding="utf-8"), re.DOTALL)
    given = json.loads(text)
    connection = FakeConnection(
        host=given.get("host"), login=given["login"], password=given["password"], extra_dejson=given["extra"]
    )
    assert given["conn_type"] == EtcdHook.conn_type
    config = from_connection(connection)
    assert (config.etcd.endpoints, config.environment) == (["etcd-1:2379", "etcd-2:2379"], "team_b")


def test_connections_with_different_passwords_are_different() -> None:
    """What is kept for a connection, such as a watch, must not outlive a change of its password."""
    old, same, new = (from_connection(FakeConnection(password=password)).etcd for password in ("old", "old", "new"))
    assert old == same
    assert old != new


def test_a_trigger_reads_no_file_in_its_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an environment in the connection, that of the configuration counts: a file, perhaps on a network."""
    from coordinator.config import loading

    real, threads = loading.load_settings, []

    def load_settings(*arguments: Any) -> Settings:
        threads.append(threading.current_thread())
        return real(*arguments)

    async def get(hook: EtcdHook, name: str) -> FakeConnection:
        del hook, name
        return FakeConnection()

    monkeypatch.setattr(loading, "load_settings", load_settings)
    monkeypatch.setattr(EtcdHook, "aget_connection", get, raising=False)
    assert asyncio.run(EtcdHook("etcd_default").aconfig()).environment == "default"
    assert threads
    assert threading.main_thread() not in threads


@pytest.mark.parametrize(
    ("connection", "said"),
    [
        (FakeConnection(host=None), "has neither a host nor endpoints in its extra"),
        (FakeConnection(extra_dejson={"prefx": "/own"}), "unknown in its extra: prefx; known are endpoints, prefix"),
        (FakeConnection(extra_dejson={"prefix": "own"}), "prefix: Value error, must start with '/'"),
        (FakeConnection(extra_dejson={"environment": "a/b"}), "environment: "),
        (FakeConnection(host="http://etcd", password="s3cret"), "endpoints: "),
    ],
)
def test_a_mistake_is_told_with_its_place_and_without_the_password(connection: FakeConnection, said: str) -> None:
    with pytest.raises(ConfigurationError, match="the Airflow connection 'etcd_default'") as raised:
        from_connection(connection)
    assert said in str(raised.value)
    assert "s3cret" not in str(raised.value)


def test_airflow_takes_the_metadata() -> None:
    from airflow.providers_manager import _create_provider_info_schema_validator

    _create_provider_info_schema_validator().validate(get_provider_info())


@pytest.mark.slow
def test_a_dag_file_that_has_a_sensor_loads_no_grpc() -> None:
    """Beside what Airflow itself loads: a DAG file is parsed again and again, in processes that fork."""
    code = (
        "import sys, airflow.sdk, airflow.triggers.base; airflow.sdk.BaseSensorOperator, airflow.sdk.BaseHook\n"
        "before = {*sys.modules}\n"
        "from coordinator.airflow_provider import AssetEventOperator, EtcdHook, PipelineSensor, ReportOperator\n"
        "print(sorted({*sys.modules} - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    loaded = {name.split(".")[0] for name in eval(done.stdout.splitlines()[-1])}
    assert loaded <= {"coordinator", "airflow"}


def test_a_host_that_names_no_etcd_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens at the default address of a worker or a triggerer."""
    for name in [name for name in os.environ if name.startswith("COORDINATOR_")]:
        monkeypatch.delenv(name)
    with pytest.raises(ConfigurationError, match=r"no etcd is named on .*COORDINATOR_ETCD__ENDPOINTS"):
        from_configuration()
    monkeypatch.setenv("COORDINATOR_ETCD__ENDPOINTS", '["127.0.0.1:2379"]')
    assert from_configuration().etcd.endpoints == ["127.0.0.1:2379"]


def test_a_triggerer_that_knows_of_no_etcd_fails_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("COORDINATOR_")]:
        monkeypatch.delenv(name)

    async def fired() -> TriggerEvent:
        return await anext(WaitTrigger("/key", "{}", "default").run())

    event = asyncio.run(asyncio.wait_for(fired(), 30))
    sensor = PipelineSensor(task_id="sensor", pipeline="U")
    with pytest.raises(ConfigurationError, match="on the triggerer: no etcd is named"):
        sensor.execute_complete({}, event.payload)
