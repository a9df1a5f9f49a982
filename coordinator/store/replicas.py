"""Replicas: the live watchers by their presence keys: which one leads, which could, and how far each has read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from coordinator.store.presence import Presence, read_presence

FAR_BEHIND = 10_000
"""Revisions. A presence is written every few seconds; in a burst, so many changes may have come since."""

FILLS_WITHIN = 60.0
"""Seconds that reading everything may take. A million keys take half of it."""


@dataclass(frozen=True, slots=True)
class Replica:
    """One watcher.

    :ivar lag: revisions between the one up to which it had read, by its presence, and the newest change in etcd now; 0:
        it has read everything that concerns it. Revisions count all transactions in this etcd, including those of
        others.
        ``None``: its presence does not contain it.
    :ivar up_for: seconds since it started; ``None``: unknown.
    :ivar written_ago: seconds since it wrote its presence, if its clock and ours agree.
    :ivar silent: it should have written its presence again by now.
    """

    presence: Presence
    leads: bool
    lag: int | None
    up_for: float | None
    written_ago: float | None
    silent: bool

    @property
    def problem(self) -> str | None:
        """Why it cannot take over at once, if that needs somebody's attention."""
        host = f"{self.presence.host}, pid {self.presence.pid}"
        if self.presence.warm is False and (self.up_for is None or self.up_for > FILLS_WITHIN):
            return (
                f"it has not read everything in etcd, or its watch is broken ({host}): it cannot take over; look for "
                "'watch.lost' in its log"
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
    """All live watchers, the leader first.

    :param watchers: the values under ``watchers/``, by id.
    :param leader: the value of the leader key.
    :param newest_change: revision of the newest change that is not only a sign of life.
    """
    leading = read_presence(leader).id if leader is not None else None
    replicas = [
        _replica(read_presence(value), leads=watcher_id == leading, newest_change=newest_change, now=now)
        for watcher_id, value in watchers.items()
    ]
    return sorted(replicas, key=lambda replica: (not replica.leads, replica.presence.since, replica.presence.id))


def seconds_since(moment: str | None, now: datetime) -> float | None:
    """Seconds since a time in a presence; ``None`` for an invalid value."""
    try:
        then = datetime.fromisoformat(moment or "")
        then = then.replace(tzinfo=UTC) if then.tzinfo is None else then
        return max(0.0, (now - then).total_seconds())
    except (ValueError, OverflowError):
        return None


def _replica(presence: Presence, *, leads: bool, newest_change: int, now: datetime) -> Replica:
    written_ago = seconds_since(presence.written_at, now)
    return Replica(
        presence,
        leads=leads,
        lag=max(0, newest_change - presence.revision) if presence.revision is not None else None,
        up_for=seconds_since(presence.since, now),
        written_ago=written_ago,
        silent=written_ago is not None and presence.again_within is not None and written_ago > presence.again_within,
    )
