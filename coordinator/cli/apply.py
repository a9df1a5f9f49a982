"""``coordinator apply``: publish a dependencies.json."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.connecting import etcd_of
from coordinator.cli.failures import ExitCode
from coordinator.cli.options import ConfigOption, JsonOption, OfflineOption, OwnerOption, WhoOption, person, pipeline_of
from coordinator.cli.output import people, print_json, say

if TYPE_CHECKING:
    from coordinator.cli.planning import Plan
    from coordinator.commands.proposal import Signature
    from coordinator.store.keys import Keys
    from coordinator.store.port import Store


def apply(
    file: Annotated[Path, typer.Argument(help="The file; - reads stdin.")] = Path("dependencies.json"),
    *,
    owner: OwnerOption = "default",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask: for scripts.")] = False,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="For CI: write nothing. Exit code 0: it is published; 1: it cannot be; 5: it would change something.",
        ),
    ] = False,
    accept: Annotated[
        bool, typer.Option("--accept", help="Publish although the guard refuses it; the plan says what it refuses.")
    ] = False,
    fresh: Annotated[
        list[str] | None,
        typer.Option(
            "--fresh",
            metavar="PIPELINE",
            help="Begin its dependencies again: what has completed so far starts nothing. May be repeated.",
            show_default=False,
        ),
    ] = None,
    reason: Annotated[
        str, typer.Option("--reason", "-r", help="Why; kept with the document.", show_default=False)
    ] = "",
    who: WhoOption = None,
    offline: OfflineOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Publish this file as its owner's document: show the plan, ask, and write it in one transaction.

    Refused when somebody published anything since the plan was made. Dependencies that were there before stay active;
    a new one fires for completions from then on, never for the past. One that was taken out a short time ago
    (publication.resume_within) resumes: what completed meanwhile is new. What is published already is not written.

    Example: [bold]coordinator apply team_b.json --owner team_b --reason "load waits for enrich, T-123"[/bold]
    """
    from coordinator.cli.plan_output import problems_printed
    from coordinator.cli.planning import compare, make_draft, make_plan
    from coordinator.cli.validate import read_file
    from coordinator.commands.proposal import Signature
    from coordinator.config.loading import load_settings

    settings = load_settings(config)
    if not (yes or check):
        _refuse_unless_asked(file, as_json=as_json)
    with problems_printed(owner, as_json=as_json):
        draft = make_draft(read_file(file), source=str(file), owner=owner, settings=settings)
    again = [pipeline_of(name) for name in fresh or ()]
    for pipeline in again:
        if pipeline not in draft.document:
            raise typer.BadParameter(f"{pipeline} waits for nothing in {file}", param_hint="--fresh")
    with etcd_of(config) as (store, keys):
        if check:
            _check(compare(draft, store, keys, settings=settings, fresh=again), accept=accept, as_json=as_json)
            return
        with people(stderr=True).status("asking etcd and the environments"):
            plan = make_plan(draft, store, keys, settings=settings, offline=offline, fresh=again)
        signature = Signature(who or person(), datetime.now(UTC), reason)
        _publish(plan, store, keys, signature, ask=not yes, accept=accept, as_json=as_json)


def _refuse_unless_asked(file: Path, *, as_json: bool) -> None:
    """Without a person who can answer, ``--yes`` is required."""
    from coordinator.errors import ConfigurationError

    if as_json:
        why = "--json is for programs"
    elif str(file) == "-":
        why = "stdin holds the file"
    elif not sys.stdin.isatty():
        why = "stdin is no terminal"
    else:
        return
    raise ConfigurationError(
        f"apply asks before it writes, and here nobody can answer ({why}); nothing was written: look at "
        "coordinator plan, then pass --yes"
    )


def _check(plan: Plan, *, accept: bool, as_json: bool) -> None:
    from coordinator.cli.plan_output import plan_as_json, print_plan

    if as_json:
        print_json(plan_as_json(plan))
    else:
        print_plan(plan, accept=accept)
    if plan.refused is not None or (plan.is_refused and not accept):
        raise typer.Exit(ExitCode.PROBLEM)
    if not plan.proposal.is_published:
        raise typer.Exit(ExitCode.DIFFERENT)


def _publish(
    plan: Plan, store: Store, keys: Keys, signature: Signature, *, ask: bool, accept: bool, as_json: bool
) -> None:
    from coordinator.cli.plan_output import plan_as_json, print_plan
    from coordinator.commands import publish as publishing

    if not as_json:
        print_plan(plan, accept=accept)
    revision: int | None = None
    may = plan.refused is None and (accept or not plan.is_refused)
    if may and not plan.proposal.is_published:
        if ask and not typer.confirm(f"publish this as the document of {plan.draft.owner}?", err=True):
            say("nothing was published")
            raise typer.Exit(ExitCode.PROBLEM)
        revision = publishing.apply(store, keys, plan.proposal, signature, waiting=plan.effects.taken_away)
    if as_json:
        print_json(plan_as_json(plan) | {"written_at_revision": revision})
    elif revision is not None:
        version = plan.proposal.version + 1
        say(f"published as version {version} of the document of {plan.draft.owner} at revision {revision}")
    elif may:
        say("nothing was written: this is published already")
    if not may:
        raise typer.Exit(ExitCode.PROBLEM)
