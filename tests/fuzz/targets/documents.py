"""dependencies.json, and what is published of it: a mistake has its place, and what is good survives the way back."""

from __future__ import annotations

import base64
import json
import zlib
from datetime import UTC, datetime
from typing import Any

from coordinator.model.dependencies import Document
from coordinator.model.documents import DependenciesError, dump_document, parse_document
from coordinator.model.documents.forms import AIRFLOWS, BRIDGE, CONDITIONS, DEADLINES, ENTRY, MAPPERS
from coordinator.model.graph import CycleFound
from coordinator.model.publishing.owners import merge, objections_to
from coordinator.model.publishing.publication import Publication, Published, dump_publication, read_publication
from coordinator.model.publishing.resuming import Terms, publish
from tests.fuzz.tape import Tape, as_json, tape_of
from tests.fuzz.targets.values import unreadable

FIELDS = [
    *ENTRY.names,
    *BRIDGE.names,
    *(name for forms in (CONDITIONS, MAPPERS, DEADLINES) for form in forms.values() for name in form.names),
]
NAMES = ("a", "b", "c", "team_b/a", "team_b/b", "$schema", "default/a", "serial", "default/accept")
WORDS = (
    *dict.fromkeys(FIELDS),
    *MAPPERS,
    *AIRFLOWS,
    *("success", "failure", "done", "day", "hour", "week", "month", "year", "-1 day", "+2 hours", "36 hours"),
    *("06:00", "UTC", "Europe/Berlin", "%Y-%m-%d", "%G-W%V", "clear", "new_run", "hold", "skip", "fire", "direct"),
)
LONGEST_MESSAGE = 100_000


def _entry(tape: Tape) -> Any:
    entry: dict[str, Any] = {"upstream": _condition(tape, 3)}
    for name, values in (
        ("rerun", ("clear", "new_run", "ignore", "hold")),
        ("settle", ("wave", "direct")),
        ("catchup", ("all", "latest", "none")),
        ("deadline", ("06:00", "2 hours", {"at": "06:00", "days": 1, "timezone": "Europe/Berlin"})),
        ("on_late", ("show", "fire", "skip")),
        ("max_in_flight", (1, 7)),
        ("conf", ({"a": [1, {"b": None}]}, {})),
    ):
        if tape.below(6) == 1:
            entry[name] = tape.one_of(values)
    return entry if len(entry) > 1 or tape.below(2) else entry["upstream"]


def _condition(tape: Tape, depth: int) -> Any:
    match tape.below(8 if depth else 4):
        case 0 | 1:
            return tape.one_of(NAMES)
        case 2 | 3:
            leaf: dict[str, Any] = {"pipeline": tape.one_of(NAMES)}
            if tape.below(2):
                leaf["partition"] = mapping_of(tape)
            if tape.below(4) == 1:
                leaf["on"] = tape.one_of(("success", "failure", "done"))
            if tape.below(4) == 1:
                leaf["trigger"] = bool(tape.below(2))
            if tape.below(4) == 1:
                leaf["max_age"] = "36 hours"
            return leaf
        case 4:
            return [_condition(tape, depth - 1) for _ in range(1 + tape.below(3))]
        case 5:
            return {"all": [_condition(tape, depth - 1) for _ in range(1 + tape.below(3))]}
        case 6:
            return {"any": [_condition(tape, depth - 1) for _ in range(1 + tape.below(3))]}
        case _:
            of = [_condition(tape, depth - 1) for _ in range(1 + tape.below(3))]
            return {"at_least": 1 + tape.below(len(of)), "of": of}


def mapping_of(tape: Tape) -> Any:
    made: dict[str, Any] = {"mapper": tape.one_of((*MAPPERS, *AIRFLOWS))}
    for name, values in (
        ("window", ("day", "week", "month", "quarter", "year")),
        ("every", ("hour", "day", "minute", "month")),
        ("wait", ("all", 1, -1, 24)),
        ("by", ("-1 day", "+2 hours", "-100000 years")),
        ("downstream_key", ("all", "k")),
        ("timezone", ("Europe/Berlin", "Australia/Lord_Howe", "UTC")),
        ("input_format", ("%Y-%m-%d", "%Y%m%dT%H%M%S%z", "%G-W%V-%u")),
        ("output_format", ("%Y-%m-%d", "%Y-Q{quarter}", "%Y%j%H")),
    ):
        if tape.below(3) == 1:
            made[name] = tape.one_of(values)
    return tape.one_of((made, made, "-1 day", "start_of_day", "latest"))


def document_of(tape: Tape) -> dict[str, Any]:
    document = {tape.one_of(NAMES): _entry(tape) for _ in range(1 + tape.below(4))}
    return {**document, "assets": _bridges(tape)} if tape.below(4) == 1 else document


def _bridges(tape: Tape) -> list[dict[str, Any]]:
    environments, patterns = ("default", "team_b", "hr", "sales"), ("*", "s3://*", "s3://lake/*/eu", "*eu", "**", "x")
    bridges = []
    for _ in range(1 + tape.below(3)):
        bridge: dict[str, Any] = {
            "from": tape.one_of(environments),
            "to": [tape.one_of(environments) for _ in range(1 + tape.below(2))],
        }
        for name in ("match", "except"):
            if tape.below(2):
                bridge[name] = [tape.one_of(patterns) for _ in range(1 + tape.below(2))]
        if tape.below(3) == 1:
            bridge["rerun"] = tape.one_of(("once", "forward"))
        bridges.append(bridge)
    return bridges


def text_of(data: bytes) -> bytes:
    tape = tape_of(data)
    if tape is None:
        return data
    return as_json(tape.spoiled(document_of(tape), (*WORDS, *NAMES), one_in=16))


def dependencies(data: bytes) -> None:
    text = text_of(data)
    try:
        document = parse_document(text, source="fuzzed")
    except DependenciesError as error:
        _is_placed(error, text)
        return
    dumped = json.dumps(dump_document(document))
    assert parse_document(dumped, source="dumped") == document
    published = _published(document)
    objections_to("team_b", document, published)
    try:
        graph, problems = merge(published)
    except CycleFound as error:
        raise AssertionError(f"a document with a cycle was accepted: {error}") from error
    assert all(pipeline in graph for pipeline in document) or problems


def _is_placed(error: DependenciesError, text: bytes) -> None:
    lines = text.count(b"\n") + 1
    assert error.problems
    for problem in error.problems:
        assert 1 <= problem.line <= lines
        assert problem.column >= 1
        assert problem.reason
    str(error).encode()
    assert len(str(error)) <= LONGEST_MESSAGE


TERMS = Terms(datetime(2026, 11, 20, tzinfo=UTC))


def _published(document: Document) -> dict[str, Published]:
    publication = publish(document, None, 0, TERMS)
    read = read_publication(dump_publication(publication), source="dumped")
    assert read == publication
    again = publish(document, publication, 7, TERMS)
    read = read_publication(dump_publication(again), source="dumped")
    assert read == again
    return {"default": Published(read, 8)}


def publication(data: bytes) -> None:
    tape = tape_of(data)
    value = data if tape is None else _value(tape)
    read = read_publication(value, source="fuzzed")
    if unreadable(read):
        return
    assert isinstance(read, Publication)
    assert read_publication(dump_publication(read), source="again") == read
    again = publish(read.document, read, 7, TERMS, others=[read])
    assert read_publication(dump_publication(again), source="again") == again


def _value(tape: Tape) -> bytes:
    document = document_of(tape)
    whole = {
        "dependencies": document,
        "version": tape.one_of((1, 7, -1, "2", None, True)),
        "serial": tape.one_of((None, 5, 10**20, 1.5)),
        "active_since": {
            name: {tape.one_of(NAMES): {"revision": 3}, "a by identity": {"revision": 4}} for name in document
        },
        "retired": {
            tape.one_of((*NAMES, "", "\ud800")): {
                tape.one_of((*NAMES, "\ud800")): {
                    "revision": tape.one_of((3, -1, "x")),
                    "at": tape.one_of((None, "2026-11-20T00:00:00Z", "0001-01-01T00:00:00+23:00")),
                    "retired_at": tape.one_of(("2026-11-20T00:00:00Z", "9999-12-31T23:59:59-23:00", 3)),
                    "partitions": tape.one_of(((), ["k"], [3], "k")),
                    "more": tape.one_of((0, 3)),
                }
            }
        },
        "published_by": "ann",
        "published_at": "2026-11-20T00:00:00Z",
        "why": "w",
    }
    text = as_json(tape.spoiled(whole, (*WORDS, *NAMES), one_in=24))
    match tape.below(8):
        case 1:
            text = zlib.compress(text)
        case 2:
            text = zlib.compress(b" " * (1 << 22)) * (1 + tape.below(4))
        case 3:
            text = zlib.compress(text)[: tape.below(64)]
        case _:
            return text
    return as_json({"zlib_base64": base64.b64encode(text).decode()})
