"""Looks: a look answers those that asked before it went out."""

from __future__ import annotations

from datetime import UTC, datetime

from coordinator.model.consumption import Consumed
from coordinator.model.decide import Decision
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import Attempt, State
from coordinator.model.view import Standing
from coordinator.runners.port import EnvironmentUnavailable
from coordinator.store.keys import Keys
from coordinator.watcher.agenda import Agenda
from coordinator.watcher.cache import Cache
from coordinator.watcher.lanes import LookDone
from coordinator.watcher.looks import Looks
from tests.unit.watcher.test_lanes import Bench as LaneBench

NOW = 1.0


def target(dag_id: str) -> Target:
    return Target(PipelineRef("default", dag_id), "p")


class Bench:
    def __init__(self) -> None:
        self.lanes = LaneBench()
        self.looks = Looks(Cache(Keys()), {"default": self.lanes.lane}, agenda=Agenda(), timeout=2.0)

    def is_answered(self, dag_id: str) -> bool:
        """Whether this pipeline, which stands on a run of A, has heard what it asked; it asks if it has not yet."""
        attempt = Attempt("run", datetime(2026, 11, 20, tzinfo=UTC))
        inputs = {target("A"): Consumed(1, attempt, State.SUCCESS)}
        ticket = self.looks.answered_ticket(Decision(target(dag_id), Standing.BUSY, inputs=inputs), None, now=NOW)
        self.lanes.lane.pump(NOW)
        return ticket is not None

    def answer(self) -> tuple[set[Target], set[Target]]:
        """The look that is out comes back. Returns whose runs it has seen, and who had asked."""
        (message,) = self.lanes.work(NOW)
        assert isinstance(message, LookDone)
        (answer,) = self.looks.answered(message)
        return set(answer.subjects), set(answer.askers)


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
    bench.lanes.runner.answer = EnvironmentUnavailable("down")
    assert not bench.is_answered("D")
    assert not bench.is_answered("E")
    assert bench.answer() == (set(), {target("D"), target("E")})
    assert bench.is_answered("E")
