"""Items in documents, in names and in trigger records."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.model.conditions import leaves
from coordinator.model.dependencies import Items, OnEmpty, Rerun
from coordinator.model.documents import DependenciesError, dump_document, parse_document
from coordinator.model.graph import Graph, Node
from coordinator.model.items.rows import Rows, fingerprint_of, is_run_of_row
from coordinator.model.partitions.instants import (
    coordinator_run_id,
    dag_or_item,
    item_in_run_id,
    name_of_item_run,
    partition_of_run,
)
from coordinator.model.propagation.components import Components
from coordinator.model.references import PipelineRef, Target
from coordinator.model.trigger import Action, Status, TriggerRecord, dump_record, read_record
from coordinator.store.keys import Keys, StateKey, TriggerKey

LOAD = PipelineRef.parse("load")
FILE = {"from": {"file": "tables"}, "key": "name"}


def parse(entry: dict[str, Any], **others: Any) -> Any:
    return parse_document(json.dumps({"load": entry, **others}), source="f")


def problems(entry: dict[str, Any], **others: Any) -> str:
    with pytest.raises(DependenciesError) as caught:
        parse(entry, **others)
    return str(caught.value)


# -- documents -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("items", "means"),
    [
        (FILE, Items("name", file="tables")),
        ({**FILE, "on_empty": "skip"}, Items("name", file="tables", on_empty=OnEmpty.SKIP)),
        ({"from": "conf.tables", "key": "id"}, Items("id", conf="tables")),
    ],
)
def test_a_document_names_a_source_and_no_file(items: dict[str, Any], means: Items) -> None:
    entry = {"upstream": "U", "items": items, "conf": {"tables": [{"id": 1}]}}
    document = parse(entry)
    assert document[LOAD].items == means
    assert parse_document(json.dumps(dump_document(document)), source="again") == document


@pytest.mark.parametrize(
    ("items", "reason"),
    [
        ([], "expected an object"),
        ({"key": "name"}, "'from' is missing"),
        ({"from": {"file": "tables"}}, "'key' is missing"),
        ({**FILE, "from": "tables"}, "expected 'conf.<member>' or"),
        ({**FILE, "from": "conf."}, "expected 'conf.<member>' or"),
        ({**FILE, "from": {"path": "/etc/passwd"}}, "unknown field 'path'"),
        ({**FILE, "from": {"file": ""}}, "expected the name of a source"),
        ({**FILE, "on_empty": "ignore"}, "expected 'fail' or 'success' or 'skip'"),
        ({**FILE, "retries": 3}, "unknown field 'retries' of 'items'"),
    ],
)
def test_what_is_wrong_with_items_is_told(items: Any, reason: str) -> None:
    assert reason in problems({"upstream": "U", "items": items})


def test_rows_in_the_conf_are_checked_with_the_document() -> None:
    entry = {"upstream": "U", "items": {"from": "conf.tables", "key": "name"}}
    assert "the entry's conf has no 'tables'" in problems(entry)
    bad = {**entry, "conf": {"tables": [{"name": "a"}, {"name": "a"}]}}
    assert "conf.tables, row 2: the key 'a' is that of row 1 too" in problems(bad)
    assert "'item' is the place of the row" in problems({"upstream": "U", "items": FILE, "conf": {"item": 1}})


def test_nobody_waits_for_a_task_of_a_pipeline_that_fans_out() -> None:
    found = problems({"upstream": "U", "items": FILE}, D={"upstream": {"pipeline": "load", "task": "copy"}})
    assert "load.items: D waits for the task 'copy' of it, and it has no run of its own" in found


def test_an_item_is_no_pipeline_of_a_document() -> None:
    assert "names an item of load, and no DAG" in problems({"upstream": "U"}, D="load[orders]")
    assert "names an item of load, and no DAG" in problems({"upstream": "U"}, **{"load[orders]": "U"})
    assert "names an item of load, and no DAG" in problems({"upstream": "load[]"})


# -- names ---------------------------------------------------------------------------------------------------------


def test_an_item_is_named_after_its_pipeline() -> None:
    item = LOAD.with_item("orders")
    assert (str(item), item.item, item.fanned_out, item.run_dag_id) == ("load[orders]", "orders", LOAD, "load")
    assert PipelineRef.parse("team_b/load[a.b]") == PipelineRef("team_b", "load").with_item("a.b")
    for name in ("load", "load]", "load[", "load[]", "load[a b]", "[a]", "load[a/b]"):
        assert PipelineRef("default", name).item == ""
    assert (LOAD.rows.is_rows, LOAD.rows.fanned_out, LOAD.is_rows) == (True, LOAD, False)


def test_the_keys_of_an_item_are_those_of_a_pipeline() -> None:
    keys, target = Keys(), Target(LOAD.with_item("orders"), "eu/west")
    assert keys.parse(keys.state(target)) == StateKey(target)
    assert keys.parse(keys.trigger(target)) == TriggerKey(target)
    assert keys.trigger(target).startswith(keys.items_of("trigger", LOAD))
    assert keys.state(Target(LOAD.rows, "k")) == keys.trigger(Target(LOAD, "k"))


NAMES = st.text(min_size=1, max_size=300)
ITEM_KEYS = st.from_regex(r"[A-Za-z0-9_.:+-]{1,100}", fullmatch=True)


@given(NAMES.filter(lambda text: not any(0xD800 <= ord(one) < 0xE000 for one in text)), ITEM_KEYS, st.integers(1, 9))
def test_the_run_of_an_item_is_recognised(partition: str, key: str, sequence: int) -> None:
    row = b'{"name":"x"}'
    run_id = coordinator_run_id(name_of_item_run(partition, key, fingerprint_of(row)), sequence)
    conf = {"coordinator": {"partition": partition, "item": key, "row": fingerprint_of(row)}}
    found = partition_of_run(run_id=run_id, logical_date=None, partition_key=None, conf=conf)
    assert (found, dag_or_item("load", run_id, conf)) == (partition, f"load[{key}]")
    assert is_run_of_row(run_id, partition, key, row)
    assert item_in_run_id(run_id) in ((partition, key), None)
    assert not is_run_of_row(run_id, partition, key, b'{"name":"y"}')


def test_a_run_id_says_which_item_it_is_of() -> None:
    assert item_in_run_id("coordinator__2026-11-20T00:00:00Z~5borders-7ae61027~5d__1") == (
        "2026-11-20T00:00:00Z",
        "orders",
    )
    assert item_in_run_id("coordinator__2026-11-20T00:00:00Z__1") is None
    assert item_in_run_id("orders") is None


def test_a_conf_that_was_copied_makes_no_item() -> None:
    conf = {"coordinator": {"partition": "k", "item": "orders", "row": "00000000"}}
    assert dag_or_item("load", "manual__2026-11-20T00:00:00+00:00", conf) == "load"
    other = coordinator_run_id(name_of_item_run("k", "parts", "00000000"), 1)
    assert dag_or_item("load", other, conf) == "load"
    for strange in (None, 3, {"coordinator": None}, {"coordinator": {"item": 3}}):
        assert dag_or_item("load", other, strange) == "load"


# -- the graph -----------------------------------------------------------------------------------------------------


def test_what_an_item_waits_for_comes_before_it_and_its_pipeline_after_it() -> None:
    document = parse(
        {"upstream": "U", "items": FILE, "rerun": "new_run", "deadline": "06:00", "conf": {"a": 1}}, D="load"
    )
    graph = Graph(Node(entry, dict.fromkeys(leaves(entry.condition), 0)) for entry in document.values())
    item = LOAD.with_item("orders")
    order = [PipelineRef.parse("U"), LOAD.rows, item, LOAD, PipelineRef.parse("D")]
    assert sorted(order, key=graph.rank) == order
    components = Components(graph)
    assert {components.area(Target(one, "k")) for one in order} == {components.area(Target(LOAD, "k"))}
    node = graph.node(item)
    assert node is not None
    assert [leaf.upstream for leaf in node.leaves()] == [LOAD.rows]
    assert (node.downstream.rerun, node.downstream.conf, node.downstream.deadline) == (Rerun.NEW_RUN, {"a": 1}, None)
    assert [edge.downstream for edge in graph.edges(item)] == [LOAD]
    assert graph.node(PipelineRef.parse("D[orders]")) is None


# -- records -------------------------------------------------------------------------------------------------------


def test_a_record_keeps_its_rows() -> None:
    read_at = datetime(2026, 11, 20, tzinfo=UTC)
    rows = Rows("t", 2, "/rows/k.json", read_at, OnEmpty.SKIP, {"b": b'{"name":"b"}', "a": '{"name":"ä"}'.encode()})
    record = TriggerRecord(Status.DONE, 2, Action.CREATE, None, "t", 5, rows=rows)
    found = read_record(dump_record(record))
    assert found == record
    assert isinstance(found, TriggerRecord)
    assert found.rows is not None
    assert list(found.rows.by_key) == ["b", "a"]
