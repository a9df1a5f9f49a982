"""The settings of Data Fusion: what cannot work is refused when they are read, with its place."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from coordinator.config.insecure import insecure_settings
from coordinator.config.loading import load_settings
from coordinator.errors import ConfigurationError
from coordinator.runners.datafusion.settings import DataFusionSettings

SECTION = '[environments.fusion]\nkind = "datafusion"\nurl = "https://cdap.example/api/"\n'
ORDERS = '[environments.fusion.pipelines.orders]\napp = "orders-to-warehouse"\n'


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("COORDINATOR_"):
            monkeypatch.delenv(name)


def read(text: str, tmp_path: Path) -> DataFusionSettings:
    file = tmp_path / "coordinator.toml"
    file.write_text(text)
    found = load_settings(file).environments["fusion"]
    assert isinstance(found, DataFusionSettings)
    return found


def test_what_a_pipeline_may_say(tmp_path: Path) -> None:
    settings = read(SECTION + ORDERS + 'timeout = "3 hours"\narguments = { region = "eu" }\n', tmp_path)
    assert (settings.url, settings.namespace, settings.login) == ("https://cdap.example/api", "default", "google")
    assert not settings.reports
    assert not settings.is_observed
    orders = settings.pipelines["orders"]
    assert (orders.program, orders.arguments) == ("DataPipelineWorkflow", {"region": "eu"})
    assert orders.timeout == timedelta(hours=3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SECTION, "environments.fusion.pipelines: is required"),
        (SECTION + "pipelines = {}\n", "environments.fusion.pipelines: "),
        (SECTION + 'login = "basic"\n' + ORDERS, "environments.fusion.login: "),
        (SECTION + 'namespace = "a/b"\n' + ORDERS, "is not an id of CDAP"),
        (SECTION + 'listed_within = "0 seconds"\n' + ORDERS, "is not a positive duration"),
        (SECTION.replace("https://", "https://me:secret@") + ORDERS, "holds credentials"),
        (SECTION.replace("https://", "") + ORDERS, "is not a URL"),
        (SECTION + '[environments.fusion.pipelines."a/b"]\napp = "x"\n', "is not a name of a pipeline"),
        (SECTION + '[environments.fusion.pipelines.orders]\napp = ".."\n', "is not an id of CDAP"),
        (SECTION + ORDERS + 'arguments = { "coordinator.token" = "x" }\n', "is not a name of an argument"),
        (SECTION + ORDERS + 'timeot = "1 hour"\n', "unknown setting; did you mean timeout?"),
    ],
)
def test_what_cannot_work_is_refused_with_its_place(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as refused:
        read(text, tmp_path)
    assert said in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_token_that_goes_unencrypted_is_told(tmp_path: Path) -> None:
    file = tmp_path / "coordinator.toml"
    file.write_text(SECTION.replace("https://", "http://") + ORDERS)
    (insecure,) = insecure_settings(load_settings(file))
    assert insecure.found.startswith("environments.fusion.url: http://cdap.example/api is not encrypted")
