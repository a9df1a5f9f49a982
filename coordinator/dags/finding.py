"""What is wrong with a DAG file, or with what it is made of."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing that is wrong.

    :ivar file: the file, as people know it.
    :ivar line: counted from 1; 0: it is about the file as a whole.
    :ivar rule: a short name, such as ``template`` or ``network``.
    :ivar reason: what was expected and what was found.
    :ivar remedy: what to do about it.
    :ivar entry: the entry of the configuration; empty: none.
    :ivar environment: the deployment environment; empty: none, or each of them.
    """

    file: str
    line: int
    rule: str
    reason: str
    remedy: str
    entry: str = ""
    environment: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        entry = f"entry {self.entry}" if self.entry else ""
        about = " in ".join(one for one in (entry, self.environment) if one)
        return ": ".join(one for one in (place, about, self.reason) if one) + f"; {self.remedy}"
