"""The runs that a person's act would cause: shown, and confirmed, before the act."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import typer

from coordinator.cli.failures import ExitCode
from coordinator.cli.output import people, print_json, say, table
from coordinator.errors import ConfigurationError
from coordinator.model.cascade import Change, Step, cascade
from coordinator.model.phrases import counted
from coordinator.model.printable import printable
from coordinator.model.publishing.publication import Publication
from coordinator.model.references import PipelineRef, Target
from coordinator.reading.naming import UnknownPartition
from coordinator.reading.reading import Reading


@dataclass(frozen=True, slots=True)
class Impact:
    """The targets that an act would affect, upstreams first.

    :ivar named: the targets that the act names; the others follow from it.
    :ivar owners: the owner of the published document with the entry of each pipeline.
    """

    named: frozenset[Target]
    steps: tuple[Step, ...]
    owners: dict[PipelineRef, str]

    @property
    def runs(self) -> list[Step]:
        """The steps that would run without further action."""
        return [step for step in self.steps if step.how.runs]

    @property
    def below(self) -> list[Step]:
        """The steps that would run or wait besides the targets that the act names."""
        return [step for step in self.steps if step.target not in self.named and step.how.follows]


def impact_of(reading: Reading, change: Change, *, released: PipelineRef | None = None) -> Impact:
    """Simulate an act on what is in etcd.

    :param change: orders and marks.
    :param released: a pipeline whose hold is taken away.
    """
    steps = cascade(
        reading.propagation.graph,
        reading.cache,
        change,
        released=released,
        known=reading.cache.targets(),
        revision=reading.cache.revision,
        now=reading.propagation.now,
    )
    owners = {
        pipeline: owner
        for owner, published in reading.cache.published.items()
        if isinstance(published.value, Publication)
        for pipeline in published.value.document
    }
    return Impact(frozenset(change), steps, owners)


def as_json(found: Impact) -> list[dict[str, Any]]:
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


def show(found: Impact) -> None:
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
    say(f"{counted(len(found.runs), 'run')} would happen")


def others_follow(found: Impact) -> list[str]:
    """Why to ask before an act that affects more than it names."""
    if not found.below:
        return []
    if len(found.below) == 1:
        return [f"{found.below[0].target} follows from it"]
    return [f"{len(found.below)} other runs follow from it"]


@dataclass(frozen=True, slots=True)
class Manner:
    """The options of a command for showing and confirming its effects."""

    dry_run: bool
    yes: bool
    as_json: bool

    def goes_on(
        self, found: Impact | None, question: str, *, why: list[str], unknown: str | None = None, about: dict[str, Any]
    ) -> bool:
        """Whether to go on; ``False``: it was a dry run, which has been printed.

        :param found: what would run; ``None`` for an act that starts nothing.
        :param question: without its question mark.
        :param why: reasons to ask; if empty, there is no question.
        :param unknown: why the partition is unknown. ``--yes`` alone does not confirm that.
        :param about: the subject of the act, for a dry run's JSON.
        :raises UnknownPartition: the partition is unknown, and no person can confirm it.
        :raises ConfigurationError: no person can answer.
        :raises typer.Exit: the answer is no.
        """
        if self.dry_run:
            self._print_dry_run(found, unknown, about)
            return False
        nobody = "--json is for programs" if self.as_json else "" if sys.stdin.isatty() else "stdin is no terminal"
        if unknown is not None and (self.yes or nobody):
            raise UnknownPartition(f"nothing was done: {unknown}; --new-partition says that it is meant")
        reasons = why if unknown is None else [unknown, *why]
        if reasons and not self.yes:
            if nobody:
                raise ConfigurationError(
                    f"nothing was done: this asks first, as {'; '.join(reasons)}, and here nobody can answer "
                    f"({nobody}); look at --dry-run, then pass --yes"
                )
            _ask(found, question, reasons)
        return True

    def _print_dry_run(self, found: Impact | None, unknown: str | None, about: dict[str, Any]) -> None:
        if self.as_json:
            runs = {} if found is None else {"unknown": unknown, "runs": as_json(found)}
            print_json({**about, "dry_run": True, **runs})
            return
        if found is not None:
            show(found)
        if unknown is not None:
            say(unknown)
        say("nothing was done: this is a dry run")


def _ask(found: Impact | None, question: str, reasons: list[str]) -> None:
    if found is not None:
        show(found)
    for reason in reasons:
        say(reason)
    if not typer.confirm(f"{printable(question)}?", err=True):
        say("nothing was done")
        raise typer.Exit(ExitCode.PROBLEM)
