"""Flights: the intents that this leader is bringing to a known outcome."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from coordinator.model.trigger import TriggerRecord
from coordinator.runners.port import StartRequest


class Stage(enum.Enum):
    """What happens next with an intent.

    ``ASK``       it may have been sent: ask what became of it
    ``RETHINK``   it is known not to have happened: decide again
    ``OUT``       a request or a question is under way
    ``SETTLED``   the outcome is known and is being written down
    """

    ASK = "ask"
    RETHINK = "rethink"
    OUT = "out"
    SETTLED = "settled"


@dataclass(slots=True)
class Flight:
    """An intent on its way.

    :ivar revision: etcd revision of the record that says ``intent``.
    :ivar not_before: monotonic seconds; nothing happens before.
    :ivar failures: tries in a row that led to nothing.
    :ivar outcome: the record to be written, once the outcome is known.
    """

    record: TriggerRecord
    revision: int
    request: StartRequest
    stage: Stage
    not_before: float = 0.0
    failures: int = 0
    outcome: TriggerRecord | None = None
