"""The dependencies file, read again whenever it changes; and whether this watcher saw it change."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import structlog

from coordinator.model.edition import Edit
from coordinator.model.parsing import DependenciesError, DependenciesFile, parse_file
from coordinator.model.publication import content_hash

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class GoodFile:
    """A file that can be used, as it was read.

    :ivar content: the hash of its document.
    """

    text: bytes
    read: DependenciesFile
    content: str


class WatchedFile:
    """See the module. Used by the deciding thread only.

    :param environments: the configured environments; a pipeline in any other is refused.
    :ivar good: the last one that could be used.
    :ivar edit: the change that was seen last; ``None``: none was, or what the file says has been in force since.
    :ivar problem: why what is there now cannot be used.
    """

    def __init__(self, path: Path, environments: Collection[str]) -> None:
        self.path = path
        self.good: GoodFile | None = None
        self.edit: Edit | None = None
        self.problem: str | None = None
        self._environments = environments
        self._stamp: tuple[int, int, int] | None = None
        self._has_looked = False

    def read(self, version: int | None) -> None:
        """Read the file if it has changed since the last call. Raises nothing: see :attr:`problem`.

        :param version: what is in force now; ``None``: that is not known yet.
        """
        try:
            status = self.path.stat()
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
            if stamp == self._stamp:
                return
            self._stamp = stamp
            text = self.path.read_bytes()
            read = parse_file(text, source=str(self.path), environments=self._environments)
        except OSError as error:
            self._stamp = None
            self._refuse(f"{self.path}: cannot be read: {error.strerror}")
        except DependenciesError as error:
            self._refuse(str(error))
        else:
            self.problem = None
            self._take(GoodFile(text, read, content_hash(read.document)), version)
            _log.info("dependencies.read", file=str(self.path), downstreams=len(read.document))
        self._has_looked = True

    def is_in_force(self) -> None:
        """What it says now is in force: from here on another change is another edit."""
        self.edit = None

    def counts_as_edit(self, version: int) -> None:
        """Nobody saw it change, and it is to be published: from here on as an edit of this version."""
        if self.edit is None:
            self.edit = Edit(version)

    def _take(self, good: GoodFile, version: int | None) -> None:
        before, self.good = self.good, good
        if not self._has_looked or version is None or (before is not None and before.content == good.content):
            return
        had = frozenset() if before is None else frozenset({before.content})
        self.edit = Edit(version, had | (self.edit.after if self.edit is not None else frozenset()))

    def _refuse(self, problem: str) -> None:
        if problem != self.problem:
            self.problem = problem
            _log.error(
                "dependencies.refused", reason=problem, remedy="mend the file; the last good version stays in force"
            )
