"""A published dependency document: the document, and since when each of its dependencies is active.

Activation belongs to the dependency, not to the document: publishing a dependency again unchanged keeps it. A
dependency that is taken out is kept as *retired*, with its activation. Put back in time it resumes: what completed
meanwhile is new. Put back later it is a new dependency. Owners share what is retired, so an entry may move from one
document to another.

A dependency that is new in a publication becomes active with the revision of that very put, which nobody can know
beforehand: it is written as absent, and means "the revision of this key" until the next publication writes it out.

A value is JSON. A large one stands in it compressed: etcd takes about 1.5 MB in a request, and 50,000 dependencies
with their activations need 4 MB.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from coordinator.model import bounds
from coordinator.model.conditions import Dependency, leaves
from coordinator.model.dependencies import Document
from coordinator.model.graph import Node
from coordinator.model.parsing import DependenciesError, dump_document, parse_document
from coordinator.model.partitions import partition_order
from coordinator.model.printable import encodable
from coordinator.model.references import PipelineRef
from coordinator.model.runstate import Unreadable

COMPRESSED_FROM = 256 * 1024
"""Bytes from which on a value is compressed; smaller ones stay readable for ``etcdctl get``."""

RESUME_WITHIN = timedelta(days=7)
"""How long a dependency may be out of the documents and resume: the default of ``publication.resume_within``."""

SHOWN_WAITING = 20
"""Partitions that a retired dependency names."""

_COMPRESSED = "zlib_base64"


@dataclass(frozen=True, slots=True)
class Activation:
    """Since when a dependency counts.

    :ivar revision: etcd revision; completions up to it are the past.
    :ivar at: the time of the publication that brought it; ``None`` where that did not say.
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
"""A downstream, and the identity of a dependency of it in words: what is retired stands in no document any more."""


@dataclass(frozen=True, slots=True)
class Publication:
    """What stands under ``dependencies/<owner>``.

    :ivar active_since: by :attr:`Dependency.identity`; a dependency that is absent became active with this publication.
    :ivar retired: what was taken out and may still resume.
    :ivar version: counts the publications of this owner.
    :ivar serial: the build number that the file carried.
    :ivar published_by: a person, or the watcher that was given the file; empty where the writer did not say.
    """

    document: Document
    active_since: Activations
    published_by: str = ""
    published_at: datetime | None = None
    why: str = ""
    retired: Mapping[DependencyName, Retired] = field(default_factory=dict)
    version: int = 0
    serial: int | None = None

    def nodes(self, revision: int) -> list[Node]:
        """The graph's nodes. :param revision: etcd revision of the publication's key."""
        active = self.activations(revision)
        return [
            Node(
                downstream,
                {leaf: active[pipeline, leaf.identity].revision for leaf in leaves(downstream.condition)},
            )
            for pipeline, downstream in self.document.items()
        ]

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
    """A publication as it stands in etcd.

    :ivar revision: of its key.
    """

    value: Publication | Unreadable
    revision: int


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms something is published.

    :ivar at: when.
    :ivar resume_within: how long a dependency may have been taken out and resume.
    :ivar fresh: pipelines whose dependencies all begin anew: nothing is kept, nothing resumes.
    """

    at: datetime
    resume_within: timedelta = RESUME_WITHIN
    fresh: frozenset[PipelineRef] = frozenset()


def publish(
    document: Document,
    previous: Publication | None,
    previous_revision: int,
    terms: Terms,
    *,
    others: Collection[Publication] = (),
    waiting: Mapping[DependencyName, Collection[str]] | None = None,
) -> Publication:
    """What to publish, so that dependencies keep their activation, or resume with the one that they had.

    :param previous: what this owner has published, at ``previous_revision``.
    :param others: what other owners have published: what they have retired may resume here.
    :param waiting: of dependencies that are taken out: partitions that were due, waiting or in flight.
    """
    active = previous.activations(previous_revision) if previous is not None else {}
    retired = {
        name: one
        for name, one in (previous.retired.items() if previous is not None else ())
        if _may_resume(one, terms) and name[0] not in terms.fresh
    }
    resumable = _newest_retired([retired, *(one.retired for one in others)], terms)
    kept: dict[tuple[PipelineRef, Dependency], Activation] = {}
    named: set[DependencyName] = set()
    for pipeline, downstream in document.items():
        for leaf in leaves(downstream.condition):
            identity = leaf.identity
            name = (pipeline, str(identity))
            named.add(name)
            if pipeline in terms.fresh:
                continue
            if (pipeline, identity) in active:
                kept[pipeline, identity] = active[pipeline, identity]
            elif name in resumable:
                kept[pipeline, identity] = resumable[name].activation
    for (pipeline, identity), activation in active.items():
        name = (pipeline, str(identity))
        partitions = sorted((waiting or {}).get(name, ()), key=partition_order)
        shown = tuple(partitions[:SHOWN_WAITING])
        retired[name] = Retired(activation, terms.at, shown, len(partitions) - len(shown))
    version = previous.version + 1 if previous is not None else 1
    return Publication(
        document,
        kept,
        retired={name: one for name, one in retired.items() if name not in named},
        version=version,
    )


def resumed(
    document: Document, previous: Publication | None, terms: Terms, *, others: Collection[Publication] = ()
) -> dict[tuple[PipelineRef, Dependency], Retired]:
    """The dependencies that publishing a document would resume: put back in time. Arguments as for :func:`publish`."""
    before = {
        (pipeline, leaf.identity)
        for pipeline, downstream in (previous.document.items() if previous is not None else ())
        for leaf in leaves(downstream.condition)
    }
    retired = [one.retired for one in ((previous, *others) if previous is not None else others)]
    resumable = _newest_retired(retired, terms)
    return {
        (pipeline, leaf.identity): resumable[pipeline, str(leaf.identity)]
        for pipeline, downstream in document.items()
        if pipeline not in terms.fresh
        for leaf in leaves(downstream.condition)
        if (pipeline, leaf.identity) not in before and (pipeline, str(leaf.identity)) in resumable
    }


def content_hash(document: Document) -> str:
    """Names a document by what it says, however it is written."""
    text = json.dumps(dump_document(document), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _may_resume(one: Retired, terms: Terms) -> bool:
    return terms.at - one.at <= terms.resume_within


def _newest_retired(retired: Iterable[Mapping[DependencyName, Retired]], terms: Terms) -> dict[DependencyName, Retired]:
    """Of what several documents have retired, each dependency as it was retired last."""
    found: dict[DependencyName, Retired] = {}
    for of_one in retired:
        for name, one in of_one.items():
            known = found.get(name)
            if _may_resume(one, terms) and (known is None or _age(known) < _age(one)):
                found[name] = one
    return found


def _age(one: Retired) -> tuple[datetime, int]:
    return one.at, one.activation.revision


def dump_publication(publication: Publication) -> bytes:
    """The bytes for etcd."""
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
                (pipeline, leaf.identity): _activation(since[str(pipeline)][str(leaf.identity)])
                for pipeline, downstream in document.items()
                for leaf in leaves(downstream.condition)
                if str(leaf.identity) in since.get(str(pipeline), {})
            },
            published_by=_text(content.get("published_by")),
            published_at=_instant(content.get("published_at")),
            why=_text(content.get("why")),
            retired={
                (PipelineRef.parse(_text(pipeline)), _text(dependency)): _retired(one)
                for pipeline, of_pipeline in content.get("retired", {}).items()
                for dependency, one in of_pipeline.items()
            },
            version=int(content.get("version", 0)),
            serial=int(content["serial"]) if content.get("serial") is not None else None,
        )
    except DependenciesError as error:
        return Unreadable(str(error))
    except (ValueError, OverflowError, KeyError, TypeError, AttributeError, RecursionError, zlib.error) as error:
        return Unreadable(f"{type(error).__name__}: {error}; expected a published dependency document")


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
    return Activation(int(entry["revision"]), _instant(entry.get("at")))


def _retired(entry: Mapping[str, Any]) -> Retired:
    at = _instant(entry["retired_at"])
    if at is None:
        raise ValueError(f"retired_at: expected a time, found {encodable(str(entry['retired_at']))!r}")
    partitions = tuple(_text(partition) for partition in entry.get("partitions", ()))
    return Retired(_activation(entry), at, partitions, int(entry.get("more", 0)))


def _decompressed(text: str) -> bytes:
    """:raises ValueError: longer than :data:`bounds.PUBLICATION`, or broken off."""
    reader = zlib.decompressobj()
    found = reader.decompress(base64.b64decode(text, validate=True), bounds.PUBLICATION)
    if not reader.eof:
        raise ValueError(f"broken off, or more than {bounds.PUBLICATION} bytes when decompressed")
    return found


# Who published it, when and why is for people: what cannot be read of that must not put the dependencies out of force.


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
