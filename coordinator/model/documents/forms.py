"""The objects of ``dependencies.json``: their fields, what each takes, and what it means.

Declared once. The readers know from here which fields there are and which are required; ``schema`` makes the JSON
Schema of it, so that editors say the same as ``coordinator validate``.
"""

from __future__ import annotations

import enum
import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from coordinator.model.assets.bridges import Forwarding
from coordinator.model.conditions import On
from coordinator.model.deadline import MOST_DAYS
from coordinator.model.dependencies import MOST_RETRIES, Catchup, OnEmpty, OnLate, Rerun, Settle
from coordinator.model.durations import DURATION
from coordinator.model.partitions import ALL, DELIMITER, MOST_MEMBERS, OFFSET, Period

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Field:
    """A member of an object.

    :ivar takes: the JSON Schema of its values.
    :ivar means: for people; empty where the definition that it refers to says it.
    :ivar needs: another field, without which this one says nothing.
    """

    name: str
    takes: Schema
    means: str = ""
    required: bool = False
    needs: str = ""


@dataclass(frozen=True, slots=True)
class Form:
    """An object that has these fields, and no others."""

    fields: tuple[Field, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.fields)

    @property
    def required(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.fields if field.required)


def form(*fields: Field) -> Form:
    return Form(fields)


def definition(name: str, **more: Any) -> Schema:
    return {"$ref": f"#/$defs/{name}", **more}


def words(of: type[enum.StrEnum], default: enum.StrEnum | None = None) -> Schema:
    """One of the words of an enumeration, explained by its docstring."""
    takes: Schema = {"description": in_plain_text(inspect.getdoc(of) or ""), "enum": [str(word) for word in of]}
    if default is not None:
        takes["default"] = str(default)
    return takes


def in_plain_text(docstring: str) -> str:
    """A docstring without its markup: one line for each paragraph and each word that it explains."""
    lines = re.sub(r"^``(\w+)`` +", r"\n\1: ", docstring, flags=re.MULTILINE)
    paragraphs = re.split(r"\n\s*\n|\n(?=\w+: )", lines.replace("``", ""))
    return "\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def text(**more: Any) -> Schema:
    return {"type": "string", **more}


# Conditions

DEPENDENCY: Final = form(
    Field("pipeline", definition("reference"), required=True),
    Field("task", text(minLength=1), "A task of the pipeline, by its id: its end counts, and not that of the run."),
    Field("on", words(On, On.SUCCESS)),
    Field("partition", definition("mapping", default="identity")),
    Field(
        "trigger",
        {"type": "boolean", "default": True},
        "false: a gate. It must be open, but its completions start nothing.",
    ),
    Field("max_age", definition("duration"), "How old the upstream's completion may be."),
)
_OF_ANY_UPSTREAM: Final = DEPENDENCY.fields[-3:]
ASSET: Final = form(
    Field("asset", definition("asset"), required=True),
    Field("environment", definition("environment"), required=True),
    *_OF_ANY_UPSTREAM,
)
CONDITIONS: Final[Mapping[str, Form]] = {
    "pipeline": DEPENDENCY,
    "asset": ASSET,
    "all": form(Field("all", definition("branches"), "All of them.", required=True)),
    "any": form(Field("any", definition("branches"), "At least one of them.", required=True)),
    "at_least": form(
        Field("at_least", {"type": "integer", "minimum": 1}, "At least so many of them.", required=True),
        Field("of", definition("branches"), required=True),
    ),
}
"""The forms of a condition that is an object, by the field that each has alone."""

ITEMS: Final = form(
    Field(
        "from",
        {
            "anyOf": [
                text(pattern=r"^conf\..+$", examples=["conf.tables"]),
                {
                    "type": "object",
                    "required": ["file"],
                    "additionalProperties": False,
                    "properties": {"file": text(minLength=1)},
                },
            ]
        },
        "Where the rows are: in a member of this entry's conf, or in a file of the source [items.<name>] of "
        "coordinator.toml.",
        required=True,
    ),
    Field("key", text(minLength=1), "The member of a row that names its item.", required=True),
    Field("on_empty", words(OnEmpty, OnEmpty.FAIL)),
)

ENTRY: Final = form(
    Field("upstream", definition("condition"), "What the pipeline waits for.", required=True),
    Field("rerun", words(Rerun, Rerun.CLEAR)),
    Field("settle", words(Settle, Settle.WAVE)),
    Field(
        "conf",
        {"type": "object", "properties": {"coordinator": False}},
        "Merged into the conf of the runs that the coordinator creates.",
    ),
    Field("catchup", words(Catchup, Catchup.ALL)),
    Field(
        "max_in_flight",
        {"type": "integer", "minimum": 1},
        "How many of its partitions may be in flight at a time.",
    ),
    Field("deadline", definition("deadline")),
    Field("on_late", words(OnLate, OnLate.SHOW), needs="deadline"),
    Field(
        "retries",
        {"type": "integer", "minimum": 0, "maximum": MOST_RETRIES, "default": 0},
        "How often a run that failed is started again, for each time that it is fired.",
    ),
    Field(
        "retry_delay",
        definition("duration"),
        "How long after its end a run that failed is started again; at once without it.",
        needs="retries",
    ),
    Field(
        "timeout",
        definition("duration"),
        "How long an attempt may take, from when it is queued: then it is stopped, and has failed.",
    ),
    Field("items", definition("items")),
)

# Asset events

_PATTERNS: Final = {"type": "array", "minItems": 1, "uniqueItems": True, "items": definition("pattern")}
BRIDGE: Final = form(
    Field("from", definition("environment"), "The environment whose asset events are handed on.", required=True),
    Field(
        "to",
        {"type": "array", "minItems": 1, "uniqueItems": True, "items": definition("environment")},
        "The environments that are given them.",
        required=True,
    ),
    Field("match", _PATTERNS, "Which assets, by their URIs; all of them without it."),
    Field("except", _PATTERNS, "Which of these are left out."),
    Field("rerun", words(Forwarding, Forwarding.FORWARD)),
    Field(
        "explicit",
        {"type": "boolean", "default": False},
        "true: only events for which an AssetEventOperator names the consumer.",
    ),
)

# Partition mappings

STARTS: Final[Mapping[str, Period]] = {f"start_of_{period}": period for period in MOST_MEMBERS}
AIRFLOWS: Final[Mapping[str, str]] = {
    "IdentityMapper": "identity",
    **{f"StartOf{period.title()}Mapper": name for name, period in STARTS.items()},
    "RollupMapper": "rollup",
    "FanOutMapper": "fan_out",
    "FixedKeyMapper": "fixed_key",
    "AllowedKeyMapper": "allowed_key",
    "SegmentWindow": "segments",
    "ChainMapper": "chain",
    "ProductMapper": "product",
}
"""What Airflow 3 calls its mappers, for those who know them; a document is written with our names."""

WINDOWS: Final[Mapping[str, Period]] = {
    **{str(period): period for period in MOST_MEMBERS},
    **{f"{period.title()}Window": period for period in MOST_MEMBERS},
}
"""Windows by our names and by Airflow's."""

EVERY: Final[Mapping[str, Period]] = {str(period): period for made_of in MOST_MEMBERS.values() for period in made_of}
_OFFSET: Final = text(pattern=f"^{OFFSET}$", examples=["-1 day", "+2 hours"])
_WINDOW: Final = {"enum": list(WINDOWS)}
_EVERY: Final = Field(
    "every", {"enum": list(EVERY)}, "What the window is made of; by default as Airflow's windows: hours for a day."
)
_PLACE: Final = Field(
    "timezone",
    text(default="UTC", examples=["Europe/Berlin"]),
    "The place whose wall clock counts, by its name in the IANA time zone database.",
)
_FORMATS: Final = (
    Field("input_format", definition("format"), "How the upstream's partitions spell instants."),
    Field("output_format", definition("format"), "How the downstream's partitions spell instants."),
)
_WAIT: Final = Field(
    "wait",
    {"anyOf": [{"const": ALL}, {"type": "integer", "not": {"const": 0}}], "default": ALL},
    "How many of these partitions must be there: all; n > 0: at least so many; n < 0: so many may be missing.",
)


def _mapper(*fields: Field) -> Form:
    return form(Field("mapper", {}, required=True), *fields)


MAPPERS: Final[Mapping[str, Form]] = {
    "identity": _mapper(_PLACE, *_FORMATS),
    "latest": _mapper(),
    **dict.fromkeys(STARTS, _mapper(_PLACE, *_FORMATS)),
    "rollup": _mapper(
        Field("window", _WINDOW, "The period of the downstream's partitions.", required=True),
        _EVERY,
        _WAIT,
        _PLACE,
        *_FORMATS,
    ),
    "fan_out": _mapper(
        Field("window", _WINDOW, "The period of the upstream's partitions.", required=True), _EVERY, _PLACE, *_FORMATS
    ),
    "offset": _mapper(
        Field("by", _OFFSET, "The downstream partition k needs the upstream's partition k + by.", required=True),
        _PLACE,
        *_FORMATS,
    ),
    "fixed_key": _mapper(
        Field(
            "downstream_key",
            text(minLength=1),
            "The one downstream partition that every upstream partition feeds.",
            required=True,
        )
    ),
    "allowed_key": _mapper(
        Field("allowed_keys", definition("keys"), "The partitions that count; no others do.", required=True)
    ),
    "segments": _mapper(
        Field("segments", definition("keys"), "The upstream partitions that are needed.", required=True),
        Field("downstream_key", text(minLength=1), "The one downstream partition that needs them.", required=True),
        _WAIT,
    ),
    "chain": _mapper(
        Field("mappers", definition("mappings"), "One after the other, from the upstream's partitions.", required=True)
    ),
    "product": _mapper(
        Field("mappers", definition("mappings"), "One for each part of a partition.", required=True),
        Field("delimiter", text(minLength=1, default=DELIMITER), "What stands between the parts."),
    ),
}
"""The mappers that an object may name, each with its fields."""

MAPPER_NAMES: Final[Mapping[str, str]] = {**{name: name for name in MAPPERS}, **AIRFLOWS}
SHORT_MAPPERS: Final[Mapping[str, str]] = {
    word: name for word, name in MAPPER_NAMES.items() if MAPPERS[name].required == ("mapper",)
}
"""Mappers that need nothing said, by all of their names: a string alone names them."""

MAPPING_IN_SHORT: Final[Schema] = {"anyOf": [{"enum": list(SHORT_MAPPERS)}, _OFFSET]}

ELSEWHERE: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        ("window", "every", "wait", "by", "downstream_key", "allowed_keys", "segments", "mappers", "delimiter"),
        "belongs beside 'mapper', under 'partition'",
    ),
    **dict.fromkeys(ENTRY.names, "belongs beside 'upstream'"),
    **dict.fromkeys(DEPENDENCY.names, "belongs beside 'pipeline'"),
}
"""Where a field belongs that stands in a place where nobody reads it."""

# Deadlines

TIME_OF_DAY: Final = "([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?"
"""A time on the wall clock, as a regular expression."""

DURATION_IN_WORDS: Final = text(pattern=f"^{DURATION}$", examples=["36 hours", "2 days"])
TIME_IN_WORDS: Final = text(pattern=f"^{TIME_OF_DAY}$", examples=["06:00"])
DEADLINES: Final[Mapping[str, Form]] = {
    "at": form(
        Field("at", TIME_IN_WORDS, "A time of day on the wall clock of the place.", required=True),
        Field(
            "days",
            {"type": "integer", "minimum": 0, "maximum": MOST_DAYS, "default": 0},
            "So many days after the partition's own date at the place.",
        ),
        _PLACE,
    ),
    "after": form(
        Field("after", definition("duration"), "So long after the partition's first input arrived.", required=True)
    ),
}
"""The forms of a deadline that is an object, by the field that each has alone."""
