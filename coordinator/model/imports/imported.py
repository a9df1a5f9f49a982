"""What an import has found: dependencies, environments, and what could not be carried over."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import tomlkit
from pydantic import ValidationError

from coordinator.errors import CoordinatorError
from coordinator.model.documents.json_text import (
    JsonSyntaxError,
    Members,
    NotJson,
    Spot,
    Value,
    find,
    line_and_column,
    read_json,
)
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
    :ivar to_set: what a person has still to set in coordinator.toml, besides etcd and credentials.
    """

    dependencies: dict[str, Any] = field(default_factory=dict)
    environments: dict[str, dict[str, Any]] = field(default_factory=dict)
    left: list[Remark] = field(default_factory=list)
    changed: list[Remark] = field(default_factory=list)
    to_set: list[str] = field(default_factory=list)

    def document(self) -> str:
        """The text of dependencies.json."""
        return json.dumps(dict(sorted(self.dependencies.items())), indent=2, ensure_ascii=False) + "\n"

    def configuration(self) -> str:
        """The text of a coordinator.toml, without any credentials."""
        etcd = {"endpoints": ["127.0.0.1:2379"]}
        return tomlkit.dumps({"etcd": etcd, "environments": dict(sorted(self.environments.items()))})


def read_object(name: str, text: str) -> Mapping[str, Any]:
    """A JSON object. :param name: the file, for the message.

    :raises CannotImport: it is none, or has a key twice.
    """
    try:
        found = _plain(read_json(text), Spot())
    except JsonSyntaxError as error:
        raise CannotImport(_at(name, text, error.offset, str(error))) from error
    except CannotImport as error:
        raise CannotImport(f"{name}: {error}") from None
    except _GivenTwice as error:
        offset = find(text, [error.spot])[error.spot]
        what = f"the key {error.key!r} is given twice; only one of the two would count: take one out"
        raise CannotImport(_at(name, text, offset, what)) from None
    if not isinstance(found, Mapping):
        raise CannotImport(f"{name}: expected a JSON object, found {type(found).__name__}")
    return found


class _GivenTwice(Exception):
    def __init__(self, key: str, spot: Spot) -> None:
        super().__init__(key)
        self.key = key
        self.spot = spot


def _plain(value: Value, spot: Spot) -> Any:
    """As ``json`` reads it.

    :raises _GivenTwice: an object has a key twice.
    :raises CannotImport: a number that is none in JSON.
    """
    match value:
        case Members(pairs):
            found: dict[str, Any] = {}
            for number, (key, one) in enumerate(pairs):
                place = (*spot.indexes, number)
                if key in found:
                    raise _GivenTwice(key, Spot(place, key=True))
                found[key] = _plain(one, Spot(place))
            return found
        case list():
            return [_plain(one, Spot((*spot.indexes, number))) for number, one in enumerate(value)]
        case NotJson():
            raise CannotImport(f"{value.text}: {value.reason}")
        case _:
            return value


def _at(name: str, text: str, offset: int, what: str) -> str:
    line, column = line_and_column(text, offset)
    return f"{name}:{line}:{column}: {what}"


def place_in(name: str, loc: Sequence[str | int]) -> str:
    """A place in a file, as messages name it: ``orders.json: target.on_success[0]``."""
    path = "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in loc)
    return f"{name}: {path.removeprefix('.')}" if path else name


def remarks_of(error: ValidationError, name: str, *place: str | int) -> list[Remark]:
    """What is wrong with a part of a file, at the places where it is. :param place: of that part."""
    found = error.errors(include_url=False, include_input=False)
    return [Remark(place_in(name, (*place, *one["loc"])), one["msg"]) for one in found]


def reference(environment: str, dag_id: str) -> str:
    """A pipeline, as dependencies.json names it. :raises ValueError: it cannot be named there."""
    named = str(PipelineRef(environment, dag_id))
    if any("\ud800" <= one <= "\udfff" for one in named):  # half of a surrogate pair, which no file can contain
        raise ValueError(f"{named!r} cannot be named in dependencies.json")
    if PipelineRef.parse(named) != PipelineRef(environment, dag_id) or "/" in environment:
        raise ValueError(f"{environment}/{dag_id} cannot be named in dependencies.json")
    return named
