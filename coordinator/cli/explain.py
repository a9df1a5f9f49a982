"""``coordinator explain``: why a pipeline runs in a partition, or does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.connecting import etcd_of
from coordinator.cli.options import ConfigOption, JsonOption, PipelineArgument, pipeline_of
from coordinator.cli.output import hold_as_json, hold_in_words, people, print_json

if TYPE_CHECKING:
    from coordinator.model.trigger import TriggerRecord


def explain(
    pipeline: PipelineArgument,
    partition: Annotated[str, typer.Argument(help="For example 2026-11-20T00:00:00Z.", show_default=False)],
    *,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say why a pipeline fires in a partition, or what it waits for.

    It is the watcher's own decision on what stands in etcd now, told input by input.

    Example: [bold]coordinator explain 06_pipeline 2026-11-20T00:00:00Z[/bold]
    """
    from rich.text import Text

    from coordinator.model.explanation import as_json as explanation_as_json
    from coordinator.model.explanation import headline, tree
    from coordinator.model.references import Target
    from coordinator.model.trigger import TriggerRecord
    from coordinator.watcher.reading import read

    target = Target(pipeline_of(pipeline), partition)
    with etcd_of(config) as (store, keys):
        reading = read(store, keys)
    decision = reading.standings.decide(target)
    recorded, hold = reading.cache.record(target), reading.cache.hold(target.pipeline)
    if as_json:
        explained = explanation_as_json(decision, recorded)
        print_json(explained | {"hold": hold_as_json(hold), "revision": reading.cache.revision})
        return
    console = people()
    console.print(Text(headline(decision), style="bold"))
    if decision.judged is not None:
        for line in tree(decision.judged):
            mark = Text("✓ " if line.holds else "· ", style="green" if line.holds else "dim")
            console.print(Text("  " * (line.depth + 1)) + mark + Text(line.text))
    if hold is not None:
        console.print(Text(f"  held: {hold_in_words(hold)}"))
    if recorded is not None:
        record = recorded.value
        words = _in_words(record) if isinstance(record, TriggerRecord) else f"cannot be read: {record.reason}"
        console.print(Text(f"  trigger: {words}"))


def _in_words(record: TriggerRecord) -> str:
    words = f"{record.status}, {record.action} {record.run_id or '(no run yet)'}, number {record.sequence}, "
    words += f"wave {record.wave}"
    return words + (f", last error: {record.last_error}" if record.last_error else "")
