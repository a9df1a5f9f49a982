"""What ``coordinator dags`` prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from coordinator.cli.output import people, say, say_lines, table
from coordinator.model.phrases import counted

if TYPE_CHECKING:
    from pathlib import Path

    from coordinator.dags.deploying import Change as PlannedChange
    from coordinator.dags.deploying import Deployment
    from coordinator.dags.finding import Finding
    from coordinator.dags.generating import Change
    from coordinator.dags.linting import Linted


def print_findings(findings: Sequence[Finding], *, in_what: str) -> None:
    """Each in a line, and how many there are."""
    say_lines(map(str, findings))
    say(f"{counted(len(findings), 'problem')} in {in_what}")


def findings_as_json(findings: Iterable[Finding]) -> dict[str, Any]:
    """Whether there are any, and each with its fields."""
    from dataclasses import asdict

    listed = [asdict(one) for one in findings]
    return {"ok": not listed, "findings": listed}


def print_linted(linted: Sequence[Linted], where: Sequence[Path]) -> None:
    """What was found, and what was looked at."""
    findings = [finding for one in linted for finding in one.findings]
    say_lines(map(str, findings))
    files = counted(sum(one.files for one in linted), "Python file")
    imported = counted(sum(one.imported for one in linted), "DAG file")
    verdict = counted(len(findings), "problem") if findings else "good"
    say(f"{', '.join(map(str, where))}: {verdict}: {files}, of which {imported} imported")
    if not all(one.has_ruff for one in linted):
        say("ruff is not installed, so its rules for Airflow were not checked: pip install ruff", err=True)


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


def print_deployment(shown: Deployment, target: str, *, limit: int, dry_run: bool) -> None:
    """What would change, what is in the way, and what is left alone. :param limit: how many files are named."""
    plan = shown.plan
    listed = [*plan.refused, *plan.changes]
    if listed:
        rows = ((str(one.action), one.path, _why(one)) for one in listed[:limit])
        people().print(table("action", "file", "why not", rows=rows))
        if (more := len(listed) - limit) > 0:
            say(f"and {more:,} more: see them with --limit")
    of = Counter(one.action for one in listed)
    told = [f"{number} to {action}" for action, number in of.items() if action != "refused"]
    told += [f"{len(plan.refused)} refused"] if plan.refused else []
    told += [f"{plan.unchanged} unchanged"] if plan.unchanged else []
    told += [f"{len(plan.foreign)} of somebody else, left alone"] if plan.foreign else []
    say(f"{target}: {', '.join(told) or 'no files'}" + ("; nothing is deployed" if plan.refused else ""))
    if shown.left_over:
        say(f"to remove: {', '.join(shown.left_over)}: left behind by a deploy that did not end")
    if shown.claim is not None:
        goes_on = "the next one goes on from there" if dry_run else "this one goes on from there"
        how = {
            "interrupted": f"was interrupted: its process has ended; {goes_on}",
            "running": "still runs, on this machine",
            "unknown": "has not ended",
        }[_state(shown)]
        say(f"the deploy that {shown.claim.by} began at {shown.claim.at} {how}")


def _state(shown: Deployment) -> str:
    """What is known of the process of a deploy that has not come to its end."""
    return "interrupted" if shown.was_interrupted else "running" if shown.is_running else "unknown"


def _why(change: PlannedChange) -> str:
    return f"{change.reason}; {change.remedy}" if change.reason else ""


def deployment_as_json(shown: Deployment, target: str, *, deployed: bool) -> dict[str, Any]:
    """The plan, with the digests of each file. :param deployed: whether it was carried out."""
    from dataclasses import asdict

    return {
        "target": target,
        "ok": not shown.plan.refused,
        "deployed": deployed,
        "changes": [asdict(one) for one in shown.plan.changes],
        "refused": [asdict(one) for one in shown.plan.refused],
        "unchanged": shown.plan.unchanged,
        "foreign": list(shown.plan.foreign),
        "left_over": list(shown.left_over),
        "under_way": (
            {"by": shown.claim.by, "at": shown.claim.at, "state": _state(shown)} if shown.claim is not None else None
        ),
    }
