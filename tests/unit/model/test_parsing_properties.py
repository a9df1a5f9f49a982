"""dependencies.json: what holds for every document and for every heap of bytes."""

from __future__ import annotations

import json
from datetime import time, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.model.conditions import AtLeast, Condition, Dependency, On, leaves
from coordinator.model.deadline import MOST_DAYS, AfterFirstInput, TimeOfDay
from coordinator.model.dependencies import MOST_RETRIES, Catchup, Document, Downstream, OnLate, Rerun, Settle
from coordinator.model.documents import DependenciesError, Problem, dump_document, parse_document
from coordinator.model.documents.forms import CONDITIONS, DEADLINES, ENTRY, MAPPERS
from coordinator.model.durations import LONGEST
from coordinator.model.partitions import FanOut, FixedKey, Identity, Latest, Offset, Period, Rollup, StartOf, Unit
from coordinator.model.references import PipelineRef

names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/"), min_size=1, max_size=8).filter(
    lambda text: text == text.strip()
)
dag_ids = st.one_of(names, st.just("$schema"), st.builds("{}/{}".format, names, names))
pipelines = st.builds(PipelineRef, st.one_of(st.just("default"), names), dag_ids, st.just(""))
task_ids = st.sampled_from(["", "", "load", "group.load"])
plain_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=5,
)
confs = st.dictionaries(names.filter(lambda name: name != "coordinator"), plain_json, max_size=3)


# A few of each: test_parsing_mappings draws from all mappings there are. Mostly identity, as in real documents.
leaf_mappings = st.sampled_from(
    [
        *[Identity()] * 5,
        Latest(),
        FixedKey("all"),
        StartOf(Period.WEEK, "Europe/Berlin"),
        Rollup(Period.DAY, Period.HOUR, wait=-1),
        FanOut(Period.MONTH, Period.DAY, output_format="%Y-%m-%d"),
        Offset(-1, Unit.DAY),
    ]
)
durations = st.sampled_from([timedelta(seconds=1), timedelta(hours=36), timedelta(days=14), LONGEST])
deadlines = st.one_of(
    st.builds(
        TimeOfDay,
        st.sampled_from([time(6), time(23, 59, 30)]),
        st.sampled_from([0, 1, MOST_DAYS]),
        st.sampled_from(["UTC", "Europe/Berlin"]),
    ),
    st.builds(AfterFirstInput, durations),
)


def with_a_trigger(condition: Condition) -> bool:
    return any(leaf.trigger for leaf in leaves(condition))


def conditions(upstreams: list[PipelineRef]) -> st.SearchStrategy[Condition]:
    either = st.builds(lambda upstream, task: upstream._replace(task=task), st.sampled_from(upstreams), task_ids)
    leaf = st.builds(
        Dependency, either, st.sampled_from(On), leaf_mappings, st.booleans(), st.none() | durations
    ).filter(lambda one: one.on is not On.SKIPPED or one.upstream.task)

    def inner(children: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
        branches = st.lists(children, min_size=1, max_size=4, unique=True).map(tuple)
        return branches.flatmap(lambda of: st.integers(1, len(of)).map(lambda n: AtLeast(n, of)))

    return st.recursive(leaf, inner, max_leaves=8)


@st.composite
def documents(draw: st.DrawFn) -> Document:
    """Documents without cycles: each pipeline waits for pipelines before it only."""
    known = draw(st.lists(pipelines, min_size=1, max_size=6, unique=True))
    document = {}
    for position in range(1, len(known)):
        pipeline = known[position]
        document[pipeline] = Downstream(
            pipeline,
            draw(conditions(known[:position]).filter(with_a_trigger)),
            rerun=draw(st.sampled_from(Rerun)),
            settle=draw(st.sampled_from(Settle)),
            conf=draw(confs),
            catchup=draw(st.sampled_from(Catchup)),
            max_in_flight=draw(st.none() | st.integers(1, 100)),
            deadline=(deadline := draw(st.none() | deadlines)),
            on_late=draw(st.sampled_from(OnLate)) if deadline is not None else OnLate.SHOW,
            retries=(retries := draw(st.sampled_from([0, 0, 1, MOST_RETRIES]))),
            retry_delay=draw(durations | st.just(timedelta(0))) if retries else timedelta(0),
            timeout=draw(st.none() | durations),
        )
    return document


@pytest.mark.slow
@given(documents(), st.booleans(), st.sampled_from([None, 2]))
def test_a_dumped_document_is_read_back_equal(document: Document, ascii_only: bool, indent: int | None) -> None:
    text = json.dumps(dump_document(document), ensure_ascii=ascii_only, indent=indent, allow_nan=False)
    assert parse_document(text, source="dumped") == document
    assert parse_document(text.encode(), source="dumped") == document


@pytest.mark.slow
@given(documents())
def test_the_canonical_form_is_stable(document: Document) -> None:
    dumped = dump_document(document)
    again = dump_document(parse_document(json.dumps(dumped), source="dumped"))
    assert json.dumps(again) == json.dumps(dumped)


def problems_of(text: bytes | str) -> tuple[Problem, ...]:
    """Anything but a DependenciesError goes on to fail the test."""
    try:
        parse_document(text, source="anything", environments={"default"})
    except DependenciesError as error:
        return error.problems or pytest.fail("refused without a problem")
    return ()


def refused_or_read(text: bytes | str) -> None:
    lines = (text if isinstance(text, bytes) else text.encode("utf-8", "replace")).count(b"\n") + 1
    for problem in problems_of(text):
        assert 1 <= problem.line <= lines
        assert problem.column >= 1
        assert problem.reason


@given(st.one_of(st.binary(), st.text(), st.text('{}[]":, \n\\abc1-eNulInfity/#', max_size=60)))
def test_a_heap_of_bytes_is_refused_and_nothing_else(text: bytes | str) -> None:
    refused_or_read(text)


FIELDS = [
    *ENTRY.names,
    *(name for forms in (CONDITIONS, MAPPERS, DEADLINES) for form in forms.values() for name in form.names),
]
WORDS = ["", "a", "b", "team_b/c", "success", "rollup", "day", "-1 day", "latest", "UTC", "2 days", "06:00", "skip"]
words = st.sampled_from([*dict.fromkeys(FIELDS), *WORDS])
near_misses: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-1, 4), st.floats(), words, st.just("\ud800")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(words, near_misses, max_size=4))
def test_json_that_is_almost_a_document_is_refused_with_places(value: dict[str, Any]) -> None:
    refused_or_read(json.dumps(value))


@pytest.mark.slow
@given(documents(), st.data())
def test_one_broken_byte_never_raises_anything_else(document: Document, data: st.DataObject) -> None:
    text = bytearray(json.dumps(dump_document(document), indent=1).encode())
    text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    refused_or_read(bytes(text))


@pytest.mark.slow
@given(documents().filter(len), st.data())
def test_an_entry_given_twice_is_always_found(document: Document, data: st.DataObject) -> None:
    members = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in dump_document(document).items()]
    members.append(data.draw(st.sampled_from(members)))
    with pytest.raises(DependenciesError, match="given twice"):
        parse_document("{" + ",\n".join(members) + "}", source="doubled")
