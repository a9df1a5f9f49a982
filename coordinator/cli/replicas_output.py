"""The leader and all replicas: the part of ``coordinator status`` about watchers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from coordinator.cli.output import roughly, table
from coordinator.reading.files import file_in_words

if TYPE_CHECKING:
    from coordinator.cli.tables import Table
    from coordinator.reading.replicas import Replicas
    from coordinator.store.replicas import Replica


def leader_in_words(replicas: Replicas) -> str:
    """Who leads, since when, for how long."""
    leader = replicas.leader
    if leader is None:
        return "no watcher leads"
    for_how_long = f" ({roughly(replicas.leads_for)})" if replicas.leads_for is not None else ""
    return f"leader: {leader.id} ({leader.host}, pid {leader.pid}) since {leader.since}{for_how_long}"


def replicas_table(replicas: Iterable[Replica]) -> Table:
    """Watchers for people."""
    return table(
        *("watcher", "host", "pid", "version", "up since", "role", "lag", "written", "file"),
        rows=map(_cells, replicas),
    )


def _cells(replica: Replica) -> list[str]:
    presence = replica.presence
    readiness = {True: "ready", False: "not ready", None: "?"}[presence.warm]
    written_ago = f"{roughly(replica.written_ago)} ago" if replica.written_ago is not None else "?"
    return [
        presence.id,
        presence.host,
        str(presence.pid),
        presence.version or "?",
        presence.since,
        f"leads, {readiness}" if replica.leads else readiness,
        "?" if replica.lag is None else str(replica.lag),
        f"{written_ago}: silent" if replica.silent else written_ago,
        file_in_words(presence.file),
    ]
