"""What a dependency that is taken out leaves behind, and what one that resumes may start, on facts alone."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from coordinator.model.conditions import Dependency, leaves
from coordinator.model.consumption import Consumed, Consumption
from coordinator.model.documents import parse_document
from coordinator.model.publishing.publication import Activation
from coordinator.model.publishing.unconsumed import in_flight_of, unconsumed
from coordinator.model.references import PipelineRef, Target
from coordinator.model.retention.watermark import Watermark
from coordinator.model.runstate import Attempt, RunState, State
from coordinator.model.trigger import Action, Status, TriggerRecord
from coordinator.model.view import SeenRecord, SeenState
from tests.unit.model.facts import Facts

D = PipelineRef.parse("D")
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def completion(name: str, partition: str, revision: int, state: State = State.SUCCESS) -> tuple[Target, SeenState]:
    run = RunState(state, Attempt("r", NOON + timedelta(seconds=revision), None), None)
    return Target(PipelineRef.parse(name), partition), SeenState(run, revision)


def record(status: Status, **consumed: int) -> SeenRecord:
    """:param consumed: revisions by upstream, in the partition ``k``."""
    inputs = {
        Target(PipelineRef.parse(name), "k"): Consumed(
            revision, Attempt("r", NOON + timedelta(seconds=revision), None), State.SUCCESS
        )
        for name, revision in consumed.items()
    }
    value = TriggerRecord(status, 1, Action.CREATE, "r", "t", 1, attempt=NOON, consumed=Consumption.of(inputs))
    return SeenRecord(value, max(consumed.values(), default=0) + 1)


def dependencies_of(upstream: Any, since: int = 10) -> dict[tuple[PipelineRef, Dependency], Activation]:
    document = parse_document(json.dumps({"D": {"upstream": upstream}}), source="test")
    return {(D, leaf.identity): Activation(since) for leaf in leaves(document[D].condition)}


def found(facts: Facts, upstream: Any, since: int = 10) -> list[str]:
    return sorted(at.partition for at in unconsumed(facts, list(facts.states), dependencies_of(upstream, since)))


def test_it_is_what_completed_since_the_activation_and_was_not_consumed() -> None:
    facts = Facts(states=dict([completion("A", "past", 9), completion("A", "k", 11), completion("B", "k", 12)]))
    assert found(facts, "A") == ["k"]
    facts.records[Target(D, "k")] = record(Status.DONE, A=11)
    assert found(facts, "A") == []
    facts.states.update([completion("A", "k", 20)])
    assert found(facts, "A") == ["k"], "it ran again"


def test_it_is_the_end_that_is_asked_for() -> None:
    facts = Facts(states=dict([completion("A", "k", 11, State.FAILED), completion("A", "runs", 12, State.RUNNING)]))
    assert found(facts, "A") == []
    assert found(facts, {"pipeline": "A", "on": "failure"}) == ["k"]
    assert found(facts, {"pipeline": "A", "on": "done"}) == ["k"]
    assert found(facts, ["B", {"pipeline": "A", "on": "done", "trigger": False}]) == [], "a gate starts nothing"


def test_it_is_the_downstreams_partition() -> None:
    hours = [completion("A", f"2026-11-20T{hour:02}:00:00Z", 11 + hour) for hour in range(5)]
    facts = Facts(states=dict(hours))
    assert found(facts, {"pipeline": "A", "partition": {"mapper": "rollup", "window": "day"}}) == [
        "2026-11-20T00:00:00Z"
    ]
    assert found(facts, {"pipeline": "A", "partition": "latest"}) == ["2026-11-20T04:00:00Z"], "the newest one only"


def test_what_retention_has_left_behind_is_no_news() -> None:
    facts = Facts(states=dict([completion("A", "k", 11)]), watermarks={D: Watermark(revision=15, queued_at=None)})
    assert found(facts, "A") == []


def test_what_is_in_flight_is_taken_away_too() -> None:
    facts = Facts(records={Target(D, "k"): record(Status.SENT, A=11), Target(D, "done"): record(Status.DONE, A=11)})
    assert in_flight_of(facts, list(facts.records), {D}) == {Target(D, "k")}
    assert in_flight_of(facts, list(facts.records), {PipelineRef.parse("E")}) == set()
