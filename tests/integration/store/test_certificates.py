"""Certificates that are replaced while a client is at work are taken up without a restart of anything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.store.connection import EtcdStore, connect
from coordinator.store.port import Put, StoreUnavailable, Transaction, WatchStream
from tests.certificates import Authority
from tests.faults.line import Line, Way
from tests.integration.store.waiting import wait_for
from tests.tls_etcd import TlsFiles, TlsMember, replace


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "first")


@pytest.fixture
def files(tmp_path: Path, authority: Authority) -> TlsFiles:
    return TlsFiles.of(tmp_path / "tls", authority)


@pytest.fixture
def etcd(tmp_path: Path, files: TlsFiles) -> Iterator[TlsMember]:
    member = TlsMember(tmp_path / "etcd", [])
    member.tls = files
    with member:
        yield member


@pytest.fixture
def line(etcd: TlsMember) -> Iterator[Line]:
    """A line to it: when it is cut and repaired, the client has to shake hands again."""
    with Line(etcd.port) as line:
        yield line


@pytest.fixture
def store(files: TlsFiles, line: Line) -> Iterator[EtcdStore]:
    store = connect(files.settings(f"127.0.0.1:{line.port}", timeout=1.0))
    put(store)
    yield store
    store.close()


def put(store: EtcdStore) -> None:
    store.commit(Transaction((), (Put("/c/k", b"x"),)))


def receive_without_end(stream: WatchStream) -> None:
    while True:
        stream.receive(15)


def interrupt(line: Line) -> None:
    line.set(Way.CUT)
    line.set(Way.OPEN)


def reaches(store: EtcdStore) -> bool:
    try:
        put(store)
    except StoreUnavailable:
        return False
    return True


@pytest.mark.promise("rotation")
def test_a_new_client_certificate_is_shown_once_the_old_one_is_refused(
    files: TlsFiles, authority: Authority, line: Line, store: EtcdStore
) -> None:
    replace(files.revoked, authority.revoke(files.client[0]))
    interrupt(line)
    assert not reaches(store)
    assert not reaches(store)
    files.renew(files.client, authority)
    wait_for(lambda: reaches(store))


@pytest.mark.promise("rotation")
def test_a_watch_goes_on_with_a_new_client_certificate(
    files: TlsFiles, authority: Authority, line: Line, store: EtcdStore
) -> None:
    replace(files.revoked, authority.revoke(files.client[0]))
    files.renew(files.client, authority)
    with store.watch("/c/", from_revision=1) as stream:
        assert stream.receive(15) is not None
        interrupt(line)
        with pytest.raises(StoreUnavailable):
            receive_without_end(stream)

    def watches() -> bool:
        try:
            with store.watch("/c/", from_revision=1) as stream:
                return stream.receive(15) is not None
        except StoreUnavailable:
            return False

    wait_for(watches)


@pytest.mark.promise("rotation")
def test_another_authority_is_believed_once_its_certificate_is_there(
    files: TlsFiles, line: Line, store: EtcdStore, tmp_path: Path
) -> None:
    """With an overlap: first both are believed, then the new one signs, then the old one is believed no more."""
    successor = Authority(tmp_path, "second")
    files.renew(files.server, successor)
    interrupt(line)
    assert not reaches(store)
    replace(files.ca, successor.cert.read_bytes())
    wait_for(lambda: reaches(store))


@pytest.mark.promise("rotation")
@pytest.mark.parametrize("replaced_first", ["neither, the key is gone", "the certificate", "the key"])
def test_files_in_the_middle_of_being_replaced_do_no_harm(
    files: TlsFiles, authority: Authority, line: Line, store: EtcdStore, replaced_first: str
) -> None:
    cert, key = files.client
    successor = authority.issue("successor")
    if replaced_first == "the certificate":
        replace(cert, successor.cert.read_bytes())
    elif replaced_first == "the key":
        replace(key, successor.key.read_bytes())
    else:
        key.unlink()
    for _ in range(3):
        interrupt(line)
        reaches(store)
    replace(cert, successor.cert.read_bytes())
    replace(key, successor.key.read_bytes())
    interrupt(line)
    wait_for(lambda: reaches(store))
