"""What happened is read from the keys alone: attempts are counted once, and belong to the act in which they began."""

from __future__ import annotations

from datetime import UTC, datetime

from coordinator.demo.chronicle import Execution, Request
from coordinator.demo.wording import reason, rows_of, short_names, stands_on
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import State
from coordinator.model.trigger import Action, Status, TriggerRecord, dump_record
from tests.unit.demo.tale import NOON, PARTITION, Tale, ref


def test_an_attempt_is_told_when_its_state_changes_and_counts_once() -> None:
    tale = Tale()
    told = [
        tale.state("01", State.RUNNING, queued=NOON),
        tale.state("01", State.RUNNING, queued=NOON),
        tale.state("01", State.SUCCESS, queued=NOON),
    ]
    assert [each.state if isinstance(each, Execution) else None for each in told] == ["running", None, "success"]
    assert len(tale.chronicle.executions(ref("01"), 1)) == 1


def test_other_partitions_and_rubbish_are_not_part_of_it() -> None:
    tale = Tale()
    assert tale.state("01", State.SUCCESS, queued=NOON, partition="2026-11-19T00:00:00Z") is None
    assert tale.put(tale.keys.state(Target(ref("01"), PARTITION)), b"{") is None
    assert tale.put(tale.keys.trigger(Target(ref("01"), PARTITION)), b"{") is None
    assert tale.put("/coordinator/leader", b"{}") is None
    assert list(tale.chronicle.pipelines()) == []
    assert tale.chronicle.revision == 4


def test_a_request_keeps_its_reason_when_its_inputs_have_been_consumed() -> None:
    tale = Tale()
    top = tale.run("01")
    intent, sent, done = tale.triggered("02", "01", wave=top)
    assert isinstance(intent, Request)
    assert (sent, done) == (None, None)
    (request,) = tale.chronicle.requests(ref("02"), 1)
    assert request.record.status is Status.DONE
    assert reason(request, {}) == "created: 01_pipeline succeeded"
    (execution,) = tale.chronicle.executions(ref("02"), 1)
    assert tale.chronicle.request_for(execution) == request


def test_of_a_second_request_only_the_new_completions_are_the_reason() -> None:
    tale = Tale()
    tale.wave()
    tale.chronicle.act = 2
    top = tale.run("03")
    tale.triggered("06", "02", "03", wave=top, sequence=2, action=Action.CLEAR)
    (request,) = tale.chronicle.requests(ref("06"), 2)
    names = short_names(tale.plot.pipelines)
    assert reason(request, names) == "cleared: 03 succeeded again"
    assert stands_on(request, names) == f"03@{top}; still 02@{request.inputs[Target(ref('02'), PARTITION)].revision}"


def test_a_refusal_is_told_with_its_reason() -> None:
    tale = Tale()
    record = TriggerRecord(Status.BLOCKED, 1, Action.CREATE, "r1", "t", 1, last_error="404: no such DAG")
    for told in (True, True):
        happening = tale.put(tale.keys.trigger(Target(ref("02"), PARTITION)), dump_record(record))
        assert isinstance(happening, Request) is told
    row = next(row for row in rows_of(tale.act, tale.plot, tale.chronicle, NOON) if row.pipeline == "02_pipeline")
    assert (row.state, row.detail) == ("refused", "404: no such DAG")


def test_rows_tell_of_everybody_from_the_first_moment() -> None:
    tale = Tale()
    rows = rows_of(tale.act, tale.plot, tale.chronicle, NOON)
    assert [(row.pipeline, row.state, row.why) for row in rows] == [
        ("01_pipeline", "queued", "triggered by hand"),
        ("02_pipeline", "waits", "waits for 01"),
        ("03_pipeline", "waits", "waits for 01"),
        ("06_pipeline", "waits", "waits for 02, 03"),
    ]
    tale.wave()
    tale.chronicle.act = 2
    rows = rows_of(tale.act, tale.plot, tale.chronicle, datetime.now(UTC))
    assert [(row.pipeline, row.state) for row in rows] == [
        ("01_pipeline", "at rest"),
        ("02_pipeline", "at rest"),
        ("03_pipeline", "queued"),
        ("06_pipeline", "waits"),
    ]


def test_names_are_shortened_only_where_they_all_end_the_same() -> None:
    load, save = PipelineRef("default", "load"), PipelineRef("default", "save_all")
    assert short_names([ref("01"), ref("02")]) == {ref("01"): "01", ref("02"): "02"}
    assert short_names([load, save]) == {load: "load", save: "save_all"}
    assert short_names([PipelineRef("default", "_a")]) == {PipelineRef("default", "_a"): "_a"}
