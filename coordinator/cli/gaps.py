"""``coordinator gaps``: partitions in which the upstreams hold, and the pipeline has not run on them."""

from __future__ import annotations

from typing import Annotated

import typer

from coordinator.cli.connecting import etcd_of
from coordinator.cli.options import ConfigOption, JsonOption, SinceOption, UntilOption, pipeline_of, span_of
from coordinator.cli.output import print_json, say


def gaps(
    pipeline: Annotated[
        str | None, typer.Argument(help="Only gaps of this pipeline.", show_default="all pipelines")
    ] = None,
    *,
    since: SinceOption = None,
    until: UntilOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List partitions in which the upstreams hold, and the pipeline never ran, or ran on older completions.

    Nothing runs there by itself: the upstreams completed before the dependency counted (it was added or corrected
    later), or the partition was given up (on_late, catchup), or the completions were ignored (rerun: ignore).
    What is due, running, held or waiting for a release is no gap. 'coordinator fill' orders what is missing.

    Example: [bold]coordinator gaps team_b/load_customers --since 2026-11-01[/bold]
    """
    from coordinator.cli.failures import ExitCode
    from coordinator.cli.gap_list import gap_as_json, show_gaps
    from coordinator.reading.gaps import doubts, gaps_of
    from coordinator.reading.reading import read

    wanted, span = None if pipeline is None else pipeline_of(pipeline), span_of(since, until)
    with etcd_of(config) as (store, keys):
        reading = read(store, keys)
    found, problems = gaps_of(reading, wanted, span), doubts(reading)
    if as_json:
        shown = [gap_as_json(gap) for gap in found]
        print_json({"revision": reading.cache.revision, "gaps": shown, "problems": problems})
    elif found:
        show_gaps(found)
    else:
        say("there are no gaps")
    for problem in problems if not as_json else ():
        say(f"not all dependencies are known: {problem}", err=True)
    if problems:
        raise typer.Exit(ExitCode.PROBLEM)
