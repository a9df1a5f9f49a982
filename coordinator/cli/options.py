"""Options and arguments that several commands share."""

from __future__ import annotations

import getpass
import os
import socket
from pathlib import Path
from typing import Annotated

import typer

from coordinator.model.references import PipelineRef

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", envvar="COORDINATOR_CONFIG", help="The configuration, coordinator.toml.", show_default=False
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


def pipeline_of(text: str) -> PipelineRef:
    """Read a pipeline argument. :raises typer.BadParameter: it is no reference."""
    try:
        return PipelineRef.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="PIPELINE") from None


def person() -> str:
    """Who runs this command, as far as the machine knows: ``user@host``."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without an entry in /etc/passwd; OSError since Python 3.13
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"
