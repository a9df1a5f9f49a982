"""The commands in the documents: every block marked as ``sh``, ``bash`` or ``console``, command by command."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]
PAGES = [REPOSITORY / "README.md", *sorted(REPOSITORY.glob("docs/*.md"))]

_BLOCK = re.compile(r"^(?P<indent> *)```(?P<language>\w+)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
_PROMPT = "$ "


@dataclass(frozen=True)
class Command:
    """:ivar page: as ``docs/demo.md``.

    :ivar text: as it stands there, with its comment; several lines where it is continued.
    :ivar shown: what the page shows as its output; ``None``: nothing.
    """

    page: str
    line: int
    text: str
    shown: str | None = None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {self.words()}"

    def words(self) -> str:
        """Without its comment, in one line."""
        return " ".join(self.text.split(" #")[0].replace("\\\n", " ").split())


def blocks(page: Path, *languages: str) -> Iterator[tuple[int, str]]:
    """Each block in one of these languages: the number of its first line, and its text without indentation."""
    text = page.read_text(encoding="utf-8")
    for block in _BLOCK.finditer(text):
        if block["language"] in languages:
            yield text[: block.start("text")].count("\n") + 1, re.sub(f"(?m)^{block['indent']}", "", block["text"])


def commands_of(page: Path) -> list[Command]:
    """In their order."""
    name = page.relative_to(REPOSITORY).as_posix()
    found = [one for first, text in blocks(page, "console") for one in _of_a_console(name, first, text)]
    found += [one for first, text in blocks(page, "sh", "bash", "shell") for one in _of_a_script(name, first, text)]
    return sorted(found, key=lambda command: command.line)


def _of_a_console(page: str, first: int, text: str) -> Iterator[Command]:
    """A line with a prompt is a command, what follows is its output."""
    for part in re.finditer(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
        yield Command(page, first + text[: part.start()].count("\n"), part[1], part[2])


def _of_a_script(page: str, first: int, text: str) -> Iterator[Command]:
    lines: list[str] = []
    for number, line in enumerate(text.splitlines(), start=first):
        lines.append(line)
        if _is_complete("\n".join(lines)):
            if line.strip() and not line.strip().startswith("#"):
                yield Command(page, number - len(lines) + 1, "\n".join(lines))
            lines = []
    assert not lines, f"{page}:{first}: the last command of this block is not complete"


def _is_complete(script: str) -> bool:
    if script.endswith("\\"):
        return False
    if not re.search(r"[({'\"`]|<<|\b(if|for|while|case)\b", script):
        return True
    return subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False).returncode == 0


def calls(command: Command) -> Iterator[list[str]]:
    """Each program that it calls, as words: ``a && VAR=b c < file | d`` calls a, c and d."""
    lexer = shlex.shlex(command.text.replace("\\\n", " "), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    tokens = iter([*lexer, ";"])
    for token in tokens:
        if token in {"<", ">", ">>"}:
            next(tokens)
        elif not token or set(token) - set(";&|()"):
            words.append(token)
        else:
            while words and re.match(r"\w+=", words[0]):
                words.pop(0)
            if words:
                yield words
            words = []
