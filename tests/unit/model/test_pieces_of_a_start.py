"""A start, and each listing again, is done in pieces: what is looked at in one of them is bounded, for any mapping."""

from __future__ import annotations

import pytest

from coordinator.model.conditions import Dependency
from coordinator.model.dependencies import Downstream
from coordinator.model.graph import Graph, Node
from coordinator.model.partitions import FanOut, Mapping, Offset, Period, Rollup, StartOf, Unit
from coordinator.model.propagation.propagation import COMPARED, MAPPED, SCANNED, Propagation
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunState, State
from coordinator.model.view import SeenState
from tests.unit.model.facts import Facts

ABOVE = PipelineRef("default", "above")
PARTITIONS = 4 * SCANNED


@pytest.mark.promise("slow")
@pytest.mark.parametrize(
    "mapping",
    [Offset(-1, Unit.DAY), Rollup(Period.DAY, Period.HOUR), FanOut(Period.DAY, Period.HOUR), StartOf(Period.DAY)],
    ids=lambda one: type(one).__name__,
)
def test_a_piece_looks_at_few_partitions_also_where_none_is_a_date(
    mapping: Mapping, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipeline of many run_ids, whose downstreams map dates: nothing follows from any of them."""
    mapped, real = 0, type(mapping).downstreams  # type: ignore[union-attr]

    def counted(self: Mapping, partition: str) -> object:
        nonlocal mapped
        mapped += 1
        return real(self, partition)  # type: ignore[arg-type]

    facts = Facts()
    for number in range(PARTITIONS):
        facts.states[Target(ABOVE, f"manual__{number}")] = SeenState(RunState(State.SUCCESS), number + 1)
    leaf = Dependency(ABOVE, mapping=mapping)
    below = (Downstream(PipelineRef("default", f"below_{number}"), leaf) for number in range(3))
    propagation = Propagation(Graph(), facts)
    propagation.exchange_graph(Graph(Node(one, {leaf: 0}) for one in below), list(facts.states), everything=True)
    monkeypatch.setattr(type(mapping), "downstreams", counted)
    largest = 0
    while not propagation.is_drained:
        before = mapped
        propagation.decide_next()
        largest = max(largest, mapped - before)
    assert PARTITIONS <= mapped < 3 * PARTITIONS, "once for all three downstreams"
    assert largest <= SCANNED * COMPARED // MAPPED
