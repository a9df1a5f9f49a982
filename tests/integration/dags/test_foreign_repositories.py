"""A configuration of somebody else, with links, as git keeps them: it reads and writes in its own directory only."""

from __future__ import annotations

from pathlib import Path

import pytest

from coordinator.cli.failures import ExitCode
from tests.command_line import Cli
from tests.command_line import cli as cli
from tests.dags_project import TEMPLATE, contents, one_dag, project

ONE = one_dag()["configuration"]
SECRET = "aws_secret_access_key = SECRET"
INCLUDES = TEMPLATE.replace("pass", "x = {% set s %}{% include 'other.py.j2' %}{% endset %}{{ s | string | literal }}")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The repository, beside a secret of who runs the command."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home/other.py.j2").write_text(SECRET)
    return tmp_path / "clone"


@pytest.mark.parametrize("field", ["templates", "output"])
@pytest.mark.parametrize("place", ["/etc", "..", "../home", "a/../../home", "./.."])
def test_directories_are_named_beside_the_file(cli: Cli, clone: Path, field: str, place: str) -> None:
    file = project(clone, f"{ONE}{field}: {place}\n")
    result = cli("dags", "generate", file)
    assert result.exit_code == ExitCode.USAGE
    assert f"{file}:5: {field}: expected a directory beside this file, without '..', found '{place}'" in result.stdout


@pytest.mark.promise("dags")
@pytest.mark.parametrize("command", ["generate", "check"])
@pytest.mark.parametrize("leads", ["../../home/other.py.j2", "/etc/passwd", "loop.j2"])
def test_a_link_among_the_templates_reads_nothing_of_elsewhere(cli: Cli, clone: Path, command: str, leads: str) -> None:
    file = project(clone, ONE, dag=INCLUDES)
    (clone / "templates/other.py.j2").symlink_to(leads)
    (clone / "templates/loop.j2").symlink_to("other.py.j2")
    result = cli("dags", command, file)
    assert result.exit_code == ExitCode.PROBLEM
    assert SECRET not in result.output
    assert "root:" not in result.output
    assert not (clone / "dags").exists()


def test_such_a_link_is_said(cli: Cli, clone: Path) -> None:
    file = project(clone, ONE, dag="{% if false %}{% include 'other.py.j2' ignore missing %}{% endif %}" + TEMPLATE)
    (clone / "templates/other.py.j2").symlink_to("../../home/other.py.j2")
    result = cli("dags", "check", file)
    place = clone.parent / "home/other.py.j2"
    said = f"{clone}/templates/other.py.j2: entry orders in prod: expected a template, found a link to {place}; copy"
    assert said in result.stdout


def test_a_link_within_the_templates_is_followed(cli: Cli, clone: Path) -> None:
    file = project(clone, ONE, dag=INCLUDES, real="text")
    (clone / "templates/other.py.j2").symlink_to("real.py.j2")
    assert cli("dags", "generate", file).exit_code == ExitCode.OK
    assert b'x = "text"' in contents(clone / "dags")["prod/orders.py"]


@pytest.mark.promise("dags")
@pytest.mark.parametrize("name", ["templates", "dags", "a/b"])
def test_a_link_in_place_of_a_directory_leads_nowhere(cli: Cli, clone: Path, name: str) -> None:
    """Where others have generated files under the same name: they would be removed as orphans."""
    others = project(clone.parent / "home", ONE.replace("orders", "invoices"))
    assert cli("dags", "generate", others).exit_code == ExitCode.OK
    before = contents(clone.parent / "home")
    file = project(clone, ONE + ("output: a/b/c\n" if name == "a/b" else ""))
    (clone / "templates").rename(clone / "kept") if name == "templates" else None
    (clone / name).parent.mkdir(exist_ok=True)
    (clone / name).symlink_to(clone.parent / "home" / (name if name != "a/b" else "."))
    result = cli("dags", "generate", file)
    assert result.exit_code == ExitCode.USAGE
    assert "expected a directory beside this file, found that a link leads from" in result.stderr
    assert contents(clone.parent / "home") == before
    if name == "dags":
        assert cli("dags", "generate", file, "--output", clone.parent / "mine").exit_code == ExitCode.OK


@pytest.mark.promise("dags")
def test_nothing_is_written_into_a_virtual_environment(cli: Cli, clone: Path) -> None:
    """Its Python would run usercustomize.py the next time."""
    site = clone / ".venv/lib/python3.12"
    (site / "site-packages").mkdir(parents=True)
    (clone / ".venv/pyvenv.cfg").touch()
    configuration = ONE.replace("prod", "site-packages").replace("orders", "usercustomize")
    file = project(clone, f"{configuration}output: .venv/lib/python3.12\n")
    result = cli("dags", "generate", file)
    assert result.exit_code == ExitCode.USAGE
    assert f"found one of the virtual environment {clone}/.venv; choose another one" in result.stderr
    assert not list((site / "site-packages").iterdir())


def test_a_secret_in_place_of_the_configuration_is_not_shown(cli: Cli, clone: Path) -> None:
    clone.mkdir()
    (clone / "dags.yaml").symlink_to("../home/other.py.j2")
    result = cli("dags", "check", clone / "dags.yaml")
    assert result.exit_code == ExitCode.USAGE
    assert "expected a mapping, found a text" in result.stdout
    assert "SECRET" not in result.output
