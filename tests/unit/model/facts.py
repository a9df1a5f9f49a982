"""What stands in etcd, for tests that set it by hand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from coordinator.controller.state.produced import Produced
from coordinator.controller.state.waits import Waits
from coordinator.model.hold import Hold
from coordinator.model.references import PipelineRef, Target
from coordinator.model.retention.watermark import Watermark
from coordinator.model.runstate import Unreadable
from coordinator.model.view import SeenOrder, SeenRecord, SeenState, SeenWait


@dataclass
class Facts:
    states: dict[Target, SeenState] = field(default_factory=dict)
    records: dict[Target, SeenRecord] = field(default_factory=dict)
    orders: dict[Target, SeenOrder] = field(default_factory=dict)
    holds: dict[PipelineRef, Hold | Unreadable] = field(default_factory=dict)
    watermarks: dict[PipelineRef, Watermark] = field(default_factory=dict)
    waits: Waits = field(default_factory=Waits)
    produced: Produced = field(default_factory=Produced)

    def state(self, target: Target) -> SeenState | None:
        return self.states.get(target)

    def record(self, target: Target) -> SeenRecord | None:
        return self.records.get(target)

    def hold(self, pipeline: PipelineRef) -> Hold | Unreadable | None:
        return self.holds.get(pipeline)

    def order(self, target: Target) -> SeenOrder | None:
        return self.orders.get(target)

    def sensors(self, target: Target) -> Sequence[SeenWait]:
        return self.waits.sensors(target)

    def runs_behind(self, upstream: Target) -> Iterable[Target]:
        return (*self.waits.runs_behind(upstream), *self.produced.behind(upstream))

    def watermark(self, pipeline: PipelineRef) -> Watermark | None:
        return self.watermarks.get(pipeline)
