"""Publishing ``dependencies.json``: the file that people review becomes the document that all watchers obey.

The file is read again when it changes. A file that cannot be used changes nothing: the last good version stays
in force, and the problem is shown until it is mended.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import structlog

from coordinator.model.dependencies import Document
from coordinator.model.parsing import DependenciesError, dump_document, parse_document
from coordinator.model.publication import Publication, dump_publication, publish
from coordinator.store.keys import Keys
from coordinator.store.port import CreateRevisionIs, ModRevisionIs, Put, Store, StoreError, Transaction
from coordinator.watcher.cache import Published

_log = structlog.get_logger(__name__)


class Publisher:
    """Keeps ``dependencies/<owner>`` equal to a file, while this watcher leads.

    :param environments: the configured environments; a pipeline in any other is refused.
    """

    def __init__(self, path: Path, *, owner: str, store: Store, keys: Keys, environments: Collection[str]) -> None:
        self._path = path
        self._owner = owner
        self._store = store
        self._keys = keys
        self._environments = environments
        self._stamp: tuple[int, int, int] | None = None
        self._document: Document | None = None
        self._agreed: tuple[Document, int] | None = None
        self.problem: str | None = None

    def read(self) -> None:
        """Read the file if it has changed since the last call. Raises nothing: see :attr:`problem`."""
        try:
            status = self._path.stat()
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
            if stamp == self._stamp:
                return
            self._stamp = stamp
            self._document = parse_document(
                self._path.read_bytes(), source=str(self._path), environments=self._environments
            )
        except OSError as error:
            problem = f"{self._path}: cannot be read: {error.strerror}"
            if problem != self.problem:
                self._refuse(problem)
            self._stamp = None
        except DependenciesError as error:
            self._refuse(str(error))
        else:
            self.problem = None
            _log.info("dependencies.read", file=str(self._path), downstreams=len(self._document))

    def publish(self, published: Published | None, *, term: int) -> None:
        """Publish what was read if something else is published.

        :param published: what stands in etcd, as far as it is known.
        :param term: create revision of the leader key; nothing is written when another watcher leads.
        """
        revision = published.revision if published is not None else 0
        if self._document is None or (self._document, revision) == self._agreed:
            return
        previous = published.value if published is not None and isinstance(published.value, Publication) else None
        if previous is not None and dump_document(previous.document) == dump_document(self._document):
            self._agreed = (self._document, revision)
            return
        publication = publish(self._document, previous, revision)
        key = self._keys.dependencies(self._owner)
        compares = (CreateRevisionIs(self._keys.leader, term), ModRevisionIs(key, revision))
        try:
            answer = self._store.commit(Transaction(compares, (Put(key, dump_publication(publication)),)))
        except StoreError as error:
            _log.warning("dependencies.not_published", reason=str(error))
            return
        if answer.succeeded:
            _log.info("dependencies.published", owner=self._owner, revision=answer.revision)

    def _refuse(self, problem: str) -> None:
        self.problem = problem
        _log.error("dependencies.refused", reason=problem, remedy="mend the file; the last good version stays in force")
