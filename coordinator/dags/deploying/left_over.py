"""What a deploy that was ended has left behind: half-written files, and records that no claim names. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Set
from pathlib import PurePosixPath
from typing import Final

from coordinator.dags.deploying.records import CLAIM, MANIFEST, PREFIX

_PART: Final = re.compile(rf"{re.escape(PREFIX)}[0-9a-f]{{32}}\.part")
"""Of a file."""
_AT_THE_TOP: Final = re.compile(
    rf"{re.escape(CLAIM)}\.[0-9a-f]{{32}}\.part|{re.escape(PREFIX)}[0-9a-f]{{32}}\.writes\.json"
)
"""Of a claim, and what another deploy than that of the claim was about to write."""


def left_over(there: Collection[str], named: Collection[str]) -> frozenset[str]:
    """What ended deploys have left in this target. What is of a deploy to a directory below it is somebody else's.

    :param there: the paths of its files, without its manifest, its claim and what the deploy of that claim writes.
    :param named: the paths that these records name: beside them a deploy writes.
    """
    directories = {PurePosixPath(path).parent for path in named}
    records = (PurePosixPath(path) for path in there if path.endswith((MANIFEST, CLAIM)))
    others = {path.parent for path in records if path.name in (MANIFEST, CLAIM)}
    return frozenset(path for path in there if _is_of_ended(PurePosixPath(path), directories, others))


def _is_of_ended(path: PurePosixPath, directories: Collection[PurePosixPath], others: Set[PurePosixPath]) -> bool:
    if not path.parent.parts and _AT_THE_TOP.fullmatch(path.name):
        return True
    is_beside = not path.parent.parts or path.parent in directories
    return is_beside and _PART.fullmatch(path.name) is not None and others.isdisjoint(path.parents)
