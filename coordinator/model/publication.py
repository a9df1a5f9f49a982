"""A published dependency document: the document, and since when each of its dependencies is active.

Activation belongs to the dependency, not to the document (design section 4, *new*): publishing a dependency
again unchanged keeps it; removing and adding it renews it. A dependency that is new in a publication becomes
active with the revision of that very put, which nobody can know beforehand: it is written as absent, and means
"the revision of this key" until the next publication writes it out.

A value is JSON. A large one stands in it compressed: etcd takes about 1.5 MB in a request, and 50,000 dependencies
with their activations need 4 MB.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from coordinator.model import bounds
from coordinator.model.conditions import Dependency, leaves
from coordinator.model.dependencies import Document
from coordinator.model.graph import Node
from coordinator.model.parsing import DependenciesError, dump_document, parse_document
from coordinator.model.printable import encodable
from coordinator.model.references import PipelineRef
from coordinator.model.runstate import Unreadable

COMPRESSED_FROM = 256 * 1024
"""Bytes from which on a value is compressed; smaller ones stay readable for ``etcdctl get``."""

_COMPRESSED = "zlib_base64"

Activations = Mapping[tuple[PipelineRef, Dependency], int]


@dataclass(frozen=True, slots=True)
class Publication:
    """What stands under ``dependencies/<owner>``.

    :ivar active_since: etcd revisions, by :attr:`Dependency.identity`; a dependency that is absent became active with
        this publication.
    :ivar published_by: a person, or the watcher that was given the file; empty where the writer did not say.
    """

    document: Document
    active_since: Activations
    published_by: str = ""
    published_at: datetime | None = None
    why: str = ""

    def nodes(self, revision: int) -> list[Node]:
        """The graph's nodes. :param revision: etcd revision of the publication's key."""
        return [
            Node(
                downstream,
                {
                    leaf: self.active_since.get((pipeline, leaf.identity), revision)
                    for leaf in leaves(downstream.condition)
                },
            )
            for pipeline, downstream in self.document.items()
        ]


@dataclass(frozen=True, slots=True)
class Published:
    """A publication as it stands in etcd.

    :ivar revision: of its key.
    """

    value: Publication | Unreadable
    revision: int


def publish(document: Document, previous: Publication | None, previous_revision: int) -> Publication:
    """What to publish so that dependencies which were there before keep their activation.

    :param previous: what is published now, at ``previous_revision``.
    """
    if previous is None:
        return Publication(document, {})
    present = {
        (node.downstream.pipeline, dependency.identity): revision
        for node in previous.nodes(previous_revision)
        for dependency, revision in node.active_since.items()
    }
    kept = {
        (pipeline, leaf.identity): present[pipeline, leaf.identity]
        for pipeline, downstream in document.items()
        for leaf in leaves(downstream.condition)
        if (pipeline, leaf.identity) in present
    }
    return Publication(document, kept)


def dump_publication(publication: Publication) -> bytes:
    """The bytes for etcd."""
    by_downstream: dict[str, dict[str, int]] = {}
    for (pipeline, dependency), revision in publication.active_since.items():
        by_downstream.setdefault(str(pipeline), {})[str(dependency)] = revision
    value: dict[str, Any] = {"dependencies": dump_document(publication.document), "active_since": by_downstream}
    if publication.published_by:
        value["published_by"] = publication.published_by
    if publication.published_at is not None:
        value["published_at"] = publication.published_at.astimezone(UTC).isoformat()
    if publication.why:
        value["why"] = publication.why
    text = json.dumps(value, ensure_ascii=False, sort_keys=True).encode()
    if len(text) < COMPRESSED_FROM:
        return text
    return json.dumps({_COMPRESSED: base64.b64encode(zlib.compress(text)).decode()}).encode()


def read_publication(value: bytes, *, source: str) -> Publication | Unreadable:
    """Read what stands under a ``dependencies/`` key. Never raises."""
    try:
        content = json.loads(value)
        if _COMPRESSED in content:
            content = json.loads(_decompressed(content[_COMPRESSED]))
        document = parse_document(json.dumps(content["dependencies"]), source=source, in_force=True)
        since: Mapping[str, Mapping[str, Any]] = content.get("active_since", {})
        return Publication(
            document,
            {
                (pipeline, leaf.identity): int(since[str(pipeline)][str(leaf.identity)])
                for pipeline, downstream in document.items()
                for leaf in leaves(downstream.condition)
                if str(leaf.identity) in since.get(str(pipeline), {})
            },
            published_by=_text(content.get("published_by")),
            published_at=_instant(content.get("published_at")),
            why=_text(content.get("why")),
        )
    except DependenciesError as error:
        return Unreadable(str(error))
    except (ValueError, OverflowError, KeyError, TypeError, AttributeError, RecursionError, zlib.error) as error:
        return Unreadable(f"{type(error).__name__}: {error}; expected a published dependency document")


def _decompressed(text: str) -> bytes:
    """:raises ValueError: longer than :data:`bounds.PUBLICATION`, or broken off."""
    reader = zlib.decompressobj()
    found = reader.decompress(base64.b64decode(text, validate=True), bounds.PUBLICATION)
    if not reader.eof:
        raise ValueError(f"broken off, or more than {bounds.PUBLICATION} bytes when decompressed")
    return found


# Who published it, when and why is for people: what cannot be read of that must not put the dependencies out of force.


def _text(value: object) -> str:
    return encodable(value) if isinstance(value, str) else ""


def _instant(value: object) -> datetime | None:
    try:
        instant = datetime.fromisoformat(_text(value))
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
