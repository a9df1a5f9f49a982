"""What is too large is refused where it stands, quickly, with what was found, the limit and what to do."""

from __future__ import annotations

import json
import time
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from coordinator.model import bounds
from coordinator.model.consumption import Consumed, Consumption
from coordinator.model.documents import DependenciesError, Problem, parse_document
from coordinator.model.hold import read_hold
from coordinator.model.order import read_order
from coordinator.model.publishing.publication import Publication, read_publication
from coordinator.model.references import PipelineRef, Target
from coordinator.model.retention.sweep import read_sweep
from coordinator.model.retention.watermark import read_watermark
from coordinator.model.runstate import Attempt, State, Unreadable, read_run_state
from coordinator.model.trigger import Action, Status, TriggerRecord, dump_record, read_record


def only_problem(document: Any) -> Problem:
    text = document if isinstance(document, str | bytes) else json.dumps(document)
    with pytest.raises(DependenciesError) as caught:
        parse_document(text, source="dependencies.json")
    (problem,) = caught.value.problems
    return problem


def fan_in(inputs: int, name: str = "a_pipeline_of_usual_length_{:05}") -> list[str]:
    return [name.format(number) for number in range(inputs)]


@pytest.mark.promise("bad-input")
@pytest.mark.slow
def test_a_record_that_etcd_would_not_take_is_refused_at_the_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse_document(json.dumps({"d": fan_in(5000)}), source="it takes this")
    monkeypatch.setattr(bounds, "TRIGGER_RECORD", 100_000)
    problem = only_problem({"small": "a", "large": fan_in(5000)})
    assert problem.path == "large"
    assert "5000 inputs" in problem.reason
    assert str(bounds.ETCD_REQUEST) in problem.reason
    assert "in between" in problem.remedy


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mapping", "members"),
    [
        ({"mapper": "rollup", "window": "day", "every": "minute"}, 1500),
        ({"mapper": "start_of_year"}, 8784),
        ({"mapper": "segments", "segments": [f"s{one}" for one in range(1500)], "downstream_key": "all"}, 1500),
        ({"mapper": "product", "mappers": ["identity", {"mapper": "rollup", "window": "month", "every": "hour"}]}, 745),
        ({"mapper": "product", "mappers": ["identity", "start_of_year"]}, 8784),
    ],
    ids=["rollup", "start_of", "segments", "product", "product of a start"],
)
def test_the_members_of_windows_count(mapping: Any, members: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "TRIGGER_RECORD", 25_000 + 14 * members)
    leaves = [{"pipeline": name, "partition": mapping} for name in fan_in(4)]
    assert f"{4 * members} inputs" in only_problem({"d": leaves}).reason
    assert parse_document(json.dumps({"d": leaves[:1]}), source="one")


@pytest.mark.slow
def test_a_record_of_what_is_accepted_fits_into_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    most = fan_in(5000)
    moment = datetime(2026, 11, 20, 6, 0, 0, 123456, tzinfo=UTC)
    inputs = {
        Target(PipelineRef.parse(name), "2026-11-20T00:00:00Z"): Consumed(
            10**9, Attempt("coordinator__2026-11-20T00:00:00Z__1", moment), State.SUCCESS
        )
        for name in most
    }
    record = TriggerRecord(
        Status.SENT, 1, Action.CLEAR, "coordinator__2026-11-20T00:00:00Z__1", "t" * 32, 10**9, moment, moment
    )
    used = Consumption.of(inputs)
    size = len(dump_record(replace(record, inputs=used, consumed=used)))
    monkeypatch.setattr(bounds, "TRIGGER_RECORD", size * 1.1)  # the estimate is not idle
    assert parse_document(json.dumps({"d": most}), source="most")
    monkeypatch.setattr(bounds, "TRIGGER_RECORD", size * 0.9)  # ... and not short
    assert f"{len(most)} inputs" in only_problem({"d": most}).reason


def test_what_is_published_already_is_not_put_out_of_force_by_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "TRIGGER_RECORD", 100_000)
    value = json.dumps({"dependencies": {"large": fan_in(5000), "small": "a"}}).encode()
    assert isinstance(read_publication(value, source="etcd"), Publication)


@pytest.mark.parametrize(
    ("document", "path", "reason"),
    [
        ({"x" * 251: "a"}, "", "a dag_id of 251 characters; expected at most 250"),
        ({"a": "x" * 251}, "a", "a dag_id of 251 characters"),
        ({"a": "e" * 251 + "/x"}, "a", "an environment of 251 characters"),
        ({"a": "x" * 100_000}, "a", "expected a reference of at most 501 characters; found 100000"),
        ({"a": {"upstream": "b", "conf": {"text": "x" * bounds.CONF}}}, "a", "a conf of 262155 bytes"),
        (
            {"a": [{"pipeline": "b", "partition": {"mapper": "fixed_key", "downstream_key": "k" * 251}}]},
            "a[0].partition.downstream_key",
            "expected a partition of at most 250 characters; found 251",
        ),
    ],
    ids=["downstream", "upstream", "environment", "reference", "conf", "fixed key"],
)
def test_names_and_confs_are_bounded(document: Any, path: str, reason: str) -> None:
    problem = only_problem(document)
    assert reason in problem.reason
    if path:
        assert problem.path == path
    assert len(str(problem)) < 1000


@pytest.mark.promise("bad-input")
@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        '{"a":[' + "1," * 2_000_000 + "1]}",
        "{" + '"a":1,' * 600_000 + '"a":1}',
        json.dumps({"a": [{"pipeline": "b", "partition": {"mapper": "start_of_day", "timezone": "x" * 4_000_000}}]}),
        json.dumps({"a": [{"pipeline": "b", "partition": {"mapper": "start_of_day", "input_format": "%Y" * 999_999}}]}),
        "[" * 1_000_000,
        '{"a":' * 200_000,
        '"' * 4_000_000,
    ],
    ids=["list of mistakes", "key given twice", "time zone", "format", "deep list", "deep object", "quotes"],
)
def test_a_file_that_is_wrong_in_every_byte_is_refused_in_seconds(text: str) -> None:
    began = time.process_time()
    with pytest.raises(DependenciesError) as caught:
        parse_document(text, source="dependencies.json")
    assert time.process_time() - began < 10
    assert 1 <= len(caught.value.problems) <= bounds.PROBLEMS
    assert len(str(caught.value)) < 100_000


def test_a_document_of_too_many_dependencies_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "DEPENDENCIES", 1000)
    document = {f"d{number}": fan_in(100) for number in range(12)}
    assert "more than 1000 dependencies" in only_problem(document).reason
    assert parse_document(json.dumps(dict(list(document.items())[:10])), source="just so")


def test_places_are_right_behind_many_lines() -> None:
    text = "{\n" + '  "a": "b",\n' * 500 + '  "c": 1\n}'
    with pytest.raises(DependenciesError) as caught:
        parse_document(text, source="d")
    last = caught.value.problems[-1]
    assert (last.line, last.column, last.path) == (502, 8, "c")


READERS: dict[str, tuple[Callable[[bytes], object], int]] = {
    "hold": (read_hold, bounds.SMALL_VALUE),
    "order": (read_order, bounds.SMALL_VALUE),
    "watermark": (read_watermark, bounds.SMALL_VALUE),
    "sweep": (read_sweep, bounds.SMALL_VALUE),
    "record": (read_record, bounds.RECORD),
    "run state": (read_run_state, bounds.RUN_STATE),
}


@pytest.mark.parametrize("kind", READERS)
def test_a_value_that_is_too_large_is_unreadable_and_says_so(kind: str) -> None:
    read, most = READERS[kind]
    found = read(b" " * (most + 1))
    assert isinstance(found, Unreadable)
    assert f"more than {most} bytes" in found.reason


@pytest.mark.parametrize("name", ["inputs", "consumed"])
def test_a_record_of_nothing_but_mistakes_does_not_keep_each_of_them(name: str) -> None:
    value = f'{{"{name}": [{"0," * 700_000}0]}}'.encode()
    tracemalloc.start()
    try:
        assert isinstance(read_record(value), Unreadable)
        assert tracemalloc.get_traced_memory()[1] < 40 * len(value)
    finally:
        tracemalloc.stop()


def test_why_a_value_cannot_be_read_is_short_and_can_be_shown() -> None:
    reason = Unreadable("\ud800" + "x" * 10_000).reason
    assert len(reason) <= bounds.REASON
    assert reason.encode().startswith(b"\\ud800x")


@pytest.mark.parametrize("number", [-1, 1 << 63, 10**4000])
@pytest.mark.parametrize("field", ["sequence", "wave"])
def test_a_number_that_etcd_cannot_have_given_is_unreadable(field: str, number: int) -> None:
    record = {"status": "done", "sequence": 1, "action": "create", "token": "t", "wave": 1, field: number}
    assert isinstance(read_record(json.dumps(record).encode()), Unreadable)
    assert isinstance(read_watermark(json.dumps({"revision": number}).encode()), Unreadable)
