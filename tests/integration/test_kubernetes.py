"""deploy/kubernetes: what a cluster would take, and what a watcher does with it.

No cluster is needed: the objects are held to the schemas of Kubernetes, to each other, to the coordinator's own reader
of settings, to what a real watcher serves, and to what docs/deploy.md tells people to do.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from coordinator.config.airflow import AirflowSettings
from coordinator.config.etcd import EtcdSettings
from coordinator.config.insecure import insecure_settings
from coordinator.config.loading import load_settings
from coordinator.config.settings import Settings
from tests.integration.controller.service import Service, write_config
from tests.integration.controller.waiting import until

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "deploy" / "kubernetes"
PATCH = MANIFESTS / "airflow" / "scheduler-patch.yaml"
GUIDE = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
VERSIONS = ["1.30", kubernetes_validate.latest_version()]
Object = dict[str, Any]


def _objects() -> Iterator[Object]:
    for file in sorted(MANIFESTS.rglob("*.yaml")):
        if file != PATCH:
            yield from yaml.safe_load_all(file.read_text(encoding="utf-8"))


def _patched() -> Object:
    """What is patched, reduced to what the patch leaves open."""
    patch: Object = yaml.safe_load(PATCH.read_text(encoding="utf-8"))
    labels = {"component": "scheduler"}
    template = patch["spec"]["template"] | {"metadata": {"labels": labels}}
    spec = {"selector": {"matchLabels": labels}, "serviceName": "airflow-scheduler", "template": template}
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "airflow-scheduler"}, "spec": spec}


OBJECTS = list(_objects())
BY_NAME = {(one["kind"], one["metadata"]["name"]): one for one in OBJECTS}
DEPLOYMENT = BY_NAME["Deployment", "coordinator-watcher"]
WORKLOADS = [DEPLOYMENT, _patched()]
NAMES = [one["metadata"]["name"] for one in WORKLOADS]


def _pod(workload: Object) -> Object:
    pod = workload["spec"]["template"]["spec"]
    assert isinstance(pod, dict)
    return pod


def _container(workload: Object) -> Object:
    (container,) = _pod(workload)["containers"]
    assert isinstance(container, dict)
    return container


WATCHER = _container(DEPLOYMENT)


def _config_map(workload: Object) -> str:
    """The name of the one that is mounted where COORDINATOR_CONFIG looks."""
    variables = {one["name"]: one["value"] for one in _container(workload)["env"]}
    file = Path(variables["COORDINATOR_CONFIG"])
    mounts = {mount["mountPath"]: mount["name"] for mount in _container(workload)["volumeMounts"]}
    (volume,) = (one for one in _pod(workload)["volumes"] if one["name"] == mounts[str(file.parent)])
    name = volume["configMap"]["name"]
    assert file.name in BY_NAME["ConfigMap", name]["data"]
    return str(name)


@pytest.fixture
def settings(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """What the coordinator reads in the pods of a workload."""
    for name in [name for name in os.environ if name.startswith("COORDINATOR_")]:
        monkeypatch.delenv(name)
    workload = getattr(request, "param", DEPLOYMENT)
    file = tmp_path / "coordinator.toml"
    file.write_text(BY_NAME["ConfigMap", _config_map(workload)]["data"]["coordinator.toml"])
    return load_settings(file)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("one", [*OBJECTS, _patched()], ids=lambda one: f"{one['kind']}-{one['metadata']['name']}")
def test_kubernetes_accepts_it(one: Object, version: str) -> None:
    kubernetes_validate.validate(one, version, strict=True)


def test_a_misspelled_field_would_be_found() -> None:
    wrong = DEPLOYMENT | {"spec": DEPLOYMENT["spec"] | {"replica": 2}}
    with pytest.raises(kubernetes_validate.ValidationError, match="replica"):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


def test_nothing_holds_a_secret_or_chooses_a_namespace() -> None:
    assert len(BY_NAME) == len(OBJECTS) > 7
    for one in OBJECTS:
        assert one["kind"] != "Secret"
        assert "namespace" not in one["metadata"]
    for workload in WORKLOADS:
        assert all(variable.keys() == {"name", "value"} for variable in _container(workload)["env"])


def test_everything_selects_the_watchers_and_nothing_else() -> None:
    labels = DEPLOYMENT["spec"]["template"]["metadata"]["labels"]
    (apart,) = _pod(DEPLOYMENT)["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert apart["topologyKey"] == "kubernetes.io/hostname"
    selectors = [
        DEPLOYMENT["spec"]["selector"]["matchLabels"],
        apart["labelSelector"]["matchLabels"],
        BY_NAME["PodDisruptionBudget", "coordinator-watcher"]["spec"]["selector"]["matchLabels"],
        BY_NAME["NetworkPolicy", "coordinator-watcher"]["spec"]["podSelector"]["matchLabels"],
        BY_NAME["Service", "coordinator-watcher"]["spec"]["selector"],
    ]
    assert selectors == [labels] * len(selectors)


def test_one_watcher_stays_while_the_other_one_goes() -> None:
    assert DEPLOYMENT["spec"]["replicas"] == 2
    assert DEPLOYMENT["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}
    assert BY_NAME["PodDisruptionBudget", "coordinator-watcher"]["spec"]["minAvailable"] == 1
    assert _pod(DEPLOYMENT)["terminationGracePeriodSeconds"] >= 30


def test_a_watcher_has_no_right_that_it_does_not_need() -> None:
    pod = _pod(DEPLOYMENT)
    account = BY_NAME["ServiceAccount", pod["serviceAccountName"]]
    assert account["automountServiceAccountToken"] is pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert WATCHER["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    image = (ROOT / "docker" / "watcher" / "Dockerfile").read_text()
    assert re.findall(r"^USER (\d+)$", image, re.MULTILINE) == [str(pod["securityContext"]["runAsUser"])]
    assert WATCHER["resources"].keys() == {"requests", "limits"}
    assert "memory" in WATCHER["resources"]["limits"]
    assert all(mount["readOnly"] for mount in WATCHER["volumeMounts"])


@pytest.mark.parametrize("workload", WORKLOADS, ids=NAMES)
def test_what_a_pod_mounts_is_in_the_manifests_or_made_by_the_guide(workload: Object) -> None:
    mounted = [mount["name"] for mount in _container(workload)["volumeMounts"]]
    volumes = {volume["name"]: volume for volume in _pod(workload)["volumes"]}
    assert sorted(mounted) == sorted(volumes)
    for volume in volumes.values():
        if claim := volume.get("persistentVolumeClaim"):
            assert ("PersistentVolumeClaim", claim["claimName"]) in BY_NAME
        elif secret := volume.get("secret"):
            assert f"kubectl create secret generic {secret['secretName']} " in GUIDE
            assert secret["defaultMode"] == 0o440, "not for everybody in the container"
        else:
            assert ("ConfigMap", volume["configMap"]["name"]) in BY_NAME


@pytest.mark.parametrize(("settings", "workload"), [(one, one) for one in WORKLOADS], indirect=["settings"], ids=NAMES)
def test_the_configuration_is_read_and_its_files_are_keys_of_the_secrets(settings: Settings, workload: Object) -> None:
    assert insecure_settings(settings) == []
    secrets = {
        volume["name"]: volume["secret"]["secretName"] for volume in _pod(workload)["volumes"] if "secret" in volume
    }
    mounts = {Path(mount["mountPath"]): secrets.get(mount["name"]) for mount in _container(workload)["volumeMounts"]}
    etcd = settings.etcd
    files = [etcd.ca_cert, etcd.cert, etcd.key, etcd.password_file]
    files += [environment.password_file for environment in settings.airflows.values()]
    assert None not in files, "every credential is a file"
    for file in files:
        assert file is not None
        made = re.search(rf"kubectl create secret generic {mounts[file.parent]} ((?:.*\\\n)*.*)", GUIDE)
        assert made is not None
        assert f"--from-file={file.name}" in made[1].split(), file


@pytest.mark.parametrize("settings", [_patched()], indirect=True)
def test_the_outbox_of_an_airflow_is_the_volume(settings: Settings) -> None:
    volumes = {mount["mountPath"]: mount["name"] for mount in _container(_patched())["volumeMounts"]}
    assert volumes[str(settings.reporter.outbox)] == "coordinator-outbox"
    assert settings.reporter.environment == "team_b"


def test_a_watcher_listens_where_its_probes_and_the_service_look(settings: Settings) -> None:
    ports = {port["name"]: port["containerPort"] for port in WATCHER["ports"]}
    assert settings.http.listen == f"0.0.0.0:{ports['http']}"
    (port,) = BY_NAME["Service", "coordinator-watcher"]["spec"]["ports"]
    assert (port["port"], port["targetPort"]) == (ports["http"], "http")
    (ingress,) = BY_NAME["NetworkPolicy", "coordinator-watcher"]["spec"]["ingress"]
    assert [one["port"] for one in ingress["ports"]] == ["http"]
    probes = [WATCHER[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")]
    assert [probe["port"] for probe in probes] == ["http"] * 3


def test_the_network_policy_lets_a_watcher_reach_what_it_is_told_to(settings: Settings) -> None:
    egress = BY_NAME["NetworkPolicy", "coordinator-watcher"]["spec"]["egress"]
    open_ports = {port["port"] for rule in egress for port in rule["ports"] if port["protocol"] == "TCP"}
    needed = {int(endpoint.rpartition(":")[2]) for endpoint in settings.etcd.endpoints}
    assert all(environment.url.startswith("https://") for environment in settings.airflows.values())
    assert needed | {443, 53} == open_ports


def test_the_network_policy_lets_a_watcher_reach_nothing_but_what_is_named() -> None:
    egress = BY_NAME["NetworkPolicy", "coordinator-watcher"]["spec"]["egress"]
    ports = [{port["port"] for port in rule["ports"]} for rule in egress]
    assert ports == [{53}, {2379}, {443}], "what may be asked for names may not be asked for anything else"
    for rule in egress:
        for place in rule["to"]:
            selectors = [one["matchLabels"] for kind, one in place.items() if kind.endswith("Selector")]
            assert all(selectors), "a selector without labels selects everything"
            assert place.get("ipBlock", {}).get("cidr") != "0.0.0.0/0"


def test_a_watcher_with_these_settings_answers_its_probes(
    settings: Settings, etcd_settings: EtcdSettings, tmp_path: Path
) -> None:
    """On an etcd of our own; nothing is published there, as at the first start in a cluster."""
    away = AirflowSettings(url="http://127.0.0.1:1")
    ours = settings.model_copy(update={"etcd": etcd_settings, "environments": {"default": away}})
    service = Service(write_config(tmp_path / "ours.toml", ours), log=tmp_path / "log")
    try:
        until(service.is_ready, "it is ready")
        for name in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert service.get(WATCHER[name]["httpGet"]["path"])[0] == 200, name
        assert WATCHER["args"] == ["watch"]
    finally:
        service.end()


def test_the_guide_names_files_that_exist() -> None:
    named = re.findall(r"(?:--filename|--patch-file|--file) (\S+)", GUIDE)
    assert len(named) >= 5
    assert [name for name in named if not (ROOT / name).exists()] == []
