"""A publication: a dependency document, with the activation of each of its dependencies.

The *activation* of a dependency is the etcd revision since which it counts. It belongs to the dependency, not to the
document: publishing a dependency unchanged keeps it. A dependency that is taken out is kept as *retired*, with its
activation. If it is put back in time it resumes: completions in between are new. Later it is a new dependency. Owners
share retired dependencies, so that an entry may move from one document to another.

A new dependency becomes active with the revision of its publication's own put, which is not known beforehand: it is
written as absent, which means "the revision of this key" until the next publication writes the number.

A value is JSON. A large one contains compressed data: etcd accepts about 1.5 MB in a request, and 50,000 dependencies
with their activations need 4 MB.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from coordinator.errors import CoordinatorError
from coordinator.model import bounds
from coordinator.model.conditions import Dependency, leaves
from coordinator.model.dependencies import Document
from coordinator.model.documents import dump_document, parse_document
from coordinator.model.graph import Node
from coordinator.model.printable import encodable
from coordinator.model.references import PipelineRef
from coordinator.model.stored import Unreadable, read_stored

COMPRESSED_FROM = 256 * 1024
"""Bytes from which on a value is compressed; smaller ones can be read with ``etcdctl get``."""

_COMPRESSED = "zlib_base64"


@dataclass(frozen=True, slots=True)
class Activation:
    """The activation of a dependency.

    :ivar revision: etcd revision; completions up to it are never new.
    :ivar at: the time of the publication that added it; ``None``: unknown.
    """

    revision: int
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Retired:
    """A dependency that was taken out.

    :ivar at: when.
    :ivar partitions: some of the downstream's partitions that were due, waiting or in flight then.
    :ivar more: how many such partitions there were besides.
    """

    activation: Activation
    at: datetime
    partitions: tuple[str, ...] = ()
    more: int = 0


Activations = Mapping[tuple[PipelineRef, Dependency], Activation]

DependencyName = tuple[PipelineRef, str]
"""A downstream, and the identity of a dependency of it in words: a retired one is in no document any more."""


@dataclass(frozen=True, slots=True)
class Publication:
    """The value of ``dependencies/<owner>``.

    :ivar active_since: by :attr:`Dependency.identity`; a dependency that is absent became active with this publication.
    :ivar retired: dependencies that were taken out and may still resume.
    :ivar version: the number of publications of this owner.
    :ivar serial: the build number in the file.
    :ivar not_kept: how many dependencies could not be kept as retired because there are too many (``bounds.RETIRED``).
        Not written.
    :ivar published_by: a person, or the watcher with the file; empty if unknown.
    """

    document: Document
    active_since: Activations
    published_by: str = ""
    published_at: datetime | None = None
    why: str = ""
    retired: Mapping[DependencyName, Retired] = field(default_factory=dict)
    version: int = 0
    serial: int | None = None
    not_kept: int = field(default=0, compare=False)
    _nodes: dict[int, list[Node]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def nodes(self, revision: int) -> list[Node]:
        """The graph's nodes; made once. :param revision: etcd revision of the publication's key."""
        if (known := self._nodes.get(revision)) is None:
            with_this = Activation(revision)
            since = self.active_since.get
            known = self._nodes[revision] = [
                Node(
                    downstream,
                    {
                        leaf: since((pipeline, leaf.identity), with_this).revision
                        for leaf in leaves(downstream.condition)
                    },
                    {
                        leaf: at
                        for leaf in leaves(downstream.condition)
                        if leaf.upstream.task and (at := self._activated_at(pipeline, leaf)) is not None
                    },
                )
                for pipeline, downstream in self.document.items()
            ]
        return known

    def _activated_at(self, pipeline: PipelineRef, leaf: Dependency) -> datetime | None:
        known = self.active_since.get((pipeline, leaf.identity))
        return known.at if known is not None else self.published_at

    def activations(self, revision: int) -> dict[tuple[PipelineRef, Dependency], Activation]:
        """Every dependency's activation. :param revision: etcd revision of the publication's key."""
        with_this = Activation(revision, self.published_at)
        return {
            (pipeline, leaf.identity): self.active_since.get((pipeline, leaf.identity), with_this)
            for pipeline, downstream in self.document.items()
            for leaf in leaves(downstream.condition)
        }


@dataclass(frozen=True, slots=True)
class Published:
    """A publication in etcd.

    :ivar revision: of its key.
    """

    value: Publication | Unreadable
    revision: int


def content_hash(document: Document) -> str:
    """A hash of a document's meaning, independent of its form."""
    text = json.dumps(dump_document(document), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class PublicationTooLarge(CoordinatorError):
    """A publication that readers would refuse: nothing is written."""


def dump_publication(publication: Publication) -> bytes:
    """The bytes for etcd.

    :raises PublicationTooLarge: it is longer, or has more values, than readers accept.
    """
    value: dict[str, Any] = {
        "version": publication.version,
        "dependencies": dump_document(publication.document),
        "active_since": _by_downstream(
            ((pipeline, str(dependency)), _dump_activation(one))
            for (pipeline, dependency), one in publication.active_since.items()
        ),
    }
    if publication.retired:
        value["retired"] = _by_downstream((name, _dump_retired(one)) for name, one in publication.retired.items())
    if publication.serial is not None:
        value["serial"] = publication.serial
    if publication.published_by:
        value["published_by"] = publication.published_by
    if publication.published_at is not None:
        value["published_at"] = _written(publication.published_at)
    if publication.why:
        value["why"] = publication.why
    text = json.dumps(value, ensure_ascii=False, sort_keys=True).encode()
    try:
        _refuse_too_much(text)
    except ValueError as error:
        raise PublicationTooLarge(str(error)) from None
    if len(text) < COMPRESSED_FROM:
        return text
    return json.dumps({_COMPRESSED: base64.b64encode(zlib.compress(text)).decode()}).encode()


def read_publication(value: bytes, *, source: str) -> Publication | Unreadable:
    """Read the value of a ``dependencies/`` key. Never raises."""
    return read_stored(
        value,
        lambda value: _publication_of(value, source),
        most=bounds.PUBLICATION,
        what="a publication",
        expected="; expected a published dependency document",
        remedy="split it by owner",
    )


def _publication_of(value: bytes, source: str) -> Publication:
    """Read with ``json``: msgspec and pydantic refuse all of a value for half a surrogate pair in its ``why``."""
    try:
        content = _content_of(value)
        document = parse_document(json.dumps(content["dependencies"]), source=source, in_force=True)
        since: Mapping[str, Mapping[str, Any]] = content.get("active_since", {})
        return Publication(
            document,
            {
                (pipeline, leaf.identity): _activation(since[str(pipeline)][str(leaf.identity)])
                for pipeline, downstream in document.items()
                for leaf in leaves(downstream.condition)
                if str(leaf.identity) in since.get(str(pipeline), {})
            },
            published_by=_text(content.get("published_by")),
            published_at=_instant(content.get("published_at")),
            why=_text(content.get("why")),
            retired=_retired_in(content),
            version=_counted(content.get("version", 0)),
            serial=_counted(content["serial"]) if content.get("serial") is not None else None,
        )
    except (KeyError, TypeError, AttributeError) as error:  # another form of JSON than ours
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _content_of(value: bytes) -> Any:
    _refuse_too_much(value)
    content = json.loads(value)
    if _COMPRESSED not in content:
        return content
    text = _decompressed(content[_COMPRESSED])
    _refuse_too_much(text)
    return json.loads(text)


def _retired_in(content: Mapping[str, Any]) -> dict[DependencyName, Retired]:
    retired: Mapping[str, Mapping[str, Any]] = content.get("retired", {})
    if (number := sum(map(len, retired.values()))) > bounds.RETIRED:
        raise ValueError(
            f"retired: {number} dependencies, and at most {bounds.RETIRED} are read; publish the document again: "
            "coordinator apply"
        )
    return {
        (PipelineRef.parse(_text(pipeline)), _text(dependency)): _retired(one)
        for pipeline, of_pipeline in retired.items()
        for dependency, one in of_pipeline.items()
    }


def _by_downstream(entries: Iterable[tuple[DependencyName, Any]]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for (pipeline, dependency), entry in entries:
        found.setdefault(str(pipeline), {})[dependency] = entry
    return found


def _dump_activation(one: Activation) -> dict[str, Any]:
    return {"revision": one.revision, **({} if one.at is None else {"at": _written(one.at)})}


def _dump_retired(one: Retired) -> dict[str, Any]:
    value = {**_dump_activation(one.activation), "retired_at": _written(one.at)}
    if one.partitions:
        value["partitions"] = list(one.partitions)
    if one.more:
        value["more"] = one.more
    return value


def _activation(entry: Mapping[str, Any]) -> Activation:
    return Activation(_counted(entry["revision"]), _instant(entry.get("at")))


def _retired(entry: Mapping[str, Any]) -> Retired:
    at = _instant(entry["retired_at"])
    if at is None:
        raise ValueError(f"retired_at: expected a time, found {encodable(str(entry['retired_at']))!r}")
    partitions = tuple(_text(partition) for partition in entry.get("partitions", ()))
    return Retired(_activation(entry), at, partitions, _counted(entry.get("more", 0)))


def _counted(value: object) -> int:
    """A number that counts something: a version, a revision.

    :raises ValueError: it is no integer of etcd's own range. Python could not even write the largest that JSON can say.
    """
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise ValueError("a number is not in range: expected an integer from 0 to 2**63 - 1")
    return value


def _refuse_too_much(text: bytes) -> None:
    """:raises ValueError: it is too long, or has too many values."""
    if len(text) > bounds.PUBLICATION:
        raise ValueError(f"{len(text)} bytes of JSON; expected at most {bounds.PUBLICATION}: split it by owner")
    parts = sum(map(text.count, (b"{", b"[", b",")))
    if parts > bounds.PUBLICATION_PARTS:
        raise ValueError(f"{parts} values of JSON; expected at most {bounds.PUBLICATION_PARTS}: split it by owner")


def _decompressed(text: str) -> bytes:
    """:raises ValueError: longer than :data:`bounds.PUBLICATION`, or broken off."""
    reader = zlib.decompressobj()
    try:
        found = reader.decompress(base64.b64decode(text, validate=True), bounds.PUBLICATION)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if not reader.eof:
        raise ValueError(f"broken off, or more than {bounds.PUBLICATION} bytes when decompressed")
    return found


# Who published it, when and why is for people: an unreadable one of these must not invalidate the dependencies.


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()


def _text(value: object) -> str:
    return encodable(value) if isinstance(value, str) else ""


def _instant(value: object) -> datetime | None:
    try:
        instant = datetime.fromisoformat(_text(value))
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
