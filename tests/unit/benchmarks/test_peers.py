"""What the comparison beside Airflow's own means says about runs; the measurement itself needs a quiet machine."""

from __future__ import annotations

import ast
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import pytest

from benchmarks.peers.direct import FanIn
from benchmarks.peers.document import BEGIN, DOCUMENT, END, between_marks
from benchmarks.peers.figures import Measured, Row, Spread, rows
from benchmarks.peers.graph import Graph, seven, star
from benchmarks.peers.judging import (
    Again,
    FanOut,
    Wave,
    judge_fan_out,
    judge_wave,
    ran_again,
    say_again,
)
from benchmarks.peers.means import MEANS, Means
from benchmarks.peers.observed import Run
from benchmarks.peers.picture import picture
from benchmarks.peers.table import Conditions, markdown
from benchmarks.peers.template import source

MIDNIGHT = datetime(2026, 11, 20, tzinfo=UTC)
DAG_IDS = {pipeline: f"runs_{pipeline}" for pipeline in seven().upstreams}
CONDITIONS = Conditions("a machine", 200, 2, 1, (0.1, 0.9))


def after(seconds: float) -> datetime:
    return MIDNIGHT + timedelta(seconds=seconds)


def run(pipeline: str, ended: float, *, run_id: str = "r", tries: int = 1) -> Run:
    """It took a second; its task ended a tenth of one before it."""
    began, worked = after(ended - 1), after(ended - 0.1)
    return Run(DAG_IDS.get(pipeline, pipeline), run_id, "success", began, worked, after(ended), tries)


def wave() -> list[Run]:
    """Each pipeline once, one after the other, a second apart: the root ends after one second, the last after seven."""
    return [run(pipeline, number) for number, pipeline in enumerate(DAG_IDS, start=1)]


def test_the_seven_pipelines_are_those_of_the_repository() -> None:
    graph = seven()
    assert (graph.root, graph.last, graph.dependencies) == ("01_pipeline", "07_pipeline", 9)
    assert list(graph.upstreams["06_pipeline"]) == ["02_pipeline", "03_pipeline", "04_pipeline", "05_pipeline"]


@pytest.mark.parametrize("means", MEANS, ids=lambda means: means.name)
@pytest.mark.parametrize("graph", [seven(), star(3)], ids=["seven", "star"])
def test_the_dags_of_all_means_are_python_with_the_same_graph(means: Means, graph: Graph) -> None:
    tree = ast.parse(source(means, graph))
    (upstreams,) = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and node.value is not None and ast.unparse(node.target) == "UPSTREAMS"
    ]
    assert upstreams == means.upstreams(graph)


def test_the_coordinators_means_say_in_its_document_what_others_say_in_dags() -> None:
    entries = {means.name: means.entries(seven()) for means in MEANS}
    assert {name for name, its in entries.items() if its} == {"runs", "tasks"}
    assert entries["runs"]["runs_07_pipeline"] == {"upstream": ["runs_06_pipeline"]}
    assert entries["tasks"]["tasks_07_pipeline"] == {"upstream": [{"pipeline": "tasks_06_pipeline", "task": "work"}]}


def test_the_floor_starts_a_pipeline_once_all_its_upstreams_have_ended_for_a_date() -> None:
    fan_in = FanIn({"a": [], "b": [], "c": ["a", "b"], "d": ["a"]})
    assert fan_in.ended("a", "monday") == ["d"]
    assert fan_in.ended("b", "tuesday") == []
    assert fan_in.ended("a", "monday") == ["d"]
    assert fan_in.ended("b", "monday") == ["c"]
    assert fan_in.ended("b", "monday") == [], "both must have ended again"


def test_a_wave_in_which_each_pipeline_ran_once() -> None:
    assert judge_wave(seven(), DAG_IDS, wave()) == Wave(True, True, 6.0, 6.1)


@pytest.mark.parametrize(
    "runs",
    [wave()[:-1], [replace(one, state="running", ended=None) for one in wave()], [replace(wave()[0], state="failed")]],
    ids=["one is missing", "all are running", "one has failed"],
)
def test_a_wave_that_has_not_ended(runs: list[Run]) -> None:
    assert judge_wave(seven(), DAG_IDS, runs) == Wave(False)


def test_a_wave_ends_with_its_last_run_and_a_second_run_is_not_once() -> None:
    doubled = [*wave(), run("07_pipeline", 9, run_id="another")]
    assert judge_wave(seven(), DAG_IDS, doubled) == Wave(True, False, 8.0, 8.1)
    twice = [*wave()[:-1], run("07_pipeline", 7, tries=2)]
    assert judge_wave(seven(), DAG_IDS, twice) == Wave(True, False, 6.0, 6.1)


def test_a_fan_out_counts_from_the_end_of_the_roots_task() -> None:
    graph = star(2)
    dag_ids = {pipeline: pipeline for pipeline in graph.upstreams}
    runs = [run("root", 1), run("leaf_000", 3), run("leaf_001", 4)]
    assert judge_fan_out(graph, dag_ids, runs) == FanOut(2, 2.1, 3.1)
    assert judge_fan_out(graph, dag_ids, runs[:2]) == FanOut(1)


def test_what_ran_again_in_the_same_runs_and_in_new_ones() -> None:
    before = wave()
    tries = {"01_pipeline": 2, "02_pipeline": 2}
    again = [run(pipeline, 9, tries=tries.get(pipeline, 1)) for pipeline in DAG_IDS]
    again += [run("06_pipeline", 9, run_id=run_id) for run_id in ("another", "one more")]
    found = ran_again(DAG_IDS, before, again)
    assert found == {"01_pipeline": Again(1, 0), "02_pipeline": Again(1, 0), "06_pipeline": Again(0, 2)}
    assert say_again("01_pipeline", found) == "02: the same run once; 06: new runs, 2 times"


def test_what_is_said_where_nothing_ran_again_or_the_cleared_run_did_not() -> None:
    assert say_again("01_pipeline", {"01_pipeline": Again(1, 0)}) == "nothing below"
    assert say_again("01_pipeline", {}) == "not even the run that was cleared"
    assert say_again("01_pipeline", {"01_pipeline": Again(2, 0)}) == "01: the same run 2 times"


def measured() -> list[Row]:
    """Ours takes one and a half times as long as the floor; the third never ends."""
    return rows(
        Measured(
            waves={
                "direct": [Wave(True, True, seconds, seconds + 1) for seconds in (1.0, 2.0, 3.0)],
                "runs": [Wave(True, True, seconds, seconds + 1) for seconds in (2.0, 3.0, 4.0)],
                "trigger": [Wave(False)] * 3,
            },
            fan_outs={"runs": [FanOut(200, 3.0, 4.0), FanOut(190)]},
            again={"runs": {"01_pipeline": ["a", "a"], "03_pipeline": ["a", "b"]}},
        )
    )


def test_rows_have_medians_quartiles_and_ratios_beside_the_floor() -> None:
    floor, ours, neverending = measured()
    assert floor.ratio == 1.0
    assert ours.from_run == Spread(2.5, 3.0, 3.5)
    assert ours.ratio == 1.5
    assert ours.ratio_from_task == 4 / 3
    assert (ours.ended, ours.once, ours.waves) == (3, 3, 3)
    assert (neverending.ended, neverending.from_run, neverending.ratio) == (0, None, None)
    assert ours.again == {"01_pipeline": "a", "03_pipeline": "a (1 of 2) / b (1 of 2)"}
    assert (ours.started, ours.last_start) == (190, Spread(3.0, 3.0, 3.0))


def test_the_tables_stand_between_the_marks() -> None:
    tables = markdown(CONDITIONS, measured())
    assert "| coordinator, on runs | 3 of 3 | 3 of 3 | 3.00 (2.50 - 3.50) | 1.50 |" in tables
    assert "| TriggerDagRunOperator | 0 of 3 | 0 of 3 | - | - |" in tables
    text = between_marks(f"before\n{BEGIN}\nold\n{END}\nafter\n", tables)
    assert text.startswith(f"before\n{BEGIN}\n\na machine;")
    assert text.endswith(f"|\n\n{END}\nafter\n")
    assert between_marks(text, tables) == text


def test_tables_that_were_measured_on_a_busy_machine_say_so() -> None:
    assert "busy with other things" in markdown(replace(CONDITIONS, load=(1.6, 0.5)), measured())
    assert "busy with other things" not in markdown(CONDITIONS, measured())


@pytest.mark.parametrize("text", ["", BEGIN, f"{END}\n{BEGIN}", f"{BEGIN}{BEGIN}{END}"])
def test_a_document_without_both_marks_is_not_written(text: str) -> None:
    with pytest.raises(ValueError, match="once each, in this order"):
        between_marks(text, "tables")


def test_the_document_has_a_place_for_the_tables() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert between_marks(text, "tables").count("tables\n") == 1


def test_the_picture_has_a_bar_for_each_of_the_means_with_waves_that_ended() -> None:
    tree = ElementTree.fromstring(picture(measured()))
    svg = "{http://www.w3.org/2000/svg}"
    widths = [float(bar.get("width", "0")) for bar in tree.iter(f"{svg}rect")]
    assert len(widths) == 2
    assert widths[1] == pytest.approx(1.5 * widths[0], rel=0.01)
    texts = [text.text for text in tree.iter(f"{svg}text")]
    assert "3.00 (x 1.50)" in texts
    assert "no wave has ended" in texts
