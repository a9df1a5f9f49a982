"""Makes the JSON Schema of ``dependencies.json`` out of the forms. ``make schema`` writes it into the package."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from coordinator.model import bounds
from coordinator.model.assets.names import LONGEST_URI
from coordinator.model.documents.forms import (
    AIRFLOWS,
    BRIDGE,
    CONDITIONS,
    DEADLINES,
    DURATION_IN_WORDS,
    ENTRY,
    ITEMS,
    MAPPERS,
    MAPPING_IN_SHORT,
    TIME_IN_WORDS,
    Form,
    Schema,
    definition,
    text,
)

SHIPPED: Final = Path(__file__).with_name("dependencies.schema.json")
ID: Final = "urn:etcd-coordinator:dependencies:2"
"""What programs know the schema by: a name, no address. The number grows when a file that was good no longer is."""

_TITLE: Final = "dependencies.json of etcd-coordinator"
_REFERENCE: Final = "'environment/dag_id', or 'dag_id' for the environment 'default'."
_FORMAT: Final = (
    "A pattern as of strftime, on the wall clock of the time zone: %Y %m %d %H %M %S %f %j %G %V %u %z, %F %T %R, and "
    "{quarter}. Without one, partitions are instants in UTC, such as 2026-11-20T00:00:00Z."
)
_MAPPING: Final = (
    "Which of the upstream's partitions a partition is about. identity: the same one. latest: the upstream's newest "
    "completion, whatever its partition. start_of_day and the like: everything within the period. -1 day: the one "
    "before. rollup: all shorter periods of a window. fan_out: the longer period that it lies in. fixed_key: every "
    "upstream partition feeds one and the same. allowed_key: the same one, if it is one of these. segments: each of "
    "these, for one partition. chain: one mapping after the other. product: a mapping for each part of a partition."
)
_SERIAL: Final = (
    "The number of the build that the file comes from. A watcher publishes only a file with a greater one than what is "
    "in force, whatever it says."
)
_ACCEPT: Final = (
    "The version in force that this file may replace although the guard refuses it: many dependencies removed, a DAG "
    "that does not exist, many runs at once."
)
_ASSETS: Final = "Which environment hands on which asset events to which others."
_ASSET: Final = "An asset, by its URI: each event is a completion, in its own partition, else in that of its run."
_ITEMS: Final = "It runs once for each row of its partition. It has ended when all of these items have."
_PATTERN: Final = "A URI, in which * stands for any characters, such as s3://lake/orders/*."
_DEADLINE: Final = (
    "When a partition that has not been started is late: at a time of day, or so long after its first input arrived."
)


def generate() -> Schema:
    """The schema."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": ID,
        "title": _TITLE,
        "description": f"Each pipeline with what it waits for. A pipeline is {_REFERENCE}",
        "type": "object",
        "properties": {
            "$schema": text(),
            "serial": {"description": _SERIAL, "type": "integer", "minimum": 0},
            "accept": {"description": _ACCEPT, "type": "integer", "minimum": 0},
            "assets": {"description": _ASSETS, "type": "array", "items": _object(BRIDGE)},
        },
        "propertyNames": {"anyOf": [{"const": "$schema"}, definition("reference")]},
        "additionalProperties": definition("entry"),
        "$defs": {
            "reference": text(description=_REFERENCE, pattern=r"^[^/\s]([^/]*[^/\s])?(/\S([\s\S]*\S)?)?$"),
            "entry": {"anyOf": [definition("reference"), definition("branches"), _object(ENTRY)]},
            "branches": {
                "description": "As a condition of its own: all of them.",
                "type": "array",
                "minItems": 1,
                "uniqueItems": True,
                "items": definition("condition"),
            },
            "condition": {
                "anyOf": [
                    definition("reference"),
                    definition("branches"),
                    *(_object(form) for form in CONDITIONS.values()),
                ]
            },
            "mapping": {"description": _MAPPING, "anyOf": [MAPPING_IN_SHORT, *_mappers()]},
            "mappings": {"type": "array", "minItems": 2, "items": definition("mapping")},
            "keys": {"type": "array", "minItems": 1, "uniqueItems": True, "items": text(minLength=1)},
            "format": text(description=_FORMAT, examples=["%Y-%m-%d", "%G-W%V", "%Y-Q{quarter}"]),
            "deadline": {
                "description": _DEADLINE,
                "anyOf": [TIME_IN_WORDS, definition("duration"), *(_object(form) for form in DEADLINES.values())],
            },
            "duration": {"description": "A duration in words.", **DURATION_IN_WORDS},
            "environment": text(description="The name of an environment.", pattern=r"^[^/\s]([^/]*[^/\s])?$"),
            "asset": text(description=_ASSET, minLength=1, maxLength=LONGEST_URI),
            "items": {"description": _ITEMS, **_object(ITEMS)},
            "pattern": text(description=_PATTERN, minLength=1, maxLength=bounds.PATTERN),
        },
    }


def written() -> str:
    """The schema as the package ships it."""
    return json.dumps(generate(), indent=2) + "\n"


def _object(form: Form) -> Schema:
    properties: dict[str, Any] = {
        field.name: {"description": field.means, **field.takes} if field.means else field.takes for field in form.fields
    }
    needs = {field.name: [field.needs] for field in form.fields if field.needs}
    return {
        "type": "object",
        **({"required": list(form.required)} if form.required else {}),
        "additionalProperties": False,
        "properties": properties,
        **({"dependentRequired": needs} if needs else {}),
    }


def _mappers() -> list[Schema]:
    """One object for all mappers that have the same fields."""
    forms = [form for at, form in enumerate(MAPPERS.values()) if form not in list(MAPPERS.values())[:at]]
    objects = []
    for form in forms:
        of = [name for name, its_form in MAPPERS.items() if its_form == form]
        schema = _object(form)
        schema["properties"]["mapper"] = {"enum": of + [airflows for airflows, ours in AIRFLOWS.items() if ours in of]}
        objects.append(schema)
    return objects


if __name__ == "__main__":
    SHIPPED.write_text(written(), encoding="utf-8")
