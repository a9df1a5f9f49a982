"""Reading an entry: a pipeline with what it waits for, and how it is started then."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from coordinator.model.conditions import Condition, leaves
from coordinator.model.dependencies import MOST_RETRIES, Catchup, Downstream, OnLate, Rerun, Settle
from coordinator.model.documents.conditions import CONDITION_FIELDS, ConditionReader
from coordinator.model.documents.cycles import Edges
from coordinator.model.documents.deadlines import DeadlineReader
from coordinator.model.documents.fields import FieldReader
from coordinator.model.documents.findings import Cursor, Findings
from coordinator.model.documents.forms import ENTRY
from coordinator.model.documents.items import ItemsReader
from coordinator.model.documents.json_text import Members
from coordinator.model.documents.templates import refuse_templates
from coordinator.model.references import PipelineRef

RESERVED_CONF = "coordinator"
"""The member of a run's conf in which the coordinator says what the run is for (docs/architecture.md#request)."""

ITEM_CONF = "item"
"""The member of the conf of the run of an item that has its row."""


OF_OUR_RUNS = ("retries", "retry_delay", "timeout")
"""The fields about attempts of runs that the coordinator starts."""


class EntryReader:
    """Reads entries.

    :param in_force: a template in a ``conf`` is no reason to refuse it.
    :ivar fan_out: the ``items`` of each pipeline that has some.
    """

    def __init__(self, findings: Findings, fields: FieldReader, *, in_force: bool) -> None:
        self._findings = findings
        self._fields = fields
        self._in_force = in_force
        self._conditions = ConditionReader(findings, fields)
        self._deadlines = DeadlineReader(findings, fields)
        self._items = ItemsReader(findings, fields)
        self.fan_out: dict[PipelineRef, Cursor] = {}

    @property
    def edges(self) -> Edges:
        """Who waits for whom, of all entries so far, also of those that could not be read."""
        return self._conditions.edges

    def read(self, cursor: Cursor, pipeline: PipelineRef | None) -> Downstream | None:
        """An entry; ``None`` when it could not be read.

        :param pipeline: whose it is; ``None`` when its name could not be read.
        """
        settings: Mapping[str, Any] = {}
        if isinstance(cursor.value, Members):
            fields = self._fields.members(cursor, "an object")
            bare = self._bare(fields)
            self._fields.refuse_unknown(fields, known=(*ENTRY.names, *bare))
            settings = self._settings(fields, pipeline)
            if bare:
                self._conditions.read_fields(cursor, bare, pipeline)
                return None
            if "upstream" not in fields:
                self._findings.add(cursor, "'upstream' is missing", "say what the pipeline waits for")
                for name in filter(fields.__contains__, OF_OUR_RUNS):
                    reason = f"{name!r} without 'upstream': it is about runs that the coordinator starts"
                    self._findings.add(fields[name].at_key(), reason, "say it in the DAG itself")
                return None
            cursor = fields["upstream"]
        condition = self._condition(cursor, pipeline)
        return None if condition is None or pipeline is None else Downstream(pipeline, condition, **settings)

    def _bare(self, fields: Mapping[str, Cursor]) -> Mapping[str, Cursor]:
        """Fields of a condition that stand in the entry itself, for want of an ``upstream``."""
        if "upstream" in fields:
            return {}
        bare = {name: member for name, member in fields.items() if name in CONDITION_FIELDS}
        if bare:
            first = next(iter(bare.values()))
            reason = f"{first.name!r} belongs to a condition, and a condition under 'upstream'"
            self._findings.add(first.at_key(), reason, 'write {"upstream": {...}}')
        return bare

    def _settings(self, fields: Mapping[str, Cursor], pipeline: PipelineRef | None) -> Mapping[str, Any]:
        """How the pipeline is started: the other fields of the entry."""
        if "on_late" in fields and "deadline" not in fields:
            self._findings.add(fields["on_late"].at_key(), "'on_late' without a 'deadline'", "say when it is late")
        limit = fields.get("max_in_flight")
        deadline = fields.get("deadline")
        items = fields.get("items")
        if items is not None and pipeline is not None:
            self.fan_out[pipeline] = items
        return {
            "rerun": self._fields.choice(fields.get("rerun"), Rerun.CLEAR),
            "settle": self._fields.choice(fields.get("settle"), Settle.WAVE),
            "catchup": self._fields.choice(fields.get("catchup"), Catchup.ALL),
            "max_in_flight": None if limit is None else self._fields.whole_number(limit, least=1),
            "deadline": None if deadline is None else self._deadlines.read(deadline),
            "on_late": self._fields.choice(fields.get("on_late"), OnLate.SHOW),
            **self._attempts(fields),
            "conf": self._conf(fields.get("conf"), has_items=items is not None),
            "items": None if items is None else self._items.read(items, fields.get("conf")),
        }

    def _attempts(self, fields: Mapping[str, Cursor]) -> Mapping[str, Any]:
        """How often a run is started again, and how long an attempt may take."""
        retries, delay, timeout = (fields.get(name) for name in OF_OUR_RUNS)
        if delay is not None and retries is None:
            self._findings.add(delay.at_key(), "'retry_delay' without 'retries'", "say how often it is started again")
        return {
            "retries": (self._fields.whole_number(retries, least=0, most=MOST_RETRIES) or 0)
            if retries is not None
            else 0,
            "retry_delay": (self._fields.duration(delay) if delay is not None else None) or timedelta(0),
            "timeout": self._fields.duration(timeout) if timeout is not None else None,
        }

    def _condition(self, cursor: Cursor, pipeline: PipelineRef | None) -> Condition | None:
        condition = self._conditions.read(cursor, pipeline)
        if condition is not None and not any(dependency.trigger for dependency in leaves(condition)):
            reason = "nothing would ever start the pipeline: each of its dependencies is a gate ('trigger': false)"
            self._findings.add(cursor, reason, "let one of them trigger")
        return condition

    def _conf(self, cursor: Cursor | None, *, has_items: bool) -> Mapping[str, Any]:
        if cursor is None:
            return {}
        if not isinstance(cursor.value, Members):
            self._findings.expected(cursor, "an object")
            return {}
        for member in cursor.members():
            if member.name == RESERVED_CONF:
                self._findings.add(member.at_key(), f"{RESERVED_CONF!r} is the coordinator's own place", "rename it")
            if member.name == ITEM_CONF and has_items:
                self._findings.add(member.at_key(), f"{ITEM_CONF!r} is the place of the row", "rename it")
        if not self._in_force:
            refuse_templates(self._findings, cursor)
        conf: Mapping[str, Any] = self._fields.plain(cursor)
        return conf
