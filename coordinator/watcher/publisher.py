"""Publishing ``dependencies.json``: the file that people review becomes the document that all watchers obey.

The file is read again when it changes. A file that cannot be used changes nothing: the last good version stays
in force, and the problem is shown until it is mended.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog

from coordinator.model.dependencies import Document
from coordinator.model.owners import Objection
from coordinator.model.parsing import DependenciesError, parse_document
from coordinator.model.publication import Published
from coordinator.publishing import Proposal, Publications, Signature, check_owner, commit, refusal
from coordinator.store.keys import Keys
from coordinator.store.port import CreateRevisionIs, Store, StoreError, StoreUnavailable
from coordinator.watcher.clock import Clock

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class _Weighed:
    """What is to be said of a document beside those that stand in etcd.

    :ivar standing: their revisions, by owner.
    """

    document: Document
    standing: Mapping[str, int]
    objections: tuple[Objection, ...]
    is_published: bool


class Publisher:
    """Keeps ``dependencies/<owner>`` equal to a file, while this watcher leads.

    :param environments: the configured environments; a pipeline in any other is refused.
    :param who: this watcher, for the history of the document.
    :raises ConfigurationError: the owner is no environment.
    """

    def __init__(
        self,
        path: Path,
        *,
        owner: str,
        store: Store,
        keys: Keys,
        environments: Collection[str],
        who: str,
        clock: Clock,
    ) -> None:
        check_owner(owner, environments)
        self._path = path
        self._owner = owner
        self._store = store
        self._keys = keys
        self._environments = environments
        self._who = who
        self._clock = clock
        self._stamp: tuple[int, int, int] | None = None
        self._text = b""
        self._document: Document | None = None
        self._weighed: _Weighed | None = None
        self._settled: _Weighed | None = None
        self._file_problem: str | None = None
        self._objection: str | None = None

    @property
    def problem(self) -> str | None:
        """What keeps the file from being published."""
        return self._file_problem or self._objection

    def read(self) -> None:
        """Read the file if it has changed since the last call. Raises nothing: see :attr:`problem`."""
        try:
            status = self._path.stat()
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
            if stamp == self._stamp:
                return
            self._stamp = stamp
            text = self._path.read_bytes()
            self._document = parse_document(text, source=str(self._path), environments=self._environments)
            self._text = text
        except OSError as error:
            problem = f"{self._path}: cannot be read: {error.strerror}"
            if problem != self._file_problem:
                self._refuse_file(problem)
            self._stamp = None
        except DependenciesError as error:
            self._refuse_file(str(error))
        else:
            self._file_problem = None
            _log.info("dependencies.read", file=str(self._path), downstreams=len(self._document))

    def weigh(self, published: Mapping[str, Published], *, revision: int) -> None:
        """Find out beforehand what :meth:`publish` would do: with ten thousand pipelines that takes half a second.

        Takes the same arguments.
        """
        if self._document is not None:
            self._weigh(self._document, published, revision)

    def publish(self, published: Mapping[str, Published], *, revision: int, term: int) -> int | None:
        """Publish what was read, if something else is published and nothing is objected to it.

        :param published: all documents that stand in etcd, as far as they are known, by owner.
        :param revision: the etcd revision up to which they are known.
        :param term: create revision of the leader key; nothing is written when another watcher leads.
        :returns: the etcd revision from which on it stands; 0: there is nothing to wait for; ``None``: etcd gave no
            answer, so that it is not known whether it stands there, and it must be tried again.
        """
        if self._document is None:
            return 0
        weighed = self._weigh(self._document, published, revision)
        if weighed is self._settled:
            return 0
        if weighed.objections:
            self._objection = str(refusal(str(self._path), self._text, weighed.objections))
            self._settled = weighed
            _refused(self._objection)
            return 0
        self._objection = None
        if weighed.is_published:
            self._settled = weighed
            return 0
        # On what is known now, though it says the same of the dependencies: etcd compares with this revision.
        proposal = Proposal(self._owner, self._document, Publications(published, revision))
        signature = Signature(self._who, self._clock.now(), f"file {self._path}")
        try:
            fence = CreateRevisionIs(self._keys.leader, term)
            answer = commit(self._store, self._keys, proposal, signature, fence=(fence,))
        except StoreError as error:
            _log.warning("dependencies.not_published", reason=str(error))
            return None if isinstance(error, StoreUnavailable) else 0
        if answer.succeeded:
            difference = proposal.difference()
            _log.info(
                "dependencies.published",
                owner=self._owner,
                revision=answer.revision,
                begin=len(difference.begins),
                cease=len(difference.ceases),
                differ=len(difference.differs),
                dependencies_added=difference.dependencies_added,
                dependencies_removed=difference.dependencies_removed,
            )
        return answer.revision  # of what somebody else published in between, where it was not written

    def _weigh(self, document: Document, published: Mapping[str, Published], revision: int) -> _Weighed:
        standing = {owner: one.revision for owner, one in published.items()}
        weighed = self._weighed
        if weighed is None or weighed.document is not document or weighed.standing != standing:
            proposal = Proposal(self._owner, document, Publications(published, revision))
            objections = tuple(proposal.objections())
            is_published = not objections and proposal.is_published
            weighed = self._weighed = _Weighed(document, standing, objections, is_published)
        return weighed

    def _refuse_file(self, problem: str) -> None:
        self._file_problem = problem
        _refused(problem)


def _refused(problem: str) -> None:
    _log.error("dependencies.refused", reason=problem, remedy="mend the file; the last good version stays in force")
