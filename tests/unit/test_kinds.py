"""Kinds of environments: an installed package adds one by an entry point, and its model reads its settings."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from coordinator.config.airflow import AirflowSettings
from coordinator.config.kinds import AIRFLOW, installed_kinds
from coordinator.config.loading import load_settings
from coordinator.errors import ConfigurationError
from coordinator.runners.command.runner import CommandRunner
from coordinator.runners.command.settings import CommandSettings
from coordinator.runners.making import make_runner

MODULE = """
from coordinator.config.environments import EnvironmentSettings
from coordinator.runners.port import EnvironmentReport, Runner


class FakeSettings(EnvironmentSettings):
    address: str
    reads: list[str] = []


class FakeRunner(Runner):
    SETTINGS = FakeSettings

    def __init__(self, name, settings):
        self.name, self.settings = name, settings

    def check(self, dag_ids, *, tasks=None):
        return EnvironmentReport(version=self.settings.address)


class WithoutSettings:
    SETTINGS = dict
"""

Install = Callable[..., None]


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("COORDINATOR_"):
            monkeypatch.delenv(name)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs a package as pip does, in a directory of its own: a module, and a dist-info with entry points."""

    def install(package: str = "fake", *, kind: str = "fake", value: str = "", module: str = MODULE) -> None:
        site = tmp_path / f"site of {package}"
        information = site / f"{package}-1.0.dist-info"
        information.mkdir(parents=True)
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        value = value or f"{package}_runner:FakeRunner"
        (information / "entry_points.txt").write_text(f"[coordinator.runners]\n{kind} = {value}\n")
        (site / f"{package}_runner.py").write_text(module)
        monkeypatch.syspath_prepend(str(site))
        monkeypatch.delitem(sys.modules, f"{package}_runner", raising=False)

    return install


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "coordinator.toml"


def refused(file: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(file)
    return str(caught.value)


def test_the_kinds_that_come_with_the_coordinator() -> None:
    assert {*AIRFLOW, "command"} <= set(installed_kinds())


def test_a_package_adds_a_kind(install: Install, file: Path) -> None:
    install()
    assert "fake" in installed_kinds()
    file.write_text('[environments.other]\nkind = "fake"\naddress = "there"\nmax_in_flight = 3\n')
    settings = load_settings(file).environments["other"]
    assert (type(settings).__name__, settings.kind, settings.max_in_flight) == ("FakeSettings", "fake", 3)
    runner = make_runner("other", settings)
    assert runner.check([]).version == "there"
    assert runner.changed_runs(None, place=None, timeout=1).error is not None  # type: ignore[arg-type]
    runner.close()


def test_its_settings_are_read_by_its_own_model(install: Install, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install()
    file.write_text('[environments.other]\nkind = "fake"\nadress = "there"\n')
    said = refused(file)
    assert f"{file}: environments.other.adress: unknown setting; did you mean address?" in said
    assert f"{file}: environments.other.address: is required" in said
    monkeypatch.setenv("COORDINATOR_ENVIRONMENTS__other__ADDRESS", "elsewhere")
    monkeypatch.setenv("COORDINATOR_ENVIRONMENTS__other__READS", '["a"]')
    file.write_text('[environments.other]\nkind = "fake"\n')
    assert load_settings(file).environments["other"].model_dump(include={"address", "reads"}) == {
        "address": "elsewhere",
        "reads": ["a"],
    }


def test_an_unknown_kind_names_those_that_are_installed(install: Install, file: Path) -> None:
    install()
    file.write_text('[environments.other]\nkind = "fkae"\n')
    assert refused(file) == (
        f"{file}: environments.other.kind: 'fkae' is not installed; expected one of 'airflow', 'airflow2', 'command', "
        "'composer', 'datafusion', 'fake', 'mwaa'"
    )


@pytest.mark.parametrize("kind", ["7", "true", '["airflow"]'])
def test_a_kind_that_is_no_text(file: Path, kind: str) -> None:
    file.write_text(f"[environments.other]\nkind = {kind}\n")
    assert "environments.other.kind: is no text; expected one of 'airflow'" in refused(file)


def test_an_environment_that_is_no_section(file: Path) -> None:
    file.write_text("[environments]\nother = 7\n")
    assert refused(file) == f"{file}: environments.other: expected a section"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("nowhere_at_all:Runner", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("fake_runner:Missing", "AttributeError: module 'fake_runner' has no attribute 'Missing'"),
        ("fake_runner:WithoutSettings", "expected a subclass of coordinator.config.environments.EnvironmentSettings"),
        ("fake_runner:FakeSettings", "AttributeError"),
    ],
)
def test_a_package_that_does_not_work_is_named(install: Install, file: Path, value: str, said: str) -> None:
    install(value=value)
    file.write_text('[environments.other]\nkind = "fake"\naddress = "there"\n')
    found = refused(file)
    assert "environments.other.kind: 'fake' can" in found
    assert f"{value} (fake 1.0)" in found
    assert said in found


def test_a_package_that_fails_when_it_is_loaded_is_named(install: Install, file: Path) -> None:
    install(module="raise RuntimeError('not on this machine')")
    file.write_text('[environments.other]\nkind = "fake"\n')
    assert "RuntimeError: not on this machine" in refused(file)


def test_two_packages_with_one_kind_are_refused(install: Install, file: Path) -> None:
    install("fake")
    install("another")
    file.write_text('[environments.other]\nkind = "fake"\naddress = "there"\n')
    found = refused(file)
    assert "environments.other.kind: 'fake' is installed several times" in found
    assert "fake 1.0" in found
    assert "another 1.0" in found


@pytest.mark.parametrize("kind", ["airflow", "command"])
def test_no_package_takes_the_place_of_what_comes_with_the_coordinator(
    install: Install, file: Path, tmp_path: Path, kind: str
) -> None:
    install(kind=kind)
    file.write_text(
        '[environments.default]\nkind = "airflow"\nurl = "http://127.0.0.1:1"\n'
        f'[environments.jobs]\nkind = "command"\nhost = "h"\ndirectory = "{tmp_path}"\n'
        'commands.load.argv = ["true"]\n'
    )
    settings = load_settings(file).environments
    assert type(settings["default"]) is AirflowSettings
    assert type(settings["jobs"]) is CommandSettings
    runner = make_runner("jobs", settings["jobs"])
    assert isinstance(runner, CommandRunner)


def test_a_kind_that_nobody_names_is_not_loaded(install: Install, file: Path) -> None:
    install(module="raise RuntimeError('not on this machine')")
    file.write_text('[environments.default]\nurl = "http://127.0.0.1:1"\n')
    assert type(load_settings(file).environments["default"]) is AirflowSettings
