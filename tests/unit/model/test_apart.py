"""A pipeline that waits for dates and date-times in one partition is told of, and no other."""

from __future__ import annotations

import json
from typing import Any

import pytest

from coordinator.model.apart import apart
from coordinator.model.conditions import Dependency
from coordinator.model.documents import parse_document
from coordinator.model.partitions import SameInstant
from coordinator.model.publishing.unmet_lately import seen_in
from coordinator.model.references import PipelineRef, Target

DATES = [f"2026-11-{day}" for day in range(10, 21)]
DATE_TIMES = [f"{date}T00:00:00Z" for date in DATES]
BOTH = {"all": ["a", "b"]}


def told(upstream: Any, **seen: list[str]) -> list[str]:
    document = parse_document(json.dumps({"report": {"upstream": upstream}}), source="test")
    targets = (Target(PipelineRef("default", name), one) for name, partitions in seen.items() for one in partitions)
    return [str(one) for one in apart(document.values(), seen_in(targets))]


def test_dates_and_date_times_never_meet() -> None:
    (found,) = told(["a", "b"], a=DATES, b=DATE_TIMES)
    assert found.startswith(
        "report: it is never started: b has date-times, such as 2026-11-20T00:00:00Z, and a has dates, such as "
        "2026-11-20, and these are never the same partition; report the same partitions for both"
    )


@pytest.mark.parametrize(
    ("upstream", "a", "b"),
    [
        (["a", "b"], DATES, DATES),
        (["a", "b"], DATE_TIMES, DATE_TIMES[:1]),
        (["a", "b"], DATES, []),
        (["a", "b"], DATES, ["north", "south"]),
        (["a", "b"], [*DATES, DATE_TIMES[-1]], DATE_TIMES),
        ({"any": ["a", "b"]}, DATES, DATE_TIMES),
        (["a", {"pipeline": "b", "partition": "latest"}], DATES, DATE_TIMES),
    ],
)
def test_what_meets_or_may_meet_yet_is_not_told(upstream: Any, a: list[str], b: list[str]) -> None:
    assert told(upstream, a=a, b=b) == []


LOCAL = [f"{date}T00:00:00" for date in DATES]


@pytest.mark.parametrize(("a", "spelled"), [(DATES, "%Y-%m-%d"), (LOCAL, "%Y-%m-%dT%H:%M:%S")])
def test_the_remedy_brings_them_together(a: list[str], spelled: str) -> None:
    (found,) = told(["a", "b"], a=a, b=DATE_TIMES)
    written = f'{{"mapper": "identity", "input_format": "{spelled}"}}'
    assert found.endswith(f"have the 'partition' {written}")
    mapped = {"pipeline": "a", "partition": json.loads(written)}
    assert told([mapped, "b"], a=a, b=DATE_TIMES) == []
    (entry,) = parse_document(json.dumps({"report": {"upstream": mapped}}), source="test").values()
    assert isinstance(entry.condition, Dependency)
    assert isinstance(entry.condition.mapping, SameInstant)
    assert [entry.condition.mapping.downstreams(one) for one in a] == [(one,) for one in DATE_TIMES]


def test_the_keys_of_airflows_timetables_meet_neither_dates_nor_dated_runs() -> None:
    (found,) = told(["a", "b"], a=LOCAL, b=DATES)
    assert "a has date-times without a time zone, such as 2026-11-20T00:00:00" in found
    assert found.count("input_format") == 2
    assert len(told(["a", "b"], a=LOCAL, b=DATE_TIMES)) == 1
    assert told(["a", "b"], a=LOCAL, b=LOCAL) == []
