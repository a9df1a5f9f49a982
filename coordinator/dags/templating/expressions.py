"""What an expression of a template may write into Python code."""

from __future__ import annotations

import json
from typing import Any

from jinja2 import TemplateRuntimeError, Undefined


def literal(value: Any) -> str:
    """The filter ``literal``: a value of the configuration as a Python literal.

    :raises UndefinedError: there is no such value.
    :raises TemplateRuntimeError: it is no value of a configuration.
    """
    match value:
        case Undefined():
            return str(value)
        case None | bool() | int() | float():
            return repr(value)
        case str():
            return json.dumps(value, ensure_ascii=False) if value.isprintable() else repr(str(value))
        case list() | tuple():
            return f"[{', '.join(map(literal, value))}]"
        case dict():
            return "{" + ", ".join(f"{literal(key)}: {literal(one)}" for key, one in value.items()) + "}"
        case _:
            # A function would be written as its address in memory, each time another one.
            raise TemplateRuntimeError(f"expected a value of the configuration, found a {type(value).__name__}")


def written(value: Any) -> str:
    """What ``{{ ... }}`` writes: a text as it is, everything else as its literal. :raises: as :func:`literal`."""
    return str(value) if isinstance(value, str) else literal(value)
