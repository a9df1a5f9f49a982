"""``coordinator release``: the end of a hold, or of one partition's wait for it."""

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
    partition_of,
    pipeline_of,
    signature_of,
)
from coordinator.cli.output import hold_as_json, hold_in_words, print_json, say

if TYPE_CHECKING:
    from coordinator.acts import Signature
    from coordinator.model.references import PipelineRef
    from coordinator.ordering import OrderChange
    from coordinator.store.keys import Keys
    from coordinator.store.port import Store
    from coordinator.watcher.reading import Reading


def release(
    pipeline: PipelineArgument,
    *,
    partition: Annotated[
        str | None,
        typer.Option(
            "--partition",
            "-p",
            help="Let it run again in this partition, where it waits for that (rerun: hold).",
            show_default=False,
        ),
    ] = None,
    all_partitions: Annotated[
        bool, typer.Option("--all-partitions", help="In every partition in which it waits for that.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="With --partition: also where it does not wait yet, in advance.")
    ] = False,
    reason: ReasonOption = "",
    who: WhoOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Release a pipeline that is held. What is due starts at once. Releasing it again does nothing.

    With --partition: let a pipeline whose rerun policy is 'hold' run again, once, in a partition. Its hold stays.

    Example: [bold]coordinator release team_b/load_customers --reason "file mended, T-123"[/bold]
    """
    wanted, signature = pipeline_of(pipeline), signature_of(who, reason)
    if partition is not None and all_partitions:
        raise typer.BadParameter("expected one partition or all of them", param_hint="--partition, --all-partitions")
    if force and partition is None:
        raise typer.BadParameter("only with --partition", param_hint="--force")
    with etcd_of(config) as (store, keys):
        if partition is None and not all_partitions:
            _release_hold(store, keys, wanted, signature, as_json=as_json)
        else:
            chosen = None if partition is None else partition_of(partition)
            _release_partitions(store, keys, wanted, chosen, signature, force=force, as_json=as_json)


def _release_hold(store: Store, keys: Keys, held: PipelineRef, signature: Signature, *, as_json: bool) -> None:
    from coordinator.cli.failures import ExitCode
    from coordinator.holding import delete_hold
    from coordinator.watcher.about import About
    from coordinator.watcher.reading import read

    change = delete_hold(store, keys, held, signature)
    waiting = [] if change.changed else _waiting(read(store, keys, about=About(held)), held)
    if as_json:
        shown: dict[str, Any] = {
            "pipeline": str(held),
            "changed": change.changed,
            "before": hold_as_json(change.before),
        }
        print_json(shown | ({"waiting_for_release": waiting} if waiting else {}))
    elif change.changed:
        say(f"{held}: released; was held: {hold_in_words(change.before)}")
    else:
        say(f"{held}: was not held")
        for partition in waiting:
            say(f"  it waits in a partition: coordinator release {held} --partition {partition}")
        if len(waiting) > 1:
            say(f"  all of them: coordinator release {held} --all-partitions")
    if waiting:
        raise typer.Exit(ExitCode.PROBLEM)


def _release_partitions(
    store: Store,
    keys: Keys,
    pipeline: PipelineRef,
    partition: str | None,
    signature: Signature,
    *,
    force: bool,
    as_json: bool,
) -> None:
    from coordinator.errors import CoordinatorError
    from coordinator.model.order import GivenOrder, Order
    from coordinator.model.references import Target
    from coordinator.ordering import put_order
    from coordinator.watcher.reading import read_pipeline

    waiting = _waiting(read_pipeline(store, keys, pipeline), pipeline)
    if partition is None:
        partitions = waiting
    elif partition in waiting or force:
        partitions = [partition]
    else:
        elsewhere = f"it waits in {', '.join(waiting[:10])}" if waiting else "it waits for that nowhere"
        raise CoordinatorError(
            f"{Target(pipeline, partition)} does not wait for a release; {elsewhere}; coordinator explain {pipeline} "
            f"{partition} says how it stands, --force releases it in advance"
        )
    given = GivenOrder(Order.RELEASE, who=signature.who, when=signature.when, why=signature.why)
    changes = {one: put_order(store, keys, Target(pipeline, one), given) for one in partitions}
    if as_json:
        released = [{"partition": one, **_as_json(change)} for one, change in changes.items()]
        print_json({"pipeline": str(pipeline), "released": released})
        return
    for one, change in changes.items():
        before = "" if change.changed else f" already, by {change.given.who or 'somebody'}"
        say(f"{Target(pipeline, one)}: released{before}")
    if not changes:
        say(f"{pipeline}: waits for a release in no partition")


def _waiting(reading: Reading, pipeline: PipelineRef) -> list[str]:
    """The partitions in which it waits for a release, the oldest first."""
    from coordinator.model.decide import Obstacle
    from coordinator.model.partitions import partition_order

    targets = (target for target in reading.standings.unsettled() if target.pipeline == pipeline)
    decisions = (reading.standings.decide(target) for target in targets)
    waiting = (one for one in decisions if one.due and Obstacle.WAITS_FOR_RELEASE in one.obstacles)
    return sorted((one.target.partition for one in waiting), key=partition_order)


def _as_json(change: OrderChange) -> dict[str, Any]:
    return {"changed": change.changed, "revision": change.revision, "who": change.given.who, "why": change.given.why}
