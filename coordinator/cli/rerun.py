"""``coordinator rerun``: runs a pipeline once more although nothing is new."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.connecting import etcd_of
from coordinator.cli.options import (
    ConfigOption,
    DryRunOption,
    JsonOption,
    NewPartitionOption,
    NewPipelineOption,
    PartitionArgument,
    PipelineArgument,
    ReasonOption,
    WhoOption,
    YesOption,
    pipeline_of,
    signature_of,
    typed_partition,
)
from coordinator.cli.output import print_json, say
from coordinator.model.phrases import counted, some_of
from coordinator.model.shell import command

if TYPE_CHECKING:
    from coordinator.cli.impact import Impact
    from coordinator.commands.acts import Signature
    from coordinator.model.references import Target
    from coordinator.store.keys import Keys
    from coordinator.store.port import Store

_NAMED = 10


def rerun(
    pipeline: PipelineArgument,
    partition: PartitionArgument,
    *,
    downstream: Annotated[
        bool, typer.Option("--downstream", help="Accept that what depends on it runs again too.")
    ] = False,
    cancel: Annotated[
        bool, typer.Option("--cancel", help="Take back a rerun, or a release, that has not begun yet.")
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
    """Run a pipeline once more in a partition, although nothing is new. Its run is cleared, or created.

    The watcher does it, as soon as the pipeline is not running, not held and nothing that it would use is still to
    come. What is below runs again by itself, so --downstream must accept that.
    Until it has begun, --cancel takes it back, and the release of a partition too.

    Example: [bold]coordinator rerun 03_pipeline 2026-11-20 --downstream --dry-run[/bold]
    """
    from coordinator.cli import impact
    from coordinator.commands.order import put_order
    from coordinator.model.order import GivenOrder, Order
    from coordinator.reading.naming import read_target, unknown_partition

    wanted, typed, signature = pipeline_of(pipeline), typed_partition(partition), signature_of(who, reason)
    if cancel and (downstream or dry_run or yes):
        raise typer.BadParameter("cannot be combined with other options of this command", param_hint="--cancel")
    with etcd_of(config) as (store, keys):
        reading, target, named = read_target(store, keys, wanted, typed, new_pipeline=new_pipeline)
        if cancel:
            _cancel(store, keys, target, signature, as_json=as_json)
            return
        about = {"pipeline": str(target.pipeline), "partition": target.partition}
        unknown = None if named.known or new_partition else unknown_partition(target, named)
        found = impact.impact_of(reading, {target: Order.RERUN})
        if found.below and not (downstream or dry_run):
            _refuse(found, target)
        manner = impact.Manner(dry_run=dry_run, yes=yes, as_json=as_json)
        question = f"rerun {target} and what is below it" if found.below else f"run {target}"
        why = impact.others_follow(found)
        if not manner.goes_on(found, question, why=why, unknown=unknown, about=about):
            return
        given = GivenOrder(Order.RERUN, who=signature.who, when=signature.when, why=signature.why)
        change = put_order(store, keys, target, given)
    if as_json:
        written = {"ordered": change.changed, "revision": change.revision, "who": change.given.who}
        print_json({**about, "dry_run": False, **written, "runs": impact.as_json(found)})
    elif change.changed:
        say(f"{target}: its rerun is ordered, at revision {change.revision}{_when(found, target)}")
    else:
        say(f"{target}: its rerun is ordered already, by {change.given.who or 'somebody'}, and not begun yet")


def _cancel(store: Store, keys: Keys, target: Target, signature: Signature, *, as_json: bool) -> None:
    from coordinator.commands.order import cancel_order
    from coordinator.model.order import GivenOrder

    done = cancel_order(store, keys, target, signature)
    order = done.before.order.value if isinstance(done.before, GivenOrder) else None
    if as_json:
        about = {"pipeline": str(target.pipeline), "partition": target.partition, "order": order}
        print_json({**about, "cancelled": done.changed, "on_its_way": done.on_its_way, "revision": done.revision})
    elif done.changed:
        doubt = (
            f"; its intent is written, so its request may be out already: {command('explain', *target)}"
            if done.on_its_way
            else ""
        )
        what = order or "order, which could not be read,"
        say(f"{target}: its {what} is taken back, at revision {done.revision}{doubt}")
    elif done.before is not None:
        say(f"{target}: its {order} has been carried out already, there is nothing to take back")
    else:
        say(f"{target}: no order waits, there is nothing to take back")


def _when(found: Impact, target: Target) -> str:
    """What the rerun waits for, if a person has to act first."""
    own = next((step for step in found.steps if step.target == target), None)
    return "" if own is None or own.how.runs else f"; it is {own.how}: {command('explain', target.pipeline)}"


def _refuse(found: Impact, target: Target) -> None:
    from coordinator.errors import CoordinatorError

    names = [
        str(step.target.pipeline if step.target.partition == target.partition else step.target) for step in found.below
    ]
    follow = counted(len(names), "pipeline below it follows", "pipelines below it follow")
    raise CoordinatorError(
        f"nothing was done: {follow} when {target} runs again: {some_of(names, _NAMED)}; "
        "--downstream says that this is meant, --dry-run lists every run"
    )
