"""The published documents that are in etcd, by owner."""

from __future__ import annotations

from coordinator.controller.state.changed import Touched
from coordinator.controller.state.publications import Publications
from coordinator.model.publishing.publication import Publication, Published
from coordinator.model.runstate import Unreadable
from coordinator.store.keys import DependenciesKey, Keys
from coordinator.store.port import KeyValue


class Documents(dict[str, Published]):
    """The present version of each document.

    :ivar last_readable: the last readable version of each document that was ever read, also if it is gone.
    """

    def __init__(self, keys: Keys, publications: Publications) -> None:
        super().__init__()
        self._keys = keys
        self._publications = publications
        self.last_readable: dict[str, Published] = {}

    def put(self, key: DependenciesKey, item: KeyValue, touched: Touched, /) -> Publication | Unreadable:
        """A document was put. Returns what was read."""
        publication = self._publications.read(item.key, item.value)
        self[key.owner] = published = Published(publication, item.mod_revision)
        if isinstance(publication, Publication):
            self.last_readable[key.owner] = published
        touched.dependencies = True
        return publication

    def delete(self, key: DependenciesKey, touched: Touched, /) -> None:
        """A document was deleted."""
        self.pop(key.owner, None)
        self._publications.forget(self._keys.dependencies(key.owner))
        touched.dependencies = True

    def readable(self) -> dict[str, Published]:
        """One that cannot be read is as it was when it was read last, if it ever was."""
        return {
            owner: one if isinstance(one.value, Publication) else self.last_readable.get(owner, one)
            for owner, one in self.items()
        }
