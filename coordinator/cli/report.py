"""``coordinator report``: reports the state of a run, for pipelines outside Airflow and for people."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coordinator.cli.connecting import etcd_of
from coordinator.cli.options import ConfigOption, JsonOption, PipelineArgument, person, pipeline_of
from coordinator.cli.output import print_json, say

if TYPE_CHECKING:
    from coordinator.model.references import PipelineRef, Target
    from coordinator.model.runstate import RunStateDocument
    from coordinator.store.keys import Keys
    from coordinator.store.port import Store


class Reported(enum.StrEnum):
    """The states that can be reported."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"


_WHEN = "A date-time; UTC where it names no zone."


def _instant(what: str) -> Any:
    return typer.Option(help=f"{what} {_WHEN}", show_default=False)


def report(
    pipeline: PipelineArgument,
    state: Annotated[Reported, typer.Argument(help="What has become of the run.", show_default=False)],
    *,
    partition: Annotated[
        str | None,
        typer.Option(
            "--partition",
            "-p",
            help="Without it: the partition key, the logical date or the run id.",
            show_default=False,
        ),
    ] = None,
    run_id: Annotated[str | None, typer.Option(help="The run, as its own system names it.", show_default=False)] = None,
    queued_at: Annotated[str | None, _instant("When this execution was queued; new with every clear.")] = None,
    attempt: Annotated[
        int | None, typer.Option(help="Counts the executions of a run that has no queued_at.", show_default=False)
    ] = None,
    logical_date: Annotated[str | None, _instant("The run's logical date.")] = None,
    partition_key: Annotated[
        str | None, typer.Option(help="The run's partition key, where it has one.", show_default=False)
    ] = None,
    data_interval_start: Annotated[str | None, _instant("Where its data begins; kept for people.")] = None,
    data_interval_end: Annotated[str | None, _instant("Where its data ends; kept for people.")] = None,
    start_date: Annotated[str | None, _instant("When the run started; kept for people.")] = None,
    end_date: Annotated[str | None, _instant("When the run ended.")] = None,
    note: Annotated[str | None, typer.Option(help="Any text; kept for people.", show_default=False)] = None,
    reported_by: Annotated[str | None, typer.Option(help="Who reports it.", show_default="user@host")] = None,
    timeout: Annotated[float, typer.Option(min=0, help="Seconds to go on trying while etcd is away.")] = 10.0,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Report the state of a run.

    May be repeated: the same state of the same attempt again changes nothing. Give --run-id with --queued-at or
    --attempt, or repeats and late reports cannot be told from new completions.

    A date, or a date-time in any spelling, is the partition of that moment which the pipeline has.

    Warns, and ends with 0, where no document names the pipeline, or where it has dates or date-times for partitions and
    this is none.

    Exit code 3 when etcd has given no answer within --timeout: it may be written or not, and may be reported again.

    Example: [bold]coordinator report 01_pipeline success -p 2026-11-20T00:00:00Z --run-id nightly --attempt 1[/bold]
    """
    from coordinator.commands.report import write_report
    from coordinator.model.references import Target

    reported = pipeline_of(pipeline)
    document = _document(
        state=str(state),
        run_id=run_id,
        queued_at=queued_at,
        attempt=attempt,
        logical_date=logical_date,
        partition_key=partition_key,
        data_interval_start=data_interval_start,
        data_interval_end=data_interval_end,
        start_date=start_date,
        end_date=end_date,
        note=note,
        reported_by=reported_by or f"coordinator report, {person()}",
    )
    given = partition or _partition_of(document)
    with etcd_of(config) as (store, keys):
        target = Target(reported, _as_known(store, keys, reported, given, within=timeout))
        verdict = write_report(store, keys, target, document, within=timeout)
        warnings = _slips(store, keys, target)
    if as_json:
        print_json(
            {
                "pipeline": str(target.pipeline),
                "partition": target.partition,
                "state": str(document.state),
                "verdict": verdict.value,
                "key": keys.state(target),
                "warnings": warnings,
            }
        )
    else:
        for warning in warnings:
            say(f"warning: {warning}", err=True)
        say(f"{target}: {document.state}: {_IN_WORDS[verdict.value]}")


_IN_WORDS = {
    "new": "written",
    "repeat": "was there already, nothing changed",
    "outdated": "older than what is there, nothing changed",
}


def _slips(store: Store, keys: Keys, target: Target) -> list[str]:
    from coordinator.cli.report_slips import slips
    from coordinator.store.port import StoreError

    try:
        return list(slips(store, keys, target))
    except StoreError as error:  # the report is written: an exit code would make the caller repeat it
        return [f"not compared with what is known: {error}"]


def _document(**fields: Any) -> RunStateDocument:
    from pydantic import ValidationError

    from coordinator.model import bounds
    from coordinator.model.printable import printable
    from coordinator.model.runstate import RunStateDocument

    given = {name: value for name, value in fields.items() if value is not None}
    try:
        return RunStateDocument.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0])
        hint = f"--{name.replace('_', '-')}"
        reason = first["msg"].removeprefix("Value error, ")
        found = printable(repr(given[name]), limit=bounds.PATTERN)
        raise typer.BadParameter(f"{reason}; found {found}", param_hint=hint) from None


def _partition_of(document: RunStateDocument) -> str:
    """The partition that follows from the other fields of the run."""
    from coordinator.model.partitions.instants import partition_of_run

    derived = partition_of_run(
        run_id=document.run_id or "",
        logical_date=document.logical_date,
        partition_key=document.partition_key,
        conf=None,
    )
    if not derived:
        raise typer.BadParameter(
            "expected a partition, or a partition key, logical date or run id to take it from", param_hint="--partition"
        )
    return derived


def _as_known(store: Store, keys: Keys, pipeline: PipelineRef, given: str, *, within: float) -> str:
    """The partition as the pipeline's reports spell it. A moment in the usual form, or a name, needs no check.

    A reporter's role may read only the states of its own environment, so only this pipeline's states are read.

    :param within: seconds to retry while etcd cannot be reached.
    """
    import tenacity

    from coordinator.model.named_partitions import is_spelled_freely, named_partition
    from coordinator.store.keys import StateKey
    from coordinator.store.port import StoreUnavailable

    if not is_spelled_freely(given):
        return given
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(StoreUnavailable),
        wait=tenacity.wait_random_exponential(multiplier=0.1, max=2.0),
        stop=tenacity.stop_after_delay(within),
        reraise=True,
    )
    found = map(keys.parse, (item.key for item in retrying(store.list, keys.states_of(pipeline)).items))
    return named_partition(given, {key.target.partition for key in found if isinstance(key, StateKey)}).partition
