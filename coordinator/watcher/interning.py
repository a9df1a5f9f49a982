"""Interning: one copy of what is the same, for a million keys say few different things.

Read from JSON, every name, time and attempt is an object of its own, several hundred bytes a key. The same
pipeline, partition and run_id come again in many keys, and a record repeats the attempts of the states it
consumed. What is kept is therefore made to share them; it is all immutable, so nobody can tell.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Generic, TypeVar

from msgspec.structs import replace

from coordinator.model.consumption import Consumed, Consumption, Window
from coordinator.model.consumption_document import InputDocument, Named, load_named, load_pipeline
from coordinator.model.references import PipelineRef, Target, target_of
from coordinator.model.runstate import Attempt, RunState, Unreadable
from coordinator.model.trigger import TriggerRecord, read_record
from coordinator.model.view import SeenState

RECENT = 1 << 16
"""Values of a kind that are remembered. A listing names a pipeline's partitions one after the other, so what comes
again comes again soon: 65,536 are seven years of hours, and about 8 MB of texts."""

T = TypeVar("T", bound="str | PipelineRef")


class Recent(Generic[T]):
    """Gives a value back as the equal one that was seen first, if that is not long ago.

    ``sys.intern`` would do for texts, but since CPython 3.12 it may keep them for ever. This keeps between ``most``
    and twice as many: a generation is dropped when the next one is full, and what is asked for goes into the newest.
    """

    __slots__ = ("_most", "_newest", "_older")

    def __init__(self, most: int = RECENT) -> None:
        self._most = most
        self._newest: dict[T, T] = {}
        self._older: dict[T, T] = {}

    def __call__(self, value: T) -> T:
        if (known := self._newest.get(value)) is not None:
            return known
        if len(self._newest) >= self._most:
            self._older, self._newest = self._newest, {}
        known = self._newest[value] = self._older.get(value, value)
        return known


class Interning:
    """Gives equal things back as the same one.

    :param state: the present state of a target: records share its attempt.
    :param recent: how many texts, at least, are remembered to be shared.
    """

    def __init__(self, state: Callable[[Target], SeenState | None], *, recent: int = RECENT) -> None:
        self._state = state
        self._pipeline: Recent[PipelineRef] = Recent(recent)
        self._text: Recent[str] = Recent(recent)

    def target(self, target: Target) -> Target:
        return target_of((self._pipeline(target.pipeline), self._text(target.partition)))

    def state(self, state: RunState | Unreadable) -> RunState | Unreadable:
        if isinstance(state, RunState):
            return RunState(state.state, self._attempt(state.attempt), state.observed_at, state.marked)
        return state

    def record(self, target: Target, value: bytes) -> TriggerRecord | Unreadable:
        """Read a trigger record. :param target: whose it is."""
        record = read_record(value, self._named)
        if not isinstance(record, TriggerRecord):
            return record
        inputs = self._with_shared_names(record.inputs)
        return replace(
            record,
            run_id=None if record.run_id is None else self._text(record.run_id),
            who=self._text(record.who),
            attempt=self._time(target, record.attempt),
            inputs=inputs,
            consumed=inputs if record.consumed is record.inputs else self._with_shared_names(record.consumed),
        )

    def _named(self, one: InputDocument) -> Named:
        """A completion of a record. The attempt of a state that still stands there is not made anew, but shared."""
        target = target_of((self._pipeline(load_pipeline(one.pipeline)), self._text(one.partition)))
        seen = self._state(target)
        if seen is not None and isinstance(seen.value, RunState):
            known = seen.value.attempt
            if known.run_id == one.run_id and known.queued_at == one.queued_at and known.number == one.attempt:
                revision = seen.revision if seen.revision == one.revision else one.revision  # of both the same object
                return target, Consumed(revision, known, one.state, one.as_newest)
        _, consumed = load_named(one)
        return target, Consumed(consumed.revision, self._attempt(consumed.attempt), one.state, one.as_newest)

    def _with_shared_names(self, inputs: Consumption) -> Consumption:
        if not inputs.windows:
            return inputs
        return Consumption(
            inputs.named,
            {
                self._pipeline(pipeline): Window(
                    window.revision, {self._text(partition): one for partition, one in window.fingerprints.items()}
                )
                for pipeline, window in inputs.windows.items()
            },
        )

    def _time(self, target: Target, queued_at: datetime | None) -> datetime | None:
        seen = self._state(target)
        known = seen.value.attempt if seen is not None and isinstance(seen.value, RunState) else Attempt()
        return known.queued_at if known.queued_at == queued_at else queued_at

    def _attempt(self, attempt: Attempt) -> Attempt:
        if attempt.run_id is None:
            return attempt
        return Attempt(self._text(attempt.run_id), attempt.queued_at, attempt.number)
