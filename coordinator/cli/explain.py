"""``coordinator explain``: why a pipeline runs in a partition, or does not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coordinator.cli.connecting import etcd_of
from coordinator.cli.options import ConfigOption, JsonOption, PipelineArgument, pipeline_of, typed_partition
from coordinator.cli.output import hold_as_json, line, people, print_json, table

if TYPE_CHECKING:
    from rich.console import Console

    from coordinator.model.dependencies import Downstream
    from coordinator.model.explanation import Explanation
    from coordinator.model.named_partitions import NamedPartition
    from coordinator.model.publishing.unmet_lately import Seen
    from coordinator.model.references import PipelineRef, Target
    from coordinator.reading.partition_names import PartitionNames
    from coordinator.reading.reading import Reading


def explain(
    pipeline: PipelineArgument,
    partition: Annotated[
        str | None, typer.Argument(help="For example 2026-11-20T00:00:00Z.", show_default="a table of the newest")
    ] = None,
    *,
    revision: Annotated[
        int,
        typer.Option(
            "--rev", min=0, help="As it stood at this etcd revision, while etcd keeps it.", show_default="now"
        ),
    ] = 0,
    limit: Annotated[int, typer.Option(min=1, help="Without a partition: so many of the newest.")] = 20,
    task: Annotated[str | None, typer.Option(help="A task of it that others wait for, by its id.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say why a pipeline fires in a partition, or what it waits for, down to the run that blocks.

    It is the watcher's own decision on what stands in etcd, told input by input. Its words: docs/glossary.md.

    Example: [bold]coordinator explain 06_pipeline 2026-11-20T00:00:00Z[/bold]
    or [bold]coordinator explain 01_pipeline 2026-11-20T00:00:00Z --task load[/bold]
    """
    from coordinator.cli.naming import read_target
    from coordinator.config.settings import load_settings
    from coordinator.controller.dispatch.dispatcher import limits_by_environment
    from coordinator.reading.limit_reasons import limits_reached
    from coordinator.reading.reading import read, read_newest
    from coordinator.reading.wanted_keys import About

    explained = pipeline_of(pipeline)
    typed = None if partition is None else typed_partition(partition)
    if task is not None and typed is None:
        raise typer.BadParameter("--task needs a PARTITION", param_hint="--task")
    with etcd_of(config) as (store, keys):
        if typed is None:
            reading, names = read_newest(store, keys, explained, most=limit, revision=revision)
            _explain_newest(reading, explained, names, as_json=as_json)
            return
        reading, target, named = read_target(
            store, keys, explained, typed, revision=revision, below=False, new_pipeline=True
        )
        reading.require(explained)
        if task is not None:
            named_task = target._replace(pipeline=explained._replace(task=task))
            about = About(named_task.pipeline, (target.partition,))
            _explain_task(read(store, keys, revision=revision, about=about), named_task, as_json=as_json)
            return
        waits = tuple(limits_reached(store, keys, reading, target, limits_by_environment(load_settings(config))))
    _explain_one(reading, target, named, waits, past=bool(revision), as_json=as_json)


def _explain_task(reading: Reading, target: Target, *, as_json: bool) -> None:
    from coordinator.model.explanation import task_in_words
    from coordinator.model.waits import Wait

    waits = (seen.value for seen in reading.cache.waits)
    is_waited_for = any(isinstance(one, Wait) and one.is_for(target) for one in waits)
    says, because = task_in_words(reading.propagation, target, is_waited_for=is_waited_for)
    if as_json:
        readiness = str(reading.propagation.decide(target).readiness)
        whole, task = target.whole, target.pipeline.task
        found = {"pipeline": str(whole.pipeline), "partition": target.partition, "task": task}
        print_json(
            {**found, "revision": reading.cache.revision, "readiness": readiness, "says": says, "because": because}
        )
        return
    console = people()
    console.print(line(says, "bold"))
    for one in because:
        console.print(line(f"  {one}"))


def _explain_newest(reading: Reading, pipeline: PipelineRef, names: PartitionNames, *, as_json: bool) -> None:
    """The newest partitions with a sentence each."""
    from coordinator.cli.gap_list import Missed, gaps_of
    from coordinator.model.explanation import headline, status_of
    from coordinator.model.named_partitions import Span
    from coordinator.model.references import Target
    from coordinator.model.view import readable_state

    rows = []
    for partition in names.newest:
        target = Target(pipeline, partition)
        decision = reading.propagation.decide(target)
        state = readable_state(reading.cache.state(target))
        rows.append(
            {
                "partition": partition,
                "state": str(state.state) if state is not None else None,
                "readiness": str(decision.readiness),
                "record": status_of(reading.cache.record(target)),
                "says": headline(decision).removeprefix(f"{target} "),
            }
        )
    shown = {Target(pipeline, partition) for partition in names.newest}
    gaps = (gap for gap in gaps_of(reading, pipeline, Span()) if gap.target in shown)
    notes = [*_unmet_notes(reading, pipeline, names.seen), *Missed.of(gaps, pipeline).in_words()]
    older = names.count - len(names.newest)
    if as_json:
        print_json(
            {
                "pipeline": str(pipeline),
                "revision": reading.cache.revision,
                "partitions": rows,
                "more": older > 0,
                "not_shown": older,
                "notes": notes,
            }
        )
        return
    console = people()
    for note in notes:
        console.print(line(note, "yellow"))
    if not rows:
        console.print(f"{pipeline}: no run of it, or of what it waits for, has been reported yet", markup=False)
        return
    columns = ("partition", "state", "readiness", "record", "says")
    console.print(table(*columns, rows=[[row[column] or "" for column in columns] for row in rows]))
    if older:
        console.print(f"{older} older partitions: see them with --limit", markup=False)


def _explain_one(
    reading: Reading, target: Target, named: NamedPartition, waits: Sequence[str], *, past: bool, as_json: bool
) -> None:
    from coordinator.controller.state.problems import shown
    from coordinator.model.explanation import as_json as explanation_as_json
    from coordinator.model.explanation import explain as explain_target
    from coordinator.reading.waiting_sensors import waiting_sensors

    waiting = tuple(waiting_sensors(reading, (seen for seen in reading.cache.waits if seen.ref.run == target)))
    explanation = explain_target(reading.propagation, target, known=named.known, waiting=waiting)
    notes = list(_notes(reading, explanation, named, waits, past=past))
    if as_json:
        print_json(
            explanation_as_json(explanation)
            | {
                "hold": hold_as_json(explanation.hold),
                "revision": reading.cache.revision,
                "notes": notes,
            }
            | shown(reading.problems, reading.cache.problems).as_json()
        )
        return
    print_explanation(people(), explanation, notes)


def _notes(
    reading: Reading, explanation: Explanation, named: NamedPartition, waits: Sequence[str], *, past: bool
) -> Iterator[str]:
    """Further notes for the reader, besides the rule."""
    from coordinator.cli.naming import unknown_partition
    from coordinator.controller.state.problems import shown
    from coordinator.model.explanation.causes import Kind
    from coordinator.model.explanation.words import LISTED
    from coordinator.model.partitions.instants import format_instant
    from coordinator.model.publishing.unmet_lately import seen_in, untouched

    target = explanation.decision.target
    if past:
        newest = reading.newest_time
        when = f", about {format_instant(newest)}" if newest is not None else ""
        yield f"this is how it stood at etcd revision {reading.cache.revision}{when}"
    if not named.known:
        yield unknown_partition(target, named)
    if reading.propagation.graph.node(target.pipeline) is None:
        own = "its own schedule, or a person, starts it"
        yield f"{target.pipeline} waits for nothing in the published documents: {own}"
    yield from _unmet_notes(reading, target.pipeline, seen_in(reading.cache.targets()))
    unaffected = untouched(target, _published_entries(reading))
    for waiting, dependency in unaffected[:LISTED]:
        yield f"{waiting} does not see this partition: '{dependency}' is about others"
    if len(unaffected) > LISTED:
        yield f"{len(unaffected) - LISTED} more pipelines that wait for it do not see this partition"
    to_be_started = explanation.decision.fires or any(cause.kind is Kind.STARTING for cause in explanation.causes)
    if to_be_started and reading.cache.leader is None and not past:
        yield "no watcher leads, so nothing is started; start one: coordinator watch"
    yield from waits
    if named.known and not past:
        yield from _about_dags(reading, explanation)
    of_dependencies = {place: what for place, what in reading.problems.items() if place.startswith("dependencies")}
    yield from (f"problem: {one}" for one in shown(of_dependencies).in_words())


def _about_dags(reading: Reading, explanation: Explanation) -> Iterator[str]:
    """What is known of the DAGs without asking an Airflow, and who asks."""
    from coordinator.controller.leading.unknown_dags import PLACE, names
    from coordinator.model.explanation.causes import Kind
    from coordinator.store.presence import read_presence

    concerned = {explanation.decision.target.pipeline, *(cause.target.pipeline for cause in explanation.causes)}
    for presence in map(read_presence, reading.cache.watchers.values()):
        told = (presence.problems or {}).get(PLACE)
        if told is not None and any(names(told, pipeline) for pipeline in concerned):
            yield f"the watcher {presence.id} says: {told}"
    if any(cause.kind is Kind.NOT_YET for cause in explanation.causes):  # of queued runs the cause says it
        yield "explain does not ask Airflow; 'coordinator doctor' tells whether these DAGs exist and are not paused"


def _published_entries(reading: Reading) -> Iterator[Downstream]:
    """All published entries, including those of pipelines that the reading does not cover."""
    from coordinator.model.publishing.publication import Publication

    for published in reading.cache.published.values():
        if isinstance(published.value, Publication):
            yield from published.value.document.values()


def _unmet_notes(reading: Reading, pipeline: PipelineRef, seen: Seen) -> Iterator[str]:
    """Dependencies of a pipeline that the known partitions of its upstreams do not meet."""
    from coordinator.model.apart import apart
    from coordinator.model.publishing.unmet_lately import unmet_lately

    node = reading.propagation.graph.node(pipeline)
    if node is not None:
        entry = [node.downstream]
        for unmet in list(apart(entry, seen)) or unmet_lately(entry, seen):
            yield f"{unmet.reason}; {unmet.remedy}"


def print_explanation(console: Console, explanation: Explanation, notes: list[str]) -> None:
    """The whole explanation, section by section, as it stands in the terminal and in ``docs/examples``."""
    from rich.text import Text

    from coordinator.model.explanation import (
        hold_in_words,
        order_in_words,
        record_in_words,
        sensor_in_words,
        state_in_words,
    )

    def section(title: str, *lines: str | Text, style: str = "") -> None:
        console.print(Text(title, style="dim"))
        for one in lines:
            text = one if isinstance(one, Text) else line(one, style)
            indent = 2 + len(text.plain) - len(text.plain.lstrip())
            for number, piece in enumerate(text[indent - 2 :].wrap(console, max(20, console.width - indent - 2))):
                console.print(Text(" " * (indent + (2 if number else 0))) + piece)

    console.print(line(explanation.headline, "bold"))
    for note in notes:
        console.print(line(note, "yellow"))
    if sensors := [
        *(one.in_words() for one in explanation.waiting),
        *(sensor_in_words(one) for one in explanation.decision.sensors),
    ]:
        section("sensors", *sensors)
    if explanation.lines:
        section("waits for", *(_line(line.depth, line.holds, line.text) for line in explanation.lines))
    if explanation.causes:
        section("because", *explanation.because(), style="red" if explanation.remedies() else "")
    section("outlook", explanation.outlook, *explanation.remedies_in_short())
    section("its own state", state_in_words(explanation.state))
    if explanation.hold is not None:
        section("held", hold_in_words(explanation.hold))
    if explanation.order is not None:
        section("ordered", order_in_words(explanation.order, explanation.record))
    section("trigger", *record_in_words(explanation.record))


def _line(depth: int, holds: bool | None, text: str) -> Any:
    from rich.text import Text

    mark = {True: Text("✓ ", style="green"), False: Text("· ", style="dim"), None: Text("  ")}[holds]
    return Text("  " * depth) + mark + line(text, "dim" if holds is None else "")
