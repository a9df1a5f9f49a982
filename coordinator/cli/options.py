"""Options and arguments that several commands share."""

from __future__ import annotations

import getpass
import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.config import CONFIG_VARIABLE
from coordinator.model.references import PipelineRef

if TYPE_CHECKING:
    from coordinator.commands.acts import Signature
    from coordinator.model.named_partitions import Span

CONFIGURATION = Path("coordinator.toml")
"""Read from the working directory where neither ``--config`` nor ``COORDINATOR_CONFIG`` names a file."""


def configuration_or_here(named: Path | None) -> Path | None:
    """The configuration that is named, else the one in the working directory; none where the variable is empty.

    :raises ConfigurationError: the one in the working directory is another user's: it can name programs that give out
        credentials, which would be run.
    """
    from coordinator.errors import ConfigurationError

    if named is not None or CONFIG_VARIABLE in os.environ or not CONFIGURATION.is_file():
        return named
    if CONFIGURATION.stat().st_uid not in (0, os.geteuid()):
        raise ConfigurationError(
            f"{CONFIGURATION}: belongs to another user, so it is not read without being named; if it is meant: "
            f"--config {CONFIGURATION}"
        )
    return CONFIGURATION


ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar=CONFIG_VARIABLE,
        help="The configuration.",
        show_default="coordinator.toml if it is here",
        callback=configuration_or_here,
    ),
]

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

OwnerOption = Annotated[
    str,
    typer.Option(
        help="Whose document it is: an environment, which declares its own pipelines, or 'default', the central one."
    ),
]

OfflineOption = Annotated[bool, typer.Option("--offline", help="Do not ask the environments about the pipelines.")]

PipelineArgument = Annotated[
    str, typer.Argument(help="environment/dag_id, or dag_id for the environment 'default'.", show_default=False)
]


PartitionArgument = Annotated[
    str,
    typer.Argument(help="The piece of data, such as 2026-11-20, or 2026-11-20T05:00 (UTC).", show_default=False),
]

NewPipelineOption = Annotated[
    bool, typer.Option("--new-pipeline", help="Accept a pipeline that nothing is known of yet.")
]

NewPartitionOption = Annotated[
    bool, typer.Option("--new-partition", help="Accept a partition that nothing is known of yet.")
]

SinceOption = Annotated[
    str | None, typer.Option("--since", help="Only partitions from this date or date-time on.", show_default=False)
]

UntilOption = Annotated[
    str | None, typer.Option("--until", help="Only partitions up to it; a date is its whole day.", show_default=False)
]

ReasonOption = Annotated[
    str,
    typer.Option("--reason", "-r", help="Why it is done; 'coordinator acts' shows it.", show_default=False),
]

WhoOption = Annotated[str | None, typer.Option(help="Who does it.", show_default="user@host")]

DryRunOption = Annotated[bool, typer.Option("--dry-run", help="List every run that would happen, and do nothing.")]

YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask: for scripts.")]


def pipeline_of(text: str) -> PipelineRef:
    """Read a pipeline argument. :raises typer.BadParameter: it is no reference."""
    try:
        return PipelineRef.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="PIPELINE") from None


def typed_partition(text: str) -> str:
    """Check a partition argument. Its meaning depends on the partitions of the pipeline: see ``reading.naming``."""
    if not text:
        raise typer.BadParameter("expected a partition, found nothing", param_hint="PARTITION")
    return text


def spellings_of(partition: str) -> set[str]:
    """A partition as it is typed, and in the canonical form of its moment."""
    from coordinator.model.named_partitions import spellings

    return spellings(typed_partition(partition))


def span_of(since: str | None, until: str | None) -> Span:
    """Read ``--since`` and ``--until``."""
    from coordinator.model.named_partitions import Span

    try:
        return Span.typed(since, until)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--since, --until") from None


def signature_of(who: str | None, why: str) -> Signature:
    """The signature of an act: who acts now, and why."""
    from coordinator.commands.acts import Signature

    return Signature(who or person(), datetime.now(UTC), why)


def person() -> str:
    """The user of this command: ``user@host``."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without an entry in /etc/passwd; OSError since Python 3.13
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"
