"""Reading the bridges of a document: ``assets`` at the top, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from coordinator.model import bounds
from coordinator.model.assets.bridges import (
    Bridge,
    Forwarding,
    bridges_in,
    circles,
    delivered_twice,
    entries_of,
    in_words,
)
from coordinator.model.dependencies import Document, Downstream
from coordinator.model.documents.fields import FieldReader
from coordinator.model.documents.findings import Cursor, Findings, described
from coordinator.model.documents.forms import BRIDGE
from coordinator.model.documents.json_text import Members
from coordinator.model.partitions.patterns import ANY
from coordinator.model.references import DEFAULT_ENVIRONMENT, PipelineRef

ASSETS_KEY = "assets"
CIRCLE_REMEDY = (
    "take one of its environments out of 'to', or let 'match' and 'except' of one bridge leave these assets out"
)


def is_list_of_bridges(cursor: Cursor) -> bool:
    """Whether it says which asset events are handed on, and is not the entry of a pipeline of that name, as a document
    of before may have one."""
    if not isinstance(cursor.value, list):
        return False
    return all(isinstance(item, Members) and any(name == "from" for name, _ in item.pairs) for item in cursor.value)


class BridgeReader:
    """Reads bridges."""

    def __init__(self, findings: Findings, fields: FieldReader) -> None:
        self._findings = findings
        self._fields = fields

    def read(self, cursor: Cursor) -> dict[PipelineRef, Downstream]:
        """The entries that the bridges are."""
        if not isinstance(cursor.value, list):
            hint = f" (a pipeline of that name is written {DEFAULT_ENVIRONMENT}/{ASSETS_KEY})"
            self._findings.expected(cursor, "a list of bridges, each an object", hint=hint)
            return {}
        first: dict[tuple[PipelineRef, str, bool], Cursor] = {}
        places: dict[PipelineRef, Cursor] = {}
        bridges: list[Bridge] = []
        number = 0
        for item in cursor.items():
            for bridge in self._bridge(item):
                number += len(bridge.match)
                if number > bounds.BRIDGES:
                    reason = f"more than {bounds.BRIDGES} patterns, each counted for every consumer"
                    self._findings.add(item, reason, "use wider patterns, or split the document by environment")
                    return {}
                places[bridge.pipeline] = item
                for pattern in bridge.match:
                    before = first.setdefault((bridge.pipeline, pattern, bridge.explicit), item)
                    if before is not item:
                        reason = f"{described(pattern)} from {bridge.source} to {bridge.consumer} is there twice"
                        self._findings.add(item, reason, "merge the two", first=before)
                bridges.append(bridge)
        entries = entries_of(bridges)
        self._refuse_together(entries, places)
        return entries

    def _refuse_together(self, entries: Document, places: Mapping[PipelineRef, Cursor]) -> None:
        for ring in circles(entries):
            closing = max((places[step.pipeline] for step in ring), key=lambda place: place.spot)
            self._findings.add(closing, f"asset events would go in a circle: {in_words(ring)}", CIRCLE_REMEDY)
        for pipeline, one, other in delivered_twice(entries):
            reason = (
                f"{one.mapping.match} and {other.mapping.match} from {one.source} to {pipeline.environment} may be "
                'about one asset, and only one of them has "rerun": "once": its events would be handed on twice'
            )
            self._findings.add(places[other.pipeline], reason, "let 'match' and 'except' separate them")

    def _bridge(self, cursor: Cursor) -> list[Bridge]:
        """A bridge for each of its consumers; none if it could not be read."""
        if not isinstance(cursor.value, Members):
            self._findings.expected(cursor, "an object with 'from' and 'to'")
            return []
        fields = self._fields.members(cursor, "an object")
        self._fields.refuse_unknown(fields, known=BRIDGE.names, of="a bridge")
        if not self._fields.require(cursor, fields, BRIDGE.required):
            return []
        source = self._fields.environment(fields["from"])
        consumers = self._list(fields["to"], "a list of environments", self._fields.environment)
        match = self._list(fields.get("match"), "a list of patterns", self._pattern) or (ANY,)
        but = self._list(fields.get("except"), "a list of patterns", self._pattern)
        rerun = self._fields.choice(fields.get("rerun"), Forwarding.FORWARD)
        explicit = self._fields.yes_or_no(fields.get("explicit"), False)
        if source is None:
            return []
        if source in consumers:
            self._findings.add(fields["to"], f"{source} would hand its events on to itself", f"take {source} out of it")
        bridge = Bridge(source, "", match, tuple(sorted(but)), rerun, explicit)
        return [bridge._replace(consumer=one) for one in consumers if one != source]

    def _list(self, cursor: Cursor | None, expected: str, read: Callable[[Cursor], str | None]) -> tuple[str, ...]:
        if cursor is None:
            return ()
        if not isinstance(cursor.value, list) or not cursor.value:
            self._findings.expected(cursor, f"{expected}, not empty")
            return ()
        found: dict[str, Cursor] = {}
        for item in cursor.items():
            if (one := read(item)) is None:
                continue
            if one in found:
                self._findings.add(item, f"{described(one)} is there twice", "take one of them out", first=found[one])
            found.setdefault(one, item)
        return tuple(found)

    def _pattern(self, cursor: Cursor) -> str | None:
        return self._fields.name(cursor, "a URI, in which * stands for any characters", most=bounds.PATTERN)


def dump_bridges(document: Document) -> list[dict[str, Any]]:
    """The bridges of a document as JSON; :class:`BridgeReader` reads them back equal."""
    return [_dumped(bridge) for bridge in bridges_in(document)]


def _dumped(bridge: Bridge) -> dict[str, Any]:
    fields: dict[str, Any] = {"from": bridge.source, "to": [bridge.consumer]}
    if bridge.match != (ANY,):
        fields["match"] = list(bridge.match)
    if bridge.but:
        fields["except"] = list(bridge.but)
    if bridge.rerun is not Forwarding.FORWARD:
        fields["rerun"] = str(bridge.rerun)
    if bridge.explicit:
        fields["explicit"] = True
    return fields
