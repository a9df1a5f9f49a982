"""Whether environments have DAGs is asked beside the deciding thread, which waits for no answer."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from coordinator.controller.leading.dag_checks import AGAIN_AFTER, PATIENCE, DagChecks
from coordinator.model.publishing.guard import Known
from coordinator.model.references import PipelineRef
from coordinator.runners.port import EnvironmentReport

A, B, FAR = (PipelineRef.parse(name) for name in ("A", "B", "far/C"))


class Environment:
    """Answers when it may."""

    def __init__(self, *missing: str) -> None:
        self.missing = set(missing)
        self.problem: str | None = None
        self.asked: list[list[str]] = []
        self.may_answer = threading.Event()
        self.may_answer.set()

    def check(self, dag_ids: Sequence[str]) -> EnvironmentReport:
        self.asked.append(list(dag_ids))
        self.may_answer.wait(10)
        if self.problem is not None:
            return EnvironmentReport(problem=self.problem)
        return EnvironmentReport("3.0", missing_dags=tuple(one for one in dag_ids if one in self.missing))

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"nobody needs {name}")


class Stage:
    def __init__(self, **environments: Environment) -> None:
        self.now = 1000.0
        self.answers = threading.Semaphore(0)
        self.checks = DagChecks(environments, clock=lambda: self.now, answered=self.answers.release)

    def answered(self, times: int = 1) -> None:
        for _ in range(times):
            assert self.answers.acquire(timeout=10)


def test_the_answer_is_there_later_and_good_news_are_believed() -> None:
    here = Environment("B")
    here.may_answer.clear()
    stage = Stage(default=here)
    assert stage.checks.known({A}) is None
    assert stage.checks.known({A}) is None, "and nobody waits, or asks again"
    here.may_answer.set()
    stage.answered()
    assert stage.checks.known({A}) == Known()
    stage.now += 10 * AGAIN_AFTER
    assert stage.checks.known({A}) == Known()
    assert here.asked == [["A"]]


def test_what_is_missing_is_asked_about_again_until_it_is_there() -> None:
    here = Environment("B")
    stage = Stage(default=here)
    stage.checks.known({B})
    stage.answered()
    assert stage.checks.known({B}) == Known(frozenset({B}))
    assert here.asked == [["B"]], "not at once"
    here.missing.clear()
    stage.now += AGAIN_AFTER
    assert stage.checks.known({B}) == Known(frozenset({B})), "what is known stands until the answer"
    stage.answered()
    assert stage.checks.known({B}) == Known()


def test_an_environment_that_is_away_is_named_and_the_others_are_known() -> None:
    here, far = Environment("B"), Environment()
    far.problem = "no way in"
    stage = Stage(default=here, far=far)
    stage.checks.known({A, B, FAR})
    stage.answered(2)
    known = stage.checks.known({A, B, FAR})
    assert known == Known(frozenset({B}), {"far": "no way in"})
    assert (known.is_there(A), known.is_there(B), known.is_there(FAR)) == (True, False, False)


def test_one_that_never_answers_is_given_up_after_a_while() -> None:
    far = Environment()
    far.may_answer.clear()
    stage = Stage(far=far)
    assert stage.checks.known({FAR}) is None
    stage.now += PATIENCE
    known = stage.checks.known({FAR})
    assert known is not None
    assert set(known.unasked) == {"far"}
    assert len(far.asked) == 1
    far.may_answer.set()
    stage.answered()
    assert stage.checks.known({FAR}) == Known()


def test_an_environment_that_is_not_configured_is_not_asked() -> None:
    known = Stage().checks.known({A})
    assert known is not None
    assert set(known.unasked) == {"default"}
