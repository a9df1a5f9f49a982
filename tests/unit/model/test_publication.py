"""Activation belongs to the dependency: kept when published again, resumed when put back in time."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from coordinator.model import bounds
from coordinator.model.conditions import Dependency
from coordinator.model.documents import parse_document
from coordinator.model.publishing.publication import (
    Activation,
    Publication,
    PublicationTooLarge,
    dump_publication,
    read_publication,
)
from coordinator.model.publishing.resuming import Terms, publish
from coordinator.model.references import PipelineRef
from coordinator.model.runstate import Unreadable

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
D = PipelineRef.parse("D")


class Etcd:
    """One key: what is published, and the revision of that."""

    def __init__(self) -> None:
        self.value: bytes | None = None
        self.revision = 0

    def publish(
        self,
        document: dict[str, Any],
        revision: int,
        *,
        days: float = 0,
        fresh: Iterable[str] = (),
        others: Collection[Publication] = (),
    ) -> None:
        """:param days: when, after the first one."""
        previous = self.read() if self.value is not None else None
        parsed = parse_document(json.dumps(document), source="test")
        terms = Terms(BEGIN + timedelta(days=days), fresh=frozenset(map(PipelineRef.parse, fresh)))
        made = publish(parsed, previous, self.revision, terms, others=others)
        self.value = dump_publication(replace(made, published_at=terms.at))
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


def test_taken_out_and_put_back_in_time_it_resumes_with_the_activation_that_it_had() -> None:
    etcd = Etcd()
    etcd.publish({"D": ["A", "B"]}, 10)
    etcd.publish({"D": ["B"]}, 20)
    etcd.publish({"D": ["B"], "E": "B"}, 30, days=3)
    assert set(etcd.read().retired) == {(D, "A")}
    etcd.publish({"D": ["A", "B"], "E": "B"}, 40, days=7)
    assert etcd.active_since() == {("D", "A"): 10, ("D", "B"): 10, ("E", "B"): 30}
    assert etcd.read().retired == {}
    assert etcd.read().activations(40)[D, Dependency(PipelineRef.parse("A"))] == Activation(10, BEGIN)


def test_put_back_later_than_that_it_is_new() -> None:
    etcd = Etcd()
    etcd.publish({"D": ["A", "B"]}, 10)
    etcd.publish({"D": ["B"]}, 20, days=1)
    etcd.publish({"D": ["A", "B"]}, 30, days=8.5)
    assert etcd.active_since() == {("D", "A"): 30, ("D", "B"): 10}


def test_what_is_retired_longer_than_that_is_forgotten() -> None:
    etcd = Etcd()
    etcd.publish({"D": ["A", "B"]}, 10)
    etcd.publish({"D": ["B"]}, 20)
    etcd.publish({"D": ["B"], "E": "B"}, 30, days=8)
    assert etcd.read().retired == {}


def test_an_entry_that_moves_to_another_document_resumes_there_as_it_was_retired_last() -> None:
    central, team = Etcd(), Etcd()
    central.publish({"team_b/D": "A", "E": "A"}, 10)
    central.publish({"E": "A"}, 20)
    team.publish({"team_b/D": "A"}, 30, others=[central.read()])
    assert team.active_since() == {("team_b/D", "A"): 10}
    team.publish({"team_b/D": "A"}, 40, fresh=["team_b/D"], others=[central.read()])
    team.publish({}, 50, days=1, others=[central.read()])
    team.publish({"team_b/D": "A"}, 60, days=2, others=[central.read()])
    assert team.active_since() == {("team_b/D", "A"): 40}, "the activation of 10 was given up"


def test_a_pipeline_that_begins_anew_keeps_and_resumes_nothing() -> None:
    etcd = Etcd()
    etcd.publish({"D": ["A", "B"], "E": "A"}, 10)
    etcd.publish({"D": ["B"], "E": "A"}, 20)
    etcd.publish({"D": ["A", "B"], "E": "A"}, 30, fresh=["D"])
    assert etcd.active_since() == {("D", "A"): 30, ("D", "B"): 30, ("E", "A"): 10}
    assert etcd.read().retired == {}


def test_the_version_counts_the_publications() -> None:
    etcd = Etcd()
    for number in (1, 2, 3):
        etcd.publish({"D": "A"}, 10 * number)
        assert etcd.read().version == number


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


def test_half_a_character_in_what_is_only_for_people_puts_nothing_out_of_force() -> None:
    value = json.dumps({"dependencies": {"D": "A"}, "why": "T-\ud800"}).encode()
    read = read_publication(value, source="test")
    assert isinstance(read, Publication)
    assert read.why == "T-\\ud800"


@pytest.mark.slow
def test_a_large_document_stands_compressed_with_its_activations_and_fits_into_a_request_of_etcd() -> None:
    names = [f"team_a_load_customers_{number:05}" for number in range(10_005)]
    content = {name: names[number : number + 5] for number, name in enumerate(names[5:])}
    first = publish(parse_document(json.dumps(content), source="test"), None, 0, Terms(BEGIN))
    second = publish(first.document, first, 17, Terms(BEGIN))
    value = dump_publication(second)
    assert len(value) < 1_000_000
    assert read_publication(value, source="test") == second
    assert b"zlib" not in dump_publication(publish(parse_document('{"D": "A"}', source="test"), None, 0, Terms(BEGIN)))


def test_a_compressed_value_that_is_broken_says_so() -> None:
    whole = base64.b64encode(zlib.compress(b'{"dependencies": {"D": "A"}}')).decode()
    bomb = base64.b64encode(zlib.compress(b" " * (bounds.PUBLICATION + 1))).decode()
    assert isinstance(read_publication(json.dumps({"zlib_base64": whole}).encode(), source="test"), Publication)
    for text in (whole[:-8], "A" + whole, "%%%", "", bomb, 7, None):
        read = read_publication(json.dumps({"zlib_base64": text}).encode(), source="test")
        assert isinstance(read, Unreadable), text


@pytest.mark.parametrize(
    "content",
    [
        {"version": 10**19},
        {"serial": -1},
        {"active_since": {"D": {"A": {"revision": 10**19}}}},
        {"retired": {"default/D": {"B": {"revision": -1, "retired_at": "2026-11-20T00:00:00Z"}}}},
        {"retired": {"default/D": {"B": {"revision": 1, "retired_at": "2026-11-20T00:00:00Z", "more": 10**4299}}}},
    ],
    ids=lambda content: next(iter(content)),
)
def test_a_number_that_etcd_could_not_have_given_is_refused(content: dict[str, Any]) -> None:
    value = json.dumps({"dependencies": {"D": "A"}} | content).encode()
    read = read_publication(value, source="test")
    assert isinstance(read, Unreadable)
    assert "expected an integer from 0 to 2**63 - 1" in read.reason


def with_retired(number: int) -> bytes:
    one = {"revision": 1, "retired_at": "2026-11-20T00:00:00+00:00"}
    retired = {"default/D": {str(name): one for name in range(number)}}
    return json.dumps({"dependencies": {"D": "A"}, "retired": retired}).encode()


@pytest.mark.slow
def test_more_retired_dependencies_than_are_read_are_refused_with_what_to_do() -> None:
    read = read_publication(with_retired(bounds.RETIRED), source="test")
    assert isinstance(read, Publication)
    assert len(read.retired) == bounds.RETIRED
    read = read_publication(with_retired(bounds.RETIRED + 1), source="test")
    assert isinstance(read, Unreadable)
    assert "retired: 50001 dependencies" in read.reason
    assert "coordinator apply" in read.reason


def test_who_takes_out_too_much_forgets_what_was_taken_out_longest_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "RETIRED", 3)
    etcd = Etcd()
    etcd.publish(dict.fromkeys("BCDE", "A"), 10)
    etcd.publish(dict.fromkeys("CDE", "A"), 20, days=1)
    etcd.publish(dict.fromkeys("DE", "A"), 30, days=2)
    previous = etcd.read()
    made = publish(parse_document("{}", source="test"), previous, 30, Terms(BEGIN + timedelta(days=3)))
    assert made.not_kept == 1
    assert sorted(pipeline.dag_id for pipeline, _ in made.retired) == ["C", "D", "E"]
    assert read_publication(dump_publication(made), source="test") == made, "what is written can be read"
    assert publish(previous.document, previous, 30, Terms(BEGIN + timedelta(days=3))).not_kept == 0


@pytest.mark.parametrize("packed", [False, True], ids=["as it is", "compressed"])
def test_a_value_of_very_many_small_parts_is_refused(packed: bool) -> None:
    text = b'{"dependencies": {"D": "A"}, "more": [' + b"[]," * bounds.PUBLICATION_PARTS + b"[]]}"
    if packed:
        text = json.dumps({"zlib_base64": base64.b64encode(zlib.compress(text)).decode()}).encode()
    read = read_publication(text, source="test")
    assert isinstance(read, Unreadable)
    assert f"expected at most {bounds.PUBLICATION_PARTS}" in read.reason


@pytest.mark.parametrize("bound", ["PUBLICATION", "PUBLICATION_PARTS"])
def test_what_nobody_would_read_is_not_written(bound: str, monkeypatch: pytest.MonkeyPatch) -> None:
    publication = publish(parse_document('{"D": ["A", "B", "C"]}', source="test"), None, 0, Terms(BEGIN))
    size = len(dump_publication(publication))
    monkeypatch.setattr(bounds, bound, 5)
    with pytest.raises(PublicationTooLarge, match=r"expected at most 5: split it by owner"):
        dump_publication(publication)
    assert size > 5


def test_a_file_that_may_be_published_can_be_read_back_whatever_its_letters_take(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As it is published it is longer than the file: blanks behind commas, and other letters than ASCII."""
    conf = {"text": "\u043b" * 1000}
    text = json.dumps({f"{n}": {"upstream": "a", "conf": conf} for n in range(9)}, ensure_ascii=False)
    monkeypatch.setattr(bounds, "DOCUMENT", len(text.encode()))
    publication = publish(parse_document(text.encode(), source="test"), None, 0, Terms(BEGIN))
    assert read_publication(dump_publication(publication), source="test") == publication
