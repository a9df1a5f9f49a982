"""Escaping text from outside before it is shown.

Names come from Airflow, from other writers and from files; a name may contain a line break, a terminal's escape
sequence or half a surrogate pair, which no output can encode. None of it may forge a line, control a terminal, or make
the output fail. This is only for showing: values that are compared or stored stay as they are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final

_UNFIT: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # control characters, with U+009B, which terminals take for ESC [
    "\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069"  # line breaks, and what turns the direction of writing
    "\ud800-\udfff]"  # halves of surrogate pairs: bytes that are no UTF-8, or a JSON escape
)
_UNFIT_BUT_LINES: Final = re.compile(_UNFIT.pattern.replace("\x00-\x1f", "\x00-\x08\x0b-\x1f"))


def printable(text: str, *, limit: int | None = None) -> str:
    """One line, in which every control character is written as its escape: ``\\x1b``, ``\\u202e``.

    :param limit: characters, after which it is cut.
    """
    return _shortened(_escaped(_UNFIT, text), limit)


def printable_lines(text: str) -> str:
    """As :func:`printable`, for what may have several lines."""
    return _escaped(_UNFIT_BUT_LINES, text)


def json_text(value: Any, *, indent: int | None = None, default: Callable[[Any], Any] | None = None) -> str:
    """JSON without ASCII escapes, except for characters that :func:`printable` escapes: equal when it is read back.

    :param default: converts values that JSON cannot represent, as for ``json.dumps``.
    """
    text = json.dumps(value, indent=indent, default=default, ensure_ascii=False)
    return _UNFIT_BUT_LINES.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def encodable(text: str, *, limit: int | None = None) -> str:
    """Text that UTF-8 can encode: halves of surrogate pairs become escapes, and nothing else is changed."""
    return _shortened(text.encode("utf-8", "backslashreplace").decode(), limit)


def _escaped(unfit: re.Pattern[str], text: str) -> str:
    return unfit.sub(lambda found: found.group().encode("unicode_escape").decode("ascii"), text)


def _shortened(text: str, limit: int | None) -> str:
    return text if limit is None or len(text) <= limit else text[: limit - 3] + "..."
