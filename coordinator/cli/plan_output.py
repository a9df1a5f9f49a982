"""A plan in words, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer
from rich.text import Text

from coordinator.cli.checkup import evaluate_environment
from coordinator.cli.failures import ExitCode
from coordinator.cli.finding import Grade
from coordinator.cli.output import line, people, print_json
from coordinator.model.documents import DependenciesError
from coordinator.model.explanation import headline
from coordinator.model.partitions.instants import format_instant
from coordinator.model.phrases import counted
from coordinator.model.publishing.difference import CONDITION_FIELD, Change, Difference
from coordinator.model.publishing.publication import Publication, Published

if TYPE_CHECKING:
    from coordinator.cli.planning import Plan
    from coordinator.model.conditions import Dependency
    from coordinator.model.decide import Decision
    from coordinator.model.references import PipelineRef

_SHOWN = 20
_STYLES = {"+": "green", "-": "red", "~": "yellow"}


def print_plan(plan: Plan, *, accept: bool = False) -> None:
    """For people: the problems, the changes, and their consequences.

    :param accept: a person overrides the guard.
    """
    console = people()
    for one in _lines(plan, accept=accept):
        console.print(one, soft_wrap=True)


@contextmanager
def problems_printed(owner: str, *, as_json: bool) -> Iterator[None]:
    """Print the problems of a file, as ``validate`` does, and end the command.

    :raises typer.Exit: with 1, if there are problems.
    """
    try:
        yield
    except DependenciesError as error:
        if as_json:
            print_json({"ok": False, "file": error.source, "owner": owner, "problems": _problems_as_json(error)})
        else:
            console = people()
            for problem in error.lines:
                console.print(line(problem), soft_wrap=True)
            console.print(line(f"{counted(len(error.problems), 'problem')} in {error.source}"), soft_wrap=True)
        raise typer.Exit(ExitCode.PROBLEM) from None


def plan_as_json(plan: Plan) -> dict[str, Any]:
    """The whole plan for programs."""
    difference = plan.proposal.difference()
    reported = plan.environments
    found = plan.consequences
    return {
        "ok": not plan.is_refused,
        "file": plan.draft.source,
        "owner": plan.draft.owner,
        "revision": plan.proposal.base.revision,
        "version": plan.proposal.version,
        "serial": plan.proposal.serial,
        "published": published_as_json(plan.proposal.present),
        "changed": not plan.proposal.is_published,
        "changes": [_change_as_json(change) for change in difference.changes],
        "dependencies_added": difference.dependencies_added,
        "dependencies_removed": difference.dependencies_removed,
        "problems": _problems_as_json(plan.refused),
        "concerns": list(plan.concerns),
        "taken_away": [
            {"pipeline": str(pipeline), "dependency": dependency, "partitions": partitions}
            for (pipeline, dependency), partitions in sorted(plan.effects.taken_away.items())
        ],
        "resumes": [
            {
                "pipeline": str(pipeline),
                "dependency": str(dependency),
                "taken_out_at": format_instant(one.at),
                "active_since": one.activation.revision,
            }
            for (pipeline, dependency), one in plan.resumes.items()
        ],
        "may_start_by_resuming": [
            {"pipeline": str(target.pipeline), "partition": target.partition}
            for target in sorted(plan.effects.may_start)
        ],
        "warnings": list(plan.warnings),
        "would_fire": None if found is None else _decisions_as_json(found.would_fire),
        "would_be_due": None if found is None else _decisions_as_json(found.would_be_due),
        "no_longer_due": None if found is None else _decisions_as_json(found.no_longer_due),
        "environments": None if reported is None else {name: asdict(report) for name, report in reported.items()},
    }


def _problems_as_json(error: DependenciesError | None) -> list[dict[str, Any]]:
    return [] if error is None else [asdict(problem) for problem in error.problems]


def published_as_json(published: Published | None) -> dict[str, Any] | None:
    """A publication: its version, by whom, when and why."""
    if published is None:
        return None
    value = published.value
    if not isinstance(value, Publication):
        return {"revision": published.revision, "problem": value.reason}
    at = format_instant(value.published_at) if value.published_at is not None else None
    return {
        "revision": published.revision,
        "version": value.version,
        "serial": value.serial,
        "by": value.published_by,
        "at": at,
        "why": value.why,
    }


def published_in_words(published: Published | None) -> str:
    """Like ``revision 40, 2026-11-20T08:30:00Z by ann@host: T-123``."""
    if published is None:
        return "nothing"
    value = published.value
    if not isinstance(value, Publication):
        return f"revision {published.revision}, which cannot be read: {value.reason}"
    words = f"version {value.version}, revision {published.revision}"
    if value.published_at is not None:
        words += f", {format_instant(value.published_at.replace(microsecond=0))}"
    if value.published_by:
        words += f" by {value.published_by}"
    return words + (f": {value.why}" if value.why else "")


def counts_in_words(difference: Difference) -> str:
    """Like ``dependencies: 2 added, 1 removed; pipelines: 1 begins to be coordinated, 0 cease, 3 differ``."""
    begin, cease, differ = len(difference.begins), len(difference.ceases), len(difference.differs)
    return (
        f"dependencies: {difference.dependencies_added} added, {difference.dependencies_removed} removed; pipelines: "
        f"{begin} begin{'s' * (begin == 1)} to be coordinated, {cease} cease{'s' * (cease == 1)}, "
        f"{differ} differ{'s' * (differ == 1)}"
    )


def _lines(plan: Plan, *, accept: bool) -> Iterator[Text]:
    proposal = plan.proposal
    yield line(f"document of {plan.draft.owner}: {plan.draft.source}, beside etcd at revision {proposal.base.revision}")
    yield line(f"published now: {published_in_words(proposal.present)}")
    if proposal.is_published:
        yield line("no difference")
    else:
        difference = proposal.difference()
        for change in difference.changes:
            yield from _change(change, plan.resumes)
        yield line(counts_in_words(difference), style="bold")
    resumes = [
        f"{pipeline} <- {dependency}, taken out at {format_instant(one.at.replace(microsecond=0))}"
        for (pipeline, dependency), one in plan.resumes.items()
    ]
    yield from _listed("resume: what completed since they were taken out is new", resumes)
    yield from _listed("may start by resuming", [str(target) for target in sorted(plan.effects.may_start)])
    yield from _listed(
        "taken away while due, waiting or in flight (put back in time they resume)", plan.effects.taken_away_in_words()
    )
    if plan.consequences is not None:
        found = plan.consequences
        yield from _listed("would fire at once", [str(one.target) for one in found.would_fire])
        yield from _listed("would become due", [headline(one) for one in found.would_be_due])
        yield from _listed("would no longer be due", [str(one.target) for one in found.no_longer_due])
        if not found:
            yield line("by publishing this alone nothing fires, becomes due or ceases to be due")
    yield from _environments(plan)
    for warning in plan.warnings:
        yield line(f"warning: {warning}", style="yellow")
    if plan.refused is not None:
        yield line("this cannot be published:", style="bold red")
        yield from map(line, plan.refused.lines)
    if plan.concerns:
        by = "the file" if plan.accepted_by_file else "--accept" if accept else None
        yield line(f"accepted by {by}:" if by else "refused, unless somebody accepts it:", style="bold red")
        for concern in plan.concerns:
            yield line(f"    {concern}")
        if by is None:
            yield line(
                f"if it is meant: coordinator apply {plan.draft.source} --owner {plan.draft.owner} --accept, or "
                f'"accept": {plan.proposal.version} in the file'
            )


def _change(change: Change, resumes: Container[tuple[PipelineRef, Dependency]]) -> Iterator[Text]:
    if change.before is None:
        yield _marked("+", f"{change.pipeline} begins to be coordinated")
    elif change.after is None:
        yield _marked("-", f"{change.pipeline} ceases to be coordinated: nothing starts it any more")
    else:
        yield _marked("~", str(change.pipeline))
    for field in change.fields:
        if field.name == CONDITION_FIELD:
            before = str(change.before.condition) if change.before is not None else None
            after = str(change.after.condition) if change.after is not None else None
        else:
            before, after = _as_written(field.before), _as_written(field.after)
        name = "waits for" if field.name == CONDITION_FIELD else field.name
        if change.before is None or change.after is None:
            yield line(f"    {name}: {after if before is None else before}")
        else:
            yield line(f"    {name}: {before or 'not set'}  ->  {after or 'not set'}")
    if change.before is not None and change.after is not None:
        for dependency in change.added:
            since = "which resumes" if (change.pipeline, dependency) in resumes else "for completions from then on"
            yield _marked("    +", f"{dependency}, {since}")
        for dependency in change.removed:
            yield _marked("    -", str(dependency))


def _as_written(value: Any) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False)


def _marked(mark: str, words: str) -> Text:
    return line(f"{mark} {words}", style=_STYLES[mark.strip()])


def _listed(what: str, lines: Sequence[str]) -> Iterator[Text]:
    if not lines:
        return
    yield line(f"{what}:", style="bold")
    for one in lines[:_SHOWN]:
        yield line(f"    {one}")
    if len(lines) > _SHOWN:
        yield line(f"    and {len(lines) - _SHOWN} more; all of them with --json")


def _environments(plan: Plan) -> Iterator[Text]:
    for name, report in (plan.environments or {}).items():
        for finding in evaluate_environment(name, report, 0, kind=plan.kinds[name]):
            if finding.grade is not Grade.OK:
                text = f"warning: {finding.subject}: {finding.found}; {finding.remedy}"
                yield line(text, style="yellow")


def _decisions_as_json(decisions: Iterable[Decision]) -> list[dict[str, str]]:
    return [
        {"pipeline": str(one.target.pipeline), "partition": one.target.partition, "says": headline(one)}
        for one in decisions
    ]


def _change_as_json(change: Change) -> dict[str, Any]:
    return {
        "pipeline": str(change.pipeline),
        "change": "begins" if change.before is None else "ceases" if change.after is None else "differs",
        "added": [str(dependency) for dependency in change.added],
        "removed": [str(dependency) for dependency in change.removed],
        "fields": [asdict(field) for field in change.fields],
    }
