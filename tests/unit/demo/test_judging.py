"""The demo's verdicts: a show that went wrong is not taken for one that went well."""

from __future__ import annotations

import pytest

from coordinator.demo.judging import ShownRun, failure, is_over, judge
from coordinator.model.runstate import State
from coordinator.model.trigger import Action
from tests.unit.demo.tale import NOON, Tale, ref


@pytest.fixture
def tale() -> Tale:
    return Tale()


def problems(tale: Tale, **shown: list[ShownRun]) -> list[str]:
    checks = judge(tale.act, tale.plot, tale.chronicle, tale.shown(**shown))
    return [problem for check in checks for problem in check.problems]


def test_a_wave_and_a_cascade_as_they_should_be_are_over_and_have_no_problems(tale: Tale) -> None:
    tale.wave()
    assert is_over(tale.act, tale.chronicle)
    assert problems(tale) == []
    tale.chronicle.act = 2
    assert not is_over(tale.act, tale.chronicle)
    top = tale.run("03")
    tale.triggered("06", "02", "03", wave=top, sequence=2, action=Action.CLEAR)
    assert is_over(tale.act, tale.chronicle)
    assert problems(tale) == []


def test_a_pipeline_that_did_not_run(tale: Tale) -> None:
    top = tale.run("01")
    tale.triggered("02", "01", wave=top)
    assert not is_over(tale.act, tale.chronicle)
    found = problems(tale)
    assert "03_pipeline did not run" in found
    assert "06_pipeline did not run" in found
    assert not any(problem.startswith("02_pipeline did") for problem in found)


def test_a_pipeline_that_ran_twice(tale: Tale) -> None:
    tale.wave()
    tale.triggered("06", "02", "03", wave=1, sequence=2, action=Action.CLEAR)
    assert "06_pipeline ran 2 times" in problems(tale)


def test_a_pipeline_that_began_before_its_upstream_had_ended(tale: Tale) -> None:
    top = tale.run("01")
    tale.triggered("02", "01", wave=top)
    tale.triggered("03", "01", wave=top)
    tale.triggered("06", "02", "03", wave=top, began=NOON)
    found = [problem for problem in problems(tale) if "06_pipeline began" in problem]
    assert len(found) == 2  # before 02 and before 03


def test_a_cascade_that_touched_others(tale: Tale) -> None:
    tale.wave()
    tale.chronicle.act = 2
    top = tale.run("03")
    tale.triggered("02", "01", wave=top, sequence=2, action=Action.CLEAR)
    tale.triggered("06", "02", "03", wave=top, sequence=2, action=Action.CLEAR)
    assert "02_pipeline ran" in problems(tale)


def test_a_cascade_that_made_new_runs(tale: Tale) -> None:
    tale.wave()
    tale.chronicle.act = 2
    top = tale.run("03")
    tale.triggered("06", "02", "03", wave=top, sequence=2, run_id="r2")
    found = problems(tale)
    assert "06_pipeline: runs ['r1'] before, ['r2'] now" in found
    assert "06_pipeline: expected the action clear, found create" in found


def test_a_run_that_nobody_asked_for(tale: Tale) -> None:
    top = tale.run("01")
    tale.triggered("02", "01", wave=top)
    tale.run("03")
    tale.triggered("06", "02", "03", wave=top)
    assert "03_pipeline was not started by the coordinator" in problems(tale)


def test_a_run_for_another_completion(tale: Tale) -> None:
    top = tale.run("01")
    tale.triggered("02", "01", wave=top + 1)
    tale.triggered("03", "01", wave=top)
    tale.triggered("06", "02", "03", wave=top)
    assert problems(tale) == [f"02_pipeline belongs to wave {top + 1}, not to [{top}]"]


@pytest.mark.parametrize(
    "runs", [[], [ShownRun("r1", "success"), ShownRun("r2", "success")], [ShownRun("r1", "running")]]
)
def test_an_airflow_that_shows_something_else(tale: Tale, runs: list[ShownRun]) -> None:
    tale.wave()
    (problem,) = problems(tale, **{"06_pipeline": runs})
    assert problem.startswith("06_pipeline: expected one successful run, found ")


def test_a_run_that_failed_ends_the_waiting(tale: Tale) -> None:
    tale.run("01")
    assert failure(tale.act, tale.chronicle) is None
    tale.run("02", ends=State.FAILED)
    assert failure(tale.act, tale.chronicle) == f"the run r1 of {ref('02')} failed in Airflow"
