"""Interning: one copy of equal values, because a million keys have few different ones.

Read from JSON, every name, time and attempt is an object of its own, several hundred bytes a key. The same pipeline,
partition and run_id occur in many keys, and a record repeats the attempts of the states that it consumed. The values
in the cache therefore share them. All of them are immutable.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from msgspec.structs import replace

from coordinator.model.consumption import Consumed, Consumption, Window
from coordinator.model.consumption_document import InputDocument, Named, load_named, load_pipeline, spelling_of
from coordinator.model.references import PipelineRef, Target, target_of
from coordinator.model.runstate import Attempt, RunState, Unreadable
from coordinator.model.trigger import TriggerRecord, read_record
from coordinator.model.view import SeenState
from coordinator.store.keys import Keys, ParsedKey, StateKey, TriggerKey

_Beginning = tuple[type[StateKey | TriggerKey], PipelineRef]

RECENT = 1 << 16
"""Values of a kind that are remembered. A listing names a pipeline's partitions one after the other, so repetitions
come soon: 65,536 are seven years of hours, and about 8 MB of texts."""

USUAL = 128
"""Bytes of memory that the text of a usual name takes. A longer one takes the room of several."""

K = TypeVar("K", bound=str | tuple[str, ...])
V = TypeVar("V")


class Recent(dict[K, V]):
    """A bounded cache: ``recent[key]`` makes the value of a key if it is not there, or was dropped.

    ``sys.intern`` would serve for texts, but since CPython 3.12 it may keep them for ever. This keeps between ``most``
    and twice as many values, in two generations: the older one is dropped when the newer one is full, and a value that
    is asked for goes into the newer one. Long texts count as several, so that many of them do not fill the memory.

    :param make: makes the value of a key; a result of ``None`` is not kept.
    """

    __slots__ = ("_make", "_most", "_older", "_room")

    def __init__(self, make: Callable[[K], V], most: int = RECENT) -> None:
        super().__init__()
        self._make = make
        self._most = self._room = most
        self._older: dict[K, V] = {}

    def __missing__(self, key: K) -> V:
        if self._room <= 0:
            self._older = dict(self)
            self.clear()
            self._room = self._most
        made = self._older.get(key)
        if made is None:
            made = self._make(key)
        if made is not None:
            self[key] = made
            self._room -= _room_of(key)
        return made


def _room_of(key: str | tuple[str, ...]) -> int:
    size = sys.getsizeof(key) if isinstance(key, str) else sum(map(sys.getsizeof, key))
    return -(-size // USUAL)


class Interning:
    """Returns one object for equal values.

    :param state: returns the present state of a target: records share its attempt.
    :param recent: how many texts, at least, are remembered.
    """

    def __init__(self, keys: Keys, state: Callable[[Target], SeenState | None], *, recent: int = RECENT) -> None:
        self._keys = keys
        self._state = state
        self._text: Recent[str, str] = Recent(str, recent)
        self._pipeline: Recent[PipelineRef, PipelineRef] = Recent(PipelineRef._make, recent)
        self._written: Recent[str, PipelineRef] = Recent(self._read_pipeline, recent)
        self._beginnings: Recent[str, _Beginning | None] = Recent(self._read_beginning, recent)
        self._segments: Recent[str, str | None] = Recent(self._read_segment, recent)

    def parse(self, key: str) -> ParsedKey | None:
        """The meaning of a key, as of :meth:`Keys.parse`, made of shared parts.

        A listing names few pipelines and few partitions, each in many keys.
        """
        beginning, _, segment = key.rpartition("/")
        found = self._beginnings[beginning]
        if found is None:
            return self._keys.parse(key)
        partition = self._segments[segment]
        if partition is None:
            return None
        kind, pipeline = found
        return kind(target_of((pipeline, partition)))

    def state(self, state: RunState | Unreadable) -> RunState | Unreadable:
        if type(state) is RunState:  # those of tasks and of asset events say more
            attempt = self._attempt(state.attempt)
            return replace(state, attempt=attempt)
        return state

    def record(self, target: Target, value: bytes) -> TriggerRecord | Unreadable:
        """Read a trigger record. :param target: whose it is."""
        record = read_record(value, self._named)
        if not isinstance(record, TriggerRecord):
            return record
        inputs = self._with_shared_names(record.inputs)
        return replace(
            record,
            run_id=None if record.run_id is None else self._text[record.run_id],
            who=self._text[record.who],
            attempt=self._time(target, record.attempt),
            inputs=inputs,
            consumed=inputs if record.consumed is record.inputs else self._with_shared_names(record.consumed),
        )

    def _named(self, one: InputDocument) -> Named:
        """A completion of a record. If the state is still present, its attempt is shared."""
        target = target_of((self._written[spelling_of(one)], self._text[one.partition]))
        seen = self._state(target)
        if seen is not None and isinstance(seen.value, RunState):
            known = seen.value.attempt
            if known.run_id == one.run_id and known.queued_at == one.queued_at and known.number == one.attempt:
                revision = seen.revision if seen.revision == one.revision else one.revision  # share the object
                return target, Consumed(revision, known, one.state, one.as_newest)
        _, consumed = load_named(one)
        return target, Consumed(consumed.revision, self._attempt(consumed.attempt), one.state, one.as_newest)

    def _with_shared_names(self, inputs: Consumption) -> Consumption:
        if not inputs.windows:
            return inputs
        return Consumption(
            inputs.named,
            {
                self._pipeline[pipeline]: Window(
                    window.revision, {self._text[partition]: one for partition, one in window.fingerprints.items()}
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
        return Attempt(self._text[attempt.run_id], attempt.queued_at, attempt.number)

    def _read_pipeline(self, text: str) -> PipelineRef:
        return self._pipeline[load_pipeline(text)]

    def _read_beginning(self, beginning: str) -> _Beginning | None:
        """The kind and pipeline of the keys that begin so; ``None``: they are neither states nor records."""
        parsed = self._keys.parse(f"{beginning}/any")
        if isinstance(parsed, StateKey | TriggerKey) and not parsed.target.pipeline.task:  # whose key ends otherwise
            return type(parsed), self._pipeline[parsed.target.pipeline]
        return None

    def _read_segment(self, segment: str) -> str | None:
        """The partition that the last segment of a key names; ``None``: the segment is not a valid spelling."""
        parsed = self._keys.parse(f"{self._keys.every('state')}any/any/{segment}")
        return self._text[parsed.target.partition] if isinstance(parsed, StateKey) else None
