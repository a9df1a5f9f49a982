"""Names from outside neither command the terminal nor forge a line, in tables, sentences, JSON and log lines."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text
from typer.testing import CliRunner

from coordinator.cli.application import app
from coordinator.cli.failures import exit_code_of
from coordinator.cli.logs import LogLevel, configure_logs
from coordinator.cli.output import line, people, say, table
from coordinator.model.printable import encodable, json_text, printable, printable_lines
from coordinator.model.references import PipelineRef, Target
from coordinator.reading.reading import UnknownPipeline, read
from coordinator.store.keys import Keys
from coordinator.store.memory import MemoryEtcd, MemoryStore
from coordinator.store.port import Put, Transaction

HOSTILE = [
    "\x1b[2J\x1b[31mowned",
    "\x9b31mowned",
    "a\nleader: nobody",
    "a\r\nproblem: none",
    "[red]a[/red]",
    "[link=http://x]a[/link]",
    "\x07\x08\x7f\x00",
    "\u202egnp.exe",
    "\u2028next line",
    "\ud800",
    "\udcff",
]
COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\ud800-\udfff]")
texts = st.one_of(
    st.text(), st.sampled_from(HOSTILE), st.text(st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp"]))
)


def harmless(output: str, *, lines: int | None = None) -> None:
    output.encode()
    assert not COMMANDS.search(output)
    if lines is not None:
        assert output.count("\n") == lines


@given(texts)
def test_a_printable_text_is_one_line_that_does_nothing(text: str) -> None:
    harmless(printable(text), lines=0)
    harmless(printable_lines(text), lines=text.count("\n"))
    encodable(text).encode()
    assert len(printable(text, limit=20)) <= 20
    if text.isprintable():
        assert printable(text) == text == encodable(text)


@pytest.mark.slow
@given(st.recursive(texts | st.none() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(texts, inner)))
def test_json_is_harmless_and_reads_back_equal(value: object) -> None:
    written = json_text(value)
    harmless(written, lines=0)
    assert json.loads(written) == json.loads(json.dumps(value))  # which joins two halves that stand side by side


@pytest.mark.promise("bad-input")
@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_what_a_console_prints_does_nothing_but_stand_there(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    console = people()
    console.print(table("pipeline", rows=[[name], [f"b{name}"]]))
    console.print(f"held: {name}: by {name}", markup=False)
    console.print(line(name, "bold"))
    console.print(Text(name.replace("\n", " "), style="red"))  # whoever forgets line()
    say(f"{name}: written")
    output = capsys.readouterr().out
    harmless(output)
    assert "[/red]" not in name or "[red]a[/red]" in output
    assert not [row for row in output.splitlines() if row.startswith(("leader:", "problem:"))]


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.promise("bad-input")
@pytest.mark.parametrize("stream", [_Terminal, io.StringIO], ids=["terminal", "file"])
@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_a_log_line_stays_one_line(name: str, stream: type[io.StringIO], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", stream())
    configure_logs(LogLevel.INFO)
    try:
        structlog.get_logger().info("trigger.sent", pipeline=name, target=Target(PipelineRef("default", name), "k"))
    finally:
        structlog.reset_defaults()
    written = sys.stderr.getvalue()  # type: ignore[union-attr]
    own_colours = re.sub("\x1b\\[[0-9;]*m", "", written) if stream is _Terminal and "\x1b" not in name else written
    if stream is _Terminal:
        assert "\x1b[31m" not in written
        assert "\x1b[2J" not in written
    harmless(own_colours if stream is not _Terminal else re.sub("\x1b\\[[0-9;]*m", "", written), lines=1)


@pytest.mark.promise("bad-input")
@pytest.mark.parametrize("stream", [_Terminal, io.StringIO], ids=["terminal", "file"])
@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_a_traceback_in_a_log_line_does_nothing_and_forges_no_line(
    name: str, stream: type[io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", stream())
    configure_logs(LogLevel.INFO)
    try:
        raise ValueError(f"cannot read {name}") from OSError(name)
    except ValueError:
        structlog.get_logger().exception("reflector.broken")
    finally:
        structlog.reset_defaults()
    written = sys.stderr.getvalue()  # type: ignore[union-attr]
    assert "ValueError: cannot read " in written
    if stream is _Terminal:
        first, *rest = written.split("\n")
        assert "\x1b[31mowned" not in written
        harmless(re.sub("\x1b\\[[0-9;]*m", "", first) + "".join(rest))
        assert all(line.startswith("    ") for line in rest if line), "log lines begin at the margin"
    else:
        harmless(written, lines=1)


@pytest.mark.slow
@pytest.mark.promise("bad-input")
@pytest.mark.parametrize("name", [name for name in HOSTILE if name != "\ud800"], ids=ascii)  # no file is called so
def test_the_name_of_a_file_makes_no_line_in_an_error(name: str, tmp_path: Path) -> None:
    named = f"{tmp_path}/{name.replace('/', '')}".replace("\x00", "")
    absent, wrong = named + "absent", named + "wrong"
    Path(wrong).write_bytes(b'{"report": "report", "load": 5}')
    for arguments, mistakes in [
        (["validate", absent], 1),
        (["validate", wrong], 3),  # two, and how many
        (["validate", "--config", absent], 1),
        (["validate", "--config", wrong], 1),
        (["plan", absent], 1),
        (["plan", wrong, "--offline"], 3),
    ]:
        ended = CliRunner().invoke(app, arguments, env={"COORDINATOR_ETCD__ENDPOINTS": '["127.0.0.1:1"]'})
        assert ended.exit_code != 0
        harmless(ended.output, lines=mistakes)


def test_an_error_that_names_a_pipeline_is_one_line() -> None:
    keys, store = Keys(), MemoryStore(MemoryEtcd())
    hostile = Target(PipelineRef("default", "a\nforged: line"), "k")
    store.commit(Transaction((), (Put(keys.state(hostile), b"success"),)))
    with pytest.raises(UnknownPipeline) as caught:
        read(store, keys).require(PipelineRef("default", "a forged line"))
    assert exit_code_of(caught.value)
    harmless(printable(f"coordinator: {caught.value}"), lines=0)
