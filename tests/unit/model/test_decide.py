"""The rule, where a case in a world would not see the difference."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from coordinator.model.conditions import Dependency
from coordinator.model.dependencies import Downstream, Rerun
from coordinator.model.graph import Graph, Node
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import Attempt, RunState, State
from coordinator.model.standings import Standings
from coordinator.model.trigger import Action, Consumed, Status, TriggerRecord
from coordinator.model.view import SeenRecord, SeenState, Standing
from tests.unit.model.facts import Facts

UPSTREAM, DOWNSTREAM = (Target(PipelineRef("default", name), "p") for name in ("u", "d"))


@pytest.mark.parametrize(("rerun", "standing"), [(Rerun.CLEAR, Standing.BUSY), (Rerun.IGNORE, Standing.SETTLED)])
def test_one_that_ignores_is_settled_from_the_first_moment(rerun: Rerun, standing: Standing) -> None:
    """Not only once what it ignores has been consumed: nothing below it waits, even while no watcher leads."""
    leaf = Dependency(UPSTREAM.pipeline)
    standings = Standings(
        Graph([Node(Downstream(DOWNSTREAM.pipeline, leaf, rerun=rerun), {leaf: 0})]), facts := Facts()
    )
    attempts = [Attempt("r", datetime(2026, 11, day, tzinfo=UTC)) for day in (20, 21)]
    facts.states[UPSTREAM] = SeenState(RunState(State.SUCCESS, attempts[1]), 9)
    facts.records[DOWNSTREAM] = SeenRecord(
        TriggerRecord(
            status=Status.DONE,
            sequence=1,
            action=Action.CREATE,
            run_id="r",
            token="t",
            wave=1,
            consumed={UPSTREAM: Consumed(1, attempts[0], State.SUCCESS)},
        ),
        2,
    )
    standings.refresh([UPSTREAM, DOWNSTREAM])
    assert standings.standing(DOWNSTREAM) is standing
    decision = standings.decide(DOWNSTREAM)
    assert (decision.fires, decision.ignored) == (rerun is Rerun.CLEAR, rerun is Rerun.IGNORE)
