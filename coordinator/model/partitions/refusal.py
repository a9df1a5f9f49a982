"""The error of a mapping about an invalid argument."""

from __future__ import annotations


class MappingError(ValueError):
    """A mapping cannot be made of these arguments.

    :ivar field: the argument that is wrong, as the document names it.
    :ivar reason: what was expected and what was found.
    :ivar at: the place in the argument, where that is a list.
    """

    def __init__(self, field: str, reason: str, *, at: int | None = None) -> None:
        super().__init__(f"{field if at is None else f'{field}[{at}]'}: {reason}")
        self.field = field
        self.reason = reason
        self.at = at

    def __reduce__(self) -> tuple[type[MappingError], tuple[str, str], dict[str, int | None]]:
        return MappingError, (self.field, self.reason), {"at": self.at}
