"""What a decision is made from: states, trigger records and holds, as one reading of etcd shows them."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Protocol

from coordinator.model.hold import Hold
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunState, Unreadable
from coordinator.model.trigger import TriggerRecord


class Standing(enum.StrEnum):
    """How a pipeline stands in a partition (design section 4)."""

    SETTLED = "settled"
    BUSY = "busy"
    STUCK = "stuck"


@dataclass(frozen=True, slots=True)
class SeenState:
    """A run state and the etcd revision of its key."""

    value: RunState | Unreadable
    revision: int


@dataclass(frozen=True, slots=True)
class SeenRecord:
    """A trigger record and the etcd revision of its key."""

    value: TriggerRecord | Unreadable
    revision: int


class View(Protocol):
    """One consistent reading."""

    def state(self, target: Target) -> SeenState | None: ...

    def record(self, target: Target) -> SeenRecord | None: ...

    def hold(self, pipeline: PipelineRef) -> Hold | Unreadable | None: ...

    def standing(self, target: Target) -> Standing:
        """The standing of an input; see ``standings`` for how it is kept."""
