"""The DAGs that a Python file makes, as far as its text shows."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final, NamedTuple

_CLASS: Final = "DAG"
_DECORATOR: Final = "dag"


class DagInText(NamedTuple):
    """A DAG, and where it is made. :ivar dag_id: ``None``: the text does not say it, but something that computes it."""

    line: int
    dag_id: str | None


def dags_in(tree: ast.AST) -> Iterator[DagInText]:
    """Each call of ``DAG``, and each function with the decorator ``dag``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name(node.func) == _CLASS:
            yield DagInText(node.lineno, _dag_id(node))
        if isinstance(node, ast.FunctionDef):
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call) and _name(decorator.func) == _DECORATOR:
                    yield DagInText(decorator.lineno, _dag_id(decorator, default=node.name))
                elif _name(decorator) == _DECORATOR:
                    yield DagInText(decorator.lineno, node.name)


def dag_ids_of(content: bytes) -> tuple[str, ...]:
    """The dag_ids that stand in a Python file as literals, each once; none where it is no Python."""
    if not all(word in content.lower() for word in (b"dag", b"airflow")):  # Airflow imports no other file
        return ()
    try:
        found = [dag_id for _, dag_id in dags_in(ast.parse(content)) if dag_id is not None]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()  # `dags lint` says so
    return tuple(dict.fromkeys(found))


def has_text(tree: ast.AST, text: str) -> bool:
    """Whether a literal of the code is this text."""
    return any(isinstance(node, ast.Constant) and node.value == text for node in ast.walk(tree))


def _name(node: ast.expr) -> str | None:
    """The last name of ``airflow.sdk.DAG``."""
    match node:
        case ast.Name():
            return node.id
        case ast.Attribute():
            return node.attr
        case _:
            return None


def _dag_id(call: ast.Call, default: str | None = None) -> str | None:
    given = [keyword.value for keyword in call.keywords if keyword.arg == "dag_id"] or call.args[:1]
    if not given:
        return default
    return given[0].value if isinstance(given[0], ast.Constant) and isinstance(given[0].value, str) else None
