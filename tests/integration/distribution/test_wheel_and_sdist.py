"""What is shipped can be built from a checkout and from the sdist, is complete, and works where it is installed."""

from __future__ import annotations

import re
import tarfile
import tomllib
import zipfile
from email.message import Message
from email.parser import Parser
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from coordinator.version import __version__
from tests.integration.distribution.conftest import REPOSITORY, Built, Installed, build, run

PROJECT: dict[str, Any] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
APACHE_2_0 = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
"""SHA-256 of the licence as the Apache Software Foundation publishes it."""


def names_in_wheel(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def text_in_wheel(wheel: Path, path: str) -> str:
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(path).decode()


def names_in_sdist(sdist: Path) -> set[str]:
    """The paths, without the folder that all of them lie in."""
    with tarfile.open(sdist) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


def metadata(wheel: Path) -> Message:
    return Parser().parsestr(text_in_wheel(wheel, f"etcd_coordinator-{__version__}.dist-info/METADATA"))


def package_files() -> set[str]:
    """Every file of the package in this checkout that belongs to it."""
    files = (path for path in (REPOSITORY / "coordinator").rglob("*") if path.is_file())
    return {path.relative_to(REPOSITORY).as_posix() for path in files if "__pycache__" not in path.parts}


def test_the_licence_is_the_complete_apache_licence() -> None:
    assert sha256((REPOSITORY / "LICENSE").read_bytes()).hexdigest() == APACHE_2_0


def test_the_wheel_has_the_package_its_licence_and_nothing_else(built: Built) -> None:
    about = f"etcd_coordinator-{__version__}.dist-info"
    names = names_in_wheel(built.wheel)
    assert {"coordinator/py.typed", "coordinator/model/documents/dependencies.schema.json"} <= names
    assert names == package_files() | {
        f"{about}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")
    }


def test_the_sdist_has_what_the_wheel_is_built_from_and_the_documents(built: Built) -> None:
    names = names_in_sdist(built.sdist)
    assert package_files() | {"LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml", "constraints.txt"} <= names
    assert {name.partition("/")[0] for name in names if "/" in name} == {"coordinator", "docs"}
    assert not [name for name in names if "__pycache__" in name]


def test_the_metadata_says_what_is_known_and_invents_no_address(built: Built) -> None:
    said = metadata(built.wheel)
    assert (said["Name"], said["Version"]) == ("etcd-coordinator", __version__)
    assert (said["License-Expression"], said.get_all("License-File")) == ("Apache-2.0", ["LICENSE"])
    assert "Typing :: Typed" in (said.get_all("Classifier") or [])
    for field in ("Home-page", "Project-URL", "Download-URL", "Author", "Author-email", "Maintainer"):
        assert field not in said


def test_the_classifiers_name_the_pythons_that_it_runs_on(built: Built) -> None:
    classifiers = metadata(built.wheel).get_all("Classifier") or []
    named = {text.rpartition(" ")[2] for text in classifiers if re.search(r":: 3\.\d+$", text)}
    assert PROJECT["project"]["requires-python"] == ">=3.11,<3.14"
    assert named == {"3.11", "3.12", "3.13"}


def test_the_tests_build_with_the_backend_that_users_build_with() -> None:
    (backend,) = PROJECT["build-system"]["requires"]
    assert backend in PROJECT["project"]["optional-dependencies"]["dev"]
    assert backend in (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").splitlines()


def test_a_wheel_from_the_sdist_is_byte_for_byte_the_one_from_the_checkout(built: Built, tmp_path: Path) -> None:
    with tarfile.open(built.sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    build(source, tmp_path / "again", "wheel")
    (again,) = (tmp_path / "again").glob("*.whl")
    assert again.name == built.wheel.name
    assert again.read_bytes() == built.wheel.read_bytes()


@pytest.mark.parametrize(
    "dockerfile", sorted(REPOSITORY.glob("docker/*/Dockerfile")), ids=lambda path: path.parent.name
)
def test_what_an_image_copies_is_enough_to_build_the_same_wheel(dockerfile: Path, built: Built, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    text = dockerfile.read_text(encoding="utf-8")
    for copied in re.findall(r"^COPY (?:--\S+ )*(.+) /tmp/coordinator\S*$", text, re.MULTILINE):
        for name in copied.split():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).symlink_to(REPOSITORY / name)
    build(source, tmp_path / "again", "wheel")
    (again,) = (tmp_path / "again").glob("*.whl")
    assert names_in_wheel(again) == names_in_wheel(built.wheel)


def test_the_installed_command_works_far_from_the_checkout(installed: Installed, tmp_path: Path) -> None:
    where = run(installed.python, "-c", "import coordinator; print(coordinator.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(installed.python.parents[1])
    assert run(installed.coordinator, "--version", cwd=tmp_path) == f"coordinator {__version__}\n"
    said = run(installed.coordinator, "validate", REPOSITORY / "dependencies.json", cwd=tmp_path)
    assert "good: 6 pipelines" in said
    assert '"$id"' in run(installed.coordinator, "validate", "--schema", cwd=tmp_path)


def test_airflow_finds_the_plugin_of_the_installed_package(installed: Installed, tmp_path: Path) -> None:
    code = (
        "from importlib.metadata import distribution\n"
        "entries = distribution('etcd-coordinator').entry_points\n"
        "(plugin,) = [entry for entry in entries if entry.group == 'airflow.plugins']\n"
        "print(plugin.load().__module__, plugin.load().name)\n"
    )
    said = run(installed.python, "-c", code, cwd=tmp_path, env={"AIRFLOW_HOME": str(tmp_path), "PATH": ""})
    assert said.split() == ["coordinator.airflow_plugin.plugin", "coordinator"]
