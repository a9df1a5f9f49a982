"""``coordinator fill``: order a run for each gap."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from coordinator.cli.connecting import etcd_of
from coordinator.cli.options import (
    ConfigOption,
    DryRunOption,
    JsonOption,
    ReasonOption,
    SinceOption,
    UntilOption,
    WhoOption,
    YesOption,
    pipeline_of,
    signature_of,
    span_of,
    typed_partition,
)
from coordinator.cli.output import print_json, say


def fill(
    pipeline: Annotated[
        str | None, typer.Argument(help="Only gaps of this pipeline.", show_default="all pipelines")
    ] = None,
    partition: Annotated[
        str | None, typer.Argument(help="Only the gap in this partition.", show_default="all partitions")
    ] = None,
    *,
    since: SinceOption = None,
    until: UntilOption = None,
    max_in_flight: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="At most so many ordered runs that have not ended; the command waits for them.",
            show_default="all are ordered at once",
        ),
    ] = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    reason: ReasonOption = "",
    who: WhoOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Order a run for each gap (see 'coordinator gaps'), the oldest partitions first.

    It may be interrupted: what is ordered runs, and the same command again orders the rest, nothing twice. What is
    below follows by itself.

    Example: [bold]coordinator fill 03_pipeline --since 2026-11-01 --max-in-flight 3 --dry-run[/bold]
    """
    from coordinator.cli import impact
    from coordinator.cli.failures import ExitCode
    from coordinator.cli.filling_output import Progress
    from coordinator.cli.gap_list import gap_as_json, show_gaps
    from coordinator.commands import fill as filling
    from coordinator.model.named_partitions import Span
    from coordinator.model.order import Order
    from coordinator.model.phrases import counted
    from coordinator.reading.gaps import gaps_of
    from coordinator.reading.naming import UnknownPartition, name_target, unknown_partition
    from coordinator.reading.reading import read

    wanted, span = None if pipeline is None else pipeline_of(pipeline), span_of(since, until)
    signature = signature_of(who, reason)
    if partition is not None and (since is not None or until is not None):
        raise typer.BadParameter("expected a partition or a span of them", param_hint="PARTITION, --since, --until")
    with etcd_of(config) as (store, keys):
        reading = read(store, keys)
        found = gaps_of(reading, wanted, Span() if partition is not None else span)
        if partition is not None and wanted is not None:
            target, named = name_target(reading, wanted, typed_partition(partition))
            if not named.known:
                raise UnknownPartition(f"nothing was done: {unknown_partition(target, named)}")
            found = [gap for gap in found if gap.target == target]
        if not as_json and found:
            show_gaps(found)
        if not found:
            _print_nothing(as_json=as_json, dry_run=dry_run)
            return
        found_impact = impact.impact_of(reading, {gap.target: Order.RERUN for gap in found})
        about: dict[str, Any] = {"gaps": [gap_as_json(gap) for gap in found]}
        gaps = counted(len(found), "gap")
        manner = impact.Manner(dry_run=dry_run, yes=yes, as_json=as_json)
        if not manner.goes_on(found_impact, f"fill {gaps}", why=[f"{gaps} would be filled"], about=about):
            return
        if reading.cache.leader is None and not as_json:
            say("no watcher leads: what is ordered waits until one does", err=True)
        progress = Progress(len(found), quiet=as_json)
        try:
            steps = filling.fill(
                store, keys, reading.cache, [gap.target for gap in found], signature, max_in_flight=max_in_flight
            )
            for step in steps:
                progress.note(step)
        except KeyboardInterrupt:
            say(f"interrupted: {progress.in_words()}; what is ordered runs, the same command goes on", err=True)
            raise typer.Exit(ExitCode.INTERRUPTED) from None
    if as_json:
        print_json({**about, "dry_run": False, **progress.as_json()})
    else:
        say(progress.in_words())
    if progress.failed:
        raise typer.Exit(ExitCode.PROBLEM)


def _print_nothing(*, as_json: bool, dry_run: bool) -> None:
    if as_json:
        print_json({"gaps": [], "dry_run": dry_run, "runs": []} if dry_run else {"gaps": [], "dry_run": False})
    else:
        say("there are no gaps")
