"""Orders: a person's request for a run of a pipeline in a partition, in addition to the rule.

An order is under ``order/<environment>/<dag_id>/<partition>`` and is valid for one run: the trigger record contains the
etcd revision of the order that it has carried out, so an order is neither lost by a crash nor carried out twice.
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
    """The kind of an order.

    ``rerun``    run it once more, although nothing is new
    ``release``  let it run this time, although its rerun policy is ``hold``
    """

    RERUN = "rerun"
    RELEASE = "release"


@dataclass(frozen=True, slots=True)
class GivenOrder:
    """An order with who gave it, when and why; empty fields were not given."""

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
    """Read the value of an ``order/`` key. Never raises; an unreadable value orders nothing."""
    return read_stored(value, _order_of, most=bounds.SMALL_VALUE, what="an order")


def _order_of(value: bytes) -> GivenOrder:
    found = _OrderDocument.model_validate_json(value)
    return GivenOrder(found.order, who=found.who, when=found.when, why=found.why)
