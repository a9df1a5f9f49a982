"""The dependencies file, read again whenever it changes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import structlog

from coordinator.model.documents import DependenciesError, DependenciesFile, parse_file
from coordinator.model.publishing.publication import content_hash

_log = structlog.get_logger(__name__)

_IF_ADDED = "; that is as of the watcher's start: if the environment was added since, restart the watcher"


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
    :ivar problem: why the present file cannot be used.
    """

    def __init__(self, path: Path, environments: Collection[str]) -> None:
        self.path = path
        self.good: GoodFile | None = None
        self.problem: str | None = None
        self._environments = environments
        self._stamp: tuple[int, int, int] | None = None
        self._has_looked = False

    def read(self) -> bool:
        """Read the file if it has changed since the last call. Raises nothing: see :attr:`problem`.

        :returns: whether its content differs from that of the last call.
        """
        has_looked, self._has_looked = self._has_looked, True
        before = self.good
        try:
            status = self.path.stat()
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
            if stamp == self._stamp:
                return False
            self._stamp = stamp
            text = self.path.read_bytes()
            read = parse_file(text, source=str(self.path), environments=self._environments)
        except OSError as error:
            self._stamp = None
            self._refuse(f"{self.path}: cannot be read: {error.strerror}")
        except DependenciesError as error:
            added = _IF_ADDED if error.is_about_environment else ""
            self._refuse(error.in_short(f"coordinator validate {self.path}") + added)
        else:
            self.problem = None
            self.good = GoodFile(text, read, content_hash(read.document))
            _log.info("dependencies.read", file=str(self.path), downstreams=len(read.document))
            return has_looked and (before is None or before.content != self.good.content)
        return False

    def _refuse(self, problem: str) -> None:
        if problem != self.problem:
            self.problem = problem
            _log.error(
                "dependencies.refused", reason=problem, remedy="correct the file; the last good version stays in force"
            )
