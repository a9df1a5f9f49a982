"""The items of a pipeline that fans out, each as far as a person needs to see it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from coordinator.model.explanation.words import LISTED, state_of, when_in_words
from coordinator.model.items.whole import rows_of
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.references import Target
from coordinator.model.view import Readiness, readable_record, readable_state

_GOES_ON = {Readiness.BUSY: "is due", Readiness.STUCK: "cannot go on by itself"}


@dataclass(frozen=True, slots=True)
class ItemShown:
    """An item.

    :ivar state: in words.
    :ivar requests: how many runs were requested for it, or cleared.
    :ivar run_id: of its newest run; ``None``: it has none yet.
    :ivar note: why it failed or is blocked, if somebody said.
    """

    key: str
    state: str
    readiness: Readiness
    requests: int
    run_id: str | None
    note: str | None = None
    when: str = ""

    @property
    def word(self) -> str:
        """What it counts as."""
        if self.readiness is Readiness.SETTLED or self.state in ("queued", "running"):
            return self.state
        return _GOES_ON[self.readiness]

    def in_words(self) -> str:
        requests = f", {self.requests} requests" if self.requests != 1 else ""
        run = f" in run {self.run_id}" if self.run_id is not None else ""
        note = f" ({self.note})" if self.note else ""
        return f"{self.key}: {self.word}{run}{self.when}{requests}{note}"


def items_of(propagation: Propagation, whole: Target) -> tuple[ItemShown, ...]:
    """All items, in the order of the rows; none: the pipeline does not fan out, or no rows were read yet."""
    rows = rows_of(propagation, whole) if propagation.graph.fans_out(whole.pipeline) else None
    if rows is None:
        return ()
    return tuple(_item(propagation, Target(whole.pipeline.with_item(key), whole.partition)) for key in rows.by_key)


def _item(propagation: Propagation, target: Target) -> ItemShown:
    seen, record = propagation.state(target), readable_record(propagation.record(target))
    state = readable_state(seen)
    run_id = state.attempt.run_id if state is not None else None
    return ItemShown(
        key=target.pipeline.item,
        state=state_of(seen),
        readiness=propagation.readiness(target),
        requests=record.sequence if record is not None else 0,
        run_id=run_id or (record.run_id if record is not None else None),
        note=(state.note if state is not None else None) or (record.last_error if record is not None else None),
        when=when_in_words(state) if state is not None else "",
    )


def items_in_lines(items: Sequence[ItemShown]) -> Iterator[str]:
    """The counts, and those that have not succeeded, as far as there is room."""
    if not items:
        return
    counts = Counter(one.word for one in items)
    yield f"{len(items):,} items: {', '.join(f'{word} {count:,}' for word, count in counts.most_common())}"
    left = [one for one in items if one.word != "success"] or list(items)
    yield from (one.in_words() for one in left[:LISTED])
    if len(left) > LISTED:
        yield f"and {len(left) - LISTED:,} more: see them with --json"
