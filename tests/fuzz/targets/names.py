"""Names from outside: keys, references, partitions, durations, run ids, and the ways back."""

from __future__ import annotations

import re
from urllib.parse import unquote

from coordinator.model.documents.fields import FieldReader
from coordinator.model.documents.findings import Cursor, Findings
from coordinator.model.documents.json_text import JsonSyntaxError, read_json
from coordinator.model.documents.mappings import MappingReader, dump_mapping
from coordinator.model.durations import LONGEST, format_duration, parse_duration
from coordinator.model.partitions import FanOut, Mapping, Offset, Rollup, StartOf, parse_offset
from coordinator.model.partitions.instants import coordinator_run_id, format_instant, parse_instant, partition_order
from coordinator.model.partitions.spelling import Spelling
from coordinator.model.references import PipelineRef, WaitRef
from coordinator.model.references import Target as Where
from coordinator.store.keys import (
    ActKey,
    DependenciesKey,
    HoldKey,
    Keys,
    OrderKey,
    StateKey,
    TriggerKey,
    WaitKey,
    WatcherKey,
    WatermarkKey,
)
from tests.fuzz.tape import Tape, as_json, tape_of
from tests.fuzz.targets.documents import WORDS as DOCUMENT_WORDS
from tests.fuzz.targets.documents import mapping_of

KINDS = (
    "state",
    "trigger",
    "dependencies",
    "hold",
    "order",
    "floor",
    "task",
    "wait",
    "acts",
    "leader",
    "heartbeat",
    "watchers",
)
PARTITIONS = (
    *("2026-11-20T00:00:00Z", "2026-11-20", "2026-W47", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"),
    *("2026-03-29T02:30:00Z", "2026-10-25T01:00:00Z", "2026-11-20T00:00:00+00:00", "0002-01-01", "9998-12-31"),
)
_RUN_ID = re.compile(r"[A-Za-z0-9_.~:+-]{1,250}")


def keys(data: bytes) -> None:
    tape = tape_of(data)
    if tape is not None:
        _to_a_key_and_back(tape)
        return
    made = Keys("/c")
    key = data.decode("utf-8", "surrogateescape")
    for text in (key, f"/c/{key}"):
        parsed = made.parse(text)
        if parsed is not None:
            assert _key_of(made, parsed) == text, "a thing has one key"


def _key_of(made: Keys, parsed: object) -> str:
    match parsed:
        case StateKey(target):
            return made.state(target)
        case TriggerKey(target):
            return made.trigger(target)
        case OrderKey(target):
            return made.order(target)
        case DependenciesKey(owner):
            return made.dependencies(owner)
        case HoldKey(pipeline):
            return made.hold(pipeline)
        case WatermarkKey(pipeline):
            return made.watermark(pipeline)
        case WaitKey(ref):
            return made.wait(ref)
        case ActKey(act_id):
            return made.act(act_id)
        case WatcherKey(watcher_id):
            return made.watcher(watcher_id)
    return {"LeaderKey": made.leader, "HeartbeatKey": made.heartbeat, "RetentionKey": made.retention}[
        type(parsed).__name__
    ]


def _to_a_key_and_back(tape: Tape) -> None:
    made = Keys("/c")
    pipeline = PipelineRef(tape.name(), tape.name())
    target = Where(pipeline, tape.name())
    single = tape.name()
    for key, expected in (
        (made.state(target), StateKey(target)),
        (made.trigger(target), TriggerKey(target)),
        (made.order(target), OrderKey(target)),
        (made.hold(pipeline), HoldKey(pipeline)),
        (made.watermark(pipeline), WatermarkKey(pipeline)),
        (made.dependencies(single), DependenciesKey(single)),
        (made.act(single), ActKey(single)),
        (made.watcher(single), WatcherKey(single)),
    ):
        assert made.parse(key) == expected
        kind, *segments = key.removeprefix("/c/").split("/")
        assert kind in KINDS
        assert len(segments) == {"state": 3, "trigger": 3, "order": 3, "hold": 2, "floor": 2}.get(kind, 1)
        assert not re.search(r"[\x00-\x1f\x7f]", key)
        assert [unquote(segment) for segment in segments] == (
            [pipeline.environment, pipeline.dag_id, target.partition][: len(segments)]
            if len(segments) > 1
            else [single]
        )
    assert made.state(target).startswith(made.states_of(pipeline))
    task = Where(pipeline._replace(task=single), target.partition)
    assert made.parse(made.state(task)) == StateKey(task)
    assert made.state(task).startswith(made.states_of(task.pipeline))
    wait = WaitRef(target, single, single, tape.below(9) - 1)
    assert made.parse(made.wait(wait)) == WaitKey(wait)


def spelling(data: bytes) -> None:
    tape = tape_of(data)
    if tape is not None:
        _mapped(tape)
        return
    text = data.decode("utf-8", "surrogateescape")
    _reference(text)
    _instant(text)
    _duration(text)
    _run_id(text)
    _pattern(text)


def _reference(text: str) -> None:
    try:
        pipeline = PipelineRef.parse(text)
    except ValueError:
        return
    assert PipelineRef.parse(str(pipeline)) == pipeline


def _instant(text: str) -> None:
    instant = parse_instant(text)
    if instant is not None:
        assert parse_instant(format_instant(instant)) == instant
    partition_order(text)


def _duration(text: str) -> None:
    for read in (parse_duration, parse_offset):
        try:
            found = read(text)
        except ValueError:
            continue
        if read is parse_duration:
            assert found <= LONGEST  # type: ignore[operator]
            assert parse_duration(format_duration(found)) == found  # type: ignore[arg-type]


def _run_id(text: str) -> None:
    partition = text.encode("utf-8", "replace").decode() or "x"
    for sequence in (1, 10**6):
        run_id = coordinator_run_id(partition, sequence)
        assert _RUN_ID.fullmatch(run_id), run_id


def _pattern(text: str) -> None:
    try:
        spelled = Spelling(text, "Europe/Berlin")
    except ValueError:
        return
    for moment in ("2026-11-20T05:06:07.000008Z", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"):
        instant = parse_instant(moment)
        assert instant is not None
        key = spelled.key(instant)
        if key is not None:
            assert instant in spelled.instants(key)
    spelled.instants(text)


def _mapped(tape: Tape) -> None:
    findings = Findings()
    text = as_json(tape.spoiled(mapping_of(tape), DOCUMENT_WORDS, one_in=16)).decode()
    try:
        mapping = MappingReader(findings, FieldReader(findings, None)).read(Cursor(read_json(text)))
    except JsonSyntaxError:
        return
    if mapping is None:
        assert findings
        return
    if findings:
        return
    again = MappingReader(findings, FieldReader(findings, None)).read(Cursor(read_json(_dumped(mapping))))
    assert again == mapping
    if isinstance(mapping, StartOf | Offset | Rollup | FanOut):
        _both_ways(mapping, tape.name(PARTITIONS))


def _dumped(mapping: Mapping) -> str:
    return as_json(dump_mapping(mapping)).decode()


def _both_ways(mapping: StartOf | Offset | Rollup | FanOut, partition: str) -> None:
    if not isinstance(mapping, StartOf):
        for upstream in mapping.upstreams(partition)[:5]:
            assert partition in mapping.downstreams(upstream)
    for downstream in mapping.downstreams(partition)[:5]:
        assert downstream
        if not isinstance(mapping, StartOf):
            assert partition in mapping.upstreams(downstream)
