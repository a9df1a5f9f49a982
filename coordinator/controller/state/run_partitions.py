"""In which partitions runs are, by their run_ids: for asset events, which name their run and not its partition."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunState
from coordinator.model.view import SeenState


class _Run(NamedTuple):
    """:ivar began: the ``queued_at`` of an attempt of it; ``None``: it is unknown."""

    partition: str
    began: datetime | None


class RunPartitions:
    """Of the pipelines that somebody has asked about, which are few. Where a run_id was used again, after its run was
    deleted, the run that began later counts, or the one that was told of later."""

    def __init__(self) -> None:
        self._of: dict[PipelineRef, dict[str, _Run]] = {}

    def follow(self, pipelines: Iterable[PipelineRef], states: Mapping[Target, SeenState]) -> None:
        """Know the runs of these pipelines from now on. :param states: all that there are."""
        if not (unknown := {one for one in pipelines if one not in self._of}):
            return
        for one in unknown:
            self._of[one] = {}
        found = [(seen.revision, target, seen.value) for target, seen in states.items() if target.pipeline in unknown]
        for _, target, state in sorted(found, key=lambda one: one[0]):
            if isinstance(state, RunState):
                self.put(target, state)

    def get(self, pipeline: PipelineRef, run_id: str) -> str | None:
        known = self._of[pipeline].get(run_id)
        return known.partition if known is not None else None

    def put(self, target: Target, state: RunState) -> None:
        if (runs := self._of.get(target.pipeline)) is None:
            return
        for attempt in (state.attempt, *state.earlier):
            if attempt.run_id is None:
                continue
            known, began = runs.get(attempt.run_id), attempt.queued_at
            if known is None or known.began is None or began is None or known.began <= began:
                runs[attempt.run_id] = _Run(target.partition, began)

    def delete(self, target: Target, state: RunState) -> None:
        runs, run_id = self._of.get(target.pipeline), state.attempt.run_id
        if runs and run_id is not None and run_id in runs and runs[run_id].partition == target.partition:
            del runs[run_id]

    def clear(self) -> None:
        self._of.clear()
