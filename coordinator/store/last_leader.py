"""The leader that a candidate last saw, and whether its leader key has gone with its lease, or somebody deleted it.

The presence of a leader is on the same lease as the leader key, so both go at once when that lease ends. As long as the
presence stands there on that lease, its watcher may send requests: it has not noticed yet.
"""

from __future__ import annotations

from collections.abc import Iterable

from coordinator.store.keys import Keys
from coordinator.store.port import Compare, CreateRevisionIs, KeyValue
from coordinator.store.presence import read_presence


class LastLeader:
    """See the module. ``keys`` says where the presence of a watcher is."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._presence: str | None = None
        self._lease = 0

    def saw(self, watcher_id: str, lease: int) -> None:
        """This watcher leads, with this lease; 0: without one."""
        self._presence, self._lease = self._keys.watcher(watcher_id), lease

    def saw_key(self, leader: KeyValue) -> None:
        """This is the leader key."""
        self.saw(read_presence(leader.value).id, leader.lease)

    def forget(self) -> None:
        self._presence = None

    def has_gone(self) -> tuple[Compare, ...]:
        """What a campaign compares: the presence of that leader has gone too."""
        return tuple(CreateRevisionIs(key, 0) for key in self.keys())

    def keys(self) -> tuple[str, ...]:
        """What a campaign reads if it has not succeeded."""
        return (self._presence,) if self._presence is not None else ()

    def still_has_its_lease(self, found: Iterable[KeyValue | None]) -> bool:
        """Whether the presence is there, on the lease of that leader key. :param found: the values of :meth:`keys`."""
        return any(one is not None and one.lease == self._lease != 0 for one in found)
