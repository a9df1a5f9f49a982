"""``coordinator mark``: a person sets the state of a run."""

from __future__ import annotations

import enum
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
from coordinator.model.shell import command

if TYPE_CHECKING:
    from coordinator.model.references import Target
    from coordinator.model.runstate import Attempt
    from coordinator.reading.reading import Reading


class Marked(enum.StrEnum):
    """The states that can be marked."""

    SUCCESS = "success"
    FAILED = "failed"


def mark(
    pipeline: PipelineArgument,
    partition: PartitionArgument,
    state: Annotated[Marked, typer.Argument(help="The state that it counts as from now on.", show_default=False)],
    *,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Also mark a run that is queued or running. A run whose request is still on its way is never marked.",
        ),
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
    """Say that a pipeline's run in a partition counts as a success, or as failed, whatever it says itself.

    It holds for the present attempt: no report of that attempt overrules it, the next attempt does. Airflow is not
    told, and goes on showing its own state. Where nothing is known of a run, the first report overrules the mark.

    Example: [bold]coordinator mark 03_pipeline 2026-11-20 success --reason "loaded by hand, T-123"[/bold]
    """
    from coordinator.cli import impact
    from coordinator.commands import mark as marking
    from coordinator.model.runstate import State
    from coordinator.reading.naming import read_target, unknown_partition

    named_pipeline, typed, signature = pipeline_of(pipeline), typed_partition(partition), signature_of(who, reason)
    wanted = State(state)
    with etcd_of(config) as (store, keys):
        reading, target, named = read_target(store, keys, named_pipeline, typed, new_pipeline=new_pipeline)
        about = {"pipeline": str(target.pipeline), "partition": target.partition, "state": str(wanted)}
        unknown = None if named.known or new_partition else unknown_partition(target, named)
        attempt = None if dry_run else _attempt_on_its_way(reading, target, force=force)
        found = impact.impact_of(reading, {target: wanted})
        manner = impact.Manner(dry_run=dry_run, yes=yes, as_json=as_json)
        why, question = impact.others_follow(found), f"mark {target} as {wanted}"
        if not manner.goes_on(found, question, why=why, unknown=unknown, about=about):
            return
        seen, recorded = reading.cache.state(target), reading.cache.record(target)
        done = marking.mark(
            store,
            keys,
            target,
            wanted,
            signature,
            looked_at=seen.revision if seen is not None else 0,
            record_at=recorded.revision if recorded is not None else 0,
            attempt=attempt,
            confirm=reading.propagation.decide(target).retry is not None,
        )
    if as_json:
        written = {"marked": done.changed, "revision": done.revision, "run_id": done.after.attempt.run_id}
        print_json({**about, "dry_run": False, **written, "runs": impact.as_json(found)})
    elif done.changed:
        run = f" (run {done.after.attempt.run_id})" if done.after.attempt.run_id is not None else ""
        say(f"{target}{run}: marked as {wanted}, at revision {done.revision}; Airflow was not told")
        if tasks := sorted(one.task for one in reading.propagation.graph.tasks(target.pipeline)):
            say(
                f"what waits for its task {' or '.join(tasks)} still waits for that: only its Airflow says how it ended"
            )
    else:
        say(f"{target}: is {wanted} already, nothing was written")


def _attempt_on_its_way(reading: Reading, target: Target, *, force: bool) -> Attempt | None:
    """The attempt of the run that the coordinator has started, if its state does not show it yet.

    :raises CoordinatorError: the run has not ended, and ``--force`` is missing; or its request is under way, and it is
        not known yet which attempt would be marked.
    """
    from coordinator.errors import CoordinatorError
    from coordinator.model.decide import Obstacle
    from coordinator.model.runstate import Attempt
    from coordinator.model.trigger import Status
    from coordinator.model.view import readable_record

    moving = reading.propagation.decide(target).obstacles & {Obstacle.IN_FLIGHT, Obstacle.RUNNING}
    if moving and not force:
        raise CoordinatorError(
            f"{target} is {' and '.join(sorted(moving))}: its own report is to be expected; wait for that "
            f"({command('explain', *target)}), or pass --force"
        )
    record = readable_record(reading.cache.record(target))
    if Obstacle.IN_FLIGHT not in moving or record is None:
        return None
    if record.status is Status.SENT:
        return Attempt(record.run_id, record.attempt)
    raise CoordinatorError(
        f"{target}: its request is on its way to environment {target.pipeline.environment}, and the attempt that it "
        "makes is not known yet: a mark would be on the one before, and overruled; try again once its record says "
        f"'sent' ({command('explain', *target)}). If the environment is down for long, "
        f"{command('hold', target.pipeline)} withdraws requests that were not sent"
    )
