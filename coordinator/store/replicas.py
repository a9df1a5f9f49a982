"""The watchers that are there, as their presences show them: who leads, who could, and how far each has got."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from coordinator.store.presence import Presence, read_presence

FAR_BEHIND = 10_000
"""Revisions. A presence is renewed every few seconds; in a burst that many changes may have come since."""

FILLS_WITHIN = 60.0
"""Seconds. A million keys take half of it."""


@dataclass(frozen=True, slots=True)
class Replica:
    """One watcher.

    :ivar lag: revisions between the one up to which it had read when it last said so, and the newest change that
        stands in etcd now; 0: it has read all that concerns it. Revisions are those of the whole etcd: each transaction
        is one, whoever makes it. ``None``: it does not say how far it has got.
    :ivar up_for: seconds since it came; ``None``: it does not say.
    :ivar said_ago: seconds since it said so, if its clock and ours agree.
    :ivar silent: that is longer ago than it allows itself.
    """

    presence: Presence
    leads: bool
    lag: int | None
    up_for: float | None
    said_ago: float | None
    silent: bool

    @property
    def problem(self) -> str | None:
        """What keeps it from taking over at once, where that needs somebody's attention."""
        host = f"{self.presence.host}, pid {self.presence.pid}"
        if self.presence.warm is False and (self.up_for is None or self.up_for > FILLS_WITHIN):
            return (
                f"it has not read all that is in etcd, or its watch is broken ({host}): it cannot take over; look "
                "into its log for 'watch.lost'"
            )
        if self.lag is not None and self.lag > FAR_BEHIND:
            return (
                f"it is {self.lag} revisions behind ({host}): it takes over late; its machine is too slow, or "
                "overloaded, or its deciding thread hangs (its /healthz tells)"
            )
        return None


def replicas_of(
    watchers: Mapping[str, bytes], leader: bytes | None, *, newest_change: int, now: datetime
) -> list[Replica]:
    """All that are there, the leader first.

    :param watchers: the values under ``watchers/``, by id.
    :param leader: the value of the leader key.
    :param newest_change: revision of the newest change that is no watcher's word about itself.
    """
    leading = read_presence(leader).id if leader is not None else None
    replicas = [
        _replica(read_presence(value), leads=watcher_id == leading, newest_change=newest_change, now=now)
        for watcher_id, value in watchers.items()
    ]
    return sorted(replicas, key=lambda replica: (not replica.leads, replica.presence.since, replica.presence.id))


def seconds_since(moment: str | None, now: datetime) -> float | None:
    """Seconds since a time of a presence; ``None`` for what is none."""
    try:
        then = datetime.fromisoformat(moment or "")
        then = then.replace(tzinfo=UTC) if then.tzinfo is None else then
        return max(0.0, (now - then).total_seconds())
    except (ValueError, OverflowError):
        return None


def _replica(presence: Presence, *, leads: bool, newest_change: int, now: datetime) -> Replica:
    said_ago = seconds_since(presence.said, now)
    return Replica(
        presence,
        leads=leads,
        lag=max(0, newest_change - presence.revision) if presence.revision is not None else None,
        up_for=seconds_since(presence.since, now),
        said_ago=said_ago,
        silent=said_ago is not None and presence.again_within is not None and said_ago > presence.again_within,
    )
