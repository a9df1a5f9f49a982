"""The objects of ``dags.yaml``."""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePosixPath
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue

from coordinator.dags.ignored import IgnoreSyntax

MOST_DAGS: Final = 10_000
LONGEST_NAME: Final = 240
"""In bytes: a file's name has 255 at most, and a dag_id 250 characters."""

RESERVED: Final = frozenset({"dag_id", "environment"})
"""What every template is given, whatever the configuration says."""

_DAG_ID: Final = r"^\w[\w.-]*$"
_FOLDER: Final = r"^[\w-][\w.-]*(/[\w-][\w.-]*)*$"


def _dag_id(name: object) -> object:
    """A dag_id that Airflow takes, and that is a file's name everywhere.

    :raises ValueError: Airflow refuses it (``validate_key``), or a file system would.
    """
    if not isinstance(name, str):
        return name
    if re.fullmatch(_DAG_ID, name) is None or ".." in name:
        raise ValueError(
            "expected letters, digits, '_', '-' and single '.', with a letter, a digit or '_' at the beginning"
        )
    if len(name.encode()) > LONGEST_NAME:
        raise ValueError(f"expected at most {LONGEST_NAME} bytes, found {len(name.encode())}")
    if unicodedata.normalize("NFC", name) != name:
        raise ValueError("expected composed characters (Unicode's form NFC)")
    return name


def _relative(path: str) -> str:
    if "\0" in path or not path.strip():
        raise ValueError("expected the path of a directory")
    if path.startswith("/") or ".." in PurePosixPath(path).parts:
        raise ValueError("expected a directory beside this file, without '..'")
    return path


DagId = Annotated[str, Field(pattern=_DAG_ID, max_length=LONGEST_NAME), BeforeValidator(_dag_id)]
EnvironmentName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_-]*$", max_length=100)]
Folder = Annotated[str, Field(pattern=_FOLDER, max_length=1000)]
Directory = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_relative)]
ValueName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$", max_length=100)]
TemplateName = Annotated[str, Field(pattern=r"^[\w-][\w.-]*(/[\w-][\w.-]*)*$", max_length=1000)]
Values = dict[ValueName, JsonValue]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)


class Environment(_Form):
    """A deployment environment, such as dev or prod: a directory of DAG files of its own."""

    values: Values = {}
    """What every DAG of this environment is given. It replaces a value of the same name of the file."""


class DagEntry(_Form):
    """A DAG: its template, and what the template is given."""

    template: TemplateName
    """A file below the directory of templates."""
    values: Values = {}
    """It replaces values of the same name of the environment and of the file."""
    environments: Annotated[list[EnvironmentName], Field(min_length=1)] | None = None
    """The environments that have this DAG; by default each of them."""
    per_environment: dict[EnvironmentName, Values] = {}
    """Values of this DAG in one environment. They replace all others of the same name."""


class Configuration(_Form):
    """A whole dags.yaml."""

    schema_: str | None = Field(default=None, alias="$schema")
    """For editors: where the JSON Schema is."""
    name: DagId
    """Which generated files are of this configuration: their marker has it. Two that share an output directory differ
    in it."""
    templates: Directory = "templates"
    """The directory of the templates, beside this file."""
    output: Directory = "dags"
    """The directory to write to, beside this file. Each environment has a directory in it."""
    values: Values = {}
    """What every DAG is given."""
    non_dag_folders: list[Folder] = []
    """Folders of each environment's directory in which Airflow is not to look for DAGs. They are written into its
    .airflowignore."""
    ignore_syntax: Annotated[IgnoreSyntax, Field(strict=False)] = IgnoreSyntax.GLOB
    """How this Airflow reads .airflowignore: glob (the default of Airflow 3), or regexp (that of Airflow 2)."""
    environments: Annotated[dict[EnvironmentName, Environment | None], Field(min_length=1)]
    """The deployment environments."""
    dags: Annotated[dict[DagId, DagEntry], Field(max_length=MOST_DAGS)]
    """The DAGs, by their dag_id."""

    def values_of(self, dag_id: str, environment: str) -> dict[str, JsonValue]:
        """What the template of a DAG is given in an environment, besides :data:`RESERVED`."""
        entry = self.dags[dag_id]
        return {**self.common_values(environment), **entry.values, **entry.per_environment.get(environment, {})}

    def common_values(self, environment: str) -> dict[str, JsonValue]:
        """What every template is given in an environment."""
        of_environment = self.environments[environment]
        return {**self.values, **(of_environment.values if of_environment is not None else {})}

    def has(self, dag_id: str, environment: str) -> bool:
        """Whether the environment has this DAG."""
        environments = self.dags[dag_id].environments
        return environments is None or environment in environments
