"""Which of two documents is newer, and so what to do with a dependencies file. Pure; the publisher executes it.

A file counts as an edit if a running watcher saw it change. An edit is published as long as the version on which it is
based is in force, whatever its content: a revert is an edit, too. A file that no watcher saw change may be old. It is
published only if its content was never published before.

A file with a serial needs none of this: the document with the greater serial is newer.
"""

from __future__ import annotations

import enum
from collections.abc import Collection
from dataclasses import dataclass

import msgspec

from coordinator.model import bounds
from coordinator.model.stored import Unreadable, WrittenRevision, read_stored

REMEMBERED = 1000
"""Hashes of earlier contents that are kept for an owner."""


@dataclass(frozen=True, slots=True)
class PublishedBefore:
    """The value of ``published/<owner>``: the owner's history of publications, which no compaction removes.

    :ivar version: the newest one.
    :ivar contents: the hashes of the documents, oldest first.
    """

    version: int = 0
    contents: tuple[str, ...] = ()

    def with_next(self, content: str, version: int) -> PublishedBefore:
        """The history with one more publication."""
        others = (one for one in self.contents if one != content)
        return PublishedBefore(version, (*others, content)[-REMEMBERED:])


class _PublishedBeforeDocument(msgspec.Struct):
    version: WrittenRevision
    contents: tuple[str, ...]


_decode = msgspec.json.Decoder(_PublishedBeforeDocument).decode


def dump_published_before(value: PublishedBefore) -> bytes:
    """The bytes for etcd."""
    return msgspec.json.encode(_PublishedBeforeDocument(value.version, value.contents))


def read_published_before(value: bytes) -> PublishedBefore | Unreadable:
    """Read the value of a ``published/`` key. Never raises."""
    what = "what an owner has published before"
    return read_stored(value, _published_before_of, most=bounds.SMALL_VALUE, what=what)


def _published_before_of(value: bytes) -> PublishedBefore:
    found = _decode(value)
    return PublishedBefore(found.version, found.contents)


@dataclass(frozen=True, slots=True)
class Edition:
    """The identity of a document: its content and its serial.

    :ivar content: its hash.
    """

    content: str
    serial: int | None = None


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of a file that a running watcher saw.

    :ivar on: the version in force at that time, for people.
    :ivar based_on: the contents that it replaces: the document in force at that time, and the file's previous content.
    """

    on: int
    based_on: frozenset[str] = frozenset()


class Verdict(enum.StrEnum):
    """What to do with a file.

    ``publish``   it is newer than what is in force
    ``same``      it is in force
    ``older``     it is not newer: it was published before, or has a smaller serial
    ``conflict``  it is unknown: somebody else has published since it was edited, or its serial was used already
    """

    PUBLISH = "publish"
    SAME = "same"
    OLDER = "older"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Ruling:
    """What to do with a file, and why.

    :ivar reason: why it is not published; empty if it is published or in force.
    """

    verdict: Verdict
    reason: str = ""


def what_to_do(
    file: Edition,
    in_force: Edition | None,
    version: int,
    *,
    edit: Edit | None,
    published_before: Collection[str],
) -> Ruling:
    """Whether a file is to be published.

    :param in_force: the owner's document in force; ``None``: there is no readable one.
    :param version: the version in force.
    :param edit: the last change of the file that this watcher saw; ``None``: it saw none.
    :param published_before: the contents that this owner has published so far.
    """
    if in_force is None:
        return Ruling(Verdict.PUBLISH)
    if file.serial is not None or in_force.serial is not None:
        return by_serial(file, in_force, version)
    if file.content == in_force.content:
        return Ruling(Verdict.SAME)
    if edit is not None:
        if in_force.content in edit.based_on:
            return Ruling(Verdict.PUBLISH)
        reason = f"it was edited when version {edit.on} was in force, and version {version} was published since"
        return Ruling(Verdict.CONFLICT, reason)
    if file.content in published_before:
        return Ruling(Verdict.OLDER, f"what it says was published before version {version}, which is in force")
    return Ruling(Verdict.PUBLISH)


def by_serial(file: Edition, in_force: Edition, version: int) -> Ruling:
    """The same if at least one of the two has a serial."""
    if file.serial is None:
        if file.content == in_force.content:
            return Ruling(Verdict.SAME)
        reason = f"it carries no serial, and version {version} in force has serial {in_force.serial}"
        return Ruling(Verdict.CONFLICT, reason)
    if in_force.serial is None or file.serial > in_force.serial:
        return Ruling(Verdict.PUBLISH)
    if file.content == in_force.content:
        return Ruling(Verdict.SAME)
    if file.serial < in_force.serial:
        reason = f"its serial is {file.serial}, and version {version} in force has {in_force.serial}"
        return Ruling(Verdict.OLDER, reason)
    reason = f"its serial {file.serial} is that of version {version} in force, which says something else"
    return Ruling(Verdict.CONFLICT, reason)
