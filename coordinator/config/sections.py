"""The base of all sections of the settings: no unknown fields, no input in errors, credentials by reference only."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticKnownError

from coordinator.config.credentials import CredentialSource
from coordinator.model import bounds
from coordinator.model.durations import parse_duration


class Section(BaseModel):
    """A section of the settings."""

    # hide_input_in_errors: a credential that somebody wrote into the file is refused, and must not get into a
    # traceback.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @model_validator(mode="after")
    def _no_nul(self) -> Self:
        for name, value in self:
            if isinstance(value, str | Path) and "\0" in str(value):
                raise ValueError(f"{name} contains a NUL character, which no path and no name has")
        return self


Seconds = Annotated[float, Field(gt=0, le=bounds.SECONDS, allow_inf_nan=False)]
RequestSeconds = Annotated[float, Field(gt=0, le=bounds.REQUEST_SECONDS, allow_inf_nan=False)]


def _duration(given: object) -> timedelta:
    if isinstance(given, timedelta):
        return given
    if not isinstance(given, str):  # pydantic would take a number for seconds
        raise PydanticKnownError("string_type")
    return parse_duration(given)


def _positive_duration(given: object) -> timedelta:
    duration = _duration(given)
    if duration <= timedelta():
        raise ValueError(f"{given!r} is not a positive duration; expected one such as '90 days'")
    return duration


Duration = Annotated[timedelta, BeforeValidator(_duration)]
"""Written as a text such as ``36 hours`` (:mod:`coordinator.model.durations`)."""

PositiveDuration = Annotated[timedelta, BeforeValidator(_positive_duration)]
"""As :data:`Duration`, and longer than nothing."""

_Command = Annotated[list[str], Field(min_length=1)]


class WithPassword(Section):
    """A section with a password, by reference."""

    password_env: str | None = None
    password_file: Path | None = None
    password_command: _Command | None = None

    @model_validator(mode="after")
    def _one_password(self) -> Self:
        _refuse_several(self, "password")
        return self


class WithToken(Section):
    """A section with a token, by reference."""

    token_env: str | None = None
    token_file: Path | None = None
    token_command: _Command | None = None

    @model_validator(mode="after")
    def _one_token(self) -> Self:
        _refuse_several(self, "token")
        return self


def source_of(section: WithPassword | WithToken, kind: str, owner: str) -> CredentialSource:
    """The source of a section's credential. :param kind: ``password`` or ``token``. :param owner: for messages."""
    command = getattr(section, f"{kind}_command")
    return CredentialSource(
        owner=owner,
        kind=kind,
        variable=getattr(section, f"{kind}_env"),
        file=getattr(section, f"{kind}_file"),
        command=tuple(command) if command is not None else None,
    )


def _refuse_several(section: BaseModel, kind: str) -> None:
    names = [name for name in (f"{kind}_env", f"{kind}_file", f"{kind}_command") if getattr(section, name) is not None]
    if len(names) > 1:
        raise ValueError(f"{' and '.join(names)} are set, and only one can hold; keep one of them")
