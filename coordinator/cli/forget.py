"""``coordinator forget``: deletes a partition that was created by mistake."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from coordinator.cli.connecting import etcd_of
from coordinator.cli.options import (
    ConfigOption,
    JsonOption,
    PipelineArgument,
    ReasonOption,
    WhoOption,
    YesOption,
    pipeline_of,
    signature_of,
    typed_partition,
)
from coordinator.cli.output import print_json, say
from coordinator.model.phrases import counted

if TYPE_CHECKING:
    from coordinator.model.references import Target
    from coordinator.reading.reading import Reading
    from coordinator.store.keys import Keys

_NAMED = 10


def forget(
    pipeline: PipelineArgument,
    partition: Annotated[str, typer.Argument(help="Exactly as status and explain show it.", show_default=False)],
    *,
    downstream: Annotated[
        bool, typer.Option("--downstream", help="Also forget everything that has run on it, or is due because of it.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be removed, and do nothing.")] = False,
    yes: YesOption = False,
    reason: ReasonOption = "",
    who: WhoOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove what is known of a partition: its state and those of its tasks, its trigger record, its order and the
    waits of its sensors. For names that were mistyped.

    Refused where something stands on it: it runs, another pipeline has run on it (or on a task of it) or is due because
    of it, a sensor has passed on it, or it would be started again at once. Airflow is not told; a report that
    still comes makes the partition known again.

    Example: [bold]coordinator forget 03_pipeline 2026-11-2 --reason "mistyped, T-123"[/bold]
    """
    from coordinator.cli.impact import Manner
    from coordinator.commands import forget as forgetting
    from coordinator.model.references import Target
    from coordinator.model.retention.forgetting import all_below
    from coordinator.reading.reading import read

    target, signature = Target(pipeline_of(pipeline), typed_partition(partition)), signature_of(who, reason)
    with etcd_of(config) as (store, keys):
        reading = read(store, keys)
        _require_known(reading, target)
        gone = all_below(reading.propagation, tuple(reading.cache.waits), target) if downstream else frozenset({target})
        _require_free(reading, gone, downstream=downstream)
        shown = [str(one) for one in sorted(gone)]
        about: dict[str, Any] = {"pipeline": str(target.pipeline), "partition": target.partition, "forgets": shown}
        if not as_json:
            say(f"to be forgotten: {', '.join(shown)}")
        manner = Manner(dry_run=dry_run, yes=yes, as_json=as_json)
        what = counted(len(gone), "partition")
        if not manner.goes_on(None, f"forget {what}", why=[f"{what} would be forgotten"], about=about):
            return
        dependents = {one for each in gone for one in reading.propagation.dependents(each)}
        further = _further_keys(reading, keys, gone)
        deleted = forgetting.forget(store, keys, reading.cache, gone, dependents, signature, further=further)
    if as_json:
        print_json({**about, "dry_run": False, "deleted": deleted})
        return
    for one in shown:
        say(f"{one}: forgotten")


def _further_keys(reading: Reading, keys: Keys, gone: frozenset[Target]) -> dict[str, int]:
    """The keys of the tasks of these partitions, and of the waits of sensors in their runs, with their revisions."""
    cache = reading.cache
    states = {task: cache.state(task) for task in cache.tasks() if task.whole in gone}
    of_tasks = {keys.state(task): seen.revision for task, seen in states.items() if seen is not None}
    return of_tasks | {keys.wait(seen.ref): seen.revision for seen in cache.waits if seen.ref.run in gone}


def _require_known(reading: Reading, target: Target) -> None:
    """:raises UnknownPartition: it has no keys in etcd. Other spellings do not count: their keys must not be
    removed."""
    from coordinator.model.named_partitions import NamedPartition, named_partition
    from coordinator.reading.naming import UnknownPartition, unknown_partition

    reading.require(target.pipeline)
    cache = reading.cache
    if cache.state(target) or cache.record(target) or cache.order(target):
        return
    others = [one for one in reading.partitions_of(target.pipeline) if one != target.partition]  # it may be coming
    meant = named_partition(target.partition, others)
    near = (meant.partition,) if meant.known else meant.near
    named = NamedPartition(target.partition, known=False, near=near, newest=meant.newest)
    raise UnknownPartition(f"nothing was done: {unknown_partition(target, named)}")


def _require_free(reading: Reading, gone: frozenset[Target], *, downstream: bool) -> None:
    from coordinator.errors import CoordinatorError
    from coordinator.model.retention.forgetting import why_not

    propagation, cache = reading.propagation, reading.cache
    known, waits = tuple(cache.targets()), tuple(cache.waits)
    reasons = why_not(propagation.graph, cache, propagation, gone, known=known, waits=waits, now=propagation.now)
    if reasons:
        more = f"; and {len(reasons) - _NAMED} more" if len(reasons) > _NAMED else ""
        hint = "" if downstream else "; --downstream forgets a partition together with what stands on it"
        raise CoordinatorError(f"nothing was done: {'; '.join(reasons[:_NAMED])}{more}{hint}")
