"""Users that are certificates: mutual TLS, and the CN says who somebody is. There are no passwords at all."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from coordinator.config.etcd import EtcdSettings
from coordinator.store import securing
from coordinator.store.connection import connect
from coordinator.store.embedded import EmbeddedEtcd
from coordinator.store.keys import Keys
from coordinator.store.port import AccessDenied, Delete, Put, StoreUnavailable, Transaction
from coordinator.store.roles import roles_of
from coordinator.store.users import ROOT, Users
from tests.integration.controller.service import write_config
from tests.integration.controller.worlds import ServedWorld
from tests.integration.store.certificates import Authority
from tests.integration.store.secured import USERS, add_root
from tests.integration.store.test_roles import PLACES, READS, WRITES, allowed

KEYS = Keys()


class CertifiedEtcd(EmbeddedEtcd):
    """Whoever connects shows a certificate, and is the user that its CN names."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder / "certificates")
        super().__init__(folder / "etcd")

    @property
    def settings(self) -> EtcdSettings:
        return self.settings_of(ROOT)

    def settings_of(self, name: str) -> EtcdSettings:
        cert, key = self.authority.issue(name)
        ca = self.authority.certificate
        return EtcdSettings(endpoints=[self.endpoint], timeout=5, ca_cert=ca, cert=cert, key=key)

    def command(self, binary: Path) -> list[str]:
        cert, key = self.authority.issue("the server itself")
        url = f"https://{self.endpoint}"
        files = [f"--cert-file={cert}", f"--key-file={key}", f"--trusted-ca-file={self.authority.certificate}"]
        urls = [f"--listen-client-urls={url}", f"--advertise-client-urls={url}"]
        return [*super().command(binary), *urls, *files, "--client-cert-auth"]

    def secure(self) -> None:
        roles = roles_of(KEYS, reporters=("default", "team_b"), owners=("team_b",), operators=("team_b",))
        people = [securing.WantedUser(user, (f"coordinator-{role}",)) for user, role in USERS.items()]
        with Users(self.settings) as users:
            add_root(users, None)
            assert securing.enable_authentication(users)
            # From here on it is root's certificate that counts.
            changes = securing.find_changes(users, KEYS, roles, [*people, securing.WantedUser("nobody", ())])
            securing.carry_out(users, changes)


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CertifiedEtcd]:
    with CertifiedEtcd(tmp_path_factory.mktemp("certified")) as server:
        assert isinstance(server, CertifiedEtcd)
        server.secure()
        yield server


@pytest.mark.promise("roles")
@pytest.mark.parametrize("name", WRITES)
def test_a_certificate_gives_the_rights_of_its_user_and_no_others(name: str, etcd: CertifiedEtcd) -> None:
    store = connect(etcd.settings_of(name))
    puts = {place: lambda key=key: store.commit(Transaction((), (Put(key, b"x"),))) for place, key in PLACES.items()}
    assert allowed(puts) == WRITES[name]
    assert allowed({place: lambda key=key: store.get(key) for place, key in PLACES.items()}) == READS[name]
    watches = {place: lambda key=key: store.watch(key, from_revision=1).close() for place, key in PLACES.items()}
    of_prefixes = READS[name] - {"state, cut off"}
    assert allowed(watches) - {"state, cut off"} == of_prefixes
    store.close()


def test_a_certificate_of_nobody_we_know_has_no_rights(etcd: CertifiedEtcd) -> None:
    store = connect(etcd.settings_of("mallory"))
    with pytest.raises(AccessDenied):
        store.get(KEYS.leader)
    store.close()


def test_without_a_certificate_there_is_no_connection(etcd: CertifiedEtcd) -> None:
    store = connect(EtcdSettings(endpoints=[etcd.endpoint], timeout=2, ca_cert=etcd.authority.certificate))
    with pytest.raises(StoreUnavailable):
        store.get(KEYS.leader)
    store.close()


def test_nobody_logs_in_with_a_password_as_such_a_user(etcd: CertifiedEtcd) -> None:
    with Users(etcd.settings) as users:
        for password in ("", "x"):
            assert not users.can_log_in("view", password)


def test_over_http_a_certificate_is_nobody(etcd: CertifiedEtcd) -> None:
    """etcd takes a CN for a user over gRPC alone, not over its JSON gateway."""
    cert, key = etcd.authority.issue(ROOT)
    answer = requests.post(
        f"https://{etcd.endpoint}/v3/kv/range",
        json={"key": base64.b64encode(KEYS.leader.encode()).decode()},
        cert=(str(cert), str(key)),
        verify=str(etcd.authority.certificate),
        timeout=10,
    )
    assert answer.status_code >= 400, answer.text
    assert "kvs" not in answer.text


class CertifiedWorld(ServedWorld):
    """The watcher is a certificate. ``self`` looks on as root."""

    def __init__(self, server: CertifiedEtcd, directory: Path) -> None:
        super().__init__(server.settings, directory)
        self._watcher = server.settings_of("watcher")

    def config(self) -> Path:
        settings = self.settings.model_copy(update={"etcd": self._watcher})
        return write_config(self.directory / "coordinator.toml", settings)


def test_the_watcher_runs_a_wave_with_a_certificate(etcd: CertifiedEtcd, tmp_path: Path) -> None:
    with CertifiedWorld(etcd, tmp_path) as world:
        for item in world.store.list(KEYS.root).items:  # what the other tests have put there
            world.write(Delete(item.key))
        world.dependencies({"A": "R", "team_b/B": "A"})
        watcher = world.serve()
        world.complete("R")
        world.until_done("A", "team_b/B", runs=1)
        watcher.terminate()
        assert watcher.wait() == 0
        assert world.store.get(KEYS.leader) is None
        assert "denied" not in watcher.log()
