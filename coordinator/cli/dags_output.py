"""What ``coordinator dags`` prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from coordinator.cli.output import people, say, say_lines, table
from coordinator.model.phrases import counted

if TYPE_CHECKING:
    from coordinator.dags.finding import Finding
    from coordinator.dags.generating import Change


def print_findings(findings: Sequence[Finding], *, in_what: str) -> None:
    """Each in a line, and how many there are."""
    say_lines(map(str, findings))
    say(f"{counted(len(findings), 'problem')} in {in_what}")


def findings_as_json(findings: Iterable[Finding]) -> dict[str, Any]:
    """Whether there are any, and each with its fields."""
    from dataclasses import asdict

    listed = [asdict(one) for one in findings]
    return {"ok": not listed, "findings": listed}


def print_changes(changes: Sequence[Change], *, check_only: bool) -> None:
    """The changes to files: as a diff where nothing is written, else as a table."""
    from coordinator.dags.generating import Action

    changing = [one for one in changes if one.action != Action.UNCHANGED]
    if check_only:
        for one in changing:
            say_lines(one.diff())
    elif changing:
        people().print(table("action", "file", rows=((str(one.action), str(one.path)) for one in changing)))
    of = Counter(one.action for one in changes)
    told = ", ".join(
        f"{of[action]} {words}"
        for action, words in (
            (Action.CREATE, "to create" if check_only else "created"),
            (Action.UPDATE, "to update" if check_only else "updated"),
            (Action.REMOVE, "to remove" if check_only else "removed"),
            (Action.UNCHANGED, "unchanged"),
        )
        if of[action]
    )
    say(f"{told or 'no files'}" + ("; run 'coordinator dags generate'" if check_only and changing else ""))


def changes_as_json(changes: Sequence[Change], findings: Iterable[Finding], *, written: bool) -> dict[str, Any]:
    """Each file with its action and its diff. :param written: whether they were carried out."""
    listed = [{"path": str(one.path), "action": one.action, "diff": "\n".join(one.diff())} for one in changes]
    return {"written": written, "changes": listed, **findings_as_json(findings)}
