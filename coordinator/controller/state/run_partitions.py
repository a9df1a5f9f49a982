"""In which partitions runs are, by their run_ids: for asset events, which name their run and not its partition."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunState
from coordinator.model.view import SeenState


class RunPartitions:
    """Of the pipelines that somebody has asked about, which are few."""

    def __init__(self) -> None:
        self._of: dict[PipelineRef, dict[str, str]] = {}

    def follow(self, pipelines: Iterable[PipelineRef], states: Mapping[Target, SeenState]) -> None:
        """Know the runs of these pipelines from now on. :param states: all that there are."""
        if not (unknown := {one for one in pipelines if one not in self._of}):
            return
        for one in unknown:
            self._of[one] = {}
        for target, seen in states.items():
            if target.pipeline in unknown and isinstance(seen.value, RunState):
                self.put(target, seen.value)

    def get(self, pipeline: PipelineRef, run_id: str) -> str | None:
        return self._of[pipeline].get(run_id)

    def put(self, target: Target, state: RunState) -> None:
        if (runs := self._of.get(target.pipeline)) is None:
            return
        for attempt in (state.attempt, *state.earlier):
            if attempt.run_id is not None:
                runs[attempt.run_id] = target.partition

    def delete(self, target: Target, state: RunState) -> None:
        if (runs := self._of.get(target.pipeline)) is not None and state.attempt.run_id is not None:
            runs.pop(state.attempt.run_id, None)

    def clear(self) -> None:
        self._of.clear()
