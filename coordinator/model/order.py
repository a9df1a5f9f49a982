"""Orders: what a person asks of the coordinator about a pipeline in a partition, beside what the rule says by itself.

An order stands under ``order/<environment>/<dag_id>/<partition>`` and is good for one run: the trigger record says
which order (by its etcd revision) it has carried out, so an order is neither lost by a crash nor carried out twice.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from coordinator.model import bounds
from coordinator.model.stored import Instant, Unreadable, read_stored


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
    return read_stored(value, _order_of, most=bounds.SMALL_VALUE, what="an order")


def _order_of(value: bytes) -> GivenOrder:
    found = _OrderDocument.model_validate_json(value)
    return GivenOrder(found.order, who=found.who, when=found.when, why=found.why)
