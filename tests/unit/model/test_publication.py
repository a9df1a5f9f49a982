"""Activation belongs to the dependency: kept when published again unchanged, renewed when removed and added."""

from __future__ import annotations

import base64
import json
import zlib
from datetime import datetime, timedelta, timezone
from typing import Any

from coordinator.model import bounds
from coordinator.model.parsing import parse_document
from coordinator.model.publication import Publication, dump_publication, publish, read_publication
from coordinator.model.runstate import Unreadable


class Etcd:
    """One key: what is published, and the revision of that."""

    def __init__(self) -> None:
        self.value: bytes | None = None
        self.revision = 0

    def publish(self, document: dict[str, Any], revision: int) -> None:
        previous = self.read() if self.value is not None else None
        parsed = parse_document(json.dumps(document), source="test")
        self.value = dump_publication(publish(parsed, previous, self.revision))
        self.revision = revision

    def read(self) -> Publication:
        assert self.value is not None
        read = read_publication(self.value, source="test")
        assert isinstance(read, Publication)
        return read

    def active_since(self) -> dict[tuple[str, str], int]:
        return {
            (str(node.downstream.pipeline), str(dependency)): revision
            for node in self.read().nodes(self.revision)
            for dependency, revision in node.active_since.items()
        }


def test_a_dependency_is_active_from_the_publication_that_brought_it() -> None:
    etcd = Etcd()
    etcd.publish({"D": ["A"]}, 10)
    assert etcd.active_since() == {("D", "A"): 10}
    etcd.publish({"D": ["A", "B"], "E": "D"}, 20)
    assert etcd.active_since() == {("D", "A"): 10, ("D", "B"): 20, ("E", "D"): 20}
    etcd.publish({"E": "D", "D": {"upstream": {"any": ["B", "A"]}}}, 30)
    assert etcd.active_since() == {("D", "A"): 10, ("D", "B"): 20, ("E", "D"): 20}


def test_removed_and_added_again_it_is_new() -> None:
    etcd = Etcd()
    etcd.publish({"D": ["A", "B"]}, 10)
    etcd.publish({"D": ["B"]}, 20)
    etcd.publish({"D": ["A", "B"]}, 30)
    assert etcd.active_since() == {("D", "A"): 30, ("D", "B"): 10}


def test_another_end_asked_for_is_another_dependency() -> None:
    etcd = Etcd()
    etcd.publish({"D": "A"}, 10)
    etcd.publish({"D": {"upstream": {"pipeline": "A", "on": "failure"}}}, 20)
    assert etcd.active_since() == {("D", "A on failure"): 20}


def test_what_is_no_publication_says_why() -> None:
    for value in (
        b"",
        b"[]",
        b"{}",
        b'{"dependencies": {"D": "D"}}',
        b'{"dependencies": {"D": "A"}, "active_since": 3}',
    ):
        read = read_publication(value, source="test")
        assert isinstance(read, Unreadable), value
        assert read.reason


def test_who_published_it_when_and_why_is_kept() -> None:
    when = datetime(2026, 11, 20, 8, 30, tzinfo=timezone(timedelta(hours=1)))
    document = parse_document('{"D": "A"}', source="test")
    signed = Publication(document, {}, published_by="ann@host", published_at=when, why="T-123")
    read = read_publication(dump_publication(signed), source="test")
    assert isinstance(read, Publication)
    assert (read.published_by, read.published_at, read.why) == ("ann@host", when, "T-123")


def test_a_value_without_or_with_a_bad_signature_is_a_publication_all_the_same() -> None:
    for signature in ({}, {"published_by": 7, "published_at": "yesterday", "why": []}, {"published_at": None}):
        read = read_publication(json.dumps({"dependencies": {"D": "A"}, **signature}).encode(), source="test")
        assert isinstance(read, Publication)
        assert (read.published_by, read.published_at, read.why) == ("", None, "")


def test_a_large_document_stands_compressed_with_its_activations_and_fits_into_a_request_of_etcd() -> None:
    names = [f"team_a_load_customers_{number:05}" for number in range(10_005)]
    content = {name: names[number : number + 5] for number, name in enumerate(names[5:])}
    first = publish(parse_document(json.dumps(content), source="test"), None, 0)
    second = publish(first.document, first, 17)
    value = dump_publication(second)
    assert len(value) < 1_000_000
    assert read_publication(value, source="test") == second
    assert b"zlib" not in dump_publication(publish(parse_document('{"D": "A"}', source="test"), None, 0))


def test_a_compressed_value_that_is_broken_says_so() -> None:
    whole = base64.b64encode(zlib.compress(b'{"dependencies": {"D": "A"}}')).decode()
    bomb = base64.b64encode(zlib.compress(b" " * (bounds.PUBLICATION + 1))).decode()
    assert isinstance(read_publication(json.dumps({"zlib_base64": whole}).encode(), source="test"), Publication)
    for text in (whole[:-8], "A" + whole, "%%%", "", bomb, 7, None):
        read = read_publication(json.dumps({"zlib_base64": text}).encode(), source="test")
        assert isinstance(read, Unreadable), text
