"""The run states in the cache, with those of tasks, assets and asset events, and what is known because of them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from coordinator.controller.state.arrivals import Arrivals
from coordinator.controller.state.changed import Touched
from coordinator.controller.state.interning import Interning
from coordinator.controller.state.problems import KeyProblems
from coordinator.controller.state.produced import Produced
from coordinator.controller.state.run_partitions import RunPartitions
from coordinator.controller.state.watermarks import Watermarks
from coordinator.model.assets.events import AssetState
from coordinator.model.assets.names import is_asset
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunState, Unreadable
from coordinator.model.states import read_state
from coordinator.model.taskstate import TaskState
from coordinator.model.view import SeenState
from coordinator.store.keys import Keys
from coordinator.store.port import KeyValue


class States(dict[Target, SeenState]):
    """The states that count, by target.

    A state that has expired (:class:`~coordinator.model.retention.watermark.Watermark`) does not count: it is only
    noted in ``expired``. A watermark is read before the states that it concerns: in a listing by the order of keys, in
    a watch because the sweep that moves it leaves no state at or below it. Where a watermark cannot be read, no state
    counts that may have expired (:mod:`~coordinator.controller.state.watermarks`).

    :ivar expired: the mod revisions of the keys of expired states.
    :ivar tasks: the tasks that have a state.
    :ivar unseen_tasks: those that a run of their pipeline does not have, or that are not shown to us.
    :ivar events: the asset events; a dict, for their order.
    """

    def __init__(
        self, keys: Keys, watermarks: Watermarks, interned: Interning, problems: KeyProblems, *, fresh_for: float
    ) -> None:
        super().__init__()
        self._keys = keys
        self._watermarks = watermarks
        self._interned = interned
        self._problems = problems
        self._arrivals = Arrivals(fresh_for)
        self._withheld: dict[Target, KeyValue] = {}
        self._runs = RunPartitions()
        self.produced = Produced()
        self.expired: dict[Target, int] = {}
        self.tasks: set[Target] = set()
        self.unseen_tasks: set[Target] = set()
        self.events: dict[Target, None] = {}

    def put(self, target: Target, item: KeyValue, touched: Touched, *, arrived: float | None = None) -> None:
        """A state was put. :param arrived: monotonic seconds at which it arrived live."""
        touched.states += 1
        touched.targets.add(target)
        state = self._interned.state(read_state(target, item.value))
        self._problems.note_value(item.key, state)
        self._arrivals.drop(target)
        if self._has_expired(target, state):
            self._remove(target)
            self.expired[target] = item.mod_revision
            touched.expired.add(target)
            return
        self.expired.pop(target, None)
        self._withheld.pop(target, None)
        if isinstance(state, RunState) and self._watermarks.is_unknown(target.pipeline):
            self._withheld[target] = item
            state = Unreadable(
                f"{self._keys.watermark(target.pipeline)} cannot be read, so it is unknown whether this was "
                "removed before; correct that key, or delete it if nothing has been removed"
            )
        seen = SeenState(state, item.mod_revision)
        if type(state) is RunState:
            self._runs.put(target, state)
        elif is_asset(target.pipeline):
            touched.producers |= self.produced.exchange(target, self.get(target), seen)
        elif isinstance(state, AssetState):
            self.events[target] = None
        self[target] = seen
        if target.pipeline.task:
            self.tasks.add(target)
            self._note_unseen(target, state)
        if arrived is not None:
            self._arrivals.note(target, arrived)

    def delete(self, target: Target, touched: Touched) -> None:
        """A state was deleted."""
        touched.states += 1
        touched.targets.add(target)
        self._remove(target)
        self.tasks.discard(target)
        self.unseen_tasks.discard(target)
        self._withheld.pop(target, None)
        self.expired.pop(target, None)
        self._arrivals.drop(target)

    def watermark_is_known(self, pipeline: PipelineRef, touched: Touched) -> None:
        """The watermark of a pipeline is known again: each state that was withheld now counts, or has expired."""
        touched.watermarks.add(pipeline)
        for target in [target for target in self._withheld if target.pipeline == pipeline]:
            self.put(target, self._withheld[target], touched)

    def is_fresh(self, target: Target, now: float, *, at: datetime) -> bool:
        """As of :meth:`Arrivals.is_fresh`."""
        return self._arrivals.is_fresh(target, self.get(target), now, at=at)

    def forget_arrivals(self, now: float) -> None:
        """Forget which states arrived before those that may be fresh. :param now: monotonic seconds."""
        self._arrivals.forget_old(now)

    def partition_of_run(self, pipeline: PipelineRef, run_id: str) -> str | None:
        """The partition of a run, if its state is there, or was since somebody asked about the pipeline."""
        self.index_runs((pipeline,))
        return self._runs.get(pipeline, run_id)

    def index_runs(self, pipelines: Iterable[PipelineRef]) -> None:
        """Prepare for questions about the runs of these pipelines: all states are looked through once."""
        self._runs.follow(pipelines, self)

    def _remove(self, target: Target) -> None:
        before = self.pop(target, None)
        if before is None:
            return
        if type(before.value) is RunState:
            self._runs.delete(target, before.value)
        elif is_asset(target.pipeline):
            self.produced.exchange(target, before, None)
        self.events.pop(target, None)

    def _has_expired(self, target: Target, state: RunState | Unreadable) -> bool:
        watermark = self._watermarks.get(target.pipeline)
        return watermark is not None and isinstance(state, RunState) and watermark.has_expired(state)

    def _note_unseen(self, target: Target, state: RunState | Unreadable) -> None:
        if isinstance(state, TaskState) and (state.missing or state.refused):
            self.unseen_tasks.add(target)
        else:
            self.unseen_tasks.discard(target)
