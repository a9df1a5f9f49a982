"""Mappings that name their partitions one by one.

``AllowedKey``  the same partition, if it is one of these
``Segments``    one downstream partition needs each of these
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from coordinator.model.partitions.refusal import MappingError
from coordinator.model.partitions.windows import ALL, MEMBER_LIMIT, Wait, needed, require_wait, wait_in_words

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class AllowedKey:
    """Airflow's ``AllowedKeyMapper``: the same partition, and nothing in any other.

    :ivar allowed_keys: in alphabetical order, whatever their order was.
    :raises MappingError: there are none, too many, or one is empty or given twice.
    """

    allowed_keys: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "allowed_keys", _distinct("allowed_keys", self.allowed_keys))

    def upstreams(self, downstream: str) -> tuple[str, ...]:
        return (downstream,) if downstream in self.allowed_keys else ()

    def downstreams(self, upstream: str) -> tuple[str, ...]:
        return (upstream,) if upstream in self.allowed_keys else ()

    def __str__(self) -> str:
        return f"the keys {_listed(self.allowed_keys)}"


@dataclass(frozen=True, slots=True)
class Segments:
    """Airflow's ``RollupMapper`` of a ``FixedKeyMapper`` and a ``SegmentWindow``: one downstream partition needs all of
    these upstream partitions, or enough of them. Other upstream partitions feed nothing.

    :ivar segments: in alphabetical order, whatever their order was.
    :ivar wait: see :data:`~coordinator.model.partitions.windows.Wait`.
    :raises MappingError: there are no segments, too many or too few for ``wait``, one is empty or given twice, or the
        key is empty.
    """

    segments: tuple[str, ...]
    downstream_key: str
    wait: Wait = ALL

    def __post_init__(self) -> None:
        object.__setattr__(self, "segments", _distinct("segments", self.segments))
        if not self.downstream_key:
            raise MappingError("downstream_key", "expected a partition; found an empty text")
        require_wait(self.wait, len(self.segments), f"there are {len(self.segments)} segments")

    def needed(self, members: int) -> int:
        """How many of the segments must be there: at least one, at most all."""
        return needed(self.wait, members)

    def upstreams(self, downstream: str) -> tuple[str, ...]:
        return self.segments if downstream == self.downstream_key else ()

    def downstreams(self, upstream: str) -> tuple[str, ...]:
        return (self.downstream_key,) if upstream in self.segments else ()

    def __str__(self) -> str:
        return f"rollup of the segments {_listed(self.segments)} to {self.downstream_key!r}{wait_in_words(self.wait)}"


def _distinct(field: str, keys: Sequence[str]) -> tuple[str, ...]:
    """:raises MappingError: there are none, too many, or one is empty or given twice."""
    if not keys:
        raise MappingError(field, "expected at least one partition; found none")
    if len(keys) > MEMBER_LIMIT:
        raise MappingError(field, f"expected at most {MEMBER_LIMIT} partitions; found {len(keys)}")
    seen: set[str] = set()
    for at, key in enumerate(keys):
        if not key:
            raise MappingError(field, "expected a partition; found an empty text", at=at)
        if key in seen:
            raise MappingError(field, f"{key!r} is given twice", at=at)
        seen.add(key)
    return tuple(sorted(keys))


def _listed(keys: tuple[str, ...]) -> str:
    """All of them, or the first few and what tells these from another list."""
    shown = ", ".join(map(repr, keys[:_SHOWN]))
    if len(keys) <= _SHOWN:
        return shown
    digest = hashlib.sha256(repr(keys).encode()).hexdigest()[:16]
    return f"{shown} and {len(keys) - _SHOWN} more ({digest})"
