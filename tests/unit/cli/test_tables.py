"""Tables fit the terminal: nothing that people go on from is cut, and text breaks at words."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.text import Text

from coordinator.cli.output import people, table

PIPELINES = ["sales/load_orders_of_the_day", "publish"]
PARTITION = "2026-11-21T00:00:00Z"
RUN_ID = f"coordinator__{PARTITION}__1"
MESSAGE = "HTTP 403: the user 'coordinator' has no permission to trigger this DAG in its environment"
COLUMNS = ("pipeline", "partition", "state", "readiness", "late_since", "record", "run_id", "last_error")
WIDTHS = (80, 100, 200)


def printed(width: int, *columns: str, rows: list[list[str]]) -> list[str]:
    terminal = Console(file=io.StringIO(), width=width, highlight=False)
    terminal.print(table(*columns, rows=rows))
    assert isinstance(terminal.file, io.StringIO)
    return terminal.file.getvalue().splitlines()


def rows() -> list[list[str]]:
    return [[one, PARTITION, "failed", "stuck", "", "blocked", RUN_ID, MESSAGE] for one in PIPELINES]


@pytest.mark.parametrize("width", WIDTHS)
def test_names_are_never_cut_and_nothing_is_wider_than_the_terminal(width: int) -> None:
    lines = printed(width, *COLUMNS, rows=rows())
    assert max(map(len, lines)) <= width
    assert "…" not in "".join(lines)
    for pipeline in PIPELINES:
        assert any(line.startswith(pipeline) and PARTITION in line for line in lines), "name and partition in one line"
    assert sum(RUN_ID in line for line in lines) == len(PIPELINES)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_column_that_is_empty_in_all_rows_is_left_out(width: int) -> None:
    assert "late_since" not in "\n".join(printed(width, *COLUMNS, rows=rows()))
    some_late = rows()
    some_late[1][4] = PARTITION
    assert "late_since" in "\n".join(printed(width, *COLUMNS, rows=some_late))


@pytest.mark.parametrize("width", WIDTHS)
def test_messages_break_at_words(width: int) -> None:
    words = " ".join(printed(width, *COLUMNS, rows=rows())).split()
    for word in MESSAGE.split():
        assert words.count(word) == len(PIPELINES), word


@pytest.mark.parametrize("width", WIDTHS)
def test_a_message_beside_short_columns_stays_in_its_column(width: int) -> None:
    lines = printed(width, "", "what", "found", rows=[["ok", "etcd", MESSAGE], ["problem", "environment a", MESSAGE]])
    column = lines[1].index("found")
    told = [line[column:] for line in lines[3:] if line.strip()]
    assert " ".join(" ".join(told).split()) == f"{MESSAGE} {MESSAGE}"


def test_a_name_wider_than_the_terminal_is_folded_and_loses_no_letter() -> None:
    name = "x" * 150
    lines = printed(80, "pipeline", "partition", rows=[[name, PARTITION]])
    assert max(map(len, lines)) <= 80
    assert "".join(lines[3:]).count("x") == 150


def test_wide_letters_take_two_columns() -> None:
    lines = printed(80, "pipeline", "state", rows=[["売上", "ok"], ["ab", "ok"]])
    assert Text(lines[3][: lines[3].index("ok")]).cell_len == lines[4].index("ok")


def test_an_empty_table_shows_its_columns() -> None:
    assert "pipeline  state" in printed(80, "pipeline", "state", rows=[])


def test_where_nobody_says_how_wide_lines_may_be_each_row_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """So grep finds what it looks for, and a log of CI is as wide as what it says."""
    monkeypatch.delenv("COLUMNS", raising=False)
    written = io.StringIO()
    monkeypatch.setattr("sys.stdout", written)
    console = people()
    message = f"{MESSAGE}, {'again and ' * 100}again"
    console.print(table("pipeline", "last_error", "state", rows=[["a", message, "failed"], ["long_name", "b", "ok"]]))
    console.print(message)
    header, first, second, told = filter(None, written.getvalue().splitlines())
    assert header.split() == ["pipeline", "last_error", "state"]
    assert first == f"a          {message}  failed"
    assert second.split() == ["long_name", "b", "ok"]
    assert told == message
