"""The dependencies file on each watcher's host, in memory: people make one document, and hosts get it at their time.

A host that gets a file gets the newest one there is then; so no host ever goes back.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import PosixPath
from types import SimpleNamespace
from typing import Any, cast


class MemoryFile(PosixPath):
    """A path whose file is in memory: what :class:`~coordinator.controller.leading.watched_file.WatchedFile` asks of
    one.
    """

    content: bytes
    changes: int

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        del follow_symlinks
        return cast(os.stat_result, SimpleNamespace(st_mtime_ns=self.changes, st_size=len(self.content), st_ino=1))

    def read_bytes(self) -> bytes:
        return self.content

    def put(self, content: str) -> None:
        self.content = content.encode()
        self.changes += 1


class Rollout:
    """Brings the newest document to the hosts. :param hosts: how many there are."""

    def __init__(self, hosts: int, first: str) -> None:
        self._newest = first
        self._made = 0
        self.files = [MemoryFile(f"host-{number}.json") for number in range(hosts)]
        for file in self.files:
            file.changes = 0
            file.put(first)

    def edit(self, content: str, after: Callable[[float, Callable[[], None]], Any], late: float) -> None:
        """Another document: one host has it at once, each further one later. :param late: seconds for each."""
        self._newest = content
        self._made += 1
        for number in range(len(self.files)):
            file = self.files[(self._made + number) % len(self.files)]
            after(number * late, lambda file=file: self._bring(file))  # type: ignore[misc]

    def complete(self) -> None:
        """Every host has the newest one."""
        for file in self.files:
            self._bring(file)

    def _bring(self, file: MemoryFile) -> None:
        if file.content != self._newest.encode():
            file.put(self._newest)
