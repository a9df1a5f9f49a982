"""Half-written files that a deploy which was ended has left behind. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Set
from pathlib import PurePosixPath
from typing import Final

from coordinator.dags.deploying.records import CLAIM, MANIFEST, PREFIX

_PART: Final = re.compile(rf"{re.escape(PREFIX)}[0-9a-f]{{32}}\.part")
"""Of a file."""
_PART_OF_CLAIM: Final = re.compile(rf"{re.escape(CLAIM)}\.[0-9a-f]{{32}}\.part")


def left_over(there: Collection[str], named: Collection[str]) -> frozenset[str]:
    """The half-written files of this target. Those of a deploy to a directory below it, and their records, are others'.

    :param there: the paths of its files.
    :param named: the paths that its manifest and its claim name: beside them a deploy writes.
    """
    directories = {PurePosixPath(path).parent for path in named}
    records = (PurePosixPath(path) for path in there if path.endswith((MANIFEST, CLAIM)))
    others = {path.parent for path in records if path.name in (MANIFEST, CLAIM) and path.parent.parts}
    return frozenset(path for path in there if _is_part(PurePosixPath(path), directories, others))


def _is_part(path: PurePosixPath, directories: Collection[PurePosixPath], others: Set[PurePosixPath]) -> bool:
    if not path.parent.parts and _PART_OF_CLAIM.fullmatch(path.name):
        return True
    is_beside = not path.parent.parts or path.parent in directories
    return is_beside and _PART.fullmatch(path.name) is not None and others.isdisjoint(path.parents)
