"""The section ``items.<name>``: files with the rows over which pipelines fan out.

Documents name them by these names only: who may publish a document cannot let the watcher read any other file.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, field_validator

from coordinator.config.sections import Section
from coordinator.model import bounds

PARTITION = "{partition}"

_SOURCE_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")


def _source_name(name: str) -> str:
    if not _SOURCE_NAME.fullmatch(name):
        raise ValueError("is not the name of a source; expected 1 to 100 letters, digits and _ -")
    return name


SourceName = Annotated[str, AfterValidator(_source_name)]


class RowFiles(Section):
    """A file for each partition.

    :ivar directory: every file is below it; symbolic links there are not followed.
    :ivar file: the path from there; ``{partition}`` stands for the partition.
    :ivar max_bytes: of a file.
    """

    directory: Path
    file: str = Field(default="{partition}.json", max_length=bounds.PATTERN)
    max_bytes: int = Field(default=2 * bounds.ROWS, ge=1, le=64 * bounds.MIB)

    @field_validator("directory")
    @classmethod
    def _absolute(cls, directory: Path) -> Path:
        if not directory.is_absolute():
            raise ValueError("expected an absolute path: a watcher may be started anywhere")
        return directory

    @field_validator("file")
    @classmethod
    def _stays_below(cls, file: str) -> str:
        parts = file.split("/")
        if any(part in ("", ".", "..") for part in parts):
            raise ValueError("expected a path below the directory, without empty parts, '.' and '..'")
        rest = file.replace(PARTITION, "")
        if "{" in rest or "}" in rest:
            raise ValueError("knows only {partition} in braces")
        return file
