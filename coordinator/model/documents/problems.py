"""What is wrong with a dependency document, place by place, so that all of it can be corrected in one go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from coordinator.errors import ConfigurationError

SHOWN = 50
"""A message lists so many problems; the error itself holds all of them."""

UNKNOWN_ENVIRONMENT = "unknown environment"
"""How the reason begins where an environment is not configured."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    :ivar line: counted from 1.
    :ivar column: counted from 1, in characters.
    :ivar path: where in the document, like ``child3.upstream[1].on``; empty for the document as a whole.
    :ivar reason: what was expected and what was found.
    :ivar remedy: what to do about it; may be empty.
    """

    line: int
    column: int
    path: str
    reason: str
    remedy: str = ""

    def __str__(self) -> str:
        place = f"{self.line}:{self.column}: " + (f"{self.path}: " if self.path else "")
        return place + self.reason + (f"; {self.remedy}" if self.remedy else "")


class DependenciesError(ConfigurationError):
    """A dependency document cannot be used.

    :ivar source: the file, or where else the document came from.
    :ivar problems: everything that is wrong with it, in the order of the text.
    """

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        self.source = source
        self.problems = tuple(problems)
        lines = [f"{source}:{problem}" for problem in self.problems[:SHOWN]]
        if len(self.problems) > SHOWN:
            lines.append(f"{source}: and {len(self.problems) - SHOWN} more problems")
        super().__init__(*lines)

    def in_short(self, see: str) -> str:
        """The first problem, in one line.

        :param see: the command that shows all of them.
        """
        first, more = f"{self.source}:{self.problems[0]}", len(self.problems) - 1
        return f"{first} (and {more} more: {see})" if more else first

    @property
    def is_about_environment(self) -> bool:
        """Whether the first problem is an environment that is not configured."""
        return self.problems[0].reason.startswith(UNKNOWN_ENVIRONMENT)

    def __reduce__(self) -> tuple[type[DependenciesError], tuple[str, tuple[Problem, ...]]]:
        return DependenciesError, (self.source, self.problems)
