"""docs/configuration.md names every setting, its default and its variable, and nothing that does not exist."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import get_args, get_origin

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from coordinator.cli.failures import ExitCode
from coordinator.config.airflow import AirflowSettings
from coordinator.config.loading import load_settings
from coordinator.config.settings import Settings
from coordinator.model.durations import parse_duration
from coordinator.runners.command.settings import CommandSettings
from coordinator.runners.datafusion.settings import DataFusionSettings

DOC = Path(__file__).parents[2] / "docs" / "configuration.md"
ROW = re.compile(r"^\| `([a-z_.<>]+)` \| (.+?) \| (.+?) \| `([A-Z_a-z<>]+)` \| (.+) \|$", re.MULTILINE)


def settings_of(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from settings_of(annotation, f"{prefix}{name}.")
        elif name == "environments":
            # what Airflow has, too, is documented as Airflow's
            for kind in (CommandSettings, DataFusionSettings, AirflowSettings):
                yield from settings_of(kind, f"{prefix}{name}.<name>.")
        elif get_origin(annotation) is dict and isinstance(get_args(annotation)[1], type(BaseModel)):
            yield from settings_of(get_args(annotation)[1], f"{prefix}{name}.<{name.removesuffix('s')}>.")
        else:
            yield f"{prefix}{name}", field


SETTINGS = dict(settings_of(Settings))
DOCUMENTED = {row[0]: row for row in ROW.findall(DOC.read_text(encoding="utf-8"))}


def test_every_setting_is_documented_and_no_other() -> None:
    assert len(SETTINGS) > 20
    assert set(DOCUMENTED) == set(SETTINGS)


@pytest.mark.parametrize("name", SETTINGS)
def test_default_unit_and_variable_are_the_real_ones(name: str) -> None:
    _, unit, default, variable, meaning = DOCUMENTED[name]
    field = SETTINGS[name]
    if field.is_required():
        assert default == "required"
    else:
        value = field.get_default(call_default_factory=True)
        if isinstance(value, timedelta):
            assert parse_duration(json.loads(default.strip("`"))) == value
        else:
            assert default == ("none" if value is None else f"`{json.dumps(value, default=str)}`")
    path = name.split(".")
    assert variable == "COORDINATOR_" + "__".join(part if part.startswith("<") else part.upper() for part in path)
    assert unit.strip()
    assert meaning.strip()


def test_the_example_is_a_configuration(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", DOC.read_text(encoding="utf-8"), re.DOTALL)
    file = tmp_path / "coordinator.toml"
    file.write_text(example)
    assert set(load_settings(file).environments) == {"default", "team_b"}


def test_every_exit_code_is_documented_and_no_other() -> None:
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", DOC.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == [(f"{code:d}", code.meaning) for code in ExitCode]
