"""Reading rows: from JSON to checked rows by their keys. What is wrong is told with the number of its row, from 1."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from coordinator.errors import CoordinatorError
from coordinator.model import bounds
from coordinator.model.printable import printable
from coordinator.model.references import ITEM_KEY

_KEY = re.compile(ITEM_KEY)


class BadRows(CoordinatorError):
    """Rows that cannot be used. Nothing is started."""


def read_rows(text: bytes, *, key: str, source: str) -> Mapping[str, bytes]:
    """Read a JSON list of objects.

    :param key: the member of a row that names its item.
    :param source: what to call it in messages.
    :returns: each row as JSON in one form, by its key, in the order of the list.
    :raises BadRows: with the place.
    """
    try:
        found = json.loads(text, parse_constant=_no_number)
    except RecursionError:
        raise BadRows(f"{source}: nested too deep") from None
    except ValueError as error:  # also what is not UTF-8
        raise BadRows(f"{source}: not JSON: {printable(str(error), limit=bounds.DETAIL // 2)}") from None
    return checked_rows(found, key=key, source=source)


def checked_rows(found: Any, *, key: str, source: str) -> Mapping[str, bytes]:
    """As :func:`read_rows`, of values."""
    if not isinstance(found, list):
        raise BadRows(f"{source}: expected a list of rows; found {_kind(found)}")
    if len(found) > bounds.ITEMS:
        raise BadRows(f"{source}: {len(found)} rows; expected at most {bounds.ITEMS}")
    by_key: dict[str, bytes] = {}
    first: dict[str, int] = {}
    size = 0
    for number, row in enumerate(found, 1):
        place = f"{source}, row {number}"
        if not isinstance(row, dict):
            raise BadRows(f"{place}: expected an object; found {_kind(row)}")
        name = _key_of(row, key, place)
        if name in first:
            raise BadRows(f"{place}: the key {name!r} is that of row {first[name]} too")
        first[name] = number
        try:
            by_key[name] = json.dumps(row, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
        except UnicodeEncodeError:
            raise BadRows(f"{place}: holds half a surrogate pair, which is no character") from None
        if (size := size + len(name) + len(by_key[name])) > bounds.ROWS:
            raise BadRows(f"{place}: the rows up to here have more than {bounds.ROWS} bytes")
    return by_key


def _key_of(row: dict[str, Any], key: str, place: str) -> str:
    if key not in row:
        raise BadRows(f"{place}: it has no {key!r}, which is to name its item")
    name = row[key]
    if isinstance(name, int) and not isinstance(name, bool):
        name = str(name)
    if not isinstance(name, str) or not _KEY.fullmatch(name):
        shown = printable(repr(name), limit=bounds.PATTERN)
        raise BadRows(f"{place}: {key!r} is {shown}; expected 1 to 100 letters, digits and _ . : + -")
    return name


def _kind(found: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return kinds.get(type(found), "a number")


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number in JSON")
