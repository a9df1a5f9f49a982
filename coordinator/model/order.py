"""Orders: what a person asks of the coordinator about a pipeline in a partition, beside what the rule says by itself.

An order stands under ``order/<environment>/<dag_id>/<partition>`` and is good for one run: the trigger record says
which order (by its etcd revision) it has carried out, so an order is neither lost by a crash nor carried out twice.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from coordinator.model import bounds
from coordinator.model.runstate import Instant, Unreadable, too_large


class Order(enum.StrEnum):
    """What is asked for.

    ``rerun``    run it once more, although nothing is new
    ``release``  let it run this time, although its rerun policy is ``hold``
    """

    RERUN = "rerun"
    RELEASE = "release"


@dataclass(frozen=True, slots=True)
class GivenOrder:
    """An order with who gave it, when and why; empty where the writer did not say."""

    order: Order
    who: str = ""
    when: datetime | None = None
    why: str = ""


class _OrderDocument(BaseModel):
    model_config = ConfigDict(extra="ignore")

    order: Annotated[Order, Field(strict=False)]
    who: str = ""
    when: Instant | None = None
    why: str = ""


def dump_order(given: GivenOrder) -> bytes:
    """The bytes for etcd."""
    document = _OrderDocument(order=given.order, who=given.who, when=given.when, why=given.why)
    return document.model_dump_json(exclude_none=True).encode()


def read_order(value: bytes) -> GivenOrder | Unreadable:
    """Read what stands under an ``order/`` key. Never raises; what cannot be read orders nothing."""
    if len(value) > bounds.SMALL_VALUE:
        return too_large(value, bounds.SMALL_VALUE, "an order")
    try:
        document = _OrderDocument.model_validate_json(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return Unreadable(f"{'.'.join(map(str, first['loc'])) or 'value'}: {first['msg']}")
    except (ValueError, OverflowError, RecursionError) as error:
        return Unreadable(f"{type(error).__name__}: {error}")
    return GivenOrder(document.order, who=document.who, when=document.when, why=document.why)
