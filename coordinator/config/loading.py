"""Reading the settings: the file and the variables, and every problem in them with its place."""

from __future__ import annotations

import difflib
import os
import tomllib
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import SettingsError

from coordinator.config import CONFIG_VARIABLE
from coordinator.config.kinds import kind_of, settings_model
from coordinator.config.settings import Settings
from coordinator.config.variables import LIST, PREFIX, SECTION, NotJson
from coordinator.errors import ConfigurationError
from coordinator.model import bounds


def load_settings(path: str | Path | None = None) -> Settings:
    """Read the settings.

    :param path: the file; ``None``: the one in the variable ``COORDINATOR_CONFIG``, or else no file, only variables and
        defaults.
    :raises ConfigurationError: with file, place and reason.
    """
    chosen = path or os.environ.get(CONFIG_VARIABLE)
    document = _document(chosen) if chosen else {}
    try:
        settings = Settings(**document)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        raise ConfigurationError(*(_problem(chosen, document, one) for one in problems)) from error
    except SettingsError as error:
        if isinstance(error.__cause__, NotJson):
            raise ConfigurationError(str(error.__cause__)) from error
        raise ConfigurationError(f"environment variables: {error}: {error.__cause__}") from error
    if chosen:
        settings.remember_file(str(chosen))
    return settings


def _problem(file: str | Path | None, document: dict[str, Any], found: ErrorDetails) -> str:
    """One problem: its place (in the file, or a variable that overrules it), the reason, and a suggestion."""
    place = found["loc"]
    variables = {name.upper(): name for name in os.environ}
    above = [PREFIX + "__".join(map(str, place[:depth])).upper() for depth in range(len(place), 0, -1)]
    variable = next((variables[name] for name in above if name in variables), None)
    where = f"{'environment variables' if variable is None else variable}: " if variable or not file else f"{file}: "
    match found["type"]:
        case "extra_forbidden":
            near = difflib.get_close_matches(str(place[-1]), _names_beside(place, document), n=1)
            reason = "unknown setting" + (f"; did you mean {near[0]}?" if near else "")
        case "missing":
            reason = "is required"
        case "list_type":
            reason = f"expected {LIST if variable else 'a list'}"
        case "model_type" | "dict_type":
            reason = f"expected {SECTION if variable else 'a section'}"
        case _:
            reason = found["msg"].removeprefix("Value error, ")
    return f"{where}{'.'.join(map(str, place))}: {reason}"


def _names_beside(place: tuple[int | str, ...], document: dict[str, Any]) -> list[str]:
    """The known settings beside an unknown one. :param document: the file, for the kind of an environment."""
    section: Any = Settings
    for depth, name in enumerate(place[:-1]):
        if place[:1] == ("environments",) and depth == 1:
            section = settings_model(kind_of(document.get("environments", {}).get(name, {})))
        elif isinstance(section, type) and issubclass(section, BaseModel):
            section = section.model_fields[str(name)].annotation
        else:  # a table of sections
            section = get_args(section)[1]
    return list(section.model_fields)


def _document(file: str | Path) -> dict[str, Any]:
    try:
        with open(file, "rb") as opened:
            content = opened.read(bounds.CONFIGURATION + 1)
        if len(content) > bounds.CONFIGURATION:
            raise ConfigurationError(f"{file}: more than {bounds.CONFIGURATION} bytes; expected a coordinator.toml")
        document = tomllib.loads(content.decode())
    except FileNotFoundError:
        raise ConfigurationError(
            f"{file}: no such file; name the configuration with --config or {CONFIG_VARIABLE}"
        ) from None
    except RecursionError:
        raise ConfigurationError(f"{file}: cannot be read: nested too deep") from None
    except (OSError, ValueError) as error:  # not UTF-8, not TOML, a number of thousands of digits, a NUL in the path
        raise ConfigurationError(f"{file}: cannot be read: {error}") from error
    # pydantic-settings treats names that begin with "_" as its own options, such as _cli_parse_args.
    for name in document:
        if name.startswith("_"):
            raise ConfigurationError(f"{file}: {name}: unknown section; known are {', '.join(Settings.model_fields)}")
    return document
