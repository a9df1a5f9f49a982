"""The waits of sensors, as far as this watcher has read them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import msgspec

from coordinator.model.references import Target, WaitRef
from coordinator.model.stored import Unreadable
from coordinator.model.waits import Answer, Wait


class SeenWait(msgspec.Struct, frozen=True, gc=False):
    """A wait and the etcd revision of its key."""

    ref: WaitRef
    value: Wait | Unreadable
    revision: int


class Waits:
    """By their names (:attr:`WaitRef.name`), and by the pipeline, in its partition, that they wait for."""

    def __init__(self) -> None:
        self._seen: dict[Target, SeenWait] = {}
        self._behind: dict[Target, set[Target]] = defaultdict(set)

    def __contains__(self, name: Target) -> bool:
        return name in self._seen

    def __iter__(self) -> Iterator[SeenWait]:
        return iter(self._seen.values())

    def __len__(self) -> int:
        return len(self._seen)

    def get(self, name: Target) -> SeenWait | None:
        return self._seen.get(name)

    def behind(self, upstream: Target) -> tuple[Target, ...]:
        """The names of those that wait for a pipeline in a partition, or for a task of it, without an answer yet.

        :param upstream: the pipeline.
        """
        return tuple(self._behind.get(upstream, ()))

    def waiting(self) -> Iterator[Target]:
        """The names of all that have no answer yet."""
        return (name for names in self._behind.values() for name in names)

    def put(self, ref: WaitRef, value: Wait | Unreadable, revision: int) -> None:
        self.delete(ref)
        self._seen[ref.name] = SeenWait(ref, value, revision)
        if isinstance(value, Wait) and value.status is Answer.WAITING:
            self._behind[value.upstream.whole].add(ref.name)

    def delete(self, ref: WaitRef) -> None:
        known = self._seen.pop(ref.name, None)
        if known is not None and isinstance(known.value, Wait):
            upstream = known.value.upstream.whole
            self._behind[upstream].discard(ref.name)
            if not self._behind[upstream]:
                del self._behind[upstream]

    def clear(self) -> None:
        self._seen.clear()
        self._behind.clear()
