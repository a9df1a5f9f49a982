"""What to do with a dependencies file: which of two documents is the newer one?

Pure: the publisher executes what is decided here. A file counts as an edit when a running watcher saw it change. An
edit is published as long as that is in force on which it was made, whatever it says: taking something back is an
edit, too. A file that no watcher saw change may be old. It is published only if its content never was before.

A file with a serial needs none of this: the greater serial is the newer document.
"""

from __future__ import annotations

import enum
from collections.abc import Collection
from dataclasses import dataclass

import msgspec

from coordinator.model import bounds
from coordinator.model.stored import Unreadable, WrittenRevision, read_stored

REMEMBERED = 1000
"""Contents of an owner that are remembered as published."""


@dataclass(frozen=True, slots=True)
class PublishedBefore:
    """What stands under ``published/<owner>``: what an owner has published so far, whatever etcd has compacted.

    :ivar version: the newest one.
    :ivar contents: the hashes of the documents, oldest first.
    """

    version: int = 0
    contents: tuple[str, ...] = ()

    def with_next(self, content: str, version: int) -> PublishedBefore:
        """And another one."""
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
    """Read what stands under a ``published/`` key. Never raises."""
    what = "what an owner has published before"
    return read_stored(value, _published_before_of, most=bounds.SMALL_VALUE, what=what)


def _published_before_of(value: bytes) -> PublishedBefore:
    found = _decode(value)
    return PublishedBefore(found.version, found.contents)


@dataclass(frozen=True, slots=True)
class Edition:
    """A document as far as order is concerned.

    :ivar content: its hash.
    """

    content: str
    serial: int | None = None


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of a file that a running watcher saw.

    :ivar on: the version that was in force then, for people.
    :ivar based_on: the contents that it takes the place of: what was in force then, and what the file said before.
    """

    on: int
    based_on: frozenset[str] = frozenset()


class Verdict(enum.StrEnum):
    """What to do with a file.

    ``publish``   it is newer than what is in force
    ``same``      it is in force
    ``older``     it is not newer: it was published before, or has a smaller serial
    ``conflict``  nobody can tell: somebody else published since it was edited, or its serial was used already
    """

    PUBLISH = "publish"
    SAME = "same"
    OLDER = "older"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Ruling:
    """What to do, and why.

    :ivar reason: why it is not published; empty where it is, or is in force.
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

    :param in_force: what the owner has published; ``None``: nothing that can be read.
    :param version: of what is in force.
    :param edit: the change of the file that this watcher saw last; ``None``: it saw none.
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
    """The same, where the one or the other carries a serial."""
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
