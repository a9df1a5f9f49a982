"""The error of a mapping about an invalid argument."""

from __future__ import annotations


class MappingError(ValueError):
    """A mapping cannot be made of these arguments.

    :ivar field: the argument that is wrong, as the document names it.
    :ivar reason: what was expected and what was found.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason

    def __reduce__(self) -> tuple[type[MappingError], tuple[str, str]]:
        return MappingError, (self.field, self.reason)
