"""How long a leader may still act: leases as seen from this side.

etcd counts a lease from when it handles a request; we count from before the request was sent, so ours always
ends first. The clock must go on while this process, or the whole machine, does not.
"""

from __future__ import annotations

from collections.abc import Callable


class HeldLease:
    """A lease that we hold. Once over, it is over for good, whatever etcd says later.

    :param asked_at: the clock before the request was sent that granted it.
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
        """The clock that it is counted by."""
        return self._clock()

    def prolong(self, *, asked_at: float, ttl: float) -> bool:
        """etcd has kept it alive. False if it was over by our clock before that answer came: too late."""
        if self.remaining() <= 0:
            return False
        self._until = max(self._until, asked_at + ttl)
        return True

    def end(self) -> None:
        """Hold it no more, whatever time is left."""
        self._over = True


class Leadership:
    """One term as the leader.

    :ivar create_revision: of the leader key: what every write of this term compares with.
    :param last_request_ends: the clock when the last request of a predecessor that is gone has surely ended, where its
        lease has not been waited for.
    :ivar since: when it began, ISO 8601 in UTC, as the leader key says.
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
        """Seconds for which a request that the predecessor has sent may still be carried out; asked before, its
        environment would not know of it, and the same would be sent once more."""
        return max(0.0, self._last_request_ends - self.lease.now())

    def remaining(self) -> float:
        """Seconds that this term surely still has; 0.0 from its end on, for ever."""
        return 0.0 if self._ended else self.lease.remaining()

    def end(self) -> None:
        """This term is over, though the lease may go on (the leader key is gone)."""
        self._ended = True

    def __repr__(self) -> str:
        return f"Leadership(create_revision={self.create_revision}, remaining={self.remaining():.3f})"
