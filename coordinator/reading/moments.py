"""Moments: at which etcd revisions the explanation of a partition has changed, from the present back as far as etcd
keeps its history.

A key carries the revision at which it was put last, so the readings lead from change to change. A key that was deleted
leaves no trace but the act of who did it; without one, the change is looked for between two readings that differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from coordinator.commands.acts import Act, read_act
from coordinator.controller.dispatch.dispatcher import EnvironmentLimits
from coordinator.model.partitions.instants import format_instant
from coordinator.model.references import PipelineRef
from coordinator.reading.explaining import Explained, explained
from coordinator.reading.reading import NoSuchRevision, UnknownPipeline
from coordinator.store.keys import Keys
from coordinator.store.port import Store

LOOKS = 3
"""Changes that are looked at for each moment: some make no difference."""

_OF_THE_READING = ("revision", "notes", "problems", "problems_count", "problems_not_shown")
"""What may differ between readings although the partition stands the same."""


@dataclass(frozen=True, slots=True)
class Moment:
    """From this etcd revision on it stood like this, until the next moment.

    :ivar when: the newest time in any key that was read: etcd keeps no times.
    :ivar says: a sentence without its subject.
    """

    revision: int
    when: datetime | None
    readiness: str
    state: str | None
    says: str

    def as_json(self) -> dict[str, Any]:
        return {
            "revision": self.revision,
            "when": format_instant(self.when.replace(microsecond=0)) if self.when is not None else None,
            "readiness": self.readiness,
            "state": self.state,
            "says": self.says,
        }


def moments(
    store: Store,
    keys: Keys,
    pipeline: PipelineRef,
    partition: str,
    *,
    limits: Mapping[str, EnvironmentLimits],
    most: int,
) -> list[Moment]:
    """The moments, the newest first.

    :param partition: as it is spelled in keys.
    :param limits: as of :func:`coordinator.reading.explaining.explained`.
    :param most: of them.
    :raises UnknownPipeline: at present, no document names the pipeline, and it has no keys.
    """
    past = _Past(store, keys, pipeline, partition, limits)
    found: list[Moment] = []
    at = past.present
    seen: Explained | None = explained(store, keys, pipeline, partition, revision=at, limits=limits)
    after: Explained | None = None
    for _ in range(LOOKS * most):
        if seen is None or not seen.named.known:
            break
        begin = past.begin(seen, at)
        if after is not None and _is_same(after, seen):
            found.pop()  # what changed then made no difference
        elif len(found) == most:
            break
        found.append(_moment(seen, begin))
        at, after = begin - 1, seen
        seen = past.at(at)
    return found


class _Past:
    """How a partition stood at earlier revisions. :ivar present: the revision at which this was begun."""

    def __init__(
        self,
        store: Store,
        keys: Keys,
        pipeline: PipelineRef,
        partition: str,
        limits: Mapping[str, EnvironmentLimits],
    ) -> None:
        self._store = store
        self._keys = keys
        self._pipeline = pipeline
        self._partition = partition
        self._limits = limits
        listed = store.list(keys.acts, largest=keys.largest_value)
        self.present = listed.revision
        acts = ((item.mod_revision, read_act(item.value)) for item in listed.items)
        self._acts = [(revision, act.pipeline) for revision, act in acts if isinstance(act, Act)]

    def at(self, revision: int) -> Explained | None:
        """``None``: etcd does not keep that revision, or nothing was known of the pipeline then."""
        if revision < 1:
            return None
        try:
            return explained(
                self._store, self._keys, self._pipeline, self._partition, revision=revision, limits=self._limits
            )
        except (NoSuchRevision, UnknownPipeline):
            return None

    def begin(self, seen: Explained, at: int) -> int:
        """The first revision from which on it stood as it was seen. :param at: the revision at which it was seen."""
        graph = seen.reading.propagation.graph
        concerned = {self._pipeline, *graph}
        acts = (revision for revision, pipeline in self._acts if revision <= at and pipeline in concerned)
        first, last = max((*_changes(seen), *acts), default=1), at
        if _is_same(self.at(first), seen):
            return first
        while first + 1 < last:  # a key was deleted between them
            middle = (first + last) // 2
            if _is_same(self.at(middle), seen):
                last = middle
            else:
                first = middle
        return last


def _changes(seen: Explained) -> Iterator[int]:
    """The revisions of everything that the explanation depends on."""
    cache, target = seen.reading.cache, seen.explanation.decision.target
    yield seen.reading.newest_change
    yield from (one.revision for one in cache.published.values())
    yield from (one.revision for one in cache.waits if one.ref.run == target)


def _is_same(one: Explained | None, other: Explained) -> bool:
    return one is not None and one.named.known == other.named.known and _content(one) == _content(other)


def _content(seen: Explained) -> dict[str, Any]:
    return {name: value for name, value in seen.as_json().items() if name not in _OF_THE_READING}


def _moment(seen: Explained, begin: int) -> Moment:
    said = seen.as_json()
    state = said["state"]
    return Moment(
        begin,
        seen.reading.newest_time,
        str(said["readiness"]),
        str(state["state"]) if state is not None and "state" in state else None,
        said["says"].removeprefix(f"{seen.explanation.decision.target} "),
    )
