"""What is known of partitions goes when they go: a watcher runs for months."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from coordinator.model.conditions import Dependency
from coordinator.model.dependencies import Downstream
from coordinator.model.graph import Graph, Node
from coordinator.model.partitions import FixedKey, Latest, Mapping, Period, StartOf
from coordinator.model.partitions.instants import format_instant
from coordinator.model.propagation.partition_index import FEW
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunState, State
from coordinator.model.view import SeenState
from tests.unit.model.facts import Facts

UPSTREAM = PipelineRef("default", "u")
KEPT = 3


def held_for(propagation: Propagation) -> int:
    """How much the index keeps, all in all."""
    kept = [one for one in vars(propagation._partitions).values() if isinstance(one, dict)]
    within = [inner for one in kept for inner in one.values() if isinstance(inner, list | set | dict)]
    return sum(map(len, (*kept, *within)))


@pytest.mark.parametrize("mapping", [Latest(), FixedKey("all"), StartOf(Period.HOUR)], ids=str)
def test_of_partitions_that_retention_removes_nothing_is_kept(mapping: Mapping) -> None:
    dependency = Dependency(UPSTREAM, mapping=mapping)
    graph = Graph([Node(Downstream(PipelineRef("default", "d"), dependency), {dependency: 0})])
    facts = Facts()
    propagation = Propagation(graph, facts)
    hours = [
        Target(UPSTREAM, format_instant(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=number)))
        for number in range(20 * FEW)
    ]
    for revision, hour in enumerate(hours, 1):
        facts.states[hour] = SeenState(RunState(State.SUCCESS), revision)
        propagation.refresh([hour])
        if revision > KEPT:
            removed = hours[revision - KEPT - 1]
            del facts.states[removed]
            propagation.refresh([removed])
    assert held_for(propagation) <= 3 * FEW
    if not isinstance(mapping, StartOf):
        assert propagation.newest(UPSTREAM) == hours[-1]
        del facts.states[hours[-1]]
        propagation.refresh([hours[-1]])
        assert propagation.newest(UPSTREAM) == hours[-2]
