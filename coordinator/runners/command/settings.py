"""The sections ``environments.<name>`` of the kind ``command``."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from coordinator.config.environments import EnvironmentSettings
from coordinator.config.sections import PositiveDuration, Section

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

OURS = tuple(
    f"COORDINATOR_{name}" for name in ("ENVIRONMENT", "PIPELINE", "RUN_ID", "ATTEMPT", "PARTITION", "WAVE", "REQUEST")
)
"""The variables that the runner sets."""


def _command_name(name: str) -> str:
    if _NAME.fullmatch(name) is None:
        raise ValueError(
            "is not a name of a command; expected up to 100 ASCII letters, digits, '_', '-' and '.', and a letter, "
            "digit or '_' first"
        )
    return name


def _variable_name(name: str) -> str:
    if _VARIABLE.fullmatch(name) is None:
        raise ValueError("is not a name of a variable; expected ASCII letters, digits and '_', and no digit first")
    if name in OURS:
        raise ValueError("is set by the coordinator for each run; expected another name")
    return name


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError(f"{str(path)!r} is relative; expected an absolute path")
    return path


CommandName = Annotated[str, AfterValidator(_command_name)]
VariableName = Annotated[str, AfterValidator(_variable_name)]
AbsolutePath = Annotated[Path, AfterValidator(_absolute)]


class Command(Section):
    """A program and how to run it. Nothing of a partition or of dependencies.json gets into ``argv``.

    :ivar argv: the program and its arguments, run without a shell. The program is an absolute path, or a name that is
        looked for in ``PATH``.
    :ivar working_directory: where it runs.
    :ivar env: variables that it gets.
    :ivar pass_env: names of the watcher's variables that it gets, too: those with credentials.
    :ivar timeout: after so long it is ended; ``None``: it may run for any time.
    """

    argv: Annotated[list[str], Field(min_length=1)]
    working_directory: AbsolutePath = Path("/")
    env: dict[VariableName, str] = Field(default_factory=dict)
    pass_env: list[VariableName] = Field(default_factory=list)
    timeout: PositiveDuration | None = None

    @model_validator(mode="after")
    def _without_nul(self) -> Self:
        program = self.argv[0]
        if not program or ("/" in program and not program.startswith("/")):
            raise ValueError(f"argv begins with {program!r}; expected an absolute path, or a name to find in PATH")
        if any("\0" in text for text in (*self.argv, *self.env.values())):
            raise ValueError("argv or env contains a NUL character, which no argument and no variable has")
        return self

    def problem(self) -> str | None:
        """Why it cannot run on this host; ``None``: nothing is known to be in the way."""
        if shutil.which(self.argv[0], path=self.env.get("PATH")) is None:
            return f"{self.argv[0]} is not there, or is not executable"
        if not self.working_directory.is_dir():
            return f"its working_directory {self.working_directory} is not there"
        return None


class CommandSettings(EnvironmentSettings):
    """Commands of one host.

    :ivar host: the name of this host, as ``hostname`` says it. A watcher on another host starts nothing there.
    :ivar directory: where the runs are kept, with their logs. It must exist, and belong to whoever runs the watcher.
    :ivar commands: the pipelines, by name.
    """

    kind: Literal["command"]
    host: Annotated[str, Field(min_length=1)]
    directory: AbsolutePath
    commands: Annotated[dict[CommandName, Command], Field(min_length=1)]
