"""What is wrong with a DAG file, or with what it is made of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from coordinator.model.phrases import counted


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing that is wrong.

    :ivar file: the file, as people know it.
    :ivar line: counted from 1; 0: it is about the file as a whole.
    :ivar rule: a short name, such as ``template`` or ``network``.
    :ivar reason: what was expected and what was found.
    :ivar remedy: what to do about it.
    :ivar entry: the entry of the configuration, or the first of several; empty: none.
    :ivar environment: the deployment environment, or the first of several; empty: none, or each of them.
    :ivar entries: how many entries it concerns, where it concerns entries.
    :ivar environments: in how many environments.
    """

    file: str
    line: int
    rule: str
    reason: str
    remedy: str
    entry: str = ""
    environment: str = ""
    entries: int = 1
    environments: int = 1

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return ": ".join(one for one in (place, self._about(), self.reason) if one) + f"; {self.remedy}"

    def _about(self) -> str:
        if self.entries > 1:
            several = f"{self.entries} entries in {counted(self.environments, 'environment')}"
            return f"{several}, such as {self.entry} in {self.environment}"
        entry = f"entry {self.entry}" if self.entry else ""
        where = self.environment if self.environments == 1 else f"{self.environments} environments"
        return " in ".join(one for one in (entry, where) if one)


def merged(findings: Iterable[Finding]) -> list[Finding]:
    """One for each mistake, however many entries and environments it concerns; in order."""
    alike: dict[tuple[str, int, str, str], list[Finding]] = {}
    for one in sorted(set(findings)):
        alike.setdefault((one.file, one.line, one.rule, one.reason), []).append(one)
    return sorted(
        replace(
            some[0],
            entries=len({one.entry for one in some}),
            environments=len({one.environment for one in some}),
        )
        for some in alike.values()
    )
