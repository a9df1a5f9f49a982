"""A pipeline's own ``conf``, and templates in it.

The conf is sent to Airflow unchanged: neither the coordinator nor Airflow renders it. A person who writes ``{{ ds }}``
expects it to be rendered, so templates are refused. Text that must contain braces is written in Jinja's ``raw`` block.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

RAW: Final = "{% raw %}"
END_OF_RAW: Final = "{% endraw %}"
_BRACES: Final = (("{{", "}}"), ("{%", "%}"))


def template_in(text: str) -> str | None:
    """The first template outside of raw blocks; ``None``: there is none."""
    for piece, is_raw in _pieces(text):
        if is_raw:
            continue
        found = [template for braces in _BRACES if (template := _between(piece, *braces)) is not None]
        if found:
            return min(found, key=piece.index)
    return None


def conf_to_send(conf: Mapping[str, Any]) -> dict[str, Any]:
    """A conf without the marks of its raw blocks."""
    return {_without_marks(name): _value_to_send(value) for name, value in conf.items()}


def _value_to_send(value: Any) -> Any:
    match value:
        case str():
            return _without_marks(value)
        case Mapping():
            return conf_to_send(value)
        case list():
            return [_value_to_send(item) for item in value]
        case _:
            return value


def _without_marks(text: str) -> str:
    return "".join(piece for piece, _ in _pieces(text))


def _pieces(text: str) -> Iterator[tuple[str, bool]]:
    """The pieces of a text, in order, and whether each is inside a raw block. A block without an end does not count."""
    at = 0
    while (begin := text.find(RAW, at)) >= 0 and (end := text.find(END_OF_RAW, begin)) >= 0:
        yield text[at:begin], False
        yield text[begin + len(RAW) : end], True
        at = end + len(END_OF_RAW)
    yield text[at:], False


def _between(text: str, opening: str, closing: str) -> str | None:
    begin = text.find(opening)
    end = text.find(closing, begin + len(opening)) if begin >= 0 else -1
    return text[begin : end + len(closing)] if end >= 0 else None
