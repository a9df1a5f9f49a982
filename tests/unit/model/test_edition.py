"""Which of two documents is the newer one: a table of what can be known of a file, and what becomes of it."""

from __future__ import annotations

import pytest

from coordinator.model.publishing.edition import (
    REMEMBERED,
    Edit,
    Edition,
    PublishedBefore,
    Verdict,
    dump_published_before,
    read_published_before,
    what_to_do,
)
from coordinator.model.runstate import Unreadable

VERSION = 5
IN_FORCE = "new"
BEFORE = ("first", "old", IN_FORCE)

ON_IT = Edit(5, frozenset({"new"}))
ON_ANOTHER = Edit(4, frozenset({"another"}))

TABLE: dict[str, tuple[Edition, Edition | None, Edit | None, Verdict]] = {
    "nothing is in force": (Edition("old"), None, None, Verdict.PUBLISH),
    "nothing is in force, and it was edited before": (Edition("x"), None, ON_ANOTHER, Verdict.PUBLISH),
    "it is in force": (Edition("new"), Edition("new"), None, Verdict.SAME),
    "it is in force, however it was edited": (Edition("new"), Edition("new"), ON_ANOTHER, Verdict.SAME),
    "nobody saw it change, and it was never published": (Edition("x"), Edition("new"), None, Verdict.PUBLISH),
    "nobody saw it change, and it was published before": (Edition("old"), Edition("new"), None, Verdict.OLDER),
    "it was edited on what is in force": (Edition("x"), Edition("new"), ON_IT, Verdict.PUBLISH),
    "it was edited back": (Edition("old"), Edition("new"), ON_IT, Verdict.PUBLISH),
    "it was edited on what is in force no more": (Edition("x"), Edition("new"), ON_ANOTHER, Verdict.CONFLICT),
    "it was edited back on what is in force no more": (Edition("old"), Edition("new"), ON_ANOTHER, Verdict.CONFLICT),
    "what is in force is what it said before": (
        Edition("x"),
        Edition("new"),
        Edit(4, frozenset({"another", "new"})),
        Verdict.PUBLISH,
    ),
    "a greater serial": (Edition("x", 8), Edition("new", 7), None, Verdict.PUBLISH),
    "a greater serial of what was published before": (Edition("old", 8), Edition("new", 7), None, Verdict.PUBLISH),
    "a greater serial of the same": (Edition("new", 8), Edition("new", 7), None, Verdict.PUBLISH),
    "a greater serial, edited on something else": (Edition("x", 8), Edition("new", 7), ON_ANOTHER, Verdict.PUBLISH),
    "the first serial": (Edition("old", 1), Edition("new"), None, Verdict.PUBLISH),
    "a smaller serial": (Edition("x", 6), Edition("new", 7), None, Verdict.OLDER),
    "a smaller serial, edited just now": (Edition("x", 6), Edition("new", 7), ON_IT, Verdict.OLDER),
    "a smaller serial of the same": (Edition("new", 6), Edition("new", 7), None, Verdict.SAME),
    "the same serial of the same": (Edition("new", 7), Edition("new", 7), None, Verdict.SAME),
    "the same serial of something else": (Edition("x", 7), Edition("new", 7), ON_IT, Verdict.CONFLICT),
    "no serial, where there is one": (Edition("x"), Edition("new", 7), ON_IT, Verdict.CONFLICT),
    "no serial, and the same": (Edition("new"), Edition("new", 7), None, Verdict.SAME),
}


@pytest.mark.parametrize("name", TABLE)
def test_what_becomes_of_a_file(name: str) -> None:
    file, in_force, edit, verdict = TABLE[name]
    ruling = what_to_do(file, in_force, VERSION, edit=edit, published_before=BEFORE)
    assert ruling.verdict is verdict
    assert bool(ruling.reason) is (verdict in (Verdict.OLDER, Verdict.CONFLICT))


def test_a_thousand_contents_are_remembered_and_the_newest_stay() -> None:
    known = PublishedBefore()
    for number in range(REMEMBERED + 10):
        known = known.with_next(f"{number:032d}", number + 1)
    known = known.with_next(f"{500:032d}", REMEMBERED + 11)
    assert len(known.contents) == REMEMBERED
    assert (known.contents[0], known.contents[-1]) == (f"{10:032d}", f"{500:032d}")
    assert known.version == REMEMBERED + 11
    read = read_published_before(dump_published_before(known))
    assert read == known


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{}",
        b"[1]",
        b'{"version": "x", "contents": []}',
        b'{"version": 1}',
        b'{"version": 1e999}',
        b'{"version": -1, "contents": []}',
        b'{"version": true, "contents": []}',
        b'{"version": ' + b"9" * 4300 + b', "contents": []}',  # with one more, Python could not write it
    ],
)
def test_what_cannot_be_read_is_said(value: bytes) -> None:
    assert isinstance(read_published_before(value), Unreadable)
