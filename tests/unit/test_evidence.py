"""docs/evidence.md says what the marks say, every mark names a promise, and every promise has a test."""

from __future__ import annotations

import re

import pytest

from tests.evidence import EVIDENCE, REPOSITORY, Mark, UnreadableMark, marks, marks_of, page, promises
from tests.simulation.mutations import MUTATIONS
from tests.worlds import (
    asset_cases,
    asset_emission_cases,
    asset_feedback_cases,
    asset_upstream_cases,
    asset_wave_cases,
    cases,
    condition_cases,
    item_cases,
    partition_cases,
    people_cases,
    retention_cases,
    retry_cases,
    sensor_cases,
    task_cases,
    wait_cases,
)

PLAYED = {
    *MUTATIONS,
    *(
        name
        for some in (
            asset_cases,
            asset_emission_cases,
            asset_feedback_cases,
            asset_upstream_cases,
            asset_wave_cases,
            cases,
            condition_cases,
            item_cases,
            partition_cases,
            people_cases,
            retention_cases,
            retry_cases,
            sensor_cases,
            task_cases,
            wait_cases,
        )
        for name in some.CASES
    ),
}
"""Functions that are no tests, and that a test plays."""

MARKS = marks()


@pytest.mark.slow
def test_the_page_is_what_the_marks_say() -> None:
    assert EVIDENCE.read_text(encoding="utf-8") == page(), "docs/evidence.md is stale: make evidence"


def test_every_promise_has_an_id_of_its_own() -> None:
    headings = re.findall(r"^## (.+)$", (REPOSITORY / "docs/guarantees.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert [one.title for one in promises()] == [one for one in headings if one != "What is not promised"]
    assert len({one.id for one in promises()}) == len(promises()) > 20


def test_every_mark_names_a_promise() -> None:
    known = {one.id for one in promises()}
    assert [f"{mark.path}:{mark.line}: {mark.promise}" for mark in MARKS if mark.promise not in known] == []


def test_every_promise_has_a_test() -> None:
    """A benchmark asserts nothing, and most drills are not in every test run: neither is enough."""
    assert {one.id for one in promises()} - {mark.promise for mark in MARKS if _is_played(mark)} == set()


def test_what_is_marked_is_played() -> None:
    functions = [mark for mark in MARKS if mark.function is not None]
    assert [f"{mark.path}:{mark.line}: {mark.function}" for mark in functions if not _is_played(mark)] == []


def _is_played(mark: Mark) -> bool:
    if mark.function in PLAYED:
        return True
    is_test = mark.function is None or mark.function.startswith("test_")
    return is_test and mark.path.rpartition("/")[2].startswith("test_")


@pytest.mark.parametrize(
    "source",
    [
        "@pytest.mark.promise(ONCE)\ndef test_it(): ...",
        "@pytest.mark.promise\ndef test_it(): ...",
        "@pytest.mark.promise()\ndef test_it(): ...",
        "@pytest.mark.promise(id='once')\ndef test_it(): ...",
        "class TestIt:\n    @pytest.mark.promise('once')\n    def test_it(self): ...",
        "@pytest.mark.parametrize('x', [pytest.param(1, marks=pytest.mark.promise('once'))])\ndef test_it(x): ...",
    ],
)
def test_a_mark_that_cannot_be_read_is_refused(source: str) -> None:
    with pytest.raises(UnreadableMark, match=r"tests/unit/test_it\.py:\d: expected a mark with ids"):
        marks_of("tests/unit/test_it.py", source)


def test_a_row_tells_the_name_and_what_the_docstring_begins_with() -> None:
    source = """
@pytest.mark.promise("once", "kill")
def case_06_two_arms(world):
    \'\'\'D = ``any(A | B)``. It runs
    once.\'\'\'
"""
    assert [(mark.promise, mark.kind, mark.shows) for mark in marks_of("tests/worlds/cases.py", source)] == [
        ("once", "case", r"two arms: D = `any(A \| B)`. It runs once"),
        ("kill", "case", r"two arms: D = `any(A \| B)`. It runs once"),
    ]
