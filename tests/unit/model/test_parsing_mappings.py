"""The partition of a dependency: every mapper is read, and every mistake is refused at its place with its reason."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from coordinator.model.documents import json_schema
from coordinator.model.documents.fields import FieldReader
from coordinator.model.documents.findings import Cursor, Findings
from coordinator.model.documents.json_text import read_json
from coordinator.model.documents.mappings import MappingReader, dump_mapping
from coordinator.model.documents.problems import Problem
from coordinator.model.partitions import (
    AllowedKey,
    Chain,
    FanOut,
    FixedKey,
    Identity,
    Latest,
    Mapping,
    Offset,
    Period,
    Product,
    Rollup,
    SameInstant,
    Segments,
    StartOf,
    Unit,
)
from tests.unit.model.mappings import mappings

VALIDATOR = Draft202012Validator({"$ref": "#/$defs/mapping", "$defs": json_schema()["$defs"]})


def read(value: Any) -> tuple[Mapping | None, list[Problem]]:
    text = json.dumps(value)
    findings = Findings()
    mapping = MappingReader(findings, FieldReader(findings, None)).read(Cursor(read_json(text), ("partition",)))
    return mapping, findings.placed_in(text)


DAY_OF_HOURS = {"mapper": "rollup", "window": "day"}
SEGMENTS = {"mapper": "segments", "segments": ["us", "eu"], "downstream_key": "all"}


def nested(deep: int) -> Any:
    return "identity" if deep == 0 else {"mapper": "chain", "mappers": [nested(deep - 1), "identity"]}


@pytest.mark.parametrize(
    ("written", "mapping"),
    [
        ("identity", Identity()),
        ("IdentityMapper", Identity()),
        ({"mapper": "identity"}, Identity()),
        ("latest", Latest()),
        ({"mapper": "latest"}, Latest()),
        ("start_of_hour", StartOf(Period.HOUR)),
        ("start_of_day", StartOf(Period.DAY)),
        ("start_of_week", StartOf(Period.WEEK)),
        ("start_of_month", StartOf(Period.MONTH)),
        ("start_of_quarter", StartOf(Period.QUARTER)),
        ("start_of_year", StartOf(Period.YEAR)),
        ("StartOfWeekMapper", StartOf(Period.WEEK)),
        (
            {
                "mapper": "StartOfDayMapper",
                "timezone": "Europe/Berlin",
                "input_format": "%Y-%m-%dT%H:%M:%S",
                "output_format": "%Y-%m-%d",
            },
            StartOf(Period.DAY, "Europe/Berlin", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"),
        ),
        (DAY_OF_HOURS, Rollup(Period.DAY, Period.HOUR)),
        ({"mapper": "RollupMapper", "window": "DayWindow"}, Rollup(Period.DAY, Period.HOUR)),
        ({"mapper": "rollup", "window": "quarter"}, Rollup(Period.QUARTER, Period.MONTH)),
        (
            {"mapper": "rollup", "window": "day", "every": "hour", "timezone": "Europe/Berlin", "wait": "all"},
            Rollup(Period.DAY, Period.HOUR, "Europe/Berlin"),
        ),
        ({"mapper": "rollup", "window": "week", "wait": -1}, Rollup(Period.WEEK, Period.DAY, wait=-1)),
        (
            {"mapper": "rollup", "window": "year", "every": "week", "wait": 50},
            Rollup(Period.YEAR, Period.WEEK, wait=50),
        ),
        ({"mapper": "fan_out", "window": "month"}, FanOut(Period.MONTH, Period.DAY)),
        ({"mapper": "FanOutMapper", "window": "DayWindow", "every": "minute"}, FanOut(Period.DAY, Period.MINUTE)),
        ("-1 day", Offset(-1, Unit.DAY)),
        ("+2 hours", Offset(2, Unit.HOUR)),
        ({"mapper": "offset", "by": "-1 month", "timezone": "Asia/Tokyo"}, Offset(-1, Unit.MONTH, "Asia/Tokyo")),
        ({"mapper": "fixed_key", "downstream_key": "all"}, FixedKey("all")),
        ({"mapper": "FixedKeyMapper", "downstream_key": "all"}, FixedKey("all")),
        ({"mapper": "identity", "input_format": "%Y-%m-%dT%H:%M:%S"}, SameInstant(input_format="%Y-%m-%dT%H:%M:%S")),
        (
            {"mapper": "IdentityMapper", "output_format": "%F", "timezone": "Asia/Tokyo"},
            SameInstant("Asia/Tokyo", output_format="%F"),
        ),
        ({"mapper": "allowed_key", "allowed_keys": ["us", "eu"]}, AllowedKey(("eu", "us"))),
        ({"mapper": "AllowedKeyMapper", "allowed_keys": ["us"]}, AllowedKey(("us",))),
        (
            {"mapper": "segments", "segments": ["us", "eu"], "downstream_key": "all"},
            Segments(("eu", "us"), "all"),
        ),
        (
            {"mapper": "SegmentWindow", "segments": ["us", "eu"], "downstream_key": "all", "wait": 1},
            Segments(("eu", "us"), "all", 1),
        ),
        (
            {"mapper": "product", "mappers": ["identity", "start_of_day"]},
            Product((Identity(), StartOf(Period.DAY))),
        ),
        (
            {"mapper": "ProductMapper", "mappers": ["identity", DAY_OF_HOURS], "delimiter": "/"},
            Product((Identity(), Rollup(Period.DAY, Period.HOUR)), "/"),
        ),
        (
            {"mapper": "ChainMapper", "mappers": [DAY_OF_HOURS, "-1 day"]},
            Chain((Rollup(Period.DAY, Period.HOUR), Offset(-1, Unit.DAY))),
        ),
        (
            {"mapper": "chain", "mappers": [{"mapper": "product", "mappers": ["identity", "-1 day"]}, "identity"]},
            Chain((Product((Identity(), Offset(-1, Unit.DAY))), Identity())),
        ),
    ],
)
def test_every_mapper_is_read(written: Any, mapping: Mapping) -> None:
    assert read(written) == (mapping, [])
    VALIDATOR.validate(written)


@pytest.mark.parametrize(
    ("written", "path", "reason", "remedy"),
    [
        (3, "partition", "expected a partition mapping; found the number 3", 'write "identity"'),
        ("start_of_dya", "partition", "found 'start_of_dya' (did you mean 'start_of_day'?)", 'write "identity"'),
        ("rollup", "partition", "the mapper 'rollup' needs 'window'", 'write {"mapper": "rollup", "window": ...}'),
        ("fixed_key", "partition", "needs 'downstream_key'", ""),
        ("1 day", "partition", "expected an offset such as '-1 day'", "'-1 day' is earlier, '+1 day' later"),
        ("-1 fortnight", "partition", "found '-1 fortnight'", ""),
        ("+0 days", "partition", "an offset of nothing", ""),
        ({}, "partition", "'mapper' is missing", "known are identity, latest, start_of_hour"),
        ({"mapper": "rolup"}, "partition.mapper", "found 'rolup' (did you mean 'rollup'?)", ""),
        ({"mapper": 1}, "partition.mapper", "found the number 1", ""),
        ({"mapper": "rollup"}, "partition", "'window' is missing", ""),
        ({"mapper": "rollup", "window": "dya"}, "partition.window", "'hour' or 'day'", ""),
        ({**DAY_OF_HOURS, "every": "week"}, "partition.every", "a day is not made of weeks; expected 'hour'", ""),
        ({**DAY_OF_HOURS, "every": "hours"}, "partition.every", "found 'hours' (did you mean 'hour'?)", ""),
        ({"mapper": "rollup", "window": "year", "every": "hour"}, "partition.every", "more than 1500 hours", ""),
        ({**DAY_OF_HOURS, "wait": 0}, "partition.wait", "0 would never wait", ""),
        ({**DAY_OF_HOURS, "wait": 30}, "partition.wait", "expected at most 25", ""),
        ({**DAY_OF_HOURS, "wait": "al"}, "partition.wait", "expected 'all' or a whole number; found 'al'", ""),
        ({**DAY_OF_HOURS, "wait": True}, "partition.wait", "expected 'all' or a whole number; found true", ""),
        ({**DAY_OF_HOURS, "wait": 1.5}, "partition.wait", "expected 'all' or a whole number", ""),
        ({**DAY_OF_HOURS, "timezone": "Europe/Berln"}, "partition.timezone", "did you mean 'Europe/Berlin'?", ""),
        ({**DAY_OF_HOURS, "timezone": 1}, "partition.timezone", "expected a time zone; found the number 1", ""),
        ({**DAY_OF_HOURS, "input_format": "%Y"}, "partition.input_format", "does not tell one hour from another", ""),
        ({**DAY_OF_HOURS, "output_format": "%B"}, "partition.output_format", "holds '%B'", ""),
        ({**DAY_OF_HOURS, "output_format": "\ud800%F"}, "partition.output_format", "half a surrogate pair", ""),
        (
            {"mapper": "fan_out", "window": "day", "wait": 3},
            "partition.wait",
            "unknown field 'wait' of the mapper 'fan_out'",
            "known are mapper, window, every, timezone, input_format, output_format",
        ),
        (
            {"mapper": "start_of_day", "time_zone": "UTC"},
            "partition.time_zone",
            "unknown field 'time_zone' of the mapper 'start_of_day' (did you mean 'timezone'?)",
            "",
        ),
        ({"mapper": "offset"}, "partition", "'by' is missing", ""),
        (
            {"mapper": "offset", "by": -1},
            "partition.by",
            "expected an offset such as '-1 day'; found the number -1",
            "",
        ),
        ({"mapper": "offset", "by": "-999999 days"}, "partition.by", "expected at most 100000 days", ""),
        ({"mapper": "fixed_key", "downstream_key": ""}, "partition.downstream_key", "found an empty text", ""),
        ({"mapper": "fixed_key", "downstream_key": "\ud800"}, "partition.downstream_key", "surrogate", ""),
        ({"mapper": "identity", "timezone": "UTC"}, "partition", "'timezone' without a format", 'write "identity"'),
        ({"mapper": "identity", "input_format": "%H"}, "partition.input_format", "holds no year", ""),
        ({"mapper": "allowed_key"}, "partition", "'allowed_keys' is missing", ""),
        (
            {"mapper": "allowed_key", "allowed_keys": "us"},
            "partition.allowed_keys",
            "expected a list of partitions",
            "",
        ),
        ({"mapper": "allowed_key", "allowed_keys": []}, "partition.allowed_keys", "at least one partition", ""),
        ({"mapper": "allowed_key", "allowed_keys": ["a", 1]}, "partition.allowed_keys[1]", "expected a partition", ""),
        ({"mapper": "allowed_key", "allowed_keys": ["a", "a"]}, "partition.allowed_keys[1]", "given twice", ""),
        ("segments", "partition", "needs 'segments' and 'downstream_key'", ""),
        ({**SEGMENTS, "wait": 3}, "partition.wait", "expected at most 2, as there are 2 segments", ""),
        ({**SEGMENTS, "downstream_key": ""}, "partition.downstream_key", "found an empty text", ""),
        ({**SEGMENTS, "timezone": "UTC"}, "partition.timezone", "unknown field 'timezone' of the mapper", ""),
        ({"mapper": "chain", "mappers": ["identity"]}, "partition.mappers", "two mappings or more", ""),
        ({"mapper": "chain", "mappers": "identity"}, "partition.mappers", "expected a list of mappings", ""),
        (
            {"mapper": "chain", "mappers": ["identity", {**DAY_OF_HOURS, "every": "week"}]},
            "partition.mappers[1].every",
            "a day is not made of weeks",
            "",
        ),
        (
            {"mapper": "chain", "mappers": ["start_of_day", {"mapper": "fixed_key", "downstream_key": "x"}]},
            "partition.mappers[1]",
            "a chain with 'fixed_key' says no more than it; write that alone",
            "",
        ),
        (
            {"mapper": "product", "mappers": ["latest", "identity"]},
            "partition.mappers[0]",
            "'latest' names no partition that could be mapped on; write it alone",
            "",
        ),
        (
            {"mapper": "product", "mappers": ["identity", "start_of_day"], "delimiter": ""},
            "partition.delimiter",
            "found an empty one",
            "",
        ),
        (nested(5), "partition.mappers[0].mappers[0].mappers[0].mappers", "more than 3 deep", "map in two steps"),
    ],
)
def test_every_mistake_is_refused_at_its_place(written: Any, path: str, reason: str, remedy: str) -> None:
    _, (problem,) = read(written)
    assert problem.path == path
    assert reason in problem.reason
    assert remedy in problem.remedy


def test_all_mistakes_are_found_at_once() -> None:
    _, problems = read({"mapper": "rollup", "window": "dya", "every": "h", "wait": 0.5, "tz": "UTC"})
    assert [problem.path for problem in problems] == [
        "partition.window",
        "partition.every",
        "partition.wait",
        "partition.tz",
    ]


@pytest.mark.parametrize(
    ("written", "paths"),
    [
        ({"mapper": "rollup", "window": "dya", "timezone": "Europe/Berln"}, "window timezone"),
        (
            {"mapper": "rolup", "window": "dya", "every": "h", "timezone": "Europe/Berln"},
            "mapper window every timezone",
        ),
        ({"mapper": "rollup", "every": "h", "timezone": "Europe/Berln", "wait": "al"}, " every timezone wait"),
        ({"window": "dya", "input_format": "%B", "output_format": "%B"}, " window input_format output_format"),
        (
            {**DAY_OF_HOURS, "every": "week", "wait": 0, "timezone": "X", "output_format": "%Y"},
            "every wait timezone output_format",
        ),
        ({**DAY_OF_HOURS, "input_format": "%F", "output_format": "%Y"}, "input_format output_format"),
        ({"mapper": "offset", "by": "1 day", "timezone": "X", "input_format": "%B"}, "by timezone input_format"),
        ({"mapper": "start_of_month", "timezone": "X", "output_format": "%Y"}, "timezone output_format"),
        ({"mapper": "fan_out", "window": "day", "every": "week", "input_format": "%Y"}, "every input_format"),
    ],
)
def test_one_mistake_hides_no_other(written: Any, paths: str) -> None:
    _, problems = read(written)
    expected = [f"partition.{name}" if name else "partition" for name in paths.split(" ")]
    assert [problem.path for problem in problems] == expected


@given(mappings)
def test_a_dumped_mapping_is_read_back_equal(mapping: Mapping) -> None:
    written = dump_mapping(mapping)
    assert read(written) == (mapping, [])
    VALIDATOR.validate(written)


@pytest.mark.parametrize(
    ("mapping", "written"),
    [
        (Identity(), "identity"),
        (Latest(), "latest"),
        (StartOf(Period.DAY), "start_of_day"),
        (StartOf(Period.DAY, "Asia/Tokyo"), {"mapper": "start_of_day", "timezone": "Asia/Tokyo"}),
        (Offset(-1, Unit.DAY), "-1 day"),
        (Rollup(Period.DAY, Period.HOUR), {"mapper": "rollup", "window": "day"}),
        (
            Rollup(Period.DAY, Period.MINUTE, wait=-5),
            {"mapper": "rollup", "window": "day", "every": "minute", "wait": -5},
        ),
        (FanOut(Period.WEEK, Period.DAY), {"mapper": "fan_out", "window": "week"}),
        (SameInstant(input_format="%F"), {"mapper": "identity", "input_format": "%F"}),
        (Segments(("us", "eu"), "all"), {"mapper": "segments", "segments": ["eu", "us"], "downstream_key": "all"}),
        (Product((Identity(), Identity())), {"mapper": "product", "mappers": ["identity", "identity"]}),
    ],
)
def test_a_mapping_is_dumped_in_its_shortest_form(mapping: Mapping, written: Any) -> None:
    assert dump_mapping(mapping) == written


@given(mappings, mappings)
def test_mappings_that_differ_read_differently(one: Mapping, other: Mapping) -> None:
    # The revisions at which dependencies became active are kept under their descriptions.
    assert (str(one) == str(other)) == (one == other)


@pytest.mark.parametrize(
    "written",
    [
        "rollup",
        "1 day",
        "-1 fortnight",
        {"mapper": "rollup"},
        {**DAY_OF_HOURS, "wait": 0},
        {"mapper": "offset", "by": "day"},
    ],
)
def test_the_schema_refuses_what_it_can(written: Any) -> None:
    assert not VALIDATOR.is_valid(written)
