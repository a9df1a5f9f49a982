"""The kinds of environments: which are installed, and what the settings of each may contain (docs/runners.md).

Airflow's kinds have one model, and the coordinator's own runner. Any other kind is an entry point of the group
:data:`GROUP`, by its name; those of ``command`` and ``datafusion`` come with the coordinator. It is loaded only where
the settings name its kind: so whoever installs a package decides what may run, and coordinator.toml what does.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Annotated, Any, get_args

from pydantic import ValidationError, WrapValidator
from pydantic_core import InitErrorDetails, PydanticCustomError, PydanticKnownError

from coordinator.config.airflow import AirflowSettings
from coordinator.config.environments import EnvironmentSettings

GROUP = "coordinator.runners"

AIRFLOW: tuple[str, ...] = get_args(AirflowSettings.model_fields["kind"].annotation)

_OURS = (
    EntryPoint("command", "coordinator.runners.command.runner:CommandRunner", GROUP),
    EntryPoint("datafusion", "coordinator.runners.datafusion.runner:DataFusionRunner", GROUP),
)
_DEFAULT: str = AirflowSettings.model_fields["kind"].default


def installed_kinds() -> list[str]:
    """Every kind that settings may name, by name."""
    return sorted({*AIRFLOW, *(one.name for one in (*_OURS, *entry_points(group=GROUP)))})


def runner_class(kind: str) -> Any:
    """What the entry point of a kind names: it has ``SETTINGS``, and makes a runner of a name and such settings.

    The names of Airflow's kinds and of our own are taken: an entry point that has one is not looked at.

    :raises ValueError: no such kind is installed, several are, or it cannot be loaded.
    """
    found = [one for one in _OURS if one.name == kind] or list(entry_points(group=GROUP, name=kind))
    if not found:
        raise ValueError(f"{kind!r} is not installed; expected one of {_known()}")
    if len({one.value for one in found}) > 1:
        which = ", ".join(map(_in_words, found))
        raise ValueError(f"{kind!r} is installed several times: {which}; remove all but one")
    try:
        loaded = found[0].load()
        model = loaded.SETTINGS
    except Exception as error:
        raise ValueError(f"{kind!r} cannot be loaded from {_in_words(found[0])}: {_named(error)}") from error
    if not (isinstance(model, type) and issubclass(model, EnvironmentSettings)):
        raise ValueError(
            f"{kind!r} cannot be used: SETTINGS of {_in_words(found[0])} is {model!r}; expected a subclass of "
            "coordinator.config.environments.EnvironmentSettings"
        )
    return loaded


def settings_model(kind: object) -> type[EnvironmentSettings]:
    """The model of the settings of a kind.

    :raises ValueError: as :func:`runner_class`, or it is no text.
    """
    if kind in AIRFLOW:
        return AirflowSettings
    if not isinstance(kind, str):
        raise ValueError(f"is no text; expected one of {_known()}")
    model: type[EnvironmentSettings] = runner_class(kind).SETTINGS
    return model


def kind_of(given: Any) -> Any:
    """The kind that a section names, before it is validated."""
    return given.get("kind", _DEFAULT) if isinstance(given, dict) else None


def _of_its_kind(given: Any, _: Any) -> EnvironmentSettings:
    if isinstance(given, EnvironmentSettings):
        return given
    if not isinstance(given, dict):
        raise PydanticKnownError("dict_type")
    kind = kind_of(given)
    try:
        model = settings_model(kind)
    except ValueError as error:
        why = PydanticCustomError("kind", "{why}", {"why": str(error)})
        mistake = InitErrorDetails(type=why, loc=("kind",), input=kind)
        raise ValidationError.from_exception_data("environment", [mistake], hide_input=True) from error
    return model.model_validate(given)


AnyEnvironment = Annotated[AirflowSettings | EnvironmentSettings, WrapValidator(_of_its_kind)]
"""A section, read by the model of its kind. Airflow's model is named so that a variable for one of its settings is
taken as a text, and not as JSON."""


def _known() -> str:
    return ", ".join(map(repr, installed_kinds()))


def _in_words(entry: EntryPoint) -> str:
    package = f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else "the coordinator"
    return f"{entry.value} ({package})"


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
