"""Removal candidates: the partitions of a pipeline, in the order in which retention may remove them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from coordinator.config.retention import RetentionSettings
from coordinator.controller.state.cache import Cache
from coordinator.controller.state.revision_times import RevisionTimes
from coordinator.model.order import GivenOrder
from coordinator.model.references import Target
from coordinator.model.runstate import RunState
from coordinator.model.trigger import TriggerRecord

_FIRST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class RemovalCandidate:
    """A partition, and when something last happened in it.

    :ivar queued_at: of its state: the watermark must stay below it while the state is kept.
    :ivar active: when something last happened: the latest time in the state, the record and the order; for a value
        without a time, the latest time at which it can have been written. ``None``: that may have been just now.
    :ivar place: its place in the order of removal: by queued_at, as the watermark rises, and not by the ends of the
        runs.
    """

    target: Target
    queued_at: datetime | None
    active: datetime | None
    place: tuple[bool, datetime, int, str]


def candidate_of(cache: Cache, times: RevisionTimes, target: Target) -> RemovalCandidate | None:
    """The candidate for a target; ``None``: it has no keys."""
    state, recorded, order = cache.state(target), cache.record(target), cache.order(target)
    moments: list[datetime | None] = []
    queued_at = attempt = None
    if state is not None:
        observed_at = None
        if isinstance(state.value, RunState):
            queued_at, observed_at = state.value.attempt.queued_at, state.value.observed_at
        moments.append(_latest((queued_at, observed_at)) or times.at_the_latest(state.revision))
    if recorded is not None:
        when = None
        if isinstance(recorded.value, TriggerRecord):
            attempt, when = recorded.value.attempt, recorded.value.when
        moments.append(_latest((attempt, when)) or times.at_the_latest(recorded.revision))
    if order is not None:
        given = order.value.when if isinstance(order.value, GivenOrder) else None
        moments.append(given or times.at_the_latest(order.revision))
    if not moments:
        return None
    active = None if None in moments else _latest(moments)
    at = queued_at or attempt or active
    revision = max(seen.revision for seen in (state, recorded, order) if seen is not None)
    return RemovalCandidate(target, queued_at, active, (at is None, at or _FIRST, revision, target.partition))


def in_order(candidates: Iterable[RemovalCandidate]) -> list[RemovalCandidate]:
    """Sort candidates: the first one to remove comes first."""
    return sorted(candidates, key=lambda candidate: candidate.place)


def to_go(
    candidates: Sequence[RemovalCandidate], start: int, limits: RetentionSettings, now: datetime
) -> Iterator[RemovalCandidate]:
    """The candidates that are too old or too many, up to the first one that is neither.

    :param candidates: in order; those before ``start`` are removed already.
    """
    surplus = len(candidates) - start - limits.max_partitions if limits.max_partitions is not None else 0
    for gone in range(len(candidates) - start):
        candidate = candidates[start + gone]
        age = now - candidate.active if candidate.active is not None else timedelta()
        too_old = limits.max_age is not None and age >= limits.max_age
        if age < limits.min_age or not (too_old or gone < surplus):
            return
        yield candidate


def lowest_kept(candidates: Sequence[RemovalCandidate]) -> list[datetime | None]:
    """For each place: the lowest queued_at of the states from there on, below which the watermark must stay while they
    are kept; ``None``: no state there has one. One element longer than the candidates, for the place behind the
    last."""
    lowest: list[datetime | None] = [None]
    for candidate in reversed(candidates):
        known = [at for at in (lowest[-1], candidate.queued_at) if at is not None]
        lowest.append(min(known, default=None))
    lowest.reverse()
    return lowest


def _latest(moments: Iterable[datetime | None]) -> datetime | None:
    return max((moment for moment in moments if moment is not None), default=None)
