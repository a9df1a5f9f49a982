"""A hold: a person's word that a pipeline is not to be started for now (design section 3, ``hold/``)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel, ConfigDict, ValidationError

from coordinator.model import bounds
from coordinator.model.runstate import Instant, Unreadable, too_large


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a pipeline is held, by whom and since when; empty where the writer did not say."""

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
    """Read what stands under a ``hold/`` key. Never raises.

    The key alone holds the pipeline: an unreadable value still holds it, for whoever wrote it wanted it held.
    """
    if len(value) > bounds.SMALL_VALUE:
        return too_large(value, bounds.SMALL_VALUE, "a hold")
    try:
        document = _HoldDocument.model_validate_json(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return Unreadable(f"{'.'.join(map(str, first['loc'])) or 'value'}: {first['msg']}")
    except (ValueError, OverflowError, RecursionError) as error:
        return Unreadable(f"{type(error).__name__}: {error}")
    return Hold(why=document.why, who=document.who, since=document.since)
