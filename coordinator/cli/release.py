"""``coordinator release``: the end of a hold."""

from __future__ import annotations

import typer

from coordinator.cli.connecting import etcd_of
from coordinator.cli.options import ConfigOption, JsonOption, PipelineArgument, pipeline_of
from coordinator.cli.output import hold_as_json, hold_in_words, print_json


def release(pipeline: PipelineArgument, *, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Release a pipeline that is held. What is due starts at once. Releasing it again does nothing.

    Example: [bold]coordinator release team_b/load_customers[/bold]
    """
    from coordinator.holding import delete_hold

    held = pipeline_of(pipeline)
    with etcd_of(config) as (store, keys):
        change = delete_hold(store, keys, held)
    if as_json:
        print_json({"pipeline": str(held), "changed": change.changed, "before": hold_as_json(change.before)})
    elif change.changed:
        typer.echo(f"{held}: released; was held: {hold_in_words(change.before)}")
    else:
        typer.echo(f"{held}: was not held")
