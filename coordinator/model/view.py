"""The facts of a decision: states, trigger records, orders, holds and waits, from one reading of etcd."""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

import msgspec

from coordinator.model.conditions import Dependency
from coordinator.model.hold import Hold
from coordinator.model.order import GivenOrder
from coordinator.model.references import PipelineRef, Target, WaitRef
from coordinator.model.retention.watermark import Watermark
from coordinator.model.runstate import RunState, Unreadable
from coordinator.model.trigger import TriggerRecord
from coordinator.model.waits import Wait

if TYPE_CHECKING:
    from coordinator.model.items.whole import Standing


class Readiness(enum.StrEnum):
    """The readiness of a pipeline in a partition (docs/architecture.md#readiness)."""

    SETTLED = "settled"
    BUSY = "busy"
    STUCK = "stuck"


class SeenState(msgspec.Struct, frozen=True, gc=False):
    """A run state and the etcd revision of its key."""

    value: RunState | Unreadable
    revision: int

    @property
    def came_at(self) -> int:
        """The etcd revision at which it completed; 0: there is nothing that counts."""
        own = self.value.completed_revision if isinstance(self.value, RunState) else None
        return self.revision if own is None else own

    @property
    def used_up_to(self) -> int:
        """The etcd revision up to which whoever uses it has used what has completed."""
        own = self.value.used_revision if isinstance(self.value, RunState) else None
        return self.revision if own is None else own

    @property
    def told_at(self) -> int:
        """The etcd revision at which somebody told that it has completed."""
        own = self.value.told_revision if isinstance(self.value, RunState) else None
        return self.revision if own is None else own


class SeenRecord(msgspec.Struct, frozen=True, gc=False):
    """A trigger record and the etcd revision of its key."""

    value: TriggerRecord | Unreadable
    revision: int


class SeenOrder(msgspec.Struct, frozen=True, gc=False):
    """A person's order and the etcd revision of its key."""

    value: GivenOrder | Unreadable
    revision: int


class SeenWait(msgspec.Struct, frozen=True, gc=False):
    """A sensor's wait and the etcd revision of its key."""

    ref: WaitRef
    value: Wait | Unreadable
    revision: int


def readable_state(seen: SeenState | None) -> RunState | None:
    """A run state, if there is one that can be read."""
    return seen.value if seen is not None and isinstance(seen.value, RunState) else None


def readable_record(seen: SeenRecord | None) -> TriggerRecord | None:
    """A trigger record, if there is one that can be read."""
    return seen.value if seen is not None and isinstance(seen.value, TriggerRecord) else None


class Facts(Protocol):
    """The contents of etcd."""

    def state(self, target: Target) -> SeenState | None: ...

    def record(self, target: Target) -> SeenRecord | None: ...

    def order(self, target: Target) -> SeenOrder | None: ...

    def hold(self, pipeline: PipelineRef) -> Hold | Unreadable | None: ...

    def watermark(self, pipeline: PipelineRef) -> Watermark | None: ...

    def sensors(self, target: Target) -> Sequence[SeenWait]:
        """The waits that have passed in the runs of a target, of sensors that are cleared when their upstream completes
        again."""

    def runs_behind(self, upstream: Target) -> Iterable[Target]:
        """The targets that have such a wait for this pipeline or task."""


class View(Facts, Protocol):
    """One consistent reading, and what follows from it: the readiness of inputs, and the known partitions."""

    @property
    def now(self) -> datetime:
        """The moment at which the reading is evaluated (deadlines, ``max_age``)."""

    def readiness(self, target: Target) -> Readiness:
        """The readiness of an input; :mod:`coordinator.model.propagation` keeps it."""

    def gathered(self, dependency: Dependency, downstream: Target) -> Collection[Target]:
        """The known inputs of a downstream partition whose mapping does not name them beforehand."""

    def newest(self, upstream: PipelineRef, *, without: Callable[[Target], bool] = lambda _: False) -> Target | None:
        """The partition of a pipeline's newest completion. :param without: which of them do not count."""

    def items(self, whole: Target) -> Standing | None:
        """How the items of a pipeline that fans out stand; ``None``: its rows were not read yet."""

    def comes_of(self, producer: Target, downstream: Target) -> bool:
        """Whether what emits an asset is the downstream partition itself, or depends on it: if that started it, it
        would do so for ever."""

    def is_newest_partition(self, downstream: Target) -> bool:
        """Whether it is the newest partition that a pipeline has."""

    def is_coming_partition(self, downstream: Target) -> bool:
        """Whether it will be the newest partition of a pipeline once its busy upstreams there have ended (it is
        *coming*)."""
