"""Earlier publications, as far back as etcd keeps them."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass

from coordinator.errors import CoordinatorError
from coordinator.model.publishing.difference import Difference, difference
from coordinator.model.publishing.publication import Publication, Published, read_publication
from coordinator.model.runstate import Unreadable
from coordinator.store.keys import Keys
from coordinator.store.port import Compacted, KeyValue, Store


class NothingPublished(CoordinatorError):
    """The owner has no document at that revision."""


@dataclass(frozen=True, slots=True)
class Version:
    """One publication.

    :ivar changed: the difference from the version before it; ``None`` if either cannot be read.
    """

    published: Published
    changed: Difference | None


class Earlier(enum.StrEnum):
    """What precedes the oldest version of a history."""

    NOTHING = "nothing"
    COMPACTED = "compacted"
    NOT_SHOWN = "not shown"


@dataclass(frozen=True, slots=True)
class History:
    """Newest first."""

    versions: tuple[Version, ...]
    earlier: Earlier


def history(store: Store, keys: Keys, owner: str, *, limit: int) -> History:
    """The versions of an owner's document, read one by one, from the newest to the oldest.

    The history of a document that was deleted and published again begins after the deletion.

    :param limit: the greatest number of versions.
    """
    key = keys.dependencies(owner)
    found: list[KeyValue] = []
    earlier = Earlier.NOTHING
    try:
        item = store.get(key)
        while item is not None:
            found.append(item)
            if len(found) > limit:  # one more than is shown, to compare the last one with
                earlier = Earlier.NOT_SHOWN
                break
            created = item.mod_revision == item.create_revision
            item = None if created else store.get(key, revision=item.mod_revision - 1)
    except Compacted:
        earlier = Earlier.COMPACTED
    return History(tuple(_versions(found, earlier))[:limit], earlier)


def readable_version(store: Store, keys: Keys, owner: str, revision: int = 0) -> tuple[Published, Publication]:
    """An owner's document at a revision; 0: now.

    :raises NothingPublished: it had none then, or an unreadable one, or the revision lies in the future.
    :raises Compacted: that revision is no longer kept; the message names the oldest one that is.
    """
    key = keys.dependencies(owner)
    present = store.list(key).revision
    if revision > present:
        raise NothingPublished(f"revision {revision} has not come yet: etcd is at {present}")
    try:
        item = store.get(key, revision=revision)
    except Compacted:
        oldest = oldest_readable(store, key, after=revision, present=present)
        raise Compacted(
            f"revision {revision} is no longer kept by etcd: {oldest} is the oldest one that can be read, of {key} as "
            "of everything; coordinator dependencies log shows the versions from then on",
            compact_revision=oldest,
        ) from None
    if item is None:
        when = f"at revision {revision}" if revision else "now"
        raise NothingPublished(f"{owner} has no published document {when}; expected one under {key}")
    value = read_publication(item.value, source=key)
    if isinstance(value, Unreadable):
        raise NothingPublished(
            f"what {owner} published at revision {item.mod_revision} cannot be read: {value.reason}; look at it with "
            f"etcdctl get {key}, and publish a good one with coordinator apply"
        )
    return Published(value, item.mod_revision), value


def oldest_readable(store: Store, key: str, *, after: int, present: int) -> int:
    """The oldest revision that etcd has not compacted. etcd tells it only to watches, so this searches for it.

    :param after: a compacted revision. :param present: one that is not compacted.
    """
    compacted, readable = after, present
    while readable - compacted > 1:
        middle = (compacted + readable) // 2
        try:
            store.get(key, revision=middle)
        except Compacted:
            compacted = middle
        else:
            readable = middle
    return readable


def _versions(items: list[KeyValue], earlier: Earlier) -> Iterator[Version]:
    published = [Published(read_publication(item.value, source=item.key), item.mod_revision) for item in items]
    for number, version in enumerate(published):
        if number + 1 < len(published):
            yield Version(version, _changed(published[number + 1].value, version.value))
        elif earlier is Earlier.NOTHING:
            yield Version(version, _changed(Publication({}, {}), version.value))
        else:
            yield Version(version, None)


def _changed(before: object, after: object) -> Difference | None:
    if isinstance(before, Publication) and isinstance(after, Publication):
        return difference(before.document, after.document)
    return None
