"""``coordinator status``: how every pipeline stands, who leads, and what is wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coordinator.cli.connecting import etcd_of
from coordinator.cli.failures import ExitCode
from coordinator.cli.files_output import differing_files, taken_away, taken_away_in_words
from coordinator.cli.options import ConfigOption, JsonOption, pipeline_of, spellings_of
from coordinator.cli.output import hold_in_words, people, print_json, roughly, table
from coordinator.cli.replicas_output import (
    Replicas,
    leader_as_json,
    leader_in_words,
    replica_as_json,
    replicas_in,
    replicas_table,
)
from coordinator.cli.reporters_output import reporters_in
from coordinator.cli.retention_output import retention_as_json, retention_in_words
from coordinator.cli.unanswered import unanswered

if TYPE_CHECKING:
    from coordinator.model.references import Target
    from coordinator.model.runstate import RunState
    from coordinator.model.trigger import TriggerRecord
    from coordinator.watcher.reading import Reading

_COLUMNS = (
    "pipeline",
    "partition",
    "state",
    "standing",
    "age",
    "since",
    "late_since",
    "record",
    "run_id",
    "last_error",
)


def status(
    *,
    pipeline: Annotated[str | None, typer.Option(help="Only this pipeline.", show_default=False)] = None,
    partition: Annotated[
        str | None, typer.Option("--partition", "-p", help="Only this one.", show_default=False)
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Also what is settled.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="Newest partitions shown of each pipeline.")] = 20,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show how pipelines stand: what is busy, what is stuck, what is late, and why; and who watches.

    Exit code 1 when something is wrong: a key that cannot be read, a refused request, requests without an answer for
    long, no leader, a replica that could not take over, an environment whose reporters are not heard from, a
    dependencies file that is refused or older than what is in force.

    Example: [bold]coordinator status --all --partition 2026-11-20T00:00:00Z[/bold]
    """
    from coordinator.model.partitions import partition_order
    from coordinator.watcher.reading import read

    spellings = None if partition is None else spellings_of(partition)
    wanted = pipeline_of(pipeline) if pipeline is not None else None
    with etcd_of(config) as (store, keys):
        reading = read(store, keys)
    if wanted is not None:
        reading.require(wanted)
    targets = [
        target
        for target in {*reading.cache.targets(), *reading.standings.unsettled(), *reading.late}
        if (wanted is None or target.pipeline == wanted) and (spellings is None or target.partition in spellings)
    ]
    targets.sort(key=lambda target: (target.pipeline, partition_order(target.partition)))
    now = datetime.now(UTC)
    found = [_row(reading, target, now) for target in targets]
    if not everything:
        found = [row for row in found if row["standing"] != "settled" or row["late_since"]]
    rows = _newest(found, limit)
    not_shown = len(found) - len(rows)
    replicas = replicas_in(reading, now)
    reporters = reporters_in(reading, config, now)
    problems = reading.problems | replicas.problems | unanswered(reading, now) | reporters.problems
    if as_json:
        print_json(
            {
                "revision": reading.cache.revision,
                "leader": leader_as_json(replicas),
                "watchers": [replica_as_json(replica) for replica in replicas.all],
                "reporters": reporters.as_json(),
                "pipelines": rows,
                "not_shown": not_shown,
                "holds": {str(held): hold_in_words(hold) for held, hold in reading.cache.holds()},
                "retention": retention_as_json(reading),
                "taken_away": taken_away(reading.cache.published),
                "problems": problems,
            }
        )
    else:
        notes = [
            *retention_in_words(reading, everything=everything),
            *reporters.notes,
            *differing_files(replicas.presences),
            *taken_away_in_words(reading.cache.published),
        ]
        if not_shown:
            notes.insert(0, f"{not_shown} older partitions are not shown: see them with --limit")
        if not rows:
            asked = wanted is not None or partition is not None
            notes.insert(0, _nothing_in_words(asked=asked, everything=everything))
        _print(reading, rows, replicas, notes, problems)
        if everything:
            reporters.print_table()
    if problems or any(row["record"] == "blocked" for row in found):
        raise typer.Exit(ExitCode.PROBLEM)


def _row(reading: Reading, target: Target, now: datetime) -> dict[str, Any]:
    from coordinator.model.explanation import headline
    from coordinator.model.partitions import format_instant
    from coordinator.model.runstate import RunState
    from coordinator.model.trigger import TriggerRecord

    decision = reading.standings.decide(target)
    state, recorded = reading.cache.state(target), reading.cache.record(target)
    record = recorded.value if recorded is not None and isinstance(recorded.value, TriggerRecord) else None
    readable = state.value if state is not None and isinstance(state.value, RunState) else None
    since = _since(readable, record)
    if since is not None:
        since = since.replace(microsecond=0)
    return {
        "pipeline": str(target.pipeline),
        "partition": target.partition,
        "since": format_instant(since) if since is not None else None,
        "age": max(0, round((now - since).total_seconds())) if since is not None else None,
        "state": str(readable.state) if readable is not None else ("unreadable" if state is not None else None),
        "standing": str(decision.standing),
        "record": str(record.status) if record is not None else None,
        "run_id": (record.run_id if record is not None else None)
        or (readable.attempt.run_id if readable is not None else None),
        "wave": record.wave if record is not None else None,
        "late_since": format_instant(decision.due_by) if decision.late and decision.due_by is not None else None,
        "last_error": record.last_error if record is not None else None,
        "says": headline(decision),
    }


def _since(state: RunState | None, record: TriggerRecord | None) -> datetime | None:
    """Since when it is as it is, as far as somebody said when."""
    from coordinator.model.trigger import Status

    told = [state.observed_at or state.attempt.queued_at] if state is not None else []
    if record is not None and (state is None or record.status is not Status.DONE):
        told.append(record.blocked_since or record.when)
    return max((one for one in told if one is not None), default=None)


def _cells(row: dict[str, Any]) -> list[str]:
    age = roughly(row["age"]) if row["age"] is not None else None
    return [(row | {"age": age})[column] or "" for column in _COLUMNS]


def _newest(rows: list[dict[str, Any]], limit: int) -> list[dict[str, Any]]:
    of_pipeline: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        of_pipeline.setdefault(row["pipeline"], []).append(row)
    return [row for group in of_pipeline.values() for row in group[-limit:]]


def _nothing_in_words(*, asked: bool, everything: bool) -> str:
    """What an empty table means."""
    if everything:
        return "nothing has been reported of what was asked for" if asked else "nothing has been reported yet"
    return f"{'all that was asked for' if asked else 'everything'} is settled; see it with --all"


def _print(
    reading: Reading,
    rows: list[dict[str, Any]],
    replicas: Replicas,
    notes: list[str],
    problems: dict[str, str],
) -> None:
    console = people()
    console.print(f"{leader_in_words(replicas)}; etcd revision {reading.cache.revision}", markup=False)
    if replicas.all:
        console.print(replicas_table(replicas))
    if rows:
        console.print(table(*_COLUMNS, rows=map(_cells, rows)))
    for held, hold in sorted(reading.cache.holds()):
        console.print(f"held: {held}: {hold_in_words(hold)}", markup=False)
    for note in notes:
        console.print(note, markup=False)
    for place, problem in problems.items():
        console.print(f"problem: {place}: {problem}", markup=False)
