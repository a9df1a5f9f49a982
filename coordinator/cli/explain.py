"""``coordinator explain``: why a pipeline runs in a partition, or does not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coordinator.cli.connecting import etcd_of
from coordinator.cli.options import ConfigOption, JsonOption, PipelineArgument, pipeline_of, typed_partition
from coordinator.cli.output import line, people, print_json, table

if TYPE_CHECKING:
    from rich.console import Console

    from coordinator.model.explanation import Explanation
    from coordinator.reading.newest import NewestPartitions
    from coordinator.reading.task_explained import TaskExplained


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
    task: Annotated[
        str | None, typer.Option(help="A task of it that others wait for; without PARTITION, in the newest.")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say why a pipeline fires in a partition, or what it waits for, down to the run that blocks.

    It is the watcher's own decision on what stands in etcd, told input by input. Its words: docs/glossary.md.

    Example: [bold]coordinator explain 06_pipeline 2026-11-20T00:00:00Z[/bold]
    or [bold]coordinator explain 01_pipeline 2026-11-20T00:00:00Z --task load[/bold]
    """
    from coordinator.config.loading import load_settings
    from coordinator.controller.dispatch.dispatcher import limits_by_environment
    from coordinator.reading.explaining import explained
    from coordinator.reading.newest import newest_partitions
    from coordinator.reading.reading import read_newest
    from coordinator.reading.task_explained import task_explained

    about = pipeline_of(pipeline)
    typed = None if partition is None else typed_partition(partition)
    with etcd_of(config) as (store, keys):
        if typed is None and task is not None:
            _, names = read_newest(store, keys, about, most=1, revision=revision)
            if not names.newest:
                raise typer.BadParameter(f"{about} has no partition yet; expected a PARTITION", param_hint="--task")
            typed = names.newest[0]
        if typed is None:
            newest = newest_partitions(store, keys, about, most=limit, revision=revision)
            print_json(newest.as_json()) if as_json else _print_newest(newest)
        elif task is not None:
            of_task = task_explained(store, keys, about, typed, task, revision=revision)
            print_json(of_task.as_json()) if as_json else _print_task(of_task)
        else:
            limits = limits_by_environment(load_settings(config))
            found = explained(store, keys, about, typed, revision=revision, limits=limits)
            print_json(found.as_json()) if as_json else print_explanation(people(), found.explanation, found.notes)


def _print_task(of_task: TaskExplained) -> None:
    console = people()
    console.print(line(of_task.says, "bold"))
    for one in of_task.because:
        console.print(line(f"  {one}"))


def _print_newest(newest: NewestPartitions) -> None:
    """The newest partitions with a sentence each."""
    console = people()
    for note in newest.notes:
        console.print(line(note, "yellow"))
    if not newest.rows:
        nothing = f"{newest.pipeline}: no run of it, or of what it waits for, has been reported yet"
        console.print(nothing, markup=False)
        return
    columns = ("partition", "state", "readiness", "record", "says")
    console.print(table(*columns, rows=[[getattr(row, column) or "" for column in columns] for row in newest.rows]))
    if newest.older:
        console.print(f"{newest.older} older partitions: see them with --limit", markup=False)


def print_explanation(console: Console, explanation: Explanation, notes: Sequence[str]) -> None:
    """The whole explanation, section by section, as it stands in the terminal and in ``docs/examples``."""
    from rich.text import Text

    from coordinator.model.explanation import in_words

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
    said = in_words(explanation)
    if said.sensors:
        section("sensors", *said.sensors)
    if said.items:
        section("items", *said.items)
    if said.condition:
        section("waits for", *(_line(line.depth, line.holds, line.text) for line in said.condition))
    if said.because:
        section("because", *said.because, style="red" if said.remedies else "")
    section("outlook", said.outlook, *said.remedies)
    section("its own state", said.state)
    if said.hold is not None:
        section("held", said.hold)
    if said.order is not None:
        section("ordered", said.order)
    section("trigger", *said.trigger)


def _line(depth: int, holds: bool | None, text: str) -> Any:
    from rich.text import Text

    mark = {True: Text("✓ ", style="green"), False: Text("· ", style="dim"), None: Text("  ")}[holds]
    return Text("  " * depth) + mark + line(text, "dim" if holds is None else "")
