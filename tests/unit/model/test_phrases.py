from __future__ import annotations

import pytest

from coordinator.model.phrases import counted, some_of


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 events wait"), (1, "1 event waits"), (2, "2 events wait")], ids=["none", "one", "two"]
)
def test_the_verb_agrees_with_the_number(number: int, said: str) -> None:
    assert counted(number, "event waits", "events wait") == said


def test_a_noun_alone_gets_its_plural() -> None:
    assert (counted(1, "gap"), counted(2, "gap")) == ("1 gap", "2 gaps")


@pytest.mark.parametrize(
    ("names", "said"), [("", ""), ("ab", "a, b"), ("abc", "a, b, c"), ("abcd", "a, b, c and 1 more")]
)
def test_of_many_names_the_first_are_said_and_how_many_more_there_are(names: str, said: str) -> None:
    assert some_of(list(names), 3) == said
