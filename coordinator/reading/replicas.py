"""The leader and all watchers in a reading: who leads, how far each is behind, and what they have to say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from coordinator.reading.files import file_as_json, file_problems

if TYPE_CHECKING:
    from coordinator.reading.reading import Reading
    from coordinator.store.presence import Presence
    from coordinator.store.replicas import Replica


@dataclass(frozen=True, slots=True)
class Replicas:
    """:ivar leads_for: seconds since the leader began to lead, if that is known."""

    leader: Presence | None
    leads_for: float | None
    all: list[Replica]

    @property
    def problems(self) -> dict[str, str]:
        """The problems that need somebody's action, by the key that shows them."""
        found = {} if self.leader is not None else {"leader": "no watcher leads; start one: coordinator watch"}
        told = ((f"watchers/{replica.presence.id}", replica.problem) for replica in self.all)
        found |= {place: problem for place, problem in told if problem is not None}
        for presence in self.presences:
            theirs = presence.problems or {}
            found |= {f"watchers/{presence.id}: {place}": problem for place, problem in theirs.items()}
        return found | file_problems(self.presences)

    @property
    def unknown(self) -> Iterator[str]:
        """What a watcher has asked and not been answered yet: that need not mean anything."""
        for presence in self.presences:
            theirs = presence.unknown or {}
            yield from (f"not known yet, and asked again: {one} (watcher {presence.id})" for one in theirs.values())

    @property
    def presences(self) -> list[Presence]:
        return [replica.presence for replica in self.all]


def replicas_in(reading: Reading, now: datetime) -> Replicas:
    """The watchers in a reading. :param now: the time by which ages are computed."""
    from coordinator.store.presence import read_presence
    from coordinator.store.replicas import replicas_of, seconds_since

    cache = reading.cache
    leader = read_presence(cache.leader) if cache.leader is not None else None
    return Replicas(
        leader,
        seconds_since(leader.since, now) if leader is not None else None,
        replicas_of(cache.watchers, cache.leader, newest_change=reading.newest_change, now=now),
    )


def leader_as_json(replicas: Replicas) -> dict[str, Any] | None:
    """The leader for programs; ``since``: since when it leads."""
    leader = replicas.leader
    if leader is None:
        return None
    seconds = round(replicas.leads_for) if replicas.leads_for is not None else None
    return {"id": leader.id, "host": leader.host, "pid": leader.pid, "since": leader.since, "seconds": seconds}


def replica_as_json(replica: Replica) -> dict[str, Any]:
    """One watcher for programs."""
    presence = replica.presence
    return {
        "id": presence.id,
        "host": presence.host,
        "pid": presence.pid,
        "version": presence.version,
        "since": presence.since,
        "leads": replica.leads,
        "warm": presence.warm,
        "revision": presence.revision,
        "lag": replica.lag,
        "written_at": presence.written_at,
        "written_ago": round(replica.written_ago) if replica.written_ago is not None else None,
        "silent": replica.silent,
        "file": file_as_json(presence.file),
    }
