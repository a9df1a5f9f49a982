"""A proposal: a document to publish, what it would change, and the transaction that writes it.

Everything found out here is valid as long as nobody publishes anything else; the transaction compares all of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property

from coordinator.model.conditions import Dependency
from coordinator.model.dependencies import Document
from coordinator.model.graph import Graph
from coordinator.model.publishing.difference import Difference, difference
from coordinator.model.publishing.edition import (
    Edit,
    Edition,
    PublishedBefore,
    Ruling,
    Verdict,
    dump_published_before,
    what_to_do,
)
from coordinator.model.publishing.guard import Known, misspelt, replacements, too_many_removed
from coordinator.model.publishing.owners import CENTRAL_OWNER, Objection, merge, objections_to
from coordinator.model.publishing.publication import (
    Activation,
    DependencyName,
    Publication,
    Published,
    Retired,
    content_hash,
    dump_publication,
)
from coordinator.model.publishing.resuming import Terms, publish, resumed
from coordinator.model.references import PipelineRef
from coordinator.store.keys import Keys
from coordinator.store.port import (
    Compare,
    ModRevisionIs,
    NothingPutSince,
    Put,
    Transaction,
)

Waiting = Mapping[DependencyName, Collection[str]]
"""Partitions that are due, waiting or in flight, by the dependency that is taken out."""


@dataclass(frozen=True, slots=True)
class Publications:
    """All published documents by owner, at ``revision``.

    :ivar before: the history of each owner.
    :ivar last_readable: the last readable version of documents that cannot be read any more, or are gone, as far as it
        is known. Other owners may be in it.
    """

    by_owner: Mapping[str, Published]
    revision: int
    before: Mapping[str, PublishedBefore] = field(default_factory=dict)
    last_readable: Mapping[str, Published] = field(default_factory=dict)

    def version_of(self, owner: str) -> int:
        """The version of an owner that is in force; 0: it never published anything."""
        last, before = self.last_of(owner), self.before.get(owner)
        return max(last[0].version if last is not None else 0, before.version if before is not None else 0)

    def last_of(self, owner: str) -> tuple[Publication, int] | None:
        """The last readable version of an owner's document and its revision, as far as it is known."""
        for published in (self.by_owner.get(owner), self.last_readable.get(owner)):
            if published is not None and isinstance(published.value, Publication):
                return published.value, published.revision
        return None

    def content_of(self, owner: str) -> str | None:
        """The hash of :meth:`last_of`."""
        last = self.last_of(owner)
        return content_hash(last[0].document) if last is not None else None


@dataclass(frozen=True, slots=True)
class Signature:
    """Who publishes, when and why: kept with the document, for ``coordinator dependencies log``."""

    who: str
    when: datetime
    why: str = ""


@dataclass(frozen=True)
class Proposal:
    """A document to publish under ``dependencies/<owner>``.

    :ivar base: the published documents that it was compared with.
    :ivar serial: the build number in its file.
    """

    owner: str
    document: Document
    base: Publications
    terms: Terms
    serial: int | None = None

    @property
    def present(self) -> Published | None:
        """The present publication of this owner, readable or not."""
        return self.base.by_owner.get(self.owner)

    @property
    def is_readable(self) -> bool:
        """Whether the present publication of this owner is there and can be read."""
        return self.present is not None and isinstance(self.present.value, Publication)

    @property
    def previous(self) -> Publication | None:
        """The last readable publication of this owner: what it goes on from."""
        last = self.base.last_of(self.owner)
        return last[0] if last is not None else None

    @property
    def version(self) -> int:
        """The version in force; 0: nothing was ever published."""
        return self.base.version_of(self.owner)

    @property
    def is_published(self) -> bool:
        """Whether there is nothing to write: this document is in force already."""
        previous = self.previous
        if previous is None or not self.is_readable or self.terms.fresh or self.difference():
            return False
        return self.serial is None or (previous.serial is not None and self.serial <= previous.serial)

    @property
    def has_serials(self) -> bool:
        """Whether serials decide which document is newer: then only ``--accept`` overrules them."""
        previous = self.previous
        return previous is not None and (self.serial is not None or previous.serial is not None)

    @cached_property
    def edition(self) -> Edition:
        return Edition(content_hash(self.document), self.serial)

    def ruling(self, edit: Edit | None = None) -> Ruling:
        """Whether the file that it comes from is newer than what is in force.

        :param edit: the change of that file, if a watcher saw one.
        """
        if self.present is None:  # nothing is in force that could be newer
            return Ruling(Verdict.PUBLISH)
        contents = self._before.contents
        ruling = what_to_do(self.edition, self._in_force, self.version, edit=edit, published_before=contents)
        if ruling.verdict is Verdict.SAME and not self.is_readable:
            return Ruling(Verdict.PUBLISH)
        return ruling

    def objections(self) -> list[Objection]:
        """The objections that prevent its publication."""
        return objections_to(self.owner, self.document, self.base.by_owner)

    def difference(self) -> Difference:
        return self._difference

    @cached_property
    def _difference(self) -> Difference:
        return difference(self._document_before(), self.document)

    def concerns(self, known: Known) -> list[str]:
        """The guard's reasons to refuse it, by the documents and the environments.

        :param known: what environments say of the DAGs among :func:`coordinator.model.publishing.guard.replacements`.
        """
        difference = self.difference()
        removed = too_many_removed(self._document_before(), difference)
        return [*([removed] if removed else []), *misspelt(replacements(difference), known)]

    def resumed(self) -> dict[tuple[PipelineRef, Dependency], Retired]:
        """The dependencies that would resume: they were taken out, and are put back in time."""
        return resumed(self.document, self.previous, self.terms, others=self._others())

    @property
    def not_kept(self) -> int:
        """How many retired dependencies would be dropped because there are too many."""
        return self._publication().not_kept

    def removed(self) -> dict[tuple[PipelineRef, Dependency], Activation]:
        """The dependencies that it would take out."""
        last = self.base.last_of(self.owner)
        if last is None:
            return {}
        active = last[0].activations(last[1])
        return {
            (change.pipeline, dependency): active[change.pipeline, dependency]
            for change in self.difference().changes
            for dependency in change.removed
        }

    def graph(self) -> tuple[Graph, list[str]]:
        """The graph of all documents with this one, as of :func:`coordinator.model.publishing.owners.merge`."""
        # Published now, it would get a revision greater than every present one.
        ours = Published(self._publication(), self.base.revision + 1)
        return merge({**self.base.by_owner, self.owner: ours})

    def transaction(
        self, keys: Keys, signature: Signature, *, waiting: Waiting | None = None, fence: Iterable[Compare] = ()
    ) -> Transaction:
        """The transaction that writes it, unless somebody has published since the base was read.

        :param waiting: partitions that are due, waiting or in flight for dependencies that it takes out.
        :param fence: further compares, such as the leadership of a watcher.
        :raises PublicationTooLarge: readers would refuse it.
        """
        key = keys.dependencies(self.owner)
        signed = replace(
            self._publication(waiting),
            published_by=signature.who,
            published_at=signature.when,
            why=signature.why,
        )
        after = self._before.with_next(self.edition.content, signed.version)
        mine = ModRevisionIs(key, self.present.revision if self.present is not None else 0)
        others = NothingPutSince(keys.dependencies(""), self.base.revision)
        puts = Put(key, dump_publication(signed)), Put(keys.published_before(self.owner), dump_published_before(after))
        return Transaction((*fence, mine, others), puts)

    def _publication(self, waiting: Waiting | None = None) -> Publication:
        previous, revision = self.base.last_of(self.owner) or (None, 0)
        made = publish(self.document, previous, revision, self.terms, others=self._others(), waiting=waiting)
        return replace(made, version=self.version + 1, serial=self.serial)

    @property
    def _before(self) -> PublishedBefore:
        return self.base.before.get(self.owner, PublishedBefore())

    def _document_before(self) -> Document:
        return self.previous.document if self.previous is not None else {}

    @cached_property
    def _in_force(self) -> Edition | None:
        previous = self.previous
        return Edition(content_hash(previous.document), previous.serial) if previous is not None else None

    def _others(self) -> list[Publication]:
        """The retired dependencies of other owners that may resume here: those of an owner's own pipelines only, and
        active before they were retired."""
        return [
            replace(one.value, retired=dict(_of_its_own(owner, one.value, one.revision)))
            for owner, one in self.base.by_owner.items()
            if owner != self.owner and isinstance(one.value, Publication)
        ]


def _of_its_own(owner: str, publication: Publication, revision: int) -> Iterator[tuple[DependencyName, Retired]]:
    """The valid retired dependencies of an owner, who may write anything under its key. The central owner may have
    published any pipeline before."""
    for name, one in publication.retired.items():
        if (name[0].environment == owner or owner == CENTRAL_OWNER) and one.activation.revision <= revision:
            yield name, one
