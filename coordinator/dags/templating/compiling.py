"""Whether an output is Python, and makes the DAG of its entry and no other."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from typing import NamedTuple

from coordinator.dags.templating.dag_ids import dags_in, has_text


class BadOutput(NamedTuple):
    """What is wrong. :ivar line: of the output."""

    line: int
    rule: str
    reason: str
    remedy: str


def check_output(text: str, dag_id: str) -> Iterator[BadOutput]:
    """Everything that is wrong with an output."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # an invalid escape, as in "\d"
            tree = ast.parse(text)
            compile(tree, "output", "exec", dont_inherit=True)
    except SyntaxError as error:
        lines = text.splitlines()
        line = error.lineno or 0
        found = lines[line - 1].strip() if 0 < line <= len(lines) else ""
        yield BadOutput(line, "syntax", f"{error.msg}, found: {found:.200}", _CORRECT)
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        yield BadOutput(0, "syntax", f"Python cannot compile it: {type(error).__name__}: {error}", _CORRECT)
    else:
        yield from _dags(tree, dag_id)


_CORRECT = "correct the template; the filter 'literal' writes any value as Python"


def _dags(tree: ast.Module, dag_id: str) -> Iterator[BadOutput]:
    found = sorted(dags_in(tree), key=lambda dag: dag.line)
    if not found and not has_text(tree, dag_id):
        yield BadOutput(0, "dag-id", f"no DAG {dag_id} is made", "write DAG(dag_id={{ dag_id | literal }}, ...)")
    for line, name in found:
        if name is None:
            reason = f"the dag_id is computed; expected {dag_id!r} as a literal"
            yield BadOutput(line, "dag-id", reason, "write dag_id={{ dag_id | literal }}")
        elif name != dag_id:
            yield BadOutput(
                line, "dag-id", f"makes the DAG {name}; expected {dag_id}", "write dag_id={{ dag_id | literal }}"
            )
    if len(found) > 1 and all(name == dag_id for _, name in found):
        yield BadOutput(found[1].line, "dag-id", f"makes the DAG {dag_id} twice", "an entry is one DAG: remove one")
