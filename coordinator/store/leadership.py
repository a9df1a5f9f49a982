"""How long a leader may still act: leases as seen from this side.

etcd counts a lease from when it handles a request; we count from before the request was sent, so ours always ends
first. The clock must go on while this process, or the whole machine, is suspended.
"""

from __future__ import annotations

from collections.abc import Callable


class HeldLease:
    """A lease that we hold. Once it has ended by our clock it stays so, whatever etcd answers later.

    :param asked_at: the time before the request that granted it was sent.
    """

    def __init__(self, lease_id: int, *, asked_at: float, ttl: float, clock: Callable[[], float]) -> None:
        self.id = lease_id
        self._until = asked_at + ttl
        self._clock = clock
        self._over = False

    def remaining(self) -> float:
        """Seconds that the lease surely still has; 0.0 from its end on, for ever."""
        left = self._until - self._clock()
        if left <= 0:
            self._over = True
        return 0.0 if self._over else left

    def now(self) -> float:
        """The present time of its clock."""
        return self._clock()

    def prolong(self, *, asked_at: float, ttl: float) -> bool:
        """etcd has kept it alive. Returns ``False`` if it had ended by our clock before that answer came."""
        if self.remaining() <= 0:
            return False
        self._until = max(self._until, asked_at + ttl)
        return True

    def end(self) -> None:
        """Stop holding it, whatever time is left."""
        self._over = True


class Leadership:
    """One term as the leader.

    :ivar create_revision: of the leader key: what every write of this term compares with.
    :param last_request_ends: the time at which the last request of the predecessor has surely ended, where its lease
        was revoked.
    :ivar since: when it began, ISO 8601 in UTC, as in the leader key.
    """

    def __init__(
        self, create_revision: int, lease: HeldLease, *, since: str = "", last_request_ends: float = 0.0
    ) -> None:
        self.create_revision = create_revision
        self.since = since
        self.lease = lease
        self._last_request_ends = last_request_ends
        self._ended = False

    def predecessor_may_send_for(self) -> float:
        """Seconds for which a request of the predecessor may still be carried out. An environment that is asked before
        that may not know of the request yet, and it would be sent once more."""
        return max(0.0, self._last_request_ends - self.lease.now())

    def remaining(self) -> float:
        """Seconds that this term surely still has; 0.0 from its end on, for ever."""
        return 0.0 if self._ended else self.lease.remaining()

    def end(self) -> None:
        """End this term, while the lease may go on (the leader key was deleted)."""
        self._ended = True

    def __repr__(self) -> str:
        return f"Leadership(create_revision={self.create_revision}, remaining={self.remaining():.3f})"
