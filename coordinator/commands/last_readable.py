"""The last readable version of a document that somebody has overwritten with something else.

Whoever publishes next goes on from it, so that its dependencies keep their activations, and nothing that was due is
lost. etcd has it until it is compacted.
"""

from __future__ import annotations

from dataclasses import replace

from coordinator.commands.proposal import Publications
from coordinator.model.publishing.publication import Publication, Published, read_publication
from coordinator.store.keys import Keys
from coordinator.store.port import Compacted, Store

_VERSIONS = 16
"""Versions that are read at most, from the newest to the oldest."""


def last_readable(store: Store, keys: Keys, owner: str, present: Published | None) -> Published | None:
    """The last readable version of an owner's document.

    :param present: what stands under its key.
    :returns: ``None`` if there is none among the last :data:`_VERSIONS`, or etcd has compacted it. The versions before
        a deletion do not count.
    :raises StoreError: etcd failed.
    """
    key = keys.dependencies(owner)
    for _ in range(_VERSIONS):
        if present is None or isinstance(present.value, Publication):
            return present
        try:
            item = store.get(key, revision=present.revision - 1)
        except Compacted:
            return None
        present = Published(read_publication(item.value, source=key), item.mod_revision) if item is not None else None
    return None


def with_last_readable(publications: Publications, owner: str, store: Store, keys: Keys) -> Publications:
    """The same publications, with the last readable version of one owner's. :raises StoreError: etcd failed."""
    found = last_readable(store, keys, owner, publications.by_owner.get(owner))
    return replace(publications, last_readable={owner: found}) if found is not None else publications
