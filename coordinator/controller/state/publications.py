"""Published documents, parsed before the deciding thread handles them.

Parsing a document of 50,000 dependencies takes more than a second, which is too long for a step. So the thread that
reads etcd parses it.
"""

from __future__ import annotations

from coordinator.model.publishing.publication import Publication, read_publication
from coordinator.model.runstate import Unreadable
from coordinator.store.keys import Keys
from coordinator.store.port import Changes
from coordinator.store.reflector import Disconnected, Snapshot


class Publications:
    """The document of each owner that was parsed last. Used by any thread."""

    def __init__(self, keys: Keys) -> None:
        self._prefix = keys.every("dependencies")
        self._read: dict[str, tuple[bytes, Publication | Unreadable]] = {}

    def read(self, key: str, value: bytes) -> Publication | Unreadable:
        """The publication in a value; it is parsed here if it has not been yet."""
        known = self._read.get(key)
        if known is None or known[0] != value:
            known = self._read[key] = value, read_publication(value, source=key)
        return known[1]

    def forget(self, key: str) -> None:
        """The key has been deleted."""
        self._read.pop(key, None)

    def prepare(self, update: Snapshot | Changes | Disconnected) -> None:
        """Parse the documents in an update, and prepare their part of the graph."""
        match update:
            case Snapshot():
                items = update.listing.items
            case Changes():
                items = [change.kv for change in update.changes if change.kv is not None]
            case Disconnected():
                return
        for item in items:
            if item.key.startswith(self._prefix):
                publication = self.read(item.key, item.value)
                if isinstance(publication, Publication):
                    publication.nodes(item.mod_revision)
