"""The key of a watcher's presence: each id belongs to one watcher.

Two watchers with one id would overwrite each other's presence, and the first one to end would delete it. So the key is
put only where it is absent, or this watcher's own. A watcher that finds another one's key waits for as long as a lease
may last: it may be the key of a predecessor that was killed. If it still exists then, that watcher is alive, and this
one is refused.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from coordinator.store.port import KeyValue, ModRevisionIs, Put, Store, Transaction
from coordinator.store.presence import Presence, read_presence
from coordinator.store.process_id import is_gone, lives_here

log = structlog.get_logger(__name__)

_TRIES = 3
"""Attempts: between two of them, the key may be deleted, or turn out to be ours."""


class WatcherId:
    """See the module.

    :param ttl: of the leases of watchers, in seconds.
    :ivar refused: why this watcher's presence will never be put; ``None``: it may be.
    """

    def __init__(self, store: Store, key: str, *, ttl: int, clock: Callable[[], float]) -> None:
        self._store = store
        self._key = key
        # When etcd elects a leader, every lease gets its full time once more.
        self._longest_lease = 2.0 * ttl + 5.0
        self._clock = clock
        self._revision = 0
        self._taken_since: float | None = None
        self.refused: str | None = None

    def announce(self, presence: Presence, lease: int) -> bool:
        """Put the presence, unless its key is another watcher's. Returns whether it was put.

        :raises LeaseNotFound: the lease has expired.
        :raises StoreError: etcd failed.
        """
        for _ in range(_TRIES):
            answer = self._store.commit(
                Transaction(
                    (ModRevisionIs(self._key, self._revision),),
                    (Put(self._key, presence.to_value(), lease),),
                    otherwise=(self._key,),
                )
            )
            if answer.succeeded:
                self._revision, self._taken_since = answer.revision, None
                return True
            found = answer.found[0]
            if found is not None and not _may_be_replaced(found, presence, lease):
                self._wait_for(read_presence(found.value), presence.id)
                return False
            self._revision = 0 if found is None else found.mod_revision
        return False

    def _wait_for(self, other: Presence, watcher_id: str) -> None:
        now = self._clock()
        if self._taken_since is None:
            self._taken_since = now
            log.warning("watcher.id_in_use", watcher=watcher_id, by=str(other), waits=self._longest_lease)
        if now - self._taken_since < self._longest_lease and not lives_here(other.process):
            return
        self.refused = (
            f"the watcher id {watcher_id!r} is in use by {other}: each watcher needs an id of its own; choose another "
            "one with --watcher-id, or leave it out, or end that watcher first"
        )
        log.error("watcher.refused", watcher=watcher_id, by=str(other))


def _may_be_replaced(found: KeyValue, presence: Presence, lease: int) -> bool:
    if found.lease in (0, lease):  # it is on no lease; or the answer to our own put was lost
        return True
    other = read_presence(found.value).process
    return is_gone(other) or (other is not None and other == presence.process)
