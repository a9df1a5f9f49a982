"""What is too large to work later: refused where it stands in the file, not when a night's batch has come so far."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from typing import Final

from coordinator.model import bounds
from coordinator.model.conditions import Dependency, leaves
from coordinator.model.consumption import Consumed, Consumption
from coordinator.model.dependencies import Downstream
from coordinator.model.documents.findings import Cursor, Findings
from coordinator.model.partitions import (
    Chain,
    FixedKey,
    Latest,
    Mapping,
    Period,
    Product,
    StartOf,
    gathers,
    most_inputs,
)
from coordinator.model.partitions.instants import format_instant
from coordinator.model.references import Target
from coordinator.model.runstate import Attempt, State
from coordinator.model.trigger import Action, Status, TriggerRecord, dump_record

SMALL: Final = 500
"""Inputs whose record cannot be too large, whatever their names."""

_BEGINNING: Final = datetime(2028, 1, 1, tzinfo=UTC)

_LIKELY: Final = {Period.HOUR: 60, Period.DAY: 25, Period.WEEK: 169, Period.MONTH: 745, Period.QUARTER: 2209}
"""Partitions that ``start_of`` gathers in a period, if they are hours (of an hour: minutes). No document says."""

_HOURS_OF_A_YEAR: Final = 8784


class Sizes:
    """Checks entries.

    :param in_force: refuse nothing.
    """

    def __init__(self, findings: Findings, *, in_force: bool) -> None:
        self._findings = findings
        self._in_force = in_force

    def check(self, cursor: Cursor, entry: Downstream) -> None:
        """Note what of an entry is too large. :param cursor: of the entry."""
        if self._in_force:
            return
        self._check_names(cursor, entry)
        inputs, size = _record_of(entry)
        if size > bounds.TRIGGER_RECORD:
            reason = (
                f"{inputs} inputs, whose trigger record would have about {size} bytes; "
                f"etcd takes {bounds.ETCD_REQUEST} in a request"
            )
            self._findings.add(cursor, reason, "gather some of them in a pipeline in between, or in a shorter window")
        size = len(json.dumps(entry.conf, separators=(",", ":")))
        if size > bounds.CONF:
            reason = f"a conf of {size} bytes; expected at most {bounds.CONF}"
            self._findings.add(cursor, reason, "put it where the DAG can read it, and its address into conf")

    def _check_names(self, cursor: Cursor, entry: Downstream) -> None:
        for pipeline in dict.fromkeys((entry.pipeline, *(leaf.pipeline for leaf in leaves(entry.condition)))):
            for name, what in ((pipeline.environment, "an environment"), (pipeline.dag_id, "a dag_id")):
                if len(name) > bounds.AIRFLOW_NAME:
                    reason = f"{what} of {len(name)} characters; expected at most {bounds.AIRFLOW_NAME}, as Airflow has"
                    self._findings.add(cursor, reason)


def _record_of(entry: Downstream) -> tuple[int, int]:
    """How many inputs it has, and how many bytes the intent that uses all of them for the second time; 0: few."""
    numbers = [(leaf, _inputs_of(leaf.mapping)) for leaf in leaves(entry.condition)]
    number = sum(number for _, number in numbers)
    if number <= SMALL:
        return number, 0
    inputs = {
        Target(leaf.pipeline, format_instant(_BEGINNING + timedelta(hours=hour))): _completion(leaf, hour)
        for leaf, number in numbers
        for hour in range(number)
    }
    used = Consumption.of(inputs)
    record = TriggerRecord(
        Status.INTENT, 1, Action.CLEAR, "r" * bounds.AIRFLOW_NAME, "t" * 32, 10**12, inputs=used, consumed=used
    )
    return number, len(dump_record(record))


def _completion(leaf: Dependency, hour: int) -> Consumed:
    attempt = Attempt("coordinator__2026-11-20T00:00:00Z__1", _BEGINNING + timedelta(microseconds=hour))
    return Consumed(10**12, attempt, State.SUCCESS, isinstance(leaf.mapping, Latest | FixedKey))


def _inputs_of(mapping: Mapping) -> int:
    match mapping:
        case StartOf(period=period):
            return _LIKELY.get(period, _HOURS_OF_A_YEAR)
        case Latest() | FixedKey():
            return 2  # the one used last, and the one with the greatest revision
        case Chain(mappers) | Product(mappers) if gathers(mapping):
            return math.prod(map(_inputs_of, mappers))
        case _:
            return most_inputs(mapping)
