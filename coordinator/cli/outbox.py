"""``coordinator outbox``: the events between an Airflow and etcd, and those of them that are parked."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coordinator.cli.failures import ExitCode
from coordinator.cli.options import ConfigOption, JsonOption, YesOption
from coordinator.cli.output import people, print_json, say, table
from coordinator.errors import CoordinatorError
from coordinator.model.partitions.instants import format_instant
from coordinator.model.phrases import counted, some_of
from coordinator.model.printable import printable

if TYPE_CHECKING:
    from coordinator.airflow_plugin.outbox import Outbox
    from coordinator.airflow_plugin.parking import Parked

outbox = typer.Typer(
    name="outbox",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="""Show what waits in an outbox of the Airflow plugin; replay or discard what could not be delivered.

    To be run on the host of that Airflow, as the user that it runs as.

    Example: [bold]coordinator outbox list --path /opt/airflow/coordinator-outbox[/bold]
    """,
)

PathOption = Annotated[
    Path | None,
    typer.Option("--path", help="The outbox.", show_default="reporter.outbox, or $AIRFLOW_HOME/coordinator-outbox"),
]
NamesArgument = Annotated[
    list[str] | None, typer.Argument(help="Parked events, as 'list' names them.", show_default=False)
]
_NAMED = 3
AllOption = Annotated[bool, typer.Option("--all", help="Every parked event.")]


class NoOutbox(CoordinatorError):
    """There is no outbox at this path, or it is another user's."""


@outbox.command("list")
def list_(*, path: PathOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Count the events that wait for etcd, and list the parked ones with their reasons.

    Says also which directory it has looked into, and whether the plugin has left anything there.

    A parked event could not be delivered and holds up no other. Those that somebody may make possible, by granting
    rights or correcting the configuration, are tried again by themselves, at first every 10 seconds, later every 10
    minutes. The others stay until they are replayed or discarded.

    Exit code 1 when events are parked.

    Example: [bold]coordinator outbox list --json[/bold]
    """
    found = _outbox(path, config)
    parked, names = list(found.parked.all()), found.pending()
    waiting = [name for name in names if found.written_at(name) is not None]
    others = [name for name in names if found.written_at(name) is None]
    oldest = _written_at(found, waiting[0]) if waiting else None
    used = bool(waiting or parked) or found.has_had_a_sender()
    if as_json:
        print_json(
            {
                "path": str(found.directory),
                "used": used,
                "waiting": len(waiting),
                "oldest": oldest,
                "others": others,
                "parked": [_as_json(found, one) for one in parked],
            }
        )
    else:
        since = f", the oldest since {oldest}" if oldest else ""
        events = counted(len(waiting), "event waits", "events wait")
        say(f"{found.directory}: {events}{since}; {counted(len(parked), 'is', 'are')} parked")
        if others:
            say(f"JSON files there that are no events of the plugin: {some_of(others, _NAMED)}", err=True)
        if not used:
            say(
                f"no plugin has left anything in {found.directory}: either that Airflow has reported no run yet, or "
                "its outbox is another directory; name it with --path",
                err=True,
            )
        if parked:
            people().print(_table(found, parked))
    if parked:
        raise typer.Exit(ExitCode.PROBLEM)


@outbox.command()
def replay(
    names: NamesArgument = None,
    *,
    everything: AllOption = False,
    environment: Annotated[
        str | None,
        typer.Option(help="Deliver them under this environment: theirs has been renamed.", show_default=False),
    ] = None,
    path: PathOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put parked events back into the outbox, to be delivered.

    Late is not wrong: an event that is older than what etcd knows of its pipeline and partition changes nothing. What
    still cannot be delivered is parked again.

    Example: [bold]coordinator outbox replay --all --environment sales_eu[/bold]
    """
    from coordinator.airflow_plugin.outbox import UnreadableEvent
    from coordinator.airflow_plugin.wakeup_pipe import wake

    found = _outbox(path, config, to_change=True)
    replayed, unreadable = [], {}
    for name in _chosen(found, names, everything=everything):
        try:
            if found.replay(name, environment=environment):
                replayed.append(name)
        except UnreadableEvent as error:
            unreadable[name] = str(error)
    listens = bool(replayed) and wake(found.directory)
    if as_json:
        print_json({"path": str(found.directory), "replayed": replayed, "unreadable": unreadable, "sender": listens})
    else:
        say(f"{found.directory}: {counted(len(replayed), 'event')} replayed")
        if replayed and not listens:
            say(
                "no sender runs: the next event of that Airflow starts one, or: "
                f"python -m coordinator.airflow_plugin.sender --outbox {found.directory}"
            )
        for problem in unreadable.values():
            say(f"still parked: {problem}", err=True)
    if unreadable:
        raise typer.Exit(ExitCode.PROBLEM)


@outbox.command()
def discard(
    names: NamesArgument = None,
    *,
    everything: AllOption = False,
    yes: YesOption = False,
    path: PathOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete parked events for good. What they say will never reach etcd.

    Example: [bold]coordinator outbox discard 01790000000000000000-81-0.json --yes[/bold]
    """
    found = _outbox(path, config, to_change=True)
    chosen = _chosen(found, names, everything=everything)
    if not yes:
        events = counted(len(chosen), "parked event")
        typer.confirm(f"Delete {events} of {printable(str(found.directory))} for good?", abort=True, err=True)
    discarded = [name for name in chosen if found.parked.discard(name)]
    if as_json:
        print_json({"path": str(found.directory), "discarded": discarded})
    else:
        say(f"{found.directory}: {counted(len(discarded), 'event')} discarded")


def _outbox(path: Path | None, config: Path | None, *, to_change: bool = False) -> Outbox:
    from coordinator.airflow_plugin.outbox import Outbox, default_outbox
    from coordinator.config.loading import load_settings

    directory = path or load_settings(config).reporter.outbox or default_outbox()
    directory = directory.expanduser().absolute()
    try:
        owner = directory.stat().st_uid
        os.listdir(directory)
    except OSError as error:
        raise NoOutbox(
            f"{directory}: {error.strerror}; expected the outbox of an Airflow on this host, that this user may read: "
            "name it with --path"
        ) from error
    if to_change and owner != os.geteuid():
        # Airflow's sender could not read files that root writes there.
        raise NoOutbox(f"{directory} belongs to the user {owner}, and this is {os.geteuid()}; run it as that user")
    return Outbox(directory)


def _chosen(found: Outbox, names: list[str] | None, *, everything: bool) -> list[str]:
    parked = found.parked.names()
    if everything == bool(names):
        raise typer.BadParameter("expected either names of parked events, or --all", param_hint="NAMES")
    if everything:
        return parked
    unknown = sorted(set(names or ()) - set(parked))
    if unknown:
        raise typer.BadParameter(
            f"not parked in {found.directory}: {printable(', '.join(unknown))}; see coordinator outbox list",
            param_hint="NAMES",
        )
    return list(dict.fromkeys(names or ()))


def _written_at(found: Outbox, name: str) -> str | None:
    from datetime import UTC, datetime

    at = found.written_at(name)
    return format_instant(datetime.fromtimestamp(int(at), UTC)) if at is not None else None


def _as_json(found: Outbox, parked: Parked) -> dict[str, Any]:
    event = _event(found, parked.name)
    about = event.about if event else {}
    return {
        "name": parked.name,
        "since": format_instant(parked.why.since.replace(microsecond=0)),
        "reason": parked.why.reason,
        "tried_again": parked.why.may_pass,
        "environment": event.environment if event else parked.why.environment,
        "dag_id": about.get("dag_id"),
        "partition": about.get("partition"),
        "run_id": about.get("run_id"),
        "state": about.get("state"),
        "asset": about.get("asset"),
    }


def _event(found: Outbox, name: str) -> Any:
    from coordinator.airflow_plugin.outbox import UnreadableEvent

    try:
        return found.read_parked(name)
    except (UnreadableEvent, OSError):
        return None


def _table(found: Outbox, parked: Iterable[Parked]) -> Any:
    rows = []
    for one in parked:
        said = _as_json(found, one)
        about = f"{said['environment'] or '?'}/{said['dag_id']}@{said['partition']}" if said["dag_id"] else "no event"
        if said["asset"]:
            about = f"{said['environment'] or '?'}: {said['asset']}"
        again = "by itself" if one.why.may_pass else "no"
        rows.append([one.name, said["since"], about, said["state"] or "", again, one.why.reason])
    return table("event", "parked since", "of", "state", "tried again", "reason", rows=rows)
