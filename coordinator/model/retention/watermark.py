"""The retention watermark of a pipeline: how far its partitions were removed (docs/architecture.md#retention)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from coordinator.model import bounds
from coordinator.model.partitions.instants import parse_instant
from coordinator.model.runstate import RunState
from coordinator.model.stored import Instant, Revision, Unreadable, read_stored


@dataclass(frozen=True, slots=True)
class Watermark:
    """How far a pipeline's partitions were removed.

    :ivar queued_at: the greatest queued_at of a state that was removed: a state that is put again at or below it has
        expired, and is ignored.
    :ivar revision: the greatest input revision that a removed record had consumed: for a partition without a record
        an input at or below it is not new.
    """

    queued_at: datetime | None = None
    revision: int = 0

    def has_expired(self, state: RunState) -> bool:
        """Whether a state was removed before."""
        reported = state.attempt.queued_at
        return reported is not None and self.queued_at is not None and reported <= self.queued_at

    def may_have_removed(self, partition: str) -> bool:
        """Whether a partition without a state may have been removed: its time is not later than ``queued_at``. A
        partition that is no date and no date-time tells no time."""
        time = parse_instant(partition) or parse_instant(f"{partition}T00:00Z")
        return time is not None and self.queued_at is not None and time <= self.queued_at


class _WatermarkDocument(BaseModel):
    model_config = ConfigDict(extra="ignore")

    queued_at: Instant | None = None
    revision: Revision = 0


def dump_watermark(watermark: Watermark) -> bytes:
    """The bytes for etcd."""
    return (
        _WatermarkDocument(queued_at=watermark.queued_at, revision=watermark.revision)
        .model_dump_json(exclude_none=True)
        .encode()
    )


def read_watermark(value: bytes) -> Watermark | Unreadable:
    """Read the value of a ``floor/`` key. Never raises."""
    return read_stored(value, _watermark_of, most=bounds.SMALL_VALUE, what="a watermark")


def _watermark_of(value: bytes) -> Watermark:
    found = _WatermarkDocument.model_validate_json(value)
    return Watermark(queued_at=found.queued_at, revision=found.revision)
