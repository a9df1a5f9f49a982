"""One copy of what is the same: a million keys say few different things.

Read from JSON, every name, time and attempt is an object of its own, several hundred bytes a key. The same
pipeline, partition and run_id come again in many keys, and a record repeats the attempts of the states it
consumed. What is kept is therefore made to share them; it is all immutable, so nobody can tell.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from sys import intern

from coordinator.model.consumption import NOTHING, Consumed, Consumption, Window
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import Attempt, RunState, Unreadable
from coordinator.model.trigger import TriggerRecord
from coordinator.model.view import SeenState


class Sharing:
    """Gives equal things back as the same one.

    Texts are interned, which forgets them with their last user; pipelines are kept, there are never many.

    :param state: the present state of a target: records share its attempt.
    """

    def __init__(self, state: Callable[[Target], SeenState | None]) -> None:
        self._state = state
        self._pipelines: dict[PipelineRef, PipelineRef] = {}

    def pipeline(self, pipeline: PipelineRef) -> PipelineRef:
        return self._pipelines.setdefault(pipeline, pipeline)

    def target(self, target: Target) -> Target:
        return Target(self.pipeline(target.pipeline), intern(target.partition))

    def state(self, state: RunState | Unreadable) -> RunState | Unreadable:
        if isinstance(state, RunState):
            return RunState(state.state, _with_shared_run_id(state.attempt), state.observed_at, state.marked)
        return state

    def record(self, target: Target, record: TriggerRecord | Unreadable) -> TriggerRecord | Unreadable:
        """:param target: whose record it is."""
        if not isinstance(record, TriggerRecord):
            return record
        return replace(
            record,
            run_id=record.run_id and intern(record.run_id),
            who=intern(record.who),
            attempt=self._time(target, record.attempt),
            inputs=self._inputs(record.inputs),
            consumed=self._inputs(record.consumed),
        )

    def _inputs(self, inputs: Consumption) -> Consumption:
        if not len(inputs):
            return NOTHING
        return Consumption(
            {self.target(target): self._consumed(target, consumed) for target, consumed in inputs.named.items()},
            {
                self.pipeline(pipeline): Window(
                    window.revision, {intern(partition): one for partition, one in window.fingerprints.items()}
                )
                for pipeline, window in inputs.windows.items()
            },
        )

    def _consumed(self, target: Target, consumed: Consumed) -> Consumed:
        seen = self._state(target)
        if seen is None or not isinstance(seen.value, RunState) or seen.value.attempt != consumed.attempt:
            return replace(consumed, attempt=_with_shared_run_id(consumed.attempt))
        revision = seen.revision if seen.revision == consumed.revision else consumed.revision
        return replace(consumed, revision=revision, attempt=seen.value.attempt)

    def _time(self, target: Target, queued_at: datetime | None) -> datetime | None:
        seen = self._state(target)
        known = seen.value.attempt if seen is not None and isinstance(seen.value, RunState) else Attempt()
        return known.queued_at if known.queued_at == queued_at else queued_at


def _with_shared_run_id(attempt: Attempt) -> Attempt:
    return attempt if attempt.run_id is None else Attempt(intern(attempt.run_id), attempt.queued_at, attempt.number)
