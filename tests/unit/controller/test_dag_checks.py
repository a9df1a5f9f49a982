"""Whether environments have DAGs is asked beside the deciding thread, which waits for no answer."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from coordinator.controller.leading.dag_checks import (
    AGAIN_AFTER,
    AWAY_AFTER,
    PATIENCE,
    PAUSED_AGAIN_AFTER,
    RENEWED_AFTER,
    DagChecks,
)
from coordinator.controller.leading.paused_dags import PausedDags
from coordinator.controller.leading.unknown_dags import LOOKED_EVERY, UnknownDags, in_words
from coordinator.controller.state.cache import Cache
from coordinator.model.documents.document import parse_document
from coordinator.model.publishing.guard import Known
from coordinator.model.publishing.publication import Publication, Published
from coordinator.model.references import PipelineRef
from coordinator.runners.port import NO_TASKS, EnvironmentFault, EnvironmentReport
from coordinator.store.keys import Keys
from tests.worlds.simulated import SimulatedWorld
from tests.worlds.world import PARTITION

A, B, FAR = (PipelineRef.parse(name) for name in ("A", "B", "far/C"))


class Environment:
    """Answers when it may."""

    def __init__(self, *missing: str) -> None:
        self.missing = set(missing)
        self.paused: set[str] = set()
        self.problem: str | None = None
        self.fault = EnvironmentFault.UNREACHABLE
        self.asked: list[list[str]] = []
        self.may_answer = threading.Event()
        self.may_answer.set()

    def check(self, dag_ids: Sequence[str], *, tasks: Mapping[str, Collection[str]] = NO_TASKS) -> EnvironmentReport:
        del tasks
        self.asked.append(list(dag_ids))
        self.may_answer.wait(10)
        if self.problem is not None:
            return EnvironmentReport(problem=self.problem, fault=self.fault)
        missing, paused = ([one for one in dag_ids if one in ours] for ours in (self.missing, self.paused))
        return EnvironmentReport("3.0", missing_dags=tuple(missing), paused_dags=tuple(paused))

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


def test_good_news_are_asked_for_again_now_and_then_and_stand_until_there_are_others() -> None:
    """So the runner hears which DAGs are partitioned by now."""
    here = Environment()
    stage = Stage(default=here)
    stage.checks.known({A})
    stage.answered()

    def renewed() -> Known | None:
        stage.now += RENEWED_AFTER
        assert stage.checks.known({A}) == Known(), "nobody waits for the answer"
        stage.answered()
        return stage.checks.known({A})

    assert renewed() == Known()
    here.problem = "no answer within 5 s"
    assert renewed() == Known(), "no answer says nothing about the DAG"
    here.problem, here.missing = None, {"A"}
    assert renewed() == Known(frozenset({A}))
    assert len(here.asked) == 4


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
    assert known == Known(frozenset({B}), {"far": "no way in"}, frozenset({"far"}))
    assert (known.is_there(A), known.is_there(B), known.is_there(FAR)) == (True, False, False)


def test_only_one_that_is_away_for_long_or_refuses_is_a_problem() -> None:
    """A busy machine, or an Airflow that is started again, needs nobody; and each is asked again and again."""
    far = Environment()
    far.problem = "no answer within 5 s"
    stage = Stage(far=far)

    def words() -> tuple[str | None, bool]:
        known = stage.checks.known({FAR})
        assert known is not None
        return in_words(known), "far" in known.awaited

    stage.checks.known({FAR})
    stage.answered()
    assert words() == (None, True)
    stage.now += AGAIN_AFTER
    assert words() == (None, True)
    stage.answered()
    stage.now += AWAY_AFTER - AGAIN_AFTER
    away = "far could not be asked which DAGs it has: no answer within 5 s"
    assert words() == (away, False)
    stage.answered()
    far.problem = None
    stage.now += AGAIN_AFTER
    words()
    stage.answered()
    assert words() == (None, False), "it is back"

    far.missing = {FAR.dag_id}
    refusing = Environment()
    refusing.problem, refusing.fault = "401", EnvironmentFault.LOGIN
    stage = Stage(far=refusing)
    stage.checks.known({FAR})
    stage.answered()
    for _ in range(3):
        assert words() == ("far could not be asked which DAGs it has: 401", False), "nobody is let in by waiting"
        stage.now += AGAIN_AFTER
        words()
        stage.answered()


def test_one_that_says_which_dags_it_has_has_been_asked_whatever_else_is_wrong_with_it() -> None:
    here = Environment()
    here.problem, here.fault = "its scheduler is unhealthy", EnvironmentFault.SCHEDULER
    stage = Stage(default=here)
    stage.checks.known({A})
    stage.answered()
    assert stage.checks.known({A}) == Known()


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


def test_unknown_dags_are_looked_for_until_all_are_known_and_again_when_something_is_published() -> None:
    here = Environment("B")
    stage = Stage(default=here)
    cache = Cache(Keys())
    unknown = UnknownDags(cache, stage.checks, clock=lambda: stage.now)

    def publish(text: str, *, revision: int) -> None:
        cache.published["default"] = Published(Publication(parse_document(text, source="test"), {}), revision)

    def look() -> None:
        stage.now += max(LOOKED_EVERY, AGAIN_AFTER)
        unknown.look()

    publish('{"A": "C"}', revision=1)
    look()
    stage.answered()
    look()
    look()
    assert unknown.problem is None
    assert here.asked == [["A", "C"]] or here.asked == [["C", "A"]], "what is there is believed"
    publish('{"A": "B"}', revision=2)
    look()
    stage.answered()
    look()
    assert unknown.problem is not None
    assert "B" in unknown.problem
    stage.answered()
    here.missing.clear()
    look()
    stage.answered()
    look()
    assert unknown.problem is None, "what was missing is asked about until it is there"


def test_a_paused_dag_is_told_while_its_run_is_queued() -> None:
    here, world = Environment(), SimulatedWorld()
    here.paused = {"D"}
    stage = Stage(default=here)
    assert world.watcher is not None
    paused = PausedDags(world.watcher.reconciler.propagation, stage.checks, clock=lambda: stage.now)
    pipelines = {PipelineRef("default", name) for name in "UDE"}

    def told() -> str | None:
        stage.now += RENEWED_AFTER
        stage.checks.known(pipelines)
        stage.answered()
        paused.look()
        return paused.problem

    world.dependencies({"D": "U", "E": "D"})
    world.by_hand("U", "D", "E")
    assert told() is None
    world.trigger("U")
    world.run("U")
    world.settle()
    assert told() == (
        f"D is paused, and its run is queued in {PARTITION}; Airflow does not start these runs: unpause the DAGs, or "
        "mark the runs as failed"
    )
    world.start("D")
    world.settle()
    assert told() is None, "it runs all the same"
    world.finish("D")
    world.settle()
    assert told() is None, "E is queued, and is not paused"
    here.paused = {"E"}
    assert "E is paused" in (told() or "")
    here.paused = set()
    stage.now += PAUSED_AGAIN_AFTER
    stage.checks.known(pipelines)
    stage.answered()
    assert here.asked[-1] == ["E"], "and is asked about sooner"
    paused.look()
    assert paused.problem is None
