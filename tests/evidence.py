"""Which tests, cases, drills, mutations and benchmarks show each promise: read from their marks, without running them.

``make evidence`` (``python -m tests.evidence``) writes the tables of docs/evidence.md.

``@pytest.mark.promise("once")`` marks a function, ``pytestmark = pytest.mark.promise("once")`` a whole file.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

REPOSITORY = Path(__file__).parents[1]
EVIDENCE = REPOSITORY / "docs/evidence.md"

KINDS = {
    "tests/e2e/": "end to end",
    "tests/faults/": "drill",
    "tests/simulation/mutations.py": "mutation",
    "tests/simulation/": "simulation",
    "tests/integration/": "integration",
    "tests/worlds/": "case",
    "tests/unit/": "unit",
    "tests/fuzz/": "fuzz",
    "benchmarks/": "benchmark",
}
"""What stands in a file, by how its path begins; the first that fits. Tables have this order."""

SHORT = 240
"""Characters of a docstring's first paragraph that a table shows whole."""

_PROMISE = re.compile(r"^## (?P<title>.+)\n\n`(?P<id>[a-z-]+)` \(\[shown by\]\(evidence\.md#(?P=id)\)\)$", re.MULTILINE)
_TABLES = re.compile(r"(?<=^<!-- The tables: written by `make evidence`. -->\n).*(?=^<!-- The end)", re.S | re.M)


class UnreadableMark(Exception):
    """A mark stands where no reader finds it, or its ids are not literals."""


@dataclass(frozen=True)
class Promise:
    """:ivar title: its heading in docs/guarantees.md."""

    id: str
    title: str


@dataclass(frozen=True)
class Mark:
    """:ivar line: where it stands, for messages.

    :ivar function: which one is marked; ``None``: the whole file.
    :ivar says: the beginning of its docstring; empty if it has none.
    """

    promise: str
    path: str
    line: int
    function: str | None
    says: str

    @property
    def kind(self) -> str:
        return next(kind for beginning, kind in KINDS.items() if self.path.startswith(beginning))

    @property
    def shows(self) -> str:
        """In words: the name of the function, then what its docstring says; of a file its docstring alone."""
        name = re.sub(r"^(test|case)_(\d\d_)?", "", self.function or "").replace("_", " ")
        return ": ".join(one for one in (name, self.says) if one).replace("|", "\\|")


def promises() -> list[Promise]:
    """Those of docs/guarantees.md, in its order."""
    text = (REPOSITORY / "docs/guarantees.md").read_text(encoding="utf-8")
    return [Promise(match["id"], match["title"]) for match in _PROMISE.finditer(text)]


def marks() -> list[Mark]:
    """All marks, by kind, then by path, then as they stand in the file.

    :raises UnreadableMark: one cannot be read.
    """
    found: list[Mark] = []
    for file in sorted(one for part in ("tests", "benchmarks") for one in REPOSITORY.glob(f"{part}/**/*.py")):
        found += marks_of(file.relative_to(REPOSITORY).as_posix(), file.read_text(encoding="utf-8"))
    order = list(KINDS.values())
    return sorted(found, key=lambda mark: order.index(mark.kind))


def marks_of(path: str, source: str) -> list[Mark]:
    """The marks of one file. :raises UnreadableMark: one cannot be read."""
    if "mark.promise" not in source:
        return []
    tree, found, read = ast.parse(source), list[Mark](), set[ast.AST]()
    for marked, function, candidates in _places(tree):
        for call in candidates:
            if isinstance(call, ast.Call) and _is_mark(call.func) and (ids := _ids(call)):
                read.add(call.func)
                found += [Mark(one, path, call.lineno, function, _says(marked)) for one in ids]
    for node in ast.walk(tree):
        if _is_mark(node) and node not in read:
            raise UnreadableMark(
                f"{path}:{node.lineno}: expected a mark with ids in quotes, before a function of the module or as its "
                f'pytestmark: @pytest.mark.promise("once")'
            )
    return found


def _places(tree: ast.Module) -> Iterator[tuple[ast.FunctionDef | ast.Module, str | None, list[ast.expr]]]:
    """Where marks may stand: what they mark, its name, and the expressions there."""
    for node in tree.body:
        match node:
            case ast.FunctionDef():
                yield node, node.name, node.decorator_list
            case ast.Assign(targets=[ast.Name(id="pytestmark")], value=ast.List(elts=marks)):
                yield tree, None, marks
            case ast.Assign(targets=[ast.Name(id="pytestmark")], value=mark):
                yield tree, None, [mark]


def _is_mark(node: ast.AST) -> TypeGuard[ast.Attribute]:
    return isinstance(node, ast.Attribute) and ast.unparse(node) == "pytest.mark.promise"


def _ids(call: ast.Call) -> list[str]:
    values = [one.value for one in call.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    return values if len(values) == len(call.args) and not call.keywords else []


def _says(node: ast.FunctionDef | ast.Module) -> str:
    """The first paragraph of its docstring if that is short, else the first sentence of it."""
    paragraph = " ".join((ast.get_docstring(node) or "").partition("\n\n")[0].split())
    paragraph = re.sub(r":\w+:(?=`)", "", paragraph).replace("``", "`")
    return (paragraph if len(paragraph) <= SHORT else paragraph.partition(". ")[0]).removesuffix(".")


def tables() -> str:
    """What shows each promise, as docs/evidence.md has it."""
    found = marks()
    return "".join(f"\n{_table(one, [mark for mark in found if mark.promise == one.id])}" for one in promises()) + "\n"


def _table(promise: Promise, shown: list[Mark]) -> str:
    anchor = re.sub(r"[^\w\- ]", "", promise.title.lower()).replace(" ", "-")
    rows = [f"| {one.kind} | {one.shows} | [{one.path}](../{one.path}) |" for one in shown]
    head = [f"## {promise.id}", "", promise.title, f"([the promise](guarantees.md#{anchor}))", ""]
    head += ["| | shows | file |", "|---|---|---|"]
    return "\n".join([*head, *rows, ""])


def page() -> str:
    """docs/evidence.md, with the tables that the marks give now."""
    return _TABLES.sub(lambda _: tables(), EVIDENCE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    EVIDENCE.write_text(page(), encoding="utf-8")
