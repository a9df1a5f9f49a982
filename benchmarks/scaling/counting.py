"""The cost of a completion: the CPU time, and the number of reads and decisions."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ParamSpec, TypeVar
from unittest import mock

from coordinator.model.decide import Decision, decide
from coordinator.model.graph import Graph
from coordinator.model.propagation import propagation as propagation
from coordinator.model.references import Target
from coordinator.model.view import View

READS = ("state", "record", "order", "hold", "watermark")
P = ParamSpec("P")
T = TypeVar("T")


@dataclass
class Examined:
    """The number of reads and decisions.

    :ivar keys: reads of a state, a trigger record, an order, a hold or a watermark.
    :ivar decisions: how often the rule was evaluated.
    """

    keys: int = 0
    decisions: int = 0


@dataclass(frozen=True)
class Passed:
    """The cost of a wave. ``seconds``: of CPU time."""

    completions: int
    seconds: float

    @property
    def each(self) -> float:
        return self.seconds / self.completions


@contextlib.contextmanager
def counting(facts: object) -> Iterator[Examined]:
    """Count the reads of these facts, and the decisions made anywhere."""
    examined = Examined()

    def reads(read: Callable[P, T]) -> Callable[P, T]:
        def counted(*args: P.args, **kwargs: P.kwargs) -> T:
            examined.keys += 1
            return read(*args, **kwargs)

        return counted

    def decided(graph: Graph, view: View, target: Target) -> Decision:
        examined.decisions += 1
        return decide(graph, view, target)

    with contextlib.ExitStack() as stack:
        for name in READS:
            stack.enter_context(mock.patch.object(facts, name, reads(getattr(facts, name))))
        stack.enter_context(mock.patch.object(propagation, "decide", decided))
        yield examined
