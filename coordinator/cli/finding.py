"""A line in the output of ``doctor``."""

from __future__ import annotations

import enum
from dataclasses import asdict, dataclass


class Grade(enum.StrEnum):
    """``problem``: something that should run will not run. ``warning``: it runs, and somebody should know this."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the answer."""

    grade: Grade
    subject: str
    found: str
    remedy: str = ""

    def as_json(self) -> dict[str, str]:
        return {name: str(value) for name, value in asdict(self).items()}
