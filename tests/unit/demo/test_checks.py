"""The demo fails, with a sentence, when a pipeline has not run as often as it should have, or too early."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from coordinator.errors import ConfigurationError
from coordinator.model.references import PipelineRef
from examples.demo.checks import Run, what_does_not_hold
from examples.demo.story import below, read_dependencies

REPOSITORY = Path(__file__).parent.parent.parent.parent
UPPER, LOWER = PipelineRef("default", "upper"), PipelineRef("team_b", "lower")
UPSTREAMS = {UPPER: [], LOWER: [UPPER]}


def run(start: int, *, state: str = "success", tries: int = 1) -> Run:
    began = datetime(2026, 11, 20, tzinfo=UTC) + timedelta(seconds=start)
    return Run(f"at {start}", state, tries, began, began + timedelta(seconds=1))


def problems(upper: list[Run], lower: list[Run], *, times: int = 1) -> list[str]:
    return list(what_does_not_hold({UPPER: 1, LOWER: times}, UPSTREAMS, {UPPER: upper, LOWER: lower}))


def test_one_successful_run_each_in_order_is_what_is_expected() -> None:
    assert problems([run(0)], [run(1)]) == []
    assert problems([run(0)], [run(1, tries=2)], times=2) == []


@pytest.mark.parametrize(
    ("lower", "found"),
    [
        ([], "no run"),
        ([run(1, tries=2)], "at 1: success, ran 2 times"),
        ([run(1), run(5)], "at 1: success, ran 1 times, at 5: success, ran 1 times"),
        ([run(1, state="running")], "at 1: running, ran 1 times"),
    ],
    ids=["not at all", "cleared once too often", "created twice", "not ended"],
)
def test_any_other_number_of_runs_is_said(lower: list[Run], found: str) -> None:
    expected = "team_b/lower: expected one successful run that ran 1 times, found "
    assert problems([run(0)], lower) == [expected + found]


def test_a_start_before_the_end_of_what_it_waits_for_is_said() -> None:
    (said,) = problems([run(1)], [run(1)])
    assert said.startswith("team_b/lower: expected to start after upper had ended (2026-11-20 00:00:02")


def test_with_two_environments_the_cascade_crosses_from_one_to_the_other_and_back() -> None:
    text, upstreams = read_dependencies(REPOSITORY / "dependencies.json", 2)
    cleared = PipelineRef("default", "03_pipeline")
    assert below(cleared, upstreams) == {
        cleared,
        PipelineRef("team_b", "06_pipeline"),
        PipelineRef("default", "07_pipeline"),
    }
    assert '"team_b/06_pipeline"' in text
    one, all_in_one = read_dependencies(REPOSITORY / "dependencies.json", 1)
    assert one == (REPOSITORY / "dependencies.json").read_text(encoding="utf-8")
    assert {pipeline.environment for pipeline in all_in_one} == {"default"}
    assert len(all_in_one) == len(upstreams) == 7


@pytest.mark.parametrize("text", [None, "{", '{"02_pipeline": "01_pipeline"}'], ids=["none", "broken", "no cascade"])
def test_dependencies_with_nothing_to_show_are_refused_before_anything_is_started(
    tmp_path: Path, text: str | None
) -> None:
    file = tmp_path / "dependencies.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigurationError, match=r"dependencies\.json:.*(expected|cannot|not JSON)"):
        read_dependencies(file, 1)
