"""``coordinator release``: ends a hold, or lets one partition run that waits for a release."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from coordinator.cli.connecting import etcd_of
from coordinator.cli.options import (
    ConfigOption,
    DryRunOption,
    JsonOption,
    NewPartitionOption,
    NewPipelineOption,
    PipelineArgument,
    ReasonOption,
    WhoOption,
    YesOption,
    pipeline_of,
    signature_of,
    typed_partition,
)
from coordinator.cli.output import hold_in_words, print_json, say
from coordinator.model.phrases import counted
from coordinator.model.shell import command

if TYPE_CHECKING:
    from coordinator.cli.impact import Manner
    from coordinator.commands.acts import Signature
    from coordinator.commands.order import OrderChange
    from coordinator.model.references import PipelineRef, Target
    from coordinator.reading.reading import Reading
    from coordinator.store.keys import Keys
    from coordinator.store.port import Store


def release(
    pipeline: PipelineArgument,
    partition: Annotated[
        str | None,
        typer.Argument(
            help="Let it run again in this partition, where it waits for a release (rerun: hold).",
            show_default="its hold is released",
        ),
    ] = None,
    *,
    all_partitions: Annotated[
        bool, typer.Option("--all-partitions", help="Release it in every partition in which it waits for that.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="With a partition: release it in advance, although it does not wait yet.")
    ] = False,
    new_pipeline: NewPipelineOption = False,
    new_partition: NewPartitionOption = False,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    reason: ReasonOption = "",
    who: WhoOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Release a pipeline that is held. What is due starts at once. Releasing it again does nothing.

    With a partition: let a pipeline whose rerun policy is 'hold' run again, once, in this partition. Its hold stays.

    Example: [bold]coordinator release team_b/load_customers --reason "file fixed, T-123"[/bold]
    """
    from coordinator.cli.impact import Manner
    from coordinator.model.references import Target
    from coordinator.reading.naming import read_target, require_pipeline, unknown_partition
    from coordinator.reading.reading import read
    from coordinator.reading.wanted_keys import About

    wanted, signature = pipeline_of(pipeline), signature_of(who, reason)
    typed = None if partition is None else typed_partition(partition)
    if typed is not None and all_partitions:
        raise typer.BadParameter("expected one partition or all of them", param_hint="PARTITION, --all-partitions")
    if force and typed is None:
        raise typer.BadParameter("only with a partition", param_hint="--force")
    manner = Manner(dry_run=dry_run, yes=yes, as_json=as_json)
    with etcd_of(config) as (store, keys):
        if typed is None:
            reading = read(store, keys, about=About(wanted, below=True))
            if not new_pipeline and reading.cache.hold(wanted) is None:
                require_pipeline(reading, wanted)
            if all_partitions:
                targets = [Target(wanted, one) for one in _waiting(reading, wanted)]
                _release_partitions(store, keys, reading, wanted, targets, signature, manner)
            else:
                _release_hold(store, keys, reading, wanted, signature, manner)
            return
        reading, target, named = read_target(store, keys, wanted, typed, new_pipeline=new_pipeline)
        if not force and target.partition not in _waiting(reading, wanted):
            _refuse(target, _waiting(read(store, keys, about=About(wanted)), wanted))
        unknown = None if named.known or new_partition else unknown_partition(target, named)
        _release_partitions(store, keys, reading, wanted, [target], signature, manner, unknown)


def _release_hold(
    store: Store, keys: Keys, reading: Reading, held: PipelineRef, signature: Signature, manner: Manner
) -> None:
    from coordinator.cli import impact
    from coordinator.cli.failures import ExitCode
    from coordinator.commands.hold import delete_hold
    from coordinator.model.hold import hold_as_json

    found = impact.impact_of(reading, {}, released=held)
    why = [f"{counted(len(found.runs), 'run')} would happen"] if found.runs else []
    if not manner.goes_on(found, f"release {held}", why=why, about={"pipeline": str(held)}):
        return
    change = delete_hold(store, keys, held, signature)
    waiting = [] if change.changed else _waiting(reading, held)
    if manner.as_json:
        shown: dict[str, Any] = {
            "pipeline": str(held),
            "changed": change.changed,
            "before": hold_as_json(change.before),
            "runs": impact.as_json(found),
        }
        print_json(shown | ({"waiting_for_release": waiting} if waiting else {}))
    elif change.changed:
        say(f"{held}: released; was held: {hold_in_words(change.before)}")
    else:
        say(f"{held}: was not held")
        for partition in waiting:
            say(f"  it waits in a partition: {command('release', held, partition)}")
        if len(waiting) > 1:
            say(f"  all of them: {command('release', held, '--all-partitions')}")
    if waiting:
        raise typer.Exit(ExitCode.PROBLEM)


def _release_partitions(
    store: Store,
    keys: Keys,
    reading: Reading,
    pipeline: PipelineRef,
    targets: list[Target],
    signature: Signature,
    manner: Manner,
    unknown: str | None = None,
) -> None:
    from coordinator.cli import impact
    from coordinator.commands.order import put_order
    from coordinator.model.order import GivenOrder, Order

    found = impact.impact_of(reading, dict.fromkeys(targets, Order.RELEASE))
    question = f"release {pipeline} in {counted(len(targets), 'partition')}"
    about = {"pipeline": str(pipeline), "partitions": [target.partition for target in targets]}
    if not manner.goes_on(found, question, why=impact.others_follow(found), unknown=unknown, about=about):
        return
    given = GivenOrder(Order.RELEASE, who=signature.who, when=signature.when, why=signature.why)
    changes = {target: put_order(store, keys, target, given) for target in targets}
    if manner.as_json:
        released = [{"partition": target.partition, **_as_json(change)} for target, change in changes.items()]
        print_json({"pipeline": str(pipeline), "released": released, "runs": impact.as_json(found)})
        return
    for target, change in changes.items():
        before = "" if change.changed else f" already, by {change.given.who or 'somebody'}"
        say(f"{target}: released{before}")
    if not changes:
        say(f"{pipeline}: waits for a release in no partition")


def _refuse(target: Target, waiting: Sequence[str]) -> NoReturn:
    """Refuse a release. :param waiting: the partitions in which the pipeline waits for one."""
    from coordinator.errors import CoordinatorError

    elsewhere = f"it waits in {', '.join(waiting[:10])}" if waiting else "it waits for that nowhere"
    raise CoordinatorError(
        f"{target} does not wait for a release; {elsewhere}; {command('explain', *target)} "
        f"says how it stands, --force releases it in advance"
    )


def _waiting(reading: Reading, pipeline: PipelineRef) -> list[str]:
    """The partitions in which a pipeline waits for a release, the oldest first."""
    from coordinator.model.decide import Obstacle
    from coordinator.model.partitions.instants import partition_order

    targets = (target for target in reading.propagation.unsettled() if target.pipeline == pipeline)
    decisions = (reading.propagation.decide(target) for target in targets)
    waiting = (one for one in decisions if one.due and Obstacle.WAITS_FOR_RELEASE in one.obstacles)
    return sorted((one.target.partition for one in waiting), key=partition_order)


def _as_json(change: OrderChange) -> dict[str, Any]:
    return {"changed": change.changed, "revision": change.revision, "who": change.given.who, "why": change.given.why}
