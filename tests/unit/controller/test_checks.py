"""Upstream checks: a look answers those that asked before it went out."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from coordinator.controller.dispatch.dispatchers import Dispatchers
from coordinator.controller.dispatch.jobs import LookDone
from coordinator.controller.queue.work_queue import Priority, WorkQueue
from coordinator.controller.reconcile.upstream_checks import Checks
from coordinator.controller.state.cache import Cache
from coordinator.model.consumption import Consumed
from coordinator.model.decide import Decision
from coordinator.model.graph import Graph
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import Attempt, State
from coordinator.model.view import Readiness
from coordinator.runners.port import EnvironmentUnavailable
from coordinator.store.keys import Keys
from tests.unit.controller.test_dispatcher import Bench as DispatcherBench

NOW = 1.0


def target(dag_id: str) -> Target:
    return Target(PipelineRef("default", dag_id), "p")


class Bench:
    def __init__(self) -> None:
        self.environment = DispatcherBench()
        dispatchers = Dispatchers({"default": self.environment.dispatcher})
        cache = Cache(Keys())
        self.queue = WorkQueue()
        self.checks = Checks(cache, Propagation(Graph(), cache), dispatchers, self.queue, timeout=2.0)

    def is_answered(self, dag_id: str, *, now: float = NOW, priority: Priority = Priority.LIVE) -> bool:
        """Whether this pipeline, which stands on a run of A, has heard what it asked; it asks if it has not yet."""
        attempt = Attempt("run", datetime(2026, 11, 20, tzinfo=UTC))
        inputs = {target("A"): Consumed(1, attempt, State.SUCCESS)}
        decision = Decision(target(dag_id), Readiness.BUSY, inputs=inputs)
        if self.checks.heard(decision, None, now) is not None:
            return True
        heard = self.checks.ask(decision, None, now, priority=priority)
        self.environment.dispatcher.pump(now)
        return heard

    def examined(self, *, now: float) -> list[Target]:
        """Who is examined, in this order, once it is so late."""
        self.queue.pass_time(now)
        self.checks.pass_time(now)
        return [target for target, _ in self.queue.take(10)]

    def answer(self) -> tuple[set[Target], set[Target]]:
        """The look that is out comes back. Returns whose runs it has seen, and who had asked."""
        (message,) = self.environment.work(NOW)
        assert isinstance(message, LookDone)
        (answer,) = self.checks.answered(message)
        return set(answer.subjects), set(answer.askers)


@pytest.mark.promise("not-early")
def test_who_asks_while_a_look_is_out_waits_for_the_next_one() -> None:
    """It may have seen a run a moment before a person cleared it."""
    bench = Bench()
    assert not bench.is_answered("D")
    assert not bench.is_answered("E")
    assert bench.answer() == ({target("A")}, {target("D")}), "what it has seen of A counts for both"
    assert bench.is_answered("D")
    assert not bench.is_answered("E")
    assert bench.answer() == ({target("A")}, {target("E")})
    assert bench.is_answered("E")


def test_an_environment_that_gives_no_answer_gives_none_to_anybody() -> None:
    bench = Bench()
    bench.environment.runner.answer = EnvironmentUnavailable("down")
    assert not bench.is_answered("D")
    assert not bench.is_answered("E")
    assert bench.answer() == (set(), {target("D"), target("E")})
    assert bench.is_answered("E")


def test_who_asked_for_what_there_was_no_time_for_goes_on_waiting_until_the_next_look() -> None:
    bench = Bench()
    bench.environment.runner.answers_in_time = 0
    assert not bench.is_answered("D")
    (message,) = bench.environment.work(NOW)
    assert isinstance(message, LookDone)
    assert list(bench.checks.answered(message)) == []
    assert not bench.is_answered("D")
    bench.environment.runner.answers_in_time = None
    assert bench.answer() == ({target("A")}, {target("D")})
    assert bench.is_answered("D")


def test_who_waits_for_an_upstream_waits_no_longer_than_its_time() -> None:
    """Also when its environment answers about others, slowly."""
    bench = Bench()
    bench.environment.runner.answers_in_time = 0
    assert not bench.is_answered("D")
    (message,) = bench.environment.work(NOW)
    assert isinstance(message, LookDone)
    assert list(bench.checks.answered(message)) == []
    assert bench.is_answered("D", now=NOW + 2.0)


@pytest.mark.promise("not-early")
def test_a_watcher_that_stood_still_asks_again_once() -> None:
    """It has not read in time what may have come; after that, it waits no longer than ever."""
    bench = Bench()
    assert not bench.is_answered("D")
    late = NOW + 2.0 + 5.0
    assert not bench.is_answered("D", now=late), "it stood still"
    assert bench.answer() == ({target("A")}, set()), "the look that was out may have been made long ago"
    assert not bench.is_answered("D", now=late + 1.9)
    assert bench.is_answered("D", now=late + 2.0 + 5.0), "it has been asked again"


def test_whose_time_is_over_is_examined_before_all_that_has_not_had_its_turn_yet() -> None:
    """It has a slot, of which there are few; what a term begins with are hundreds of thousands."""
    bench = Bench()
    assert not bench.is_answered("D", priority=Priority.CATCHUP)
    bench.queue.add(target("E"), Priority.CATCHUP)
    bench.queue.add(target("F"), Priority.CATCHUP)
    assert bench.examined(now=NOW + 2.0) == [target("D"), target("E"), target("F")]


def test_whose_time_is_over_is_examined_also_where_what_was_heard_counts_no_more() -> None:
    """etcd did not answer a write meanwhile. The environment that was asked may never have time for the answer."""
    bench = Bench()
    assert not bench.is_answered("D")
    bench.checks.clear()
    assert bench.examined(now=NOW + 1.0) == []
    assert bench.examined(now=NOW + 2.0) == [target("D")]
    assert not bench.is_answered("D", now=NOW + 2.0), "it asks again"
    assert bench.examined(now=NOW + 4.0) == [target("D")]
    assert bench.is_answered("D", now=NOW + 4.0)


def test_who_has_been_answered_is_not_examined_once_more_when_its_time_is_over() -> None:
    bench = Bench()
    assert not bench.is_answered("D")
    bench.answer()
    assert bench.checks.next_at() is None
    bench.checks.clear()
    assert bench.examined(now=NOW + 10.0) == []
