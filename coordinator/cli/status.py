"""``coordinator status``: what needs a person, what is busy, and the watchers."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coordinator.cli.attention_output import attention_in_words, attention_table, more_in_words
from coordinator.cli.connecting import etcd_of
from coordinator.cli.failures import ExitCode
from coordinator.cli.observed_output import print_observed
from coordinator.cli.options import ConfigOption, JsonOption, pipeline_of, spellings_of
from coordinator.cli.output import hold_in_words, people, print_json
from coordinator.cli.partitions_output import partitions_table
from coordinator.cli.replicas_output import leader_in_words, replicas_table
from coordinator.cli.reporters_output import print_reporters
from coordinator.cli.retention_output import retention_as_json, retention_in_words
from coordinator.model.phrases import counted
from coordinator.reading.files import differing_files, taken_away, taken_away_in_words
from coordinator.reading.replicas import Replicas, leader_as_json, replica_as_json, replicas_in
from coordinator.reading.reporters_heard import ReportersHeard, reporters_in
from coordinator.reading.status_json import attention_as_json, newest_of_each, observed_as_json, partition_as_json

if TYPE_CHECKING:
    from coordinator.config.environments import EnvironmentSettings
    from coordinator.controller.state.problems import ProblemsShown
    from coordinator.model.publishing.never_met import NeverMet
    from coordinator.model.references import PipelineRef, Target
    from coordinator.reading.attention import Attention
    from coordinator.reading.gaps import Missed
    from coordinator.reading.reading import Reading


@dataclass(frozen=True, slots=True)
class _Answer:
    """:ivar targets: the partitions asked for; ``shown``: the newest of them. ``limit``: how many of each kind to
    show.
    :ivar file: the configuration; ``None``: there is none.
    """

    reading: Reading
    now: datetime
    attention: Attention
    replicas: Replicas
    reporters: ReportersHeard
    problems: ProblemsShown
    targets: list[Target]
    shown: list[Target]
    limit: int
    missed: Missed
    file: str | None
    environments: Mapping[str, EnvironmentSettings]

    @property
    def apart(self) -> list[NeverMet]:
        """Pipelines that wait for dates and date-times in one partition."""
        from coordinator.model.apart import apart
        from coordinator.model.publishing.unmet_lately import seen_in

        entries = (node.downstream for node in self.reading.propagation.graph.nodes())
        return list(apart(entries, seen_in(self.reading.cache.targets())))

    @property
    def needs_person(self) -> bool:
        return self.attention.needs_person or bool(self.problems.count)

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [partition_as_json(self.reading, target, self.now) for target in self.shown]


def status(
    *,
    pipeline: Annotated[str | None, typer.Option(help="Only this pipeline.", show_default=False)] = None,
    partition: Annotated[
        str | None, typer.Option("--partition", "-p", help="Only this partition.", show_default=False)
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Also show what is settled, and all watchers.")] = False,
    limit: Annotated[
        int,
        typer.Option(
            min=1, help="Show at most so many concerns of a kind, problems of a kind, and partitions of a pipeline."
        ),
    ] = 20,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what needs a person: what has failed or is kept back, since when, why, what waits behind it, and what to do.

    Then what is busy. One line if all is well. Its words: docs/glossary.md.

    Exit code 1 when something needs a person: a run that failed and should have succeeded, a refused request, a
    partition that waits for its release, is late, or is stuck for any reason but a hold; or a problem: a key that
    cannot be read, requests without an answer for long, no leader, a replica that could not take over, an environment
    whose reporters are not heard from, completions under the name of no environment, a dependencies file that is
    refused or older than what is in force.

    Example: [bold]coordinator status --all --partition 2026-11-20T00:00:00Z[/bold]
    """
    from coordinator.config.loading import load_settings
    from coordinator.model.named_partitions import Span
    from coordinator.model.view import Readiness
    from coordinator.reading.attention import attention
    from coordinator.reading.gaps import Missed, gaps_of
    from coordinator.reading.problems import problems_in
    from coordinator.reading.reading import read

    settings = load_settings(config)
    spellings = None if partition is None else spellings_of(partition)
    wanted = pipeline_of(pipeline) if pipeline is not None else None
    with etcd_of(config) as (store, keys), people(stderr=True).status("reading etcd") as busy:
        reading = read(store, keys, progress=lambda count: busy.update(f"reading etcd: {count:,} keys"))
    if wanted is not None:
        reading.require(wanted)
    now = datetime.now(UTC)
    asked = wanted is not None or spellings is not None
    known = {*reading.propagation.unsettled(), *reading.late, *(reading.cache.targets() if everything else ())}
    targets = [
        target
        for target in known
        if _is_wanted(target.pipeline, wanted) and (spellings is None or target.partition in spellings)
    ]
    if not (as_json or asked or everything):  # stuck partitions are shown with their cause
        targets = [target for target in targets if reading.propagation.readiness(target) is Readiness.BUSY]
    unknown = _unknown_partition(reading, wanted, partition, known)
    replicas, reporters = replicas_in(reading, now), reporters_in(reading, settings, now)
    answer = _Answer(
        reading,
        now,
        attention(reading, pipeline=wanted, partitions=spellings, most=limit, environments=settings.environments),
        replicas,
        reporters,
        problems_in(reading, replicas, reporters, environments=settings.environments, now=now, most=limit),
        targets,
        newest_of_each(targets, limit),
        limit,
        Missed.of(
            (gap for gap in gaps_of(reading, wanted, Span()) if spellings is None or gap.target.partition in spellings),
            wanted,
        ),
        settings.file,
        settings.environments,
    )
    if as_json:
        print_json(_as_json(answer) | {"unknown_partition": unknown})
    else:
        nothing = _nothing_in_words(asked=asked, everything=everything)
        if unknown is not None:
            nothing = unknown
        _print(answer, nothing, everything=everything)
    if answer.needs_person:
        raise typer.Exit(ExitCode.PROBLEM)


def _is_wanted(pipeline: PipelineRef, wanted: PipelineRef | None) -> bool:
    """Whether a pipeline is shown. Of one that fans out, there may be thousands of items: they are counted there."""
    if wanted is None:
        return not pipeline.item
    return wanted in (pipeline, pipeline.fanned_out)


def _unknown_partition(
    reading: Reading, wanted: PipelineRef | None, partition: str | None, unsettled: Set[Target]
) -> str | None:
    """The message that no pipeline has a partition, with similar ones; ``None``: some pipeline has it.

    :param wanted: the pipeline that is asked for; ``None``: any.
    """
    from coordinator.model.named_partitions import named_partition

    if partition is None:
        return None
    if wanted is not None:
        known = set(reading.partitions_of(wanted))
    else:
        known = {target.partition for target in unsettled} | {target.partition for target in reading.cache.targets()}
    if not known.isdisjoint(spellings_of(partition)):
        return None
    near = named_partition(partition, known).near
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    return f"{'nothing' if wanted is None else f'nothing of {wanted}'} has partition {partition}{hint}"


def _as_json(answer: _Answer) -> dict[str, Any]:
    reading, replicas = answer.reading, answer.replicas
    return {
        "revision": reading.cache.revision,
        "configuration": answer.file,
        "needs_person": answer.needs_person,
        "attention": attention_as_json(answer.attention, answer.now),
        "attention_counts": answer.attention.counts,
        "stuck": answer.attention.waiting,
        "leader": leader_as_json(replicas),
        "watchers": [replica_as_json(replica) for replica in replicas.all[: answer.limit]],
        "unknown": list(replicas.unknown),
        "watchers_not_shown": max(0, len(replicas.all) - answer.limit),
        "reporters": answer.reporters.as_json(),
        "reporters_not_shown": answer.reporters.not_shown,
        "observed": observed_as_json(answer.environments, reading.cache.cursors, answer.now),
        "pipelines": answer.rows,
        "not_shown": len(answer.targets) - len(answer.shown),
        "holds": {str(held): hold_in_words(hold) for held, hold in reading.cache.holds()},
        "retention": retention_as_json(reading),
        "gaps": answer.missed.as_json(),
        "taken_away": taken_away(reading.cache.published),
        "never_met": [f"{one.pipeline}: {one.reason}" for one in answer.apart],
    } | answer.problems.as_json()


def _print(answer: _Answer, nothing: str, *, everything: bool) -> None:
    """:param nothing: the line to print if no partition is shown."""
    reading, replicas, found, console = answer.reading, answer.replicas, answer.attention, people()
    first = attention_in_words(found, answer.problems.count)
    if not answer.targets:
        first += f"; {nothing}"
    first += f"; {leader_in_words(replicas)}; etcd revision {reading.cache.revision}; "
    first += f"configuration {answer.file}" if answer.file is not None else "no configuration file"
    console.print(first, markup=False)
    if found.concerns:
        console.print(attention_table(found, answer.now))
    for line in (*more_in_words(found), *(f"problem: {one}" for one in answer.problems.in_words())):
        console.print(line, markup=False)
    if answer.shown:
        console.print(partitions_table(answer.rows))
    if not_shown := len(answer.targets) - len(answer.shown):
        older = counted(not_shown, "older partition is", "older partitions are")
        console.print(f"{older} not shown: see them with --limit", markup=False)
    if replicas.all and (everything or replicas.problems or any(one.silent for one in replicas.all)):
        console.print(replicas_table(replicas.all[: answer.limit]))
        if (more := len(replicas.all) - answer.limit) > 0:
            console.print(f"and {more:,} more watchers", markup=False)
    for note in (
        *retention_in_words(reading, everything=everything),
        *answer.missed.in_words(),
        *replicas.unknown,
        *answer.reporters.notes,
        *differing_files(replicas.presences),
        *taken_away_in_words(reading.cache.published),
        *(f"warning: {one}" for one in answer.apart),
    ):
        console.print(note, markup=False)
    if everything:
        print_reporters(answer.reporters)
        print_observed(answer.environments, reading.cache.cursors, answer.now)


def _nothing_in_words(*, asked: bool, everything: bool) -> str:
    """The line to print if no partition is shown."""
    if everything:
        return "nothing has been reported of what was asked for" if asked else "nothing has been reported yet"
    return "nothing of what was asked for is busy or stuck; see it with --all" if asked else "nothing is busy"
