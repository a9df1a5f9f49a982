"""Reading values from etcd, which anybody may have written. There is one function for all of them, which never raises.

The size of a value is checked before it is parsed. A value that cannot be read is :class:`Unreadable`, with the place
and the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import msgspec
from pydantic import BeforeValidator, Field, ValidationError

from coordinator.model import bounds
from coordinator.model.partitions.instants import A_MOMENT
from coordinator.model.printable import encodable

Document = TypeVar("Document")
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A value that cannot be read. A state counts as "not yet" then.

    :ivar reason: why, short enough for a log line, and always valid UTF-8.
    """

    reason: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "reason", encodable(self.reason, limit=bounds.REASON))


def as_utc(value: Any) -> Any:
    """An instant in UTC from an ISO 8601 text; without an offset it is in UTC.

    :raises ValueError: it is no instant, or outside of the calendar in UTC.
    """
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError as error:
            raise ValueError(f"expected {A_MOMENT}") from error
    if not isinstance(value, datetime) or value.tzinfo is UTC:
        return value
    try:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError as error:  # the first day of year 1 in the east; pydantic lets only ValueError be a refusal
        raise ValueError(f"{value.isoformat()} is outside of the calendar in UTC") from error


Instant = Annotated[datetime, BeforeValidator(as_utc)]


Revision = Annotated[int, Field(ge=0, lt=1 << 63)]
"""etcd's own type for it is int64. A greater one would never be reached, and would make things wait for ever."""


WrittenTime = Annotated[datetime, msgspec.Meta(tz=True)]
"""An instant in a document that only the coordinator writes, for msgspec, always as RFC 3339."""

WrittenRevision = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
"""As :data:`Revision`, for msgspec."""


def counted(value: object) -> int:
    """A number that counts something: a version, a revision.

    :raises ValueError: it is no integer in etcd's range. (Python could not print the largest numbers that JSON can
        have.)
    """
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise ValueError("a number is not in range: expected an integer from 0 to 2**63 - 1")
    return value


def too_large(value: bytes, most: int, what: str) -> Unreadable:
    """The result for a value that is too large to be parsed."""
    del value  # its size is unknown: the store keeps only the fact that a value is too large
    return Unreadable(f"more than {most} bytes, the most that {what} has: put a shorter one, or delete the key")


def read_stored(
    value: bytes,
    decode: Callable[[bytes], Document],
    make: Callable[[Document], Value],
    *,
    most: int,
    what: str,
    expected: str = "",
) -> Value | Unreadable:
    """Read a value. Never raises.

    :param decode: makes a document of it: a pydantic model's ``model_validate_json`` or a msgspec decoder's ``decode``.
    :param make: converts the document to the value; may raise ``ValueError``.
    :param most: the largest number of bytes.
    :param what: the kind of value, for the message: ``a hold``.
    :param expected: text to add to the reason.
    """
    if len(value) > most:
        return too_large(value, most, what)
    try:
        return make(decode(value))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return Unreadable(f"{'.'.join(map(str, first['loc'])) or 'value'}: {first['msg']}{expected}")
    except msgspec.DecodeError as error:
        return Unreadable(f"{error}{expected}")
    except (ValueError, OverflowError, RecursionError) as error:
        return Unreadable(f"{type(error).__name__}: {error}")
