"""What an import has found: dependencies, environments, and what could not be carried over."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from coordinator.errors import CoordinatorError
from coordinator.model.references import PipelineRef


class CannotImport(CoordinatorError):
    """A file that is not of the kind that it should be; the message has the place and the reason."""


@dataclass(frozen=True, slots=True)
class Remark:
    """:ivar place: the file, and where in it. :ivar what: could not be carried over, or became something else."""

    place: str
    what: str


@dataclass(slots=True)
class Imported:
    """:ivar dependencies: the entries of dependencies.json. :ivar environments: settings, by name.

    :ivar left: what could not be carried over.
    :ivar changed: what means something else now, so that somebody should look at it.
    """

    dependencies: dict[str, Any] = field(default_factory=dict)
    environments: dict[str, dict[str, Any]] = field(default_factory=dict)
    left: list[Remark] = field(default_factory=list)
    changed: list[Remark] = field(default_factory=list)

    def document(self) -> str:
        """The text of dependencies.json."""
        return json.dumps(dict(sorted(self.dependencies.items())), indent=2, ensure_ascii=False) + "\n"

    def configuration(self) -> str:
        """The text of a coordinator.toml, without any credentials."""
        lines = ["[etcd]", 'endpoints = ["127.0.0.1:2379"]']
        for name, settings in sorted(self.environments.items()):
            lines += ["", f"[environments.{json.dumps(name)}]"]
            lines += [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in settings.items()]
        return "\n".join(lines) + "\n"


def read_object(name: str, text: str) -> Mapping[str, Any]:
    """A JSON object. :param name: the file, for the message.

    :raises CannotImport: it is none.
    """
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise CannotImport(f"{name}:{error.lineno}:{error.colno}: not JSON: {error.msg}") from error
    except RecursionError as error:
        raise CannotImport(f"{name}: not JSON that can be read: it is nested too deeply") from error
    if not isinstance(found, Mapping):
        raise CannotImport(f"{name}: expected a JSON object, found {type(found).__name__}")
    return found


def reference(environment: str, dag_id: str) -> str:
    """A pipeline, as dependencies.json names it. :raises ValueError: it cannot be named there."""
    named = str(PipelineRef(environment, dag_id))
    if PipelineRef.parse(named) != PipelineRef(environment, dag_id) or "/" in environment:
        raise ValueError(f"{environment}/{dag_id} cannot be named in dependencies.json")
    return named
