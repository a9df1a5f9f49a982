"""Every command that stands in the documents works: it is run here, or it is said why not; and what it calls exists."""

from __future__ import annotations

import importlib.util
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
import typer.main

from coordinator.cli import app
from tests.integration.documents.commands import PAGES, REPOSITORY, Command, blocks, calls, commands_of
from tests.integration.documents.machine import Machine
from tests.integration.documents.readers import NOT_RUN, READERS, SERVES, Reader

COMMANDS = {page.relative_to(REPOSITORY).as_posix(): commands_of(page) for page in PAGES}
ALL = [command for commands in COMMANDS.values() for command in commands]
TARGETS = set(re.findall(r"^\.PHONY: (\S+)$", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
HINT = "what a page presupposes stands in tests/integration/documents/readers.py"
OF_OURS = re.compile(r"(benchmarks|coordinator|dags|deploy|docker|docs|examples|tests)/")


def _is_about(row: str, command: Command) -> bool:
    return f"{command.words()} ".startswith(f"{row} ")


def _is_run(command: Command) -> bool:
    return not any(_is_about(row, command) for row in NOT_RUN)


@pytest.mark.parametrize("page", [page for page, commands in COMMANDS.items() if any(map(_is_run, commands))])
def test_the_commands_of_a_page_end_as_it_says(page: str, tmp_path: Path) -> None:
    """They are typed in their order, in a fresh directory."""
    commands, reader = COMMANDS[page], READERS.get(page, Reader())
    typed = Counter[str]()
    with Machine(tmp_path, has_etcd=not any("coordinator etcd" in command.text for command in commands)) as machine:
        for name, language in (("coordinator.toml", "toml"), ("dependencies.json", "json")):
            machine.terminal.write(name, _file(page if reader.shows_files else None, name, language))
        reader.has(machine)
        for command in filter(_is_run, commands):
            words = command.words()
            for happens in reader.before.get(words, ())[typed[words] : typed[words] + 1]:
                happens(machine)
            typed[words] += 1
            if words in SERVES:
                machine.terminal.serve(command.text, SERVES[words])
                continue
            ended = machine.terminal.run(command.text, answers=reader.answers.get(words))
            code, _ = reader.ends.get(words, (0, ""))
            assert ended.code == code, f"{command}\nended with {ended.code}, not {code}; {HINT}:\n{ended.output}"
            if command.shown is not None:
                assert _shows(command.shown, ended.output), f"{command}\nsays\n{ended.output}"


def _file(page: str | None, name: str, language: str) -> str:
    """As the page shows it, else that of this repository."""
    if page is None:
        return (REPOSITORY / name).read_text(encoding="utf-8")
    (_, text), *_ = blocks(REPOSITORY / page, language)
    return text


def _shows(page: str, output: str) -> bool:
    """Whether the page shows the output, or parts of it with ``...`` between; at other times and revisions."""
    parts = re.split(r"^\.\.\.\n", _at_any_time(page), flags=re.MULTILINE)
    return re.fullmatch(".*".join(map(re.escape, parts)), _at_any_time(output), re.DOTALL) is not None


def _at_any_time(output: str) -> str:
    lines = "".join(f"{line.rstrip()}\n" for line in output.splitlines()).strip("\n") + "\n"
    lines = re.sub(r"\b(revision|wave) \d+", r"\1 1", lines)
    return re.sub(r"\b(at|since|of) \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", r"\1 now", lines)


def test_what_a_page_shows_is_compared() -> None:
    """But for times and revisions."""
    said = "a at 2026-11-23T01:31:28Z\nb, revision 7\nc\n\n"
    assert _shows("a at 2026-11-20T00:00:00Z\n...\nc\n", said)
    assert not _shows("a at 2026-11-20T00:00:00Z\nc\n", said)
    assert not _shows("a at 2026-11-20T00:00:00Z\nb, version 7\nc\n", said)


def test_a_command_that_ends_with_another_code_than_0_is_said_to() -> None:
    """On the page that has it, in the words that stand in the table."""
    for page, reader in READERS.items():
        words = {command.words() for command in COMMANDS[page]}
        assert {*reader.before, *reader.answers, *reader.ends} - words == set(), f"{page} has no such command"
        text = " ".join((REPOSITORY / page).read_text(encoding="utf-8").replace("#", " ").split())
        assert [said for _, said in reader.ends.values() if said not in text] == [], page


def test_every_row_of_the_tables_is_about_a_command() -> None:
    assert [row for row in NOT_RUN if not any(_is_about(row, command) for command in ALL)] == []
    assert SERVES.keys() - {command.words() for command in ALL} == set()


def test_commands_stand_in_blocks_that_say_so() -> None:
    """A block without a language is a picture, and nobody runs what stands in it."""
    a_command = re.compile(r"^(\$ |coordinator [a-z]|make [a-z]|etcdctl )", re.MULTILINE)
    assert [(page.name, line) for page in PAGES for line, text in blocks(page, "") if a_command.search(text)] == []


@pytest.mark.parametrize("command", ALL, ids=str)
def test_what_a_command_calls_exists(command: Command) -> None:
    """Our own commands are read by their parser; targets stand in the Makefile; modules and files of ours are there."""
    for words in calls(command):
        programs = [Path(word).name for word in words]
        if "coordinator" in programs:
            _parse(words[programs.index("coordinator") + 1 :])
        if words[0] == "make":
            assert [word for word in words[1:] if "=" not in word and word not in TARGETS] == []
        if words[:2] == ["python", "-m"]:
            assert importlib.util.find_spec(words[2]) is not None
        named = [word.rpartition("=")[2] for word in words]
        assert [word for word in named if OF_OURS.match(word) and not (REPOSITORY / word).exists()] == []


def _parse(arguments: Iterable[str]) -> None:
    """:raises click.UsageError: there is no such command, option or choice."""
    command = typer.main.get_command(app)
    context = command.make_context("coordinator", list(arguments))
    while hasattr(command, "resolve_command"):
        name, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        context = command.make_context(name, rest, parent=context)


@pytest.mark.parametrize("arguments", [["stat"], ["status", "--every"], ["dependencies", "list"]])
def test_a_command_that_does_not_exist_is_not_accepted(arguments: list[str]) -> None:
    with pytest.raises(Exception, match="No such"):
        _parse(arguments)


@pytest.mark.parametrize("page", COMMANDS)
def test_a_command_in_a_sentence_exists_with_its_options(page: str) -> None:
    """As ``coordinator status --all``; what else it needs is left out there."""
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    text = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)
    said = [" ".join(one.split()) for one in re.findall(r"`(coordinator [a-z][^`]*)`", text)]
    assert [one for one in said if not _exists(one.split()[1:])] == []


def _exists(words: list[str]) -> bool:
    command = typer.main.get_command(app)
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        if words[0] not in command.commands:
            return False
        command = command.commands[words.pop(0)]
    options = {"--help", "-h", *(one for parameter in command.params for one in parameter.opts)}
    return all(word.partition("=")[0] in options for word in words if word.startswith("-") and word != "-")


def test_a_command_with_another_option_does_not_exist() -> None:
    assert _exists(["dependencies", "show", "--rev", "57"])
    assert not _exists(["dependencies", "show", "--revision", "57"])
    assert not _exists(["dependencies", "list"])
    assert not _exists(["stat"])
