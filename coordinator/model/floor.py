"""A pipeline's floor: the watermark that retention leaves behind (design section 5, point 7)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel, ConfigDict, ValidationError

from coordinator.model import bounds
from coordinator.model.runstate import Instant, Revision, RunState, Unreadable, too_large


@dataclass(frozen=True, slots=True)
class Floor:
    """What has been removed of a pipeline's past.

    :ivar queued_at: the greatest queued_at of a state that was removed: a state that comes back at or below it has
        expired.
    :ivar revision: the greatest input revision that a removed record had consumed: for a partition without a record
        an input at or below it is not new.
    """

    queued_at: datetime | None = None
    revision: int = 0

    def has_expired(self, state: RunState) -> bool:
        """Whether a state belongs to what was removed."""
        reported = state.attempt.queued_at
        return reported is not None and self.queued_at is not None and reported <= self.queued_at


class _FloorDocument(BaseModel):
    model_config = ConfigDict(extra="ignore")

    queued_at: Instant | None = None
    revision: Revision = 0


def dump_floor(floor: Floor) -> bytes:
    """The bytes for etcd."""
    return (
        _FloorDocument(queued_at=floor.queued_at, revision=floor.revision).model_dump_json(exclude_none=True).encode()
    )


def read_floor(value: bytes) -> Floor | Unreadable:
    """Read what stands under a ``floor/`` key. Never raises."""
    if len(value) > bounds.SMALL_VALUE:
        return too_large(value, bounds.SMALL_VALUE, "a floor")
    try:
        document = _FloorDocument.model_validate_json(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return Unreadable(f"{'.'.join(map(str, first['loc'])) or 'value'}: {first['msg']}")
    except (ValueError, OverflowError, RecursionError) as error:
        return Unreadable(f"{type(error).__name__}: {error}")
    return Floor(queued_at=document.queued_at, revision=document.revision)
