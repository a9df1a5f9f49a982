"""What would run because of a person's act: told, and asked about, before it is done."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import typer

from coordinator.cli.failures import ExitCode
from coordinator.cli.output import people, print_json, say, table
from coordinator.errors import ConfigurationError
from coordinator.model.cascade import Change, Step, cascade
from coordinator.model.publication import Publication
from coordinator.model.references import PipelineRef, Target
from coordinator.watcher.reading import Reading

_NEAREST = 3


@dataclass(frozen=True, slots=True)
class Outlook:
    """What an act would reach, upstreams first.

    :ivar about: what the act is about.
    :ivar owners: whose published document says what a pipeline waits for.
    """

    about: Target
    steps: tuple[Step, ...]
    owners: dict[PipelineRef, str]

    @property
    def runs(self) -> list[Step]:
        """What would run without anybody doing anything more."""
        return [step for step in self.steps if step.how.runs]

    @property
    def below(self) -> list[Step]:
        """What would run or wait besides what the act is about."""
        return [step for step in self.steps if step.target != self.about and step.how.follows]


def outlook(reading: Reading, about: Target, change: Change) -> Outlook:
    """Rehearse an act on what stands in etcd."""
    steps = cascade(
        reading.standings.graph,
        reading.cache,
        change,
        known=reading.cache.targets(),
        revision=reading.cache.revision,
        now=reading.standings.now,
    )
    owners = {
        pipeline: owner
        for owner, published in reading.cache.published.items()
        if isinstance(published.value, Publication)
        for pipeline in published.value.document
    }
    return Outlook(about, steps, owners)


def as_json(found: Outlook) -> list[dict[str, Any]]:
    """Every step for programs. ``owner`` is null for a pipeline that waits for nothing."""
    return [
        {
            "environment": step.target.pipeline.environment,
            "owner": found.owners.get(step.target.pipeline),
            "pipeline": str(step.target.pipeline),
            "partition": step.target.partition,
            "how": str(step.how),
            "runs": step.how.runs,
            "run_id": step.run_id,
            "state": str(step.state) if step.state is not None else None,
        }
        for step in found.steps
    ]


def show(found: Outlook) -> None:
    """Every step for people."""
    if not found.steps:
        say("nothing would run")
        return
    rows = [
        (
            step.target.pipeline.environment,
            found.owners.get(step.target.pipeline, "-"),
            str(step.target.pipeline),
            step.target.partition,
            str(step.how),
            step.run_id or "-",
            str(step.state) if step.state is not None else "not yet",
        )
        for step in found.steps
    ]
    columns = ("environment", "owner", "pipeline", "partition", "how", "present run", "state")
    people().print(table(*columns, rows=rows))
    count = len(found.runs)
    say(f"{count} {'run' if count == 1 else 'runs'} would happen")


def why_to_ask(found: Outlook, reading: Reading) -> str | None:
    """Why a person is asked before it is done; ``None``: there is no need."""
    if found.below:
        count = len(found.below)
        return "another one follows" if count == 1 else f"{count} others follow"
    pipeline, partition = found.about
    if partition in reading.partitions_of(pipeline):
        return None
    near = ", ".join(reading.partitions_of(pipeline)[:_NEAREST]) or "none"
    return f"nothing is known of {pipeline} in partition {partition}, letter by letter (the newest known: {near})"


def confirm(found: Outlook, question: str, *, why: str, command: str, as_json: bool) -> None:
    """Ask a person.

    :param question: ends without its question mark.
    :param why: as :func:`why_to_ask` says it.
    :raises ConfigurationError: nobody can answer.
    :raises typer.Exit: the answer is no.
    """
    if as_json or not sys.stdin.isatty():
        nobody = "--json is for programs" if as_json else "stdin is no terminal"
        raise ConfigurationError(
            f"{command} asks first, as {why}, and here nobody can answer ({nobody}); nothing was done: look at "
            "--dry-run, then pass --yes"
        )
    show(found)
    say(why)
    if not typer.confirm(f"{question}?", err=True):
        say("nothing was done")
        raise typer.Exit(ExitCode.PROBLEM)


def print_dry_run(found: Outlook, *, as_json_too: bool, **about: Any) -> None:
    """What would happen, and nothing more."""
    if as_json_too:
        print_json({**about, "dry_run": True, "runs": as_json(found)})
    else:
        show(found)
        say("nothing was done: this is a dry run")
