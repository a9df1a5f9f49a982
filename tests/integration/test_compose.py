"""docker-compose.yaml is read by a real compose, names only what exists, and holds no secret.

No Docker engine is needed for that: ``config`` reads the file, and resolves variables and extensions, but does not
notice a missing build directory or mounted file.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from coordinator.config.settings import load_settings

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.yaml"
REFERENCE = re.compile(r"\$\{[A-Z_]+:\?[^}]+\}")
VARIABLES = re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)


def _compose() -> list[str]:
    """The compose program. Without one the tests cannot run: an error in CI, said loudly elsewhere."""
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    if shutil.which("docker") and subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0:
        return ["docker", "compose"]
    message = (
        "no docker-compose (apt-get install docker-compose) and no `docker compose`: docker-compose.yaml unchecked"
    )
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(message)
    pytest.skip(message)


def config(env_file: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    return subprocess.run(
        [*_compose(), "--file", str(FILE), "--env-file", str(env_file), "config", *arguments],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    """An .env with every variable of the example."""
    file = tmp_path / "env"
    file.write_text("".join(f"{name}=value-of-{name.lower()}\n" for name in VARIABLES))
    return file


@pytest.fixture(scope="module")
def written() -> dict[str, Any]:
    """The file as it is written, with YAML's own merging and nothing else."""
    document = yaml.safe_load(FILE.read_text())
    assert isinstance(document, dict)
    return document


def _scalars(node: object, place: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _scalars(value, f"{place}.{key}")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _scalars(value, f"{place}[{index}]")
    elif node is not None:
        yield place, str(node)


def test_compose_accepts_it(env_file: Path) -> None:
    answer = config(env_file, "--quiet")
    assert answer.returncode == 0, answer.stderr


def test_every_variable_of_the_example_is_required(env_file: Path, tmp_path: Path) -> None:
    assert len(VARIABLES) >= 5
    for missing in VARIABLES:
        lines = env_file.read_text().splitlines()
        file = tmp_path / "incomplete"
        file.write_text("\n".join(line for line in lines if not line.startswith(f"{missing}=")))
        answer = config(file, "--quiet")
        assert answer.returncode != 0, f"it starts without {missing}"
        assert f"set {missing}" in answer.stderr


def test_what_compose_makes_of_it(env_file: Path) -> None:
    answer = config(env_file)
    assert answer.returncode == 0, answer.stderr
    services = yaml.safe_load(answer.stdout)["services"]
    for environment in ("default", "team-b"):
        for component in ("airflow-{}", "airflow-{}-init", "scheduler-{}", "dag-processor-{}", "postgres-{}"):
            assert component.format(environment) in services
        reporting = services[f"scheduler-{environment}"]["environment"]
        assert reporting["COORDINATOR_REPORTER__ENVIRONMENT"] == environment.replace("-", "_")
    assert {name for name in services if name.startswith("watcher")} == {"watcher-1", "watcher-2"}
    assert services["watcher-1"]["environment"]["AIRFLOW_DEFAULT_PASSWORD"] == "value-of-airflow_default_password"


def test_no_value_is_a_secret(written: dict[str, Any]) -> None:
    secret = re.compile(r"PASSWORD$|SECRET|_KEY$|TOKEN", re.IGNORECASE)
    checked = 0
    for place, value in _scalars(written):
        if secret.search(place.rpartition(".")[2]):
            assert REFERENCE.fullmatch(value), f"{place}: {value!r} is not a required variable"
            checked += 1
        for text in re.findall(r"[a-z+]+://[^\s'\"]+", value):
            assert not re.search(r"://[^/@]*:[^/@]*@", text), f"{place}: a password in an address"
        bare = REFERENCE.sub("", value)
        assert not re.search(r"[A-Za-z0-9+/_=-]{32,}", bare.replace("/", " ").replace("_", " ").replace("-", " ")), (
            place
        )
    assert checked >= 8


def test_the_example_is_empty_and_the_real_one_is_ignored() -> None:
    for line in (ROOT / ".env.example").read_text().splitlines():
        assert not line or line.startswith("#") or re.fullmatch(r"[A-Z_]+=", line), line
    ignored = subprocess.run(["git", "check-ignore", "--quiet", "--no-index", ".env"], cwd=ROOT, check=False)
    assert ignored.returncode == 0, "git would take .env"


def test_what_is_built_and_mounted_exists(written: dict[str, Any]) -> None:
    built, mounted = set(), set()
    for service in written["services"].values():
        if build := service.get("build"):
            context = ROOT / build["context"]
            dockerfile = context / build["dockerfile"]
            assert dockerfile.is_file(), dockerfile
            built.add(dockerfile)
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (ROOT / source).exists(), source
                mounted.add(source)
            else:
                assert source in written["volumes"], source
    assert len(built) == 2
    assert {"./dependencies.json", "./dags"} <= mounted
    for dockerfile in built:
        ignored = dockerfile.with_name("Dockerfile.dockerignore").read_text().splitlines()
        for copied in re.findall(r"^COPY (?:--\S+ )*(.+) \S+$", dockerfile.read_text(), re.MULTILINE):
            for source in copied.split():
                assert (ROOT / source).exists(), f"{dockerfile}: {source}"
                assert f"!{source}" in ignored, f"{dockerfile}: {source} is not in the build context"


def test_every_image_is_pinned(written: dict[str, Any]) -> None:
    images = {service["image"] for service in written["services"].values() if "build" not in service}
    for dockerfile in (ROOT / "docker").glob("*/Dockerfile"):
        text = dockerfile.read_text()
        defaults = dict(re.findall(r"^ARG (\w+)=(\S+)$", text, re.MULTILINE))
        for image in re.findall(r"^FROM (\S+)", text, re.MULTILINE):
            for name, default in defaults.items():
                image = image.replace(f"${{{name}}}", default)
            images.add(image)
    assert len(images) == 4
    for image in images:
        assert re.search(r":v?\d+\.\d+", image), f"{image} is not pinned by version"


def test_everything_that_stays_up_has_a_health_check_and_listens_on_this_machine_only(written: dict[str, Any]) -> None:
    for name, service in written["services"].items():
        assert "healthcheck" in service or name.endswith("-init"), name
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), f"{name}: {port}"


def test_the_watchers_configuration_fits_the_compose_file(
    written: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = ROOT / "docker" / "coordinator.toml"
    for name in [name for name in os.environ if name.startswith("COORDINATOR_")]:
        monkeypatch.delenv(name)
    settings = load_settings(path)
    services = written["services"]
    assert settings.etcd.endpoints == ["etcd:2379"]
    for name, environment in settings.environments.items():
        host = environment.url.removeprefix("http://").partition(":")[0]
        assert services[host]["command"] == "api-server"
        assert services[host]["environment"]["COORDINATOR_REPORTER__ENVIRONMENT"] == name
        assert environment.password_env in services["watcher-1"]["environment"]
    assert settings.http.listen is not None
    port = settings.http.listen.rpartition(":")[2]
    assert f":{port}/readyz" in services["watcher-1"]["healthcheck"]["test"][-1]
    assert tomllib.loads(path.read_text()).keys() == {"etcd", "environments", "http"}
