"""TLS, client certificates, and users whose tokens end."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from coordinator.config.etcd import EtcdSettings
from coordinator.errors import ConfigurationError
from coordinator.store.connection import EtcdStore, connect
from coordinator.store.embedded import EmbeddedEtcd
from coordinator.store.port import AccessDenied, Put, StoreUnavailable, Transaction
from coordinator.store.protobuf import import_etcd3
from tests.integration.store.waiting import wait_for

PASSWORD_VARIABLE = "TEST_ETCD_PASSWORD"


@dataclass(frozen=True)
class Certificates:
    ca: Path
    other_ca: Path
    cert: Path
    key: Path


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """A CA, and a certificate of it for 127.0.0.1 that is good for both sides."""
    folder = tmp_path_factory.mktemp("tls")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=60)

    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    for name in ("ca", "other-ca"):
        subject = ("-subj", f"/CN={name}", "-days", "2")
        openssl("req", "-x509", *new_key, *subject, "-keyout", f"{name}.key", "-out", f"{name}.pem")
    openssl("req", *new_key, "-keyout", "end.key", "-out", "end.csr", "-subj", "/CN=root")
    (folder / "end.ext").write_text("subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n")
    issuer = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "end.ext")
    openssl("x509", "-req", "-in", "end.csr", "-out", "end.pem", *issuer)
    return Certificates(folder / "ca.pem", folder / "other-ca.pem", folder / "end.pem", folder / "end.key")


class _TlsEtcd(EmbeddedEtcd):
    """One that asks for client certificates."""

    certificates: Certificates

    @property
    def settings(self) -> EtcdSettings:
        own = self.certificates
        return EtcdSettings(endpoints=[self.endpoint], timeout=2, ca_cert=own.ca, cert=own.cert, key=own.key)

    def command(self, binary: Path) -> list[str]:
        url = f"https://{self.endpoint}"
        own = self.certificates
        return [
            *super().command(binary),
            f"--listen-client-urls={url}",
            f"--advertise-client-urls={url}",
            f"--cert-file={own.cert}",
            f"--key-file={own.key}",
            f"--trusted-ca-file={own.ca}",
            "--client-cert-auth",
        ]


@pytest.fixture(scope="module")
def tls_etcd(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[_TlsEtcd]:
    server = _TlsEtcd(tmp_path_factory.mktemp("tls-etcd"))
    server.certificates = certificates
    with server:
        yield server


def put(store: EtcdStore, key: str) -> int:
    return store.commit(Transaction((), (Put(key, b"x"),))).revision


def test_mutual_tls_reads_writes_and_watches(tls_etcd: _TlsEtcd) -> None:
    store = connect(tls_etcd.settings)
    revision = put(store, "/c/k")
    with store.watch("/c/", from_revision=revision) as stream:
        batch = stream.receive(15)
        assert batch is not None
        assert batch.revision == revision
    store.close()


@pytest.mark.parametrize("without", ["client certificate", "tls", "the right ca"])
def test_whoever_has_not_what_is_asked_for_does_not_get_in(
    tls_etcd: _TlsEtcd, without: str, certificates: Certificates
) -> None:
    settings = {
        "client certificate": EtcdSettings(endpoints=[tls_etcd.endpoint], timeout=2, ca_cert=certificates.ca),
        "tls": EtcdSettings(endpoints=[tls_etcd.endpoint], timeout=2),
        "the right ca": tls_etcd.settings.model_copy(update={"ca_cert": certificates.other_ca}),
    }[without]
    store = connect(settings)
    with pytest.raises(StoreUnavailable):
        store.list("/c/")
    store.close()


def test_a_certificate_without_a_ca_is_refused_and_not_silently_plaintext(certificates: Certificates) -> None:
    """etcd3 would open a plaintext channel."""
    with pytest.raises(ConfigurationError, match="ca_cert"):
        connect(EtcdSettings(cert=certificates.cert, key=certificates.key))


def test_half_a_certificate_is_refused(certificates: Certificates) -> None:
    with pytest.raises(ConfigurationError, match="belong together"):
        connect(EtcdSettings(ca_cert=certificates.ca, cert=certificates.cert))


def test_a_certificate_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigurationError, match="nowhere"):
        connect(EtcdSettings(ca_cert=Path("/nowhere/ca.pem")))


def test_a_user_without_a_password_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="password"):
        connect(EtcdSettings(username="root"))


@pytest.fixture
def guarded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddedEtcd]:
    """An etcd with users, whose tokens live for two seconds after their last use."""
    monkeypatch.setenv(PASSWORD_VARIABLE, "secret")
    with EmbeddedEtcd(tmp_path / "guarded", arguments=["--auth-token-ttl=2"]) as server:
        rpc = import_etcd3().etcdrpc
        with import_etcd3().client(host="127.0.0.1", port=server.port) as client:
            auth = rpc.AuthStub(client.channel)
            for user in ("root", "reader"):
                auth.UserAdd(rpc.AuthUserAddRequest(name=user, password="secret"))
                auth.RoleAdd(rpc.AuthRoleAddRequest(name=user))
                auth.UserGrantRole(rpc.AuthUserGrantRoleRequest(user=user, role=user))
            permission = rpc.AuthRoleGrantPermissionRequest(name="reader")
            permission.perm.key, permission.perm.range_end = b"/c/", b"/c0"
            auth.RoleGrantPermission(permission)
            auth.AuthEnable(rpc.AuthEnableRequest())
        yield server


def settings_of(server: EmbeddedEtcd, user: str) -> EtcdSettings:
    return EtcdSettings(endpoints=[server.endpoint], timeout=2, username=user, password_env=PASSWORD_VARIABLE)


def test_a_user_logs_in_over_a_plaintext_channel(guarded: EmbeddedEtcd) -> None:
    store = connect(settings_of(guarded, "root"))
    revision = put(store, "/c/k")
    assert store.get("/c/k") is not None
    assert store.refresh_lease(store.grant_lease(60), quorum_key="/any") == 60
    with store.watch("/c/", from_revision=revision) as stream:
        assert stream.receive(15) is not None
    assert store.status()[0].problem is None
    store.close()


def is_reached(store: EtcdStore) -> bool:
    """Whether the server can be reached again, found out without needing a token."""
    try:
        store._version_of(store._members.in_use)
    except StoreUnavailable:
        return False
    return True


@pytest.mark.parametrize("what", ["call", "watch"])
def test_an_expired_token_is_replaced(guarded: EmbeddedEtcd, what: str) -> None:
    store = connect(settings_of(guarded, "root"))
    revision = put(store, "/c/k")
    # The server is restarted: simple tokens live in its memory, so ours has ended for certain, and without waiting.
    guarded.restart()
    wait_for(lambda: is_reached(store))
    if what == "call":
        assert put(store, "/c/k") > revision
    with store.watch("/c/", from_revision=revision) as stream:
        assert stream.receive(15) is not None
    store.close()


def test_a_token_that_ended_by_itself_is_replaced(guarded: EmbeddedEtcd) -> None:
    store = connect(settings_of(guarded, "root"))
    put(store, "/c/k")
    metadata = store._members.metadata(store._members.in_use)
    request = store._rpc.RangeRequest(key=b"/c/k")

    def has_ended() -> bool:
        try:
            store._members.in_use.kv.Range(request, timeout=2, metadata=metadata)
        except grpc.RpcError as error:
            return "invalid auth token" in str(error.details())  # type: ignore[attr-defined]
        return False

    # Until the server itself says that this token has ended; each use prolongs it, so it is tried rarely.
    wait_for(has_ended, every=4.0, limit=30.0)
    with store.watch("/c/", from_revision=1) as stream:
        assert stream.receive(15) is not None
    assert store.get("/c/k") is not None
    store.close()


def test_a_wrong_password_is_access_denied(guarded: EmbeddedEtcd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, "wrong")
    store = connect(settings_of(guarded, "root"))
    with pytest.raises(AccessDenied, match="password"):
        store.list("/c/")
    store.close()


@pytest.mark.promise("rotation")
def test_a_password_that_was_changed_counts_at_the_next_login(
    guarded: EmbeddedEtcd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By file and by command, under the running client; the command fails for a while."""
    monkeypatch.setattr("coordinator.config.credentials.AGAIN_AFTER", 0.0)
    file = tmp_path / "password"
    file.write_text("secret\n")
    plain = EtcdSettings(endpoints=[guarded.endpoint], timeout=2, username="root", password_file=file)
    commanded = plain.model_copy(update={"password_file": None, "password_command": ["cat", str(file)]})
    stores = [connect(plain), connect(commanded)]
    for store in stores:
        put(store, "/c/k")
    rpc, member = import_etcd3().etcdrpc, stores[0]._members.in_use
    change = rpc.AuthUserChangePasswordRequest(name="root", password="rotated")
    member.authentication.UserChangePassword(change, timeout=5, metadata=stores[0]._members.metadata(member))
    guarded.restart()  # forgets the tokens that it gave out
    for store in stores:
        with pytest.raises(AccessDenied, match="password"):
            wait_for(lambda store=store: put(store, "/c/k") > 0 if is_reached(store) else False)  # type: ignore[misc]
    file.unlink()
    for store, message in zip(stores, ("cannot be read", r"password_command \(cat\) ended with 1"), strict=True):
        with pytest.raises(StoreUnavailable, match=f"etcd: .*{message}.*; needed for logging in to etcd as root"):
            put(store, "/c/k")
    file.write_text("rotated\n")
    for store in stores:
        put(store, "/c/k")
        store.close()


def test_a_missing_password_makes_no_member_a_bad_one(guarded: EmbeddedEtcd) -> None:
    settings = EtcdSettings(
        endpoints=[guarded.endpoint, "127.0.0.1:1"], timeout=2, username="root", password_command=["false"]
    )
    store = connect(settings)
    with pytest.raises(StoreUnavailable, match="ended with 1"):
        store.list("/c/")
    assert store._members.in_use.endpoint == guarded.endpoint
    store.close()


def test_nobody_is_access_denied(guarded: EmbeddedEtcd) -> None:
    store = connect(EtcdSettings(endpoints=[guarded.endpoint], timeout=2))
    with pytest.raises(AccessDenied):
        store.list("/c/")
    with pytest.raises(AccessDenied):
        store.watch("/c/", from_revision=1)
    store.close()


def test_what_a_role_does_not_allow_is_access_denied_and_the_rest_works(guarded: EmbeddedEtcd) -> None:
    root, reader = connect(settings_of(guarded, "root")), connect(settings_of(guarded, "reader"))
    revision = put(root, "/c/k")
    assert len(reader.list("/c/").items) == 1
    with reader.watch("/c/", from_revision=revision) as stream:
        assert stream.receive(15) is not None
    with pytest.raises(AccessDenied):
        put(reader, "/c/k")
    with pytest.raises(AccessDenied):
        reader.list("/other/")
    with pytest.raises(AccessDenied):
        reader.watch("/other/", from_revision=revision + 1)
    root.close()
    reader.close()


def test_a_user_on_a_server_without_users_is_welcome(
    etcd_server: EmbeddedEtcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, "secret")
    store = connect(settings_of(etcd_server, "anybody"))
    store.list("/nothing/")
    store.close()
