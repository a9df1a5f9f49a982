"""Names that may be meant are found at a bounded cost."""

from __future__ import annotations

import difflib
from typing import Any

import pytest

from coordinator.model.alike import COMPARED, LONGEST, alike


def test_the_nearest_names_are_found_among_many() -> None:
    known = [f"team_{number}/load_customers_{number}" for number in range(20_000)]
    assert alike("team_7/laod_customers_7", known)[0] == "team_7/load_customers_7"
    assert alike("nothing like it", known) == []
    assert alike("b", ["a", "b1"], most=1, cutoff=0.5) == ["b1"]


def test_a_long_name_is_given_whole() -> None:
    name = "x" * 900
    assert alike("x" * 899, [name, "y"]) == [name]


@pytest.mark.promise("bad-input")
def test_no_more_and_no_longer_names_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[str, list[str]]] = []

    def note(word: str, known: Any, **_: Any) -> list[str]:
        compared.append((word, list(known)))
        return []

    with monkeypatch.context() as patched:
        patched.setattr(difflib, "get_close_matches", note)
        alike("w" * 1_000, [f"{number}{'n' * 1_000}" for number in range(5_000)])
    ((word, known),) = compared
    assert (len(word), len(known)) == (LONGEST, COMPARED)
    assert max(map(len, known)) == LONGEST
