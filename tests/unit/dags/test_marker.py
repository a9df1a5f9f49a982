"""The first line of a generated file."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from coordinator.dags.marker import LONGEST, Marker, marked, marker_of

TEXTS = st.text(st.characters(codec="utf-8"))


@given(TEXTS)
def test_what_is_marked_is_known_again_whatever_its_line_ends(text: str) -> None:
    content = marked(text, name="sales", entry="orders", environment="dev")
    assert marker_of(content) == Marker("sales", "orders", "dev", is_intact=True)
    windows = content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    assert marker_of(windows) == Marker("sales", "orders", "dev", is_intact=True)


@given(TEXTS, st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), min_size=1))
def test_a_change_by_hand_is_seen(text: str, more: str) -> None:
    found = marker_of(marked(text, name="sales", entry="orders", environment="dev") + more.encode())
    assert found == Marker("sales", "orders", "dev", is_intact=False)


@given(st.binary())
def test_what_has_no_marker_is_nobodys(content: bytes) -> None:
    assert marker_of(content) is None


def test_the_longest_marker_is_found_at_the_beginning_of_a_file() -> None:
    assert marker_of(marked("x" * 10_000, name="n" * 240, entry="ü" * 120, environment="e" * 100)[:LONGEST]) is not None


def test_a_marker_that_is_no_text_is_none() -> None:
    content = marked("", name="sales", entry="orders", environment="dev").replace(b"orders", b"\xff")
    assert marker_of(content) is None
