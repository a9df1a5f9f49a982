"""Lateness: when a partition that has not been started should have been."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from coordinator.model.deadline import AfterFirstInput, Deadline, TimeOfDay
from coordinator.model.judgement import JudgedInput
from coordinator.model.references import Target
from coordinator.model.runstate import RunState


def due_by(deadline: Deadline | None, target: Target, inputs: Iterable[JudgedInput]) -> datetime | None:
    """The moment from which on the partition is late; ``None``: never, as far as is known.

    A duration counts from the first new input whose report says when it was observed.
    """
    match deadline:
        case TimeOfDay():
            return deadline.for_partition(target.partition)
        case AfterFirstInput():
            arrived = [
                one.seen.value.observed_at
                for one in inputs
                if one.new
                and one.seen is not None
                and isinstance(one.seen.value, RunState)
                and one.seen.value.observed_at is not None
            ]
            return deadline.since(min(arrived)) if arrived else None
        case None:
            return None
