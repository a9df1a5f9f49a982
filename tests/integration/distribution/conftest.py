"""The wheel and the sdist, built once from this checkout as a person would build them."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import NamedTuple

import pytest

REPOSITORY = Path(__file__).parents[3]


class Built(NamedTuple):
    """What a build has left."""

    wheel: Path
    sdist: Path


class Installed(NamedTuple):
    """A new virtual environment with the wheel in it."""

    python: Path
    coordinator: Path


def run(*command: object, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """Run a command that must succeed. What it printed on stdout."""
    ended = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=120, check=False, cwd=cwd, env=env
    )
    assert ended.returncode == 0, f"{command}: exit code {ended.returncode}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


def build(source: Path, into: Path, *targets: str) -> None:
    """Build with the backend of pyproject.toml, without an index."""
    run(sys.executable, "-m", "hatchling", "build", "-d", into, *(f"-t{target}" for target in targets), cwd=source)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Wheel and sdist of this checkout."""
    directory = tmp_path_factory.mktemp("dist")
    build(REPOSITORY, directory, "sdist", "wheel")
    (wheel,) = directory.glob("*.whl")
    (sdist,) = directory.glob("*.tar.gz")
    return Built(wheel, sdist)


@pytest.fixture(scope="session")
def installed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel in a new virtual environment, which borrows the pinned packages of this one."""
    directory = tmp_path_factory.mktemp("installed") / "venv"
    venv.create(directory, symlinks=True)
    scripts = directory / "bin"
    installed = Installed(scripts / "python", scripts / "coordinator")
    pip = [sys.executable, "-m", "pip", "--python", installed.python, "--quiet", "--disable-pip-version-check"]
    run(*pip, "install", "--no-deps", "--no-index", built.wheel)
    (site_packages,) = directory.glob("lib/python*/site-packages")
    # The files of this directory alone: the .pth in it that leads to the checkout is not read.
    (site_packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return installed
