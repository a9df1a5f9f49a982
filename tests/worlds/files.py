"""The files of the source ``tables``, in memory."""

from __future__ import annotations

import json

from coordinator.model.items.reading import BadRows


class FilesInMemory:
    """By partition. :ivar reads: how often one was read."""

    def __init__(self) -> None:
        self._contents: dict[str, bytes] = {}
        self.reads = 0

    def put(self, partition: str, content: object) -> None:
        """:param content: as of ``World.rows``."""
        if content is None:
            self._contents.pop(partition, None)
        else:
            self._contents[partition] = as_bytes(content)

    def read(self, source: str, partition: str) -> tuple[bytes, str]:
        self.reads += 1
        path = f"/{source}/{partition}.json"
        if partition not in self._contents:
            raise BadRows(f"{path}: no such file or directory")
        return self._contents[partition], path


def as_bytes(content: object) -> bytes:
    """The content of a file. :param content: as of ``World.rows``."""
    return (content if isinstance(content, str) else json.dumps(content)).encode()
