"""Dependencies that can never be met are found in the document alone, and nothing else is reported."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from coordinator.model.documents import parse_document
from coordinator.model.publishing.never_met import never_met

ROOT = Path(__file__).parents[3]


def rollup(window: str, **more: Any) -> dict[str, Any]:
    return {"mapper": "rollup", "window": window, **more}


def by(upstream: str, mapping: Any, **more: Any) -> dict[str, Any]:
    return {"pipeline": upstream, "partition": mapping, **more}


def entry(*conditions: Any) -> dict[str, Any]:
    return {"upstream": list(conditions)}


BERLIN_DAY = by("hourly", rollup("day", timezone="Europe/Berlin"))
UTC_DAY = by("hourly", rollup("day"))


def found(document: dict[str, Any]) -> list[tuple[str, str]]:
    parsed = parse_document(json.dumps(document), source="test")
    return [(str(one.pipeline), one.reason) for one in never_met(parsed)]


def test_days_of_another_time_zone_are_no_days_of_a_week_in_utc() -> None:
    (one,) = found({"daily": entry(BERLIN_DAY), "weekly": entry(by("daily", rollup("week")))})
    pipeline, reason = one
    assert pipeline == "weekly"
    assert "'daily by rollup of the week's days' is never met" in reason
    assert "daily is started in partitions such as 2026-01-" in reason
    assert "T23:00:00Z" in reason
    assert "T22:00:00Z" in reason, "in summer"
    assert reason.endswith("none of them begins a day in UTC")


@pytest.mark.parametrize(
    "document",
    [
        {"daily": entry(BERLIN_DAY), "weekly": entry(by("daily", rollup("week", timezone="Europe/Berlin")))},
        {"daily": entry(UTC_DAY), "weekly": entry(by("daily", rollup("week")))},
        {"daily": entry(BERLIN_DAY), "weekly": entry(by("daily", "start_of_week"))},
        {"daily": entry(BERLIN_DAY), "next": entry("daily"), "yesterday": entry(by("next", "-1 day"))},
        {"weekly": entry(by("daily", rollup("week"))), "monthly": entry(by("daily", rollup("month", every="day")))},
        {"a": entry(UTC_DAY), "b": entry(by("hourly", "start_of_week")), "c": entry("a", "b")},
        {"a": entry(by("x", "start_of_week")), "b": entry(by("x", "start_of_quarter")), "c": entry("a", "b")},
        {"a": entry(UTC_DAY), "b": entry(BERLIN_DAY), "c": {"upstream": {"any": ["a", "b"]}}},
        {"a": entry(UTC_DAY), "b": entry(BERLIN_DAY), "c": entry("a", by("b", "latest"))},
        {"a": entry(UTC_DAY), "b": entry(by("a", {"mapper": "fan_out", "window": "day"})), "c": entry("b", "hourly")},
        {"a": entry(by("m", "start_of_hour")), "b": entry(by("a", rollup("day"))), "c": entry(by("b", rollup("week")))},
        {"a": entry(by("x", {"mapper": "fixed_key", "downstream_key": "model"})), "b": entry("a", "y")},
        {"a": {"upstream": {"at_least": 2, "of": ["x", UTC_DAY, BERLIN_DAY]}}},
    ],
    ids=lambda document: json.dumps(document)[:60],
)
def test_what_can_be_met_is_not_reported(document: dict[str, Any]) -> None:
    assert found(document) == []


def test_all_of_days_in_two_time_zones_is_never_started() -> None:
    ((pipeline, reason),) = found({"a": entry(UTC_DAY), "b": entry(BERLIN_DAY), "c": entry("a", "b")})
    assert pipeline == "c"
    assert reason.startswith("it is never started, as no partition has enough of what it waits for: 'a' only such as 2")
    (direct,) = found({"c": entry(UTC_DAY, BERLIN_DAY)})
    assert direct[0] == "c"


@pytest.mark.parametrize(
    ("name", "document"),
    [
        ("b", {"a": entry(BERLIN_DAY), "b": entry(by("a", {"mapper": "fan_out", "window": "day"}))}),
        ("b", {"a": entry(by("x", {"mapper": "fixed_key", "downstream_key": "m"})), "b": entry(by("a", "-1 day"))}),
        (
            "b",
            {
                "a": entry(by("x", {"mapper": "start_of_day", "output_format": "%F"})),
                "b": entry(by("a", "start_of_week")),
            },
        ),
        ("c", {"a": entry(BERLIN_DAY), "b": entry("a"), "c": entry(by("b", rollup("week")))}),
        ("c", {"a": entry(BERLIN_DAY), "b": entry(by("a", "+1 day")), "c": entry(by("b", rollup("week")))}),
        (
            "b",
            {
                "a": entry(by("x", {"mapper": "start_of_hour", "timezone": "Asia/Kolkata"})),
                "b": entry(by("a", rollup("day"))),
            },
        ),
        ("b", {"a": entry(BERLIN_DAY), "b": {"upstream": {"any": ["x", by("a", rollup("week"))]}}}),
    ],
)
def test_other_grids_that_never_meet(name: str, document: dict[str, Any]) -> None:
    assert [pipeline for pipeline, _ in found(document)] == [name]


def test_only_the_first_of_a_chain_that_waits_in_vain_is_reported() -> None:
    document = {
        "daily": entry(BERLIN_DAY),
        "weekly": entry(by("daily", rollup("week"))),
        "report": entry("weekly"),
        "monthly": entry(by("weekly", rollup("month", every="week"))),
    }
    assert [pipeline for pipeline, _ in found(document)] == ["weekly"]


def test_the_playground_and_the_examples_are_well() -> None:
    for path in (ROOT / "dependencies.json", *(ROOT / "docs" / "examples").glob("*.json")):
        assert list(never_met(parse_document(path.read_bytes(), source=str(path)))) == [], path


@pytest.mark.slow
def test_a_long_chain_and_a_wide_document_take_little_time() -> None:
    document = {"d0": entry(BERLIN_DAY)}
    document |= {f"d{number}": entry(f"d{number - 1}") for number in range(1, 3000)}
    document |= {f"w{number}": entry(by(f"d{number}", rollup("week"))) for number in range(30)}
    document |= {
        f"y{number}": entry(by("d1", rollup("year", every="day", timezone="Europe/Berlin"))) for number in range(500)
    }
    parsed = parse_document(json.dumps(document), source="test")
    begun = time.process_time()
    assert len(list(never_met(parsed))) == 30
    assert time.process_time() - begun < 10
