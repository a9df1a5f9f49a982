"""A hold: a person's decision that a pipeline is not started for now (docs/architecture.md#keys)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from coordinator.model import bounds
from coordinator.model.partitions.instants import format_instant
from coordinator.model.stored import Instant, Unreadable, read_stored


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a pipeline is held, by whom and since when; empty fields were not given."""

    why: str = ""
    who: str = ""
    since: datetime | None = None


class _HoldDocument(BaseModel):
    model_config = ConfigDict(extra="ignore")

    why: str = ""
    who: str = ""
    since: Instant | None = None


def dump_hold(hold: Hold) -> bytes:
    """The bytes for etcd."""
    return _HoldDocument(why=hold.why, who=hold.who, since=hold.since).model_dump_json(exclude_none=True).encode()


def read_hold(value: bytes) -> Hold | Unreadable:
    """Read the value of a ``hold/`` key. Never raises.

    The key alone holds the pipeline: an unreadable value still holds it, because its writer wanted it held.
    """
    return read_stored(value, _hold_of, most=bounds.SMALL_VALUE, what="a hold")


def _hold_of(value: bytes) -> Hold:
    found = _HoldDocument.model_validate_json(value)
    return Hold(why=found.why, who=found.who, since=found.since)


def hold_as_json(hold: Hold | Unreadable | None) -> dict[str, object]:
    """A hold for programs."""
    if isinstance(hold, Hold):
        return {"held": True, "why": hold.why, "who": hold.who, "since": hold.since and format_instant(hold.since)}
    return {"held": hold is not None, "why": None, "who": None, "since": None}
