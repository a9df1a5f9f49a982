"""Reading ``items``: the rows over which a pipeline fans out."""

from __future__ import annotations

from collections.abc import Mapping

from coordinator.model import bounds
from coordinator.model.conditions import leaves
from coordinator.model.dependencies import Downstream, Items, OnEmpty
from coordinator.model.documents.fields import FieldReader
from coordinator.model.documents.findings import Cursor, Findings
from coordinator.model.documents.forms import ITEMS
from coordinator.model.documents.json_text import Members
from coordinator.model.items.reading import BadRows, checked_rows
from coordinator.model.references import PipelineRef

CONF = "conf."
"""What the name of a member of the conf begins with."""

_FROM = "'conf.<member>' or {\"file\": <name of a source>}"


class ItemsReader:
    """Reads ``items`` of entries."""

    def __init__(self, findings: Findings, fields: FieldReader) -> None:
        self._findings = findings
        self._fields = fields

    def read(self, cursor: Cursor, conf: Cursor | None) -> Items | None:
        """:param conf: of the entry."""
        if not isinstance(cursor.value, Members):
            self._findings.expected(cursor, "an object")
            return None
        fields = self._fields.members(cursor, "an object")
        self._fields.refuse_unknown(fields, known=ITEMS.names, of="'items'")
        if not self._fields.require(cursor, fields, ITEMS.required):
            return None
        key = self._fields.name(fields["key"], "the name of a member", most=bounds.PATTERN)
        source = self._source(fields["from"])
        if key is None or source is None:
            return None
        items = Items(key, on_empty=self._fields.choice(fields.get("on_empty"), OnEmpty.FAIL), **source)
        if items.conf:
            self._check_rows(fields["from"], conf, items)
        return items

    def _source(self, cursor: Cursor) -> dict[str, str] | None:
        if isinstance(cursor.value, str) and cursor.value.startswith(CONF) and len(cursor.value) > len(CONF):
            return {"conf": cursor.value.removeprefix(CONF)}
        if not isinstance(cursor.value, Members):
            self._findings.expected(cursor, _FROM)
            return None
        fields = self._fields.members(cursor, _FROM)
        self._fields.refuse_unknown(fields, known=("file",), of="'from'")
        if not self._fields.require(cursor, fields, ("file",)):
            return None
        name = self._fields.name(fields["file"], "the name of a source [items.<name>]", most=bounds.PATTERN)
        return None if name is None else {"file": name}

    def _check_rows(self, cursor: Cursor, conf: Cursor | None, items: Items) -> None:
        """Rows in a conf are known beforehand."""
        members = {one.name: one for one in conf.members()} if conf and isinstance(conf.value, Members) else {}
        if (rows := members.get(items.conf)) is None:
            self._findings.add(cursor, f"the entry's conf has no {items.conf!r}")
            return
        try:
            checked_rows(self._fields.plain(rows), key=items.key, source=f"conf.{items.conf}")
        except BadRows as error:
            self._findings.add(rows, str(error))


def refuse_tasks_of_items(
    findings: Findings, fan_out: Mapping[PipelineRef, Cursor], entries: Mapping[PipelineRef, Downstream]
) -> None:
    """Nobody can wait for a task of a pipeline that fans out: it has no run of its own."""
    for entry in entries.values():
        for leaf in leaves(entry.condition):
            if leaf.upstream.task and (cursor := fan_out.get(leaf.pipeline)) is not None:
                reason = (
                    f"{entry.pipeline} waits for the task {leaf.upstream.task!r} of it, and it has no run of its own"
                )
                findings.add(cursor.at_key(), reason, "let it wait for the pipeline")


def dump_items(items: Items) -> dict[str, object]:
    """The canonical JSON."""
    source: object = f"{CONF}{items.conf}" if items.conf else {"file": items.file}
    fields: dict[str, object] = {"from": source, "key": items.key}
    if items.on_empty is not OnEmpty.FAIL:
        fields["on_empty"] = str(items.on_empty)
    return fields
