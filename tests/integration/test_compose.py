"""docker-compose.yaml is read by a real compose, names only what exists, and holds no secret.

No Docker engine is needed for that: ``config`` reads the file, and resolves variables and extensions, but does not
notice a missing build directory or mounted file.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from coordinator.config.loading import load_settings
from coordinator.model.conditions import leaves
from coordinator.model.documents import parse_document
from coordinator.model.references import PipelineRef
from tests.command_line import Cli
from tests.command_line import cli as cli
from tests.e2e.required import required

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.yaml"
CONFIG = ROOT / "docker" / "coordinator" / "coordinator.toml"
DEPENDENCIES = CONFIG.with_name("dependencies.json")
REFERENCE = re.compile(r"\$\{[A-Z_]+:\?[^}]+\}")
VARIABLES = re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)


def _compose() -> list[str]:
    """The compose program."""
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    if shutil.which("docker") and subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0:
        return ["docker", "compose"]
    return required("a compose program, for docker-compose.yaml,", "docker-compose (apt-get install docker-compose)")


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


@pytest.fixture(scope="module")
def env_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An .env with every variable of the example."""
    file = tmp_path_factory.mktemp("compose") / "env"
    file.write_text("".join(f"{name}=value-of-{name.lower()}\n" for name in VARIABLES))
    return file


@pytest.fixture(scope="module")
def written() -> dict[str, Any]:
    """The file as it is written, with YAML's own merging and nothing else."""
    document = yaml.safe_load(FILE.read_text())
    assert isinstance(document, dict)
    return document


@pytest.fixture(scope="module")
def services(env_file: Path) -> dict[str, Any]:
    """The services as compose understands them, with every variable and extension resolved."""
    answer = config(env_file)
    assert answer.returncode == 0, answer.stderr
    services = yaml.safe_load(answer.stdout)["services"]
    assert isinstance(services, dict)
    return services


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
    text = re.sub(r"#.*", "", FILE.read_text())
    assert set(re.findall(r"(?<!\$)\$\{([^}]+)\}", text)) == {f"{name}:?set {name} in .env" for name in VARIABLES}
    missing = VARIABLES[-1]
    file = tmp_path / "incomplete"
    file.write_text(re.sub(f"^{missing}=.*$", "", env_file.read_text(), flags=re.MULTILINE))
    answer = config(file, "--quiet")
    assert answer.returncode != 0, f"it starts without {missing}"
    assert f"set {missing}" in answer.stderr


def test_there_are_two_environments_and_two_watchers(services: dict[str, Any]) -> None:
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


def test_a_command_fills_in_the_example_once(tmp_path: Path) -> None:
    (tmp_path / "docker").mkdir()
    shutil.copy(ROOT / "docker" / "fill_env.py", tmp_path / "docker")
    shutil.copy(ROOT / ".env.example", tmp_path)
    command = [sys.executable, str(tmp_path / "docker" / "fill_env.py")]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    made = tmp_path / ".env"
    values = dict(line.split("=", 1) for line in made.read_text().splitlines() if line and not line.startswith("#"))
    assert sorted(values) == sorted(VARIABLES)
    assert len(set(values.values())) == len(values), "a secret stands twice"
    assert min(map(len, values.values())) >= 40
    assert {len(base64.urlsafe_b64decode(values[name])) for name in values if name.endswith("FERNET_KEY")} == {32}
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    assert config(made, "--quiet").returncode == 0
    before = made.read_bytes()
    again = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert again.returncode == 1
    assert "stays as it is" in again.stderr
    assert made.read_bytes() == before


def test_the_file_and_the_example_tell_the_same_commands() -> None:
    texts = FILE.read_text(), (ROOT / ".env.example").read_text()
    told = [re.findall(r"^#   (.+)$", text, re.MULTILINE) for text in texts]
    assert told[1] == ["python3 docker/fill_env.py", "docker compose up --build --wait"]
    assert told[0][: len(told[1])] == told[1]


def test_the_two_airflows_share_no_secret(services: dict[str, Any]) -> None:
    held = {}
    for environment in ("default", "team-b"):
        of_all = [services[name.format(environment)] for name in ("airflow-{}", "scheduler-{}", "dag-processor-{}")]
        names = [
            "AIRFLOW__CORE__FERNET_KEY",
            "AIRFLOW__API__SECRET_KEY",
            "AIRFLOW__API_AUTH__JWT_SECRET",
            "PGPASSWORD",
        ]
        secrets = [{one["environment"][name] for name in names} for one in of_all]
        assert secrets[0] == secrets[1] == secrets[2], "the components of one Airflow do not believe each other"
        postgres = services[f"postgres-{environment}"]["environment"]["POSTGRES_PASSWORD"]
        assert postgres == of_all[0]["environment"]["PGPASSWORD"]
        admin = services[f"airflow-{environment}-init"]["environment"]["AIRFLOW_ADMIN_PASSWORD"]
        held[environment] = {*secrets[0], admin}
        assert len(held[environment]) == 5
    assert held["default"] & held["team-b"] == set()


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
                assert (ROOT / source).is_dir(), f"{source}: a file that is mounted alone never shows an edit by rename"
                mounted.add(source)
            else:
                assert source in written["volumes"], source
    assert len(built) == 2
    assert mounted == {"./docker/coordinator", "./dags", "./docker/dags_team_b"}
    for dockerfile in built:
        ignored = dockerfile.with_name("Dockerfile.dockerignore").read_text().splitlines()
        for copied in re.findall(r"^COPY (?:--\S+ )*(.+) \S+$", dockerfile.read_text(), re.MULTILINE):
            for source in copied.split():
                assert "*" in source or (ROOT / source).exists(), f"{dockerfile}: {source}"
                assert f"!{source}" in ignored, f"{dockerfile}: {source} is not in the build context"


@pytest.mark.parametrize("image", ["airflow", "watcher"])
def test_an_image_gets_every_file_that_the_package_is_built_from(image: str) -> None:
    dockerfile = (ROOT / "docker" / image / "Dockerfile").read_text()
    patterns = " ".join(re.findall(r"^COPY (?:--\S+ )*(.+) \S+$", dockerfile, re.MULTILINE)).split()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = ["coordinator", "pyproject.toml", project["readme"], *project.get("license-files", [])]
    assert [name for name in needed if not any(fnmatch(name, pattern) for pattern in patterns)] == []


def test_the_watchers_image_installs_what_is_pinned_with_hashes() -> None:
    """Only in versions of constraints.txt: `make requirements` writes the file again."""
    text = (ROOT / "docker" / "watcher" / "requirements.txt").read_text()
    pins = dict(re.findall(r"^([a-z0-9.-]+)==(\S+)(?: ; .+)? \\$", text, re.MULTILINE))
    blocks = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
    assert len(blocks) == len(pins) > 20
    assert [block for block in blocks if not re.search(r"--hash=sha256:[0-9a-f]{64}", block)] == []
    constraints = dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    assert {name: pin for name, pin in pins.items() if constraints.get(name, pin) != pin} == {}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extra = project["project"]["optional-dependencies"]["ui"]
    names = [*project["project"]["dependencies"], *extra, *project["build-system"]["requires"]]
    assert [name for name in names if re.split(r"[^a-z0-9-]", name)[0] not in pins] == []
    dockerfile = (ROOT / "docker" / "watcher" / "Dockerfile").read_text()
    installs = re.findall(r"pip install (.+?)(?: \\)?$", dockerfile, re.MULTILINE)
    assert len(installs) == 2
    assert all("--require-hashes" in one or "--no-index" in one for one in installs)


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


def test_nothing_has_a_right_of_the_host_that_it_does_not_need(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert ("cap_add" in service) is name.startswith("postgres-"), name
    for name in ("etcd", "watcher-1", "watcher-2"):
        assert services[name]["read_only"] is True, name


def test_what_runs_a_dags_code_reaches_what_it_needs_and_no_more(services: dict[str, Any]) -> None:
    def reached_from(name: str) -> set[str]:
        networks = set(services[name]["networks"])
        return {other for other, service in services.items() if networks & set(service["networks"])} - {name}

    for environment in ("default", "team-b"):
        of_it = {name for name in services if name.endswith((f"-{environment}", f"-{environment}-init"))}
        assert len(of_it) == 5
        assert reached_from(f"dag-processor-{environment}") == of_it - {f"dag-processor-{environment}"}
        assert reached_from(f"scheduler-{environment}") == {"etcd", *of_it} - {f"scheduler-{environment}"}
    for watcher in ("watcher-1", "watcher-2"):
        assert {"etcd", "airflow-default", "airflow-team-b"} <= reached_from(watcher)


def test_everything_has_a_name_a_bound_on_its_memory_and_logs_that_end(written: dict[str, Any]) -> None:
    for name, service in written["services"].items():
        assert service["hostname"] == name, "a container id says nothing to a person"
        assert re.fullmatch(r"\d+[mg]", service["mem_limit"]), name
        assert service["logging"]["driver"] == "json-file"
        assert set(service["logging"]["options"]) == {"max-size", "max-file"}


def test_logs_and_what_is_not_yet_delivered_outlive_a_container(written: dict[str, Any]) -> None:
    services, outboxes = written["services"], []
    for environment in ("default", "team-b"):
        mounts = {
            component: dict(
                reversed(volume.split(":")[:2]) for volume in services[f"{component}-{environment}"]["volumes"]
            )
            for component in ("airflow", "scheduler", "dag-processor")
        }
        assert {of["/opt/airflow/logs"] for of in mounts.values()} == {f"logs-{environment}"}
        outboxes += [mounts[component]["/opt/airflow/outbox"] for component in ("airflow", "scheduler")]
    assert len(set(outboxes)) == 4, "two components deliver one outbox"


def test_after_a_restart_tasks_find_their_api_server(services: dict[str, Any]) -> None:
    for environment in ("default", "team-b"):
        scheduler = services[f"scheduler-{environment}"]
        assert scheduler["depends_on"][f"airflow-{environment}"]["condition"] == "service_healthy"
        assert int(scheduler["environment"]["AIRFLOW__WORKERS__EXECUTION_API_RETRIES"]) == 12
    for name, service in services.items():
        assert service["restart"] == ("no" if name.endswith("-init") else "unless-stopped"), name


def test_no_probe_starts_an_airflow(services: dict[str, Any]) -> None:
    for name, service in services.items():
        probe = " ".join(service.get("healthcheck", {}).get("test", []))
        assert not re.search(r"\b(airflow (jobs|db)|coordinator (status|doctor))\b", probe), name
    scheduler = services["scheduler-default"]
    assert scheduler["environment"]["AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK"] == "True"
    assert scheduler["healthcheck"]["test"][-1] == "http://127.0.0.1:8974/health"


@pytest.mark.parametrize(("says", "code"), [("healthy", 0), ("unhealthy", 1), (None, 1)])
def test_the_dag_processors_probe_reads_what_the_api_server_says(
    services: dict[str, Any], says: str | None, code: int
) -> None:
    class Api(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path == "/api/v2/monitor/health"
            self.send_response(200 if found else 404)
            self.end_headers()
            health = {"scheduler": {"status": "healthy"}, "dag_processor": {"status": says}}
            self.wfile.write(json.dumps(health).encode())

        def log_message(self, *_: object) -> None:
            """Nothing on stderr."""

    kind, command = services["dag-processor-default"]["healthcheck"]["test"]
    assert kind == "CMD-SHELL"
    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as api:
        thread = threading.Thread(target=api.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{api.server_address[1]}/execution/"
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environ = {"PATH": path, "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": address, "no_proxy": "127.0.0.1"}
        try:
            asked = subprocess.run(["sh", "-c", command.replace("$$", "$")], env=environ, timeout=60, check=False)
        finally:
            api.shutdown()
            thread.join()
    assert asked.returncode == code


def test_every_command_in_a_watchers_container_finds_the_configuration(written: dict[str, Any]) -> None:
    services = written["services"]
    image = (ROOT / "docker" / "watcher" / "Dockerfile").read_text()
    for name in ("watcher-1", "watcher-2"):
        variables = dict(re.findall(r"^ENV (\w+)=(\S+)$", image, re.MULTILINE)) | services[name]["environment"]
        source, target, _ = services[name]["volumes"][0].split(":")
        for variable in ("COORDINATOR_CONFIG", "COORDINATOR_DEPENDENCIES"):
            assert (ROOT / source / Path(variables[variable]).relative_to(target)).is_file(), variable
        assert services[name]["command"] == "watch"


def test_the_page_reads_etcd_and_nothing_else(
    services: dict[str, Any], written: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = services["ui"]
    reached = {name for name, one in services.items() if set(one["networks"]) & set(page["networks"])}
    assert reached == {"etcd", "ui"}
    assert page["read_only"] is True
    assert written["services"]["ui"]["command"] == "ui"
    assert not any("PASSWORD" in name for name in page["environment"])
    for name, value in page["environment"].items():
        monkeypatch.setenv(name, value)
    settings = load_settings(CONFIG)
    (port,) = written["services"]["ui"]["ports"]
    outside, _, inside = port.rpartition(":")
    assert settings.ui.url == f"http://{outside}"
    assert settings.ui.port == int(inside)
    for name, environment in settings.airflows.items():
        of_airflow = services[f"airflow-{name.replace('_', '-')}"]["environment"]
        assert of_airflow["COORDINATOR_UI__URL"] == settings.ui.url
        assert of_airflow["AIRFLOW__API__BASE_URL"] == environment.web_url, "it may show the page in a frame"


def test_the_watchers_configuration_fits_the_compose_file(
    written: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("COORDINATOR_")]:
        monkeypatch.delenv(name)
    settings = load_settings(CONFIG)
    services = written["services"]
    assert settings.etcd.endpoints == ["etcd:2379"]
    for name, environment in settings.airflows.items():
        host = environment.url.removeprefix("http://").partition(":")[0]
        assert services[host]["command"] == "api-server"
        assert services[host]["environment"]["COORDINATOR_REPORTER__ENVIRONMENT"] == name
        assert environment.password_env in services["watcher-1"]["environment"]
    assert settings.http.listen is not None
    port = settings.http.listen.rpartition(":")[2]
    assert f":{port}/readyz" in services["watcher-1"]["healthcheck"]["test"][-1]
    assert tomllib.loads(CONFIG.read_text()).keys() == {"etcd", "environments", "http"}


def test_the_graph_crosses_both_environments_and_every_dag_of_it_is_there(cli: Cli, written: dict[str, Any]) -> None:
    result = cli("validate", DEPENDENCIES, "--config", CONFIG)
    assert result.exit_code == 0, result.output
    graph = parse_document(DEPENDENCIES.read_text(), source=str(DEPENDENCIES))
    edges = {(leaf.upstream, below) for below, entry in graph.items() for leaf in leaves(entry.condition)}
    crossings = {(above.environment, below.environment) for above, below in edges} - {("default", "default")}
    assert crossings >= {("default", "team_b"), ("team_b", "default")}
    playground = parse_document((ROOT / "dependencies.json").read_text(), source="dependencies.json")
    assert playground.keys() <= graph.keys(), "the README tells of these"

    for pipeline in {pipeline for edge in edges for pipeline in edge}:
        volumes = written["services"][f"scheduler-{pipeline.environment.replace('_', '-')}"]["volumes"]
        (folder,) = (volume.split(":")[0] for volume in volumes if ":/opt/airflow/dags:" in volume)
        files = [file.read_text() for file in (ROOT / folder).glob("*.py")]
        assert sum(f'dag_id="{pipeline.dag_id}"' in text for text in files) == 1, pipeline
    top = {above for above, _ in edges} - {below for _, below in edges}
    assert top == {PipelineRef.parse("01_pipeline")}
    assert 'schedule="* * * * *"' in (ROOT / "dags" / "01_pipeline.py").read_text(), "the first wave comes by itself"
    for environment in ("default", "team-b"):
        variables = written["services"][f"scheduler-{environment}"]["environment"]
        assert variables["AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION"] == "False"
