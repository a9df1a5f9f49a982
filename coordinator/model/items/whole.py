"""The pipeline that fans out, as a whole: what becomes of it follows from its items. Pure.

It has ended when all its items have. The leader writes its state, as it writes that of assets. Its completion is
another one whenever an item has completed again: its run_id is made of a digest of the completions of the items.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from hashlib import blake2b

import msgspec

from coordinator.model.dependencies import OnEmpty
from coordinator.model.items.rows import Rows
from coordinator.model.references import Target
from coordinator.model.runstate import Attempt, RunState, State
from coordinator.model.view import Facts, Readiness, SeenState, readable_record, readable_state

NAMED = 3
"""Failed items that the note of a failure names."""

_BITS = (1 << 64) - 1

_OF_ITEMS = "items-"
"""What the run_id begins with that stands for the runs of all items, with a digest of their completions."""


def is_of_items(attempt: Attempt) -> bool:
    """Whether it stands for the runs of the items of a pipeline, which has none of its own."""
    return attempt.run_id is not None and attempt.run_id.startswith(_OF_ITEMS)


def rows_of(facts: Facts, whole: Target) -> Rows | None:
    """The rows of a pipeline in a partition; ``None``: it has not been started there."""
    record = readable_record(facts.record(whole))
    return record.rows if record is not None else None


def whole_of(item: Target) -> Target:
    """The pipeline of which a target is an item, in its partition."""
    return Target(item.pipeline.fanned_out, item.partition)


def row_of(facts: Facts, item: Target) -> bytes | None:
    """The row of an item as JSON; ``None``: the rows do not name it (any more)."""
    rows = rows_of(facts, whole_of(item))
    return rows.by_key.get(item.pipeline.item) if rows is not None else None


class Standing(msgspec.Struct, frozen=True):
    """How the items of a pipeline stand in a partition.

    :ivar state: the state that follows for the whole; ``None``: it has none.
    """

    items: int
    busy: int
    stuck: int
    failed: int
    state: RunState | None

    def is_written(self, seen: SeenState | None) -> bool:
        """Whether the state of the whole says so already."""
        if self.state is None or seen is None:
            return self.state is None and seen is None
        present = readable_state(seen)
        return (
            present is not None
            and present.state is self.state.state
            and present.attempt == self.state.attempt
            and not present.marked
        )


class _Item(msgspec.Struct, gc=False):
    readiness: Readiness
    succeeded: bool
    digest: int


class ItemTally:
    """The items of one pipeline in one partition, counted. A change of one item is counted alone.

    :param readiness: of a target.
    """

    def __init__(self, whole: Target, rows: Rows, facts: Facts, readiness: Callable[[Target], Readiness]) -> None:
        self.token = rows.token
        self._whole = whole
        self._rows = rows
        self._facts = facts
        self._readiness = readiness
        self._items: dict[str, _Item] = {}
        self._counts = dict.fromkeys(Readiness, 0)
        self._failed: set[str] = set()
        self._digest = _digest(rows.token)
        for key in rows.by_key:
            self.moved(key)

    def moved(self, key: str) -> None:
        """The state or the readiness of an item has changed."""
        if key not in self._rows.by_key:
            return
        before = self._items.get(key)
        if before is not None:
            self._counts[before.readiness] -= 1
            self._digest -= before.digest
        target = Target(self._whole.pipeline.with_item(key), self._whole.partition)
        seen, readiness = self._facts.state(target), self._readiness(target)
        state = readable_state(seen)
        succeeded = state is not None and state.state is State.SUCCESS
        digest = _digest(f"{key} {_completion(seen)}") if state is not None else 0
        self._items[key] = _Item(readiness, succeeded, digest)
        self._counts[readiness] += 1
        self._digest += digest
        (self._failed.discard if succeeded else self._failed.add)(key)

    def standing(self) -> Standing:
        busy, stuck = self._counts[Readiness.BUSY], self._counts[Readiness.STUCK]
        return Standing(len(self._rows.by_key), busy, stuck, len(self._failed), self._state(busy + stuck))

    def _state(self, unsettled: int) -> RunState | None:
        if unsettled:
            return RunState(State.RUNNING)
        attempt = Attempt(f"{_OF_ITEMS}{self._digest & _BITS:016x}", None, 1)
        if not self._rows.by_key:
            match self._rows.on_empty:
                case OnEmpty.SUCCESS:
                    return RunState(State.SUCCESS, attempt)
                case OnEmpty.SKIP:
                    return None
            return RunState(State.FAILED, attempt, note=f"{self._rows.source} has no rows")
        if not self._failed:
            return RunState(State.SUCCESS, attempt)
        named = heapq.nsmallest(NAMED, self._failed)
        more = ", ..." if len(self._failed) > NAMED else ""
        count = f"{len(self._failed)} of {len(self._rows.by_key)} items have not succeeded"
        return RunState(State.FAILED, attempt, note=f"{count}: {', '.join(named)}{more}")


def _completion(seen: SeenState | None) -> str:
    """What tells a completion of an item from others."""
    assert seen is not None
    state = seen.value
    assert isinstance(state, RunState)
    attempt = state.attempt
    if attempt.queued_at is not None:
        identity: object = attempt.queued_at.timestamp()
    else:
        identity = attempt.number if attempt.number is not None else f"revision {seen.revision}"
    return f"{attempt.run_id!r} {identity!r} {state.state.value}"


def _digest(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest())


class ItemTallies:
    """The tallies of the pipelines that fan out, while their items move. One at rest is counted again when one does.

    :param readiness: of a target.
    """

    def __init__(self, facts: Facts, readiness: Callable[[Target], Readiness]) -> None:
        self._facts = facts
        self._readiness = readiness
        self._by_whole: dict[Target, ItemTally] = {}

    def standing(self, whole: Target) -> Standing | None:
        """How the items stand; ``None``: no rows were read yet."""
        rows = rows_of(self._facts, whole)
        if rows is None:
            self._by_whole.pop(whole, None)
            return None
        tally = self._by_whole.get(whole)
        if tally is None or tally.token != rows.token:
            tally = self._by_whole[whole] = ItemTally(whole, rows, self._facts, self._readiness)
        return tally.standing()

    def moved(self, item: Target) -> None:
        """An item has been decided about: its state, or its readiness, may have changed."""
        if self._by_whole and (tally := self._by_whole.get(whole_of(item))) is not None:
            tally.moved(item.pipeline.item)

    def drop(self, whole: Target) -> None:
        """It is at rest."""
        self._by_whole.pop(whole, None)
