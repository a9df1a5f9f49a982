"""Reading rows: what is wrong is told with its place, and no name leads out of the directory."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import ValidationError

from coordinator.config.items import RowFiles
from coordinator.model import bounds
from coordinator.model.dependencies import Items, OnEmpty
from coordinator.model.items.reading import BadRows, read_rows
from coordinator.model.trigger import Action
from coordinator.runners.port import Refused, RowsRead, RowsWanted, Runner, StartRequest
from coordinator.runners.rows import ConfiguredFiles, WithRows

pytestmark = pytest.mark.promise("items")

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def read(text: str | bytes) -> dict[str, bytes]:
    content = text if isinstance(text, bytes) else text.encode()
    return dict(read_rows(content, key="name", source="f"))


def test_rows_are_read_in_order_and_in_one_form() -> None:
    found = read('[{"name": "b", "z": 1, "a": "ä"}, {"a": 1, "name": 7}]')
    assert list(found.items()) == [("b", '{"a":"ä","name":"b","z":1}'.encode()), ("7", b'{"a":1,"name":7}')]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "f: not JSON"),
        (b"\xff", "f: not JSON"),
        ("[" * 100_000, "f: nested too deep"),
        ("[NaN]", "NaN is no number"),
        ('{"name": "a"}', "f: expected a list of rows; found an object"),
        ('[{"name": "a"}, 3]', "f, row 2: expected an object; found a number"),
        ('[{"name": "a"}, null]', "f, row 2: expected an object; found null"),
        ('[{"nome": "a"}]', "f, row 1: it has no 'name'"),
        ('[{"name": ""}]', "f, row 1: 'name' is ''"),
        ('[{"name": "a/b"}]', "row 1: 'name' is 'a/b'"),
        ('[{"name": "a[b]"}]', "row 1: 'name' is 'a[b]'"),
        ('[{"name": "a\\n"}]', "row 1: 'name' is"),
        ('[{"name": true}]', "row 1: 'name' is True"),
        (json.dumps([{"name": "x" * 101}]), "row 1: 'name' is"),
        ('[{"name": "a"}, {"name": "b"}, {"name": "a"}]', "f, row 3: the key 'a' is that of row 1 too"),
        ('[{"name": "1"}, {"name": 1}]', "f, row 2: the key '1' is that of row 1 too"),
        ('[{"name": "a", "b": "\\ud800"}]', "f, row 1: holds half a surrogate pair"),
        (json.dumps([{"name": str(one)} for one in range(bounds.ITEMS + 1)]), "5001 rows; expected at most 5000"),
        (json.dumps([{"name": "a"}, {"name": "b", "x": "y" * bounds.ROWS}]), "f, row 2: the rows up to here have more"),
    ],
)
def test_a_bad_row_is_told_with_its_place(text: str | bytes, reason: str) -> None:
    with pytest.raises(BadRows) as caught:
        read(text)
    assert reason in str(caught.value)


# -- files ---------------------------------------------------------------------------------------------------------


def put(directory: Path, path: str, text: str = "[]") -> Path:
    file = directory / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def files(directory: Path, **settings: Any) -> ConfiguredFiles:
    return ConfiguredFiles({"tables": RowFiles(directory=directory, **settings)})


def test_the_file_of_a_partition_is_read(tmp_path: Path) -> None:
    put(tmp_path, "2026-11-20T00:00:00Z.json", "[1]")
    assert files(tmp_path).read("tables", "2026-11-20T00:00:00Z")[0] == b"[1]"


@pytest.mark.parametrize(
    "partition", ["../secret", "..", ".", "/etc/passwd", "a/../../secret", "%2e%2e", "../../secret"]
)
def test_a_partition_does_not_leave_the_directory(tmp_path: Path, partition: str) -> None:
    put(tmp_path, "secret.json", "secret")
    put(tmp_path, "secret", "secret")
    inner = tmp_path / "inner"
    inner.mkdir()
    for file in ("{partition}.json", "{partition}/rows.json", "rows/{partition}", "{partition}"):
        with pytest.raises(BadRows):
            files(inner, file=file).read("tables", partition)


def test_a_partition_with_a_slash_has_a_file_of_its_own(tmp_path: Path) -> None:
    put(tmp_path, "eu%2Fwest.json", "[2]")
    put(tmp_path, "%2E./rows.json", "[3]")
    assert files(tmp_path).read("tables", "eu/west")[0] == b"[2]"
    assert files(tmp_path, file="{partition}/rows.json").read("tables", "..")[0] == b"[3]"


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    outside = put(tmp_path, "outside/secret.json", "secret")
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "k.json").symlink_to(outside)
    (inner / "d").symlink_to(outside.parent)
    with pytest.raises(BadRows, match="symbolic link"):
        files(inner).read("tables", "k")
    with pytest.raises(BadRows):
        files(inner, file="{partition}/secret.json").read("tables", "d")


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    """A pipe that nobody writes to would hold up its reader for ever."""
    os.mkfifo(tmp_path / "k.json")
    (tmp_path / "d.json").mkdir()
    for partition in ("k", "d"):
        with pytest.raises(BadRows, match="no regular file"):
            files(tmp_path).read("tables", partition)


def test_a_file_that_is_missing_closed_or_too_large_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "k.json", "[   ]")
    with pytest.raises(BadRows, match=r"more than 4 bytes \(items.tables.max_bytes\)"):
        files(tmp_path, max_bytes=4).read("tables", "k")
    with pytest.raises(BadRows, match="no such file"):
        files(tmp_path).read("tables", "missing")
    with pytest.raises(BadRows, match="no such file"):
        files(tmp_path / "gone").read("tables", "k")
    with pytest.raises(BadRows, match="name too long"):
        files(tmp_path).read("tables", "x" * 1000)


def test_only_configured_sources_can_be_named(tmp_path: Path) -> None:
    with pytest.raises(BadRows, match=r"no source of rows 'other' .* configured: tables"):
        files(tmp_path).read("other", "k")


@pytest.mark.parametrize(
    "file", ["../{partition}", "/etc/{partition}", "a//b", "./x", "", "{other}.json", "{partition"]
)
def test_a_path_that_leaves_the_directory_is_no_setting(tmp_path: Path, file: str) -> None:
    with pytest.raises(ValidationError):
        RowFiles(directory=tmp_path, file=file)


def test_a_directory_is_absolute() -> None:
    with pytest.raises(ValidationError, match="absolute"):
        RowFiles(directory=Path("rows"))


# -- as a request --------------------------------------------------------------------------------------------------


def wanted(items: Items, **conf: Any) -> StartRequest:
    return StartRequest("load", Action.CREATE, "r", "t", partition="k", rows=RowsWanted(items, conf))


def test_rows_are_an_outcome_and_bad_ones_a_refusal(tmp_path: Path) -> None:
    nobody = cast(Runner, None)  # no environment is asked
    runner = WithRows(nobody, files(tmp_path), now=lambda: NOW)
    request = wanted(Items("name", file="tables", on_empty=OnEmpty.SKIP))
    refused = runner.start(request)
    assert isinstance(refused, Refused)
    assert "k.json: no such file" in refused.answer
    put(tmp_path, "k.json", '[{"name": "a"}]')
    found = runner.start(request)
    assert found == RowsRead({"a": b'{"name":"a"}'}, str(tmp_path / "k.json"), OnEmpty.SKIP, NOW)
    of_conf = runner.start(wanted(Items("name", conf="tables"), tables=[{"name": "b"}]))
    assert isinstance(of_conf, RowsRead)
    assert (list(of_conf.by_key), of_conf.source) == (["b"], "conf.tables")
    assert isinstance(runner.start(wanted(Items("name", conf="tables"))), Refused)
