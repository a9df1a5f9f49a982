"""Dependencies that nothing has met lately are found in what has been seen of the upstreams."""

from __future__ import annotations

import json
from typing import Any

import pytest

from coordinator.model.dependencies import Downstream
from coordinator.model.documents import parse_document
from coordinator.model.publishing.unmet_lately import LATELY, seen_in, unmet_lately, untouched
from coordinator.model.references import PipelineRef, Target

UTC_DAYS = [f"2026-11-{day:02}T00:00:00Z" for day in range(1, 21)]
BERLIN_DAYS = [f"2026-11-{day:02}T23:00:00Z" for day in range(1, 21)]
WEEKS = {"upstream": {"pipeline": "daily", "partition": {"mapper": "rollup", "window": "week"}}}


def entries(document: dict[str, Any]) -> list[Downstream]:
    return list(parse_document(json.dumps(document), source="test").values())


def found(document: dict[str, Any], **seen: list[str]) -> list[tuple[str, str]]:
    targets = (Target(PipelineRef("default", name), one) for name, partitions in seen.items() for one in partitions)
    return [(str(one.pipeline), one.reason) for one in unmet_lately(entries(document), seen_in(targets))]


def test_an_upstream_that_has_moved_to_another_time_zone_is_told_although_it_was_heard_before() -> None:
    assert found({"weekly": WEEKS}, daily=UTC_DAYS) == []
    ((pipeline, reason),) = found({"weekly": WEEKS}, daily=[*UTC_DAYS[:10], *BERLIN_DAYS[10:]])
    assert pipeline == "weekly"
    assert "'daily by rollup of the week's days' has not been met lately: none of the newest partitions" in reason
    assert f"{BERLIN_DAYS[-1]}, {BERLIN_DAYS[-2]}" in reason
    assert reason.count("T23:00:00Z") == LATELY


def test_one_run_by_hand_among_others_is_no_reason() -> None:
    assert found({"weekly": WEEKS}, daily=[*UTC_DAYS, "2026-11-22T08:01:58.123000Z"]) == []
    assert len(found({"weekly": WEEKS}, daily=["2026-11-22T08:01:58.123000Z"])) == 1


def test_upstreams_without_a_partition_in_common_are_told() -> None:
    document = {"report": ["a", "b"]}
    ((pipeline, reason),) = found(document, a=UTC_DAYS, b=BERLIN_DAYS)
    assert pipeline == "report"
    assert f"a has {UTC_DAYS[-1]}, {UTC_DAYS[-2]}; b has {BERLIN_DAYS[-1]}" in reason
    assert found(document, a=UTC_DAYS, b=UTC_DAYS[:1]) == []


@pytest.mark.parametrize(
    "condition",
    [{"any": ["a", "b"]}, ["a", {"pipeline": "b", "partition": "latest"}], {"at_least": 1, "of": ["a", "b"]}],
)
def test_what_is_not_needed_together_needs_nothing_in_common(condition: Any) -> None:
    assert found({"report": {"upstream": condition}}, a=UTC_DAYS, b=BERLIN_DAYS) == []


def test_of_what_has_not_been_seen_nothing_is_said() -> None:
    assert found({"weekly": WEEKS, "report": ["a", "b"]}, a=UTC_DAYS) == []


def test_who_hears_nothing_of_a_run_in_this_partition_is_named() -> None:
    waiting = entries(
        {"weekly": WEEKS, "copy": "daily", "model": {"upstream": {"pipeline": "daily", "partition": "latest"}}}
    )
    daily = PipelineRef("default", "daily")
    assert untouched(Target(daily, UTC_DAYS[0]), waiting) == []
    ((pipeline, dependency),) = untouched(Target(daily, "2026-11-22T08:01:58.123000Z"), waiting)
    assert (str(pipeline), str(dependency)) == ("weekly", "daily by rollup of the week's days")


DAY_BEFORE = {"pipeline": "report", "partition": "-1 day"}


@pytest.mark.parametrize("days", [1, 2, 3])
def test_what_has_only_begun_may_still_meet_the_day_before(days: int) -> None:
    """Two of them in a row are needed, and on its first day there is one."""
    document = {"compare": ["report", DAY_BEFORE], "other": ["a", DAY_BEFORE]}
    assert found(document, report=UTC_DAYS[:days], a=UTC_DAYS[:days]) == []


def test_days_that_never_meet_the_day_before_are_told() -> None:
    document = {"other": ["a", DAY_BEFORE]}
    assert found(document, report=UTC_DAYS[:1], a=BERLIN_DAYS[:1]) == []
    assert len(found(document, report=UTC_DAYS[:5], a=BERLIN_DAYS[:5])) == 1
