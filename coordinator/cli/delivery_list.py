"""The deliveries of asset events that ``assets list`` shows, and ``assets replay`` tries again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coordinator.cli.output import people, roughly, say, table
from coordinator.model.assets.events import AssetState
from coordinator.model.assets.names import is_delivery, source_of
from coordinator.model.decide import Obstacle
from coordinator.model.durations import age_of
from coordinator.model.phrases import counted
from coordinator.model.trigger import Status, TriggerRecord
from coordinator.model.view import readable_record

if TYPE_CHECKING:
    from datetime import datetime

    from coordinator.model.references import Target
    from coordinator.reading.reading import Reading

WAITING = "waiting"
_OVER = (Status.DONE, Status.WITHDRAWN)


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event on its way to one consumer.

    :ivar event: the event; ``None``: it is not in etcd any more.
    :ivar status: that of its record, or :data:`WAITING`.
    :ivar reason: what the consumer last said, or what holds it up.
    """

    target: Target
    event_id: str
    event: AssetState | None
    status: str
    reason: str = ""

    @property
    def is_parked(self) -> bool:
        return self.status == Status.BLOCKED


def deliveries_in(reading: Reading, *, consumer: str | None = None, all_: bool = False) -> list[Delivery]:
    """The deliveries that are due or have begun, oldest first. :param all_: also those that are over."""
    cache = reading.cache
    targets = {*reading.propagation.unsettled(), *cache.recorded()}
    found = (_delivery_of(reading, target) for target in targets if is_delivery(target.pipeline))
    return sorted(
        (
            one
            for one in found
            if all_ or one.status not in _OVER
            if consumer is None or one.target.pipeline.environment == consumer
        ),
        key=lambda one: (one.event_id, one.target),
    )


def _delivery_of(reading: Reading, target: Target) -> Delivery:
    decision = reading.propagation.decide(target)
    record = readable_record(reading.cache.record(target))
    events = {one: used.revision for one, used in decision.inputs.items()} or _recorded(record)
    newest = max(events, key=lambda one: events[one], default=None)
    seen = reading.cache.state(newest) if newest is not None else None
    event = seen.value if seen is not None and isinstance(seen.value, AssetState) else None
    status = str(record.status) if record is not None else WAITING
    if decision.due and status in _OVER:
        status = WAITING
    reasons = [str(one) for one in sorted(decision.obstacles - {Obstacle.BLOCKED, Obstacle.IN_FLIGHT})]
    if record is not None and record.last_error:
        reasons.insert(0, record.last_error)
    return Delivery(target, newest.partition if newest else target.partition, event, status, "; ".join(reasons))


def _recorded(record: TriggerRecord | None) -> dict[Target, int]:
    if record is None:
        return {}
    return {one: used.revision for one, used in (record.inputs.named or record.consumed.named).items()}


def as_json(one: Delivery, now: datetime) -> dict[str, Any]:
    """A delivery for programs."""
    document = one.event.document() if one.event is not None else None
    return {
        "event": one.event_id,
        "pipeline": str(one.target.pipeline),
        "partition": one.target.partition,
        "from": source_of(one.target.pipeline),
        "to": one.target.pipeline.environment,
        "uri": document.uri if document is not None else None,
        "dag_id": document.dag_id if document is not None else None,
        "run_id": document.run_id if document is not None else None,
        "age": age_of(document.timestamp, now) if document is not None else None,
        "status": one.status,
        "says": one.reason,
        "remedies": [*_remedies(one)],
    }


def _remedies(one: Delivery) -> Iterator[str]:
    if one.is_parked:
        yield f"coordinator assets replay {one.event_id}"


def show(found: Iterable[Delivery], now: datetime) -> None:
    """For people."""
    rows = []
    for one in found:
        said = as_json(one, now)
        age = roughly(said["age"]) if said["age"] is not None else ""
        rows.append((said["event"], said["uri"] or "?", said["from"], said["to"], said["status"], age, said["says"]))
    people().print(table("event", "uri", "from", "to", "status", "age", "why", rows=rows))
    say(counted(len(rows), "event"))
