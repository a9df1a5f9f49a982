"""``parse_document``: from the text of ``dependencies.json`` to checked values.

The forms::

    {"child":  "parent",
     "child2": ["parent1", "team_b/parent2"],
     "child3": {"upstream": <condition>, "rerun": "clear", "deadline": "06:00", ...}}

Beside the entries it may carry ``"serial": 412`` (a build number) and ``"accept": 7`` (see ``DependenciesFile``), and
``"assets": [{"from": ..., "to": [...], ...}]``, the bridges of asset events (``bridges``).

A condition is a reference, a list (all of them), ``{"all": [...]}``, ``{"any": [...]}``,
``{"at_least": n, "of": [...]}`` or ``{"pipeline": reference, "on": "done", "partition": "-1 day", ...}``, nested
freely. ``forms`` has all fields of all objects.
"""

from __future__ import annotations

import codecs
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass

from coordinator.model import bounds
from coordinator.model.cycles import back_in_time, find_cycles, reason_of
from coordinator.model.dependencies import Document, Downstream
from coordinator.model.documents.bridges import ASSETS_KEY, BridgeReader, is_list_of_bridges
from coordinator.model.documents.cycles import find_cycle_paths
from coordinator.model.documents.entries import EntryReader
from coordinator.model.documents.fields import FieldReader
from coordinator.model.documents.findings import Cursor, Findings, TooManyFindings
from coordinator.model.documents.items import refuse_tasks_of_items
from coordinator.model.documents.json_text import JsonSyntaxError, line_and_column, read_json
from coordinator.model.documents.problems import DependenciesError, Problem
from coordinator.model.documents.sizes import Sizes
from coordinator.model.references import DEFAULT_ENVIRONMENT, PipelineRef

SCHEMA_KEY = "$schema"
SERIAL_KEY = "serial"
ACCEPT_KEY = "accept"
TOP_LEVEL = (SCHEMA_KEY, SERIAL_KEY, ACCEPT_KEY, ASSETS_KEY)
"""Names at the top that are no pipelines; a pipeline of such a name is written with its environment."""
MOST_SERIAL = 2**53 - 1
"""Every program that reads JSON reads whole numbers up to this."""


@dataclass(frozen=True, slots=True)
class DependenciesFile:
    """A dependencies.json.

    :ivar serial: the number of the build that it comes from: a document with a greater one is newer.
    :ivar accept: the version in force that it may replace, whatever the guard has against it.
    """

    document: Document
    serial: int | None = None
    accept: int | None = None


def parse_document(
    text: bytes | str, *, source: str, environments: Collection[str] | None = None, in_force: bool = False
) -> Document:
    """Read a dependency document. Arguments and exceptions are those of :func:`parse_file`."""
    return parse_file(text, source=source, environments=environments, in_force=in_force).document


def parse_file(
    text: bytes | str, *, source: str, environments: Collection[str] | None = None, in_force: bool = False
) -> DependenciesFile:
    """Read a dependency document, and what is said about it.

    :param source: what to call the document in messages, such as the file's name.
    :param environments: the known environments; ``None``: any name will do.
    :param in_force: it is published already: that it or a part of it is too large (``bounds``), or holds a template, is
        no reason to put all of it out of force.
    :raises DependenciesError: holding everything that is wrong, not only the first thing.
    """
    if len(text) > bounds.DOCUMENT and not in_force:
        reason = f"{len(text)} bytes; expected at most {bounds.DOCUMENT}"
        raise DependenciesError(source, [Problem(1, 1, "", reason, "split it by environment")])
    characters = _decoded(text, source)
    try:
        root = Cursor(read_json(characters))
    except JsonSyntaxError as error:
        line, column = line_and_column(characters, error.offset)
        raise DependenciesError(source, [Problem(line, column, "", error.reason, error.remedy)]) from None
    findings = Findings()
    fields = FieldReader(findings, environments)
    file = DependenciesFile({})
    with suppress(TooManyFindings):
        file = _DocumentReader(findings, fields, Sizes(findings, in_force=in_force), in_force=in_force).read(root)
    if findings:
        raise DependenciesError(source, findings.placed_in(characters))
    return file


def _decoded(text: bytes | str, source: str) -> str:
    if isinstance(text, str):
        return text.removeprefix("\ufeff")
    text = text.removeprefix(codecs.BOM_UTF8)
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        before = text[: error.start].decode()
        line, column = line_and_column(before, len(before))
        reason = f"not UTF-8: byte 0x{text[error.start]:02x}, {error.reason}"
        raise DependenciesError(source, [Problem(line, column, "", reason, "save the file as UTF-8")]) from None


class _DocumentReader:
    def __init__(self, findings: Findings, fields: FieldReader, sizes: Sizes, *, in_force: bool) -> None:
        self._findings = findings
        self._fields = fields
        self._sizes = sizes
        self._entries = EntryReader(findings, fields, in_force=in_force)
        self._bridges = BridgeReader(findings, fields)
        self._in_force = in_force

    def read(self, root: Cursor) -> DependenciesFile:
        numbers: dict[str, int | None] = {}
        entries: dict[PipelineRef, Downstream] = {}
        first_given: dict[PipelineRef, Cursor] = {}
        for name, cursor in self._fields.members(root, "an object: each pipeline with what it waits for").items():
            if name == SCHEMA_KEY:
                self._fields.text(cursor, "the address of a JSON Schema")
                continue
            if name in (SERIAL_KEY, ACCEPT_KEY):
                expected = f"a whole number (a pipeline of that name is written {DEFAULT_ENVIRONMENT}/{name})"
                numbers[name] = self._fields.whole_number(cursor, expected, least=0, most=MOST_SERIAL)
                continue
            if name == ASSETS_KEY and (not self._in_force or is_list_of_bridges(cursor)):
                entries |= self._bridges.read(cursor)
                continue
            pipeline = self._fields.reference(name, cursor.at_key())
            if pipeline is not None and (first := first_given.setdefault(pipeline, cursor)) is not cursor:
                reason = f"{name!r} and {first.name!r} are one pipeline"
                self._findings.add(cursor.at_key(), reason, "merge the two", first=first.at_key())
            entry = self._entries.read(cursor, pipeline)
            if entry is not None:
                self._sizes.check(cursor, entry)
                entries[entry.pipeline] = entry
        refuse_tasks_of_items(self._findings, self._entries.fan_out, entries)
        edges = self._entries.edges
        cycles = find_cycles(entries) if next(find_cycle_paths(edges), None) else []
        for ring, closing in find_cycle_paths(edges, without=back_in_time(cycles)):
            reason = f"closes a cycle: {' -> '.join(map(str, ring))}"
            self._findings.add(closing, reason, reason_of(ring, cycles))
        return DependenciesFile(entries, numbers.get(SERIAL_KEY), numbers.get(ACCEPT_KEY))
