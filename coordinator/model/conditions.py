"""Conditions: what a downstream pipeline asks of its upstreams (design section 4).

A condition is a tree. Its leaves name an upstream and the state asked for; ``all`` and ``any`` are the two
ends of ``at_least``, so one kind of inner node is enough.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass

from coordinator.model.references import PipelineRef
from coordinator.model.runstate import State


class On(enum.StrEnum):
    """Which end of the upstream a dependency asks for."""

    SUCCESS = "success"
    FAILURE = "failure"
    DONE = "done"

    def satisfied_by(self, state: State) -> bool:
        match self:
            case On.SUCCESS:
                return state is State.SUCCESS
            case On.FAILURE:
                return state is State.FAILED
            case On.DONE:
                return state.is_terminal


@dataclass(frozen=True, slots=True)
class Dependency:
    """A leaf: one upstream, and the end of it that is asked for."""

    upstream: PipelineRef
    on: On = On.SUCCESS

    def __str__(self) -> str:
        return str(self.upstream) if self.on is On.SUCCESS else f"{self.upstream} on {self.on}"


@dataclass(frozen=True, slots=True)
class AtLeast:
    """An inner node: holds when at least ``n`` of its branches hold."""

    n: int
    of: tuple[Condition, ...]

    @property
    def word(self) -> str:
        """How people write it: ``all``, ``any``, ``at_least n``."""
        if self.n == len(self.of):
            return "all"
        return "any" if self.n == 1 else f"at_least {self.n}"

    def __str__(self) -> str:
        return f"{self.word}({', '.join(map(str, self.of))})"


Condition = Dependency | AtLeast


def all_of(*of: Condition) -> AtLeast:
    return AtLeast(len(of), of)


def any_of(*of: Condition) -> AtLeast:
    return AtLeast(1, of)


def leaves(condition: Condition) -> Iterator[Dependency]:
    """Every dependency in a condition, from left to right."""
    if isinstance(condition, Dependency):
        yield condition
    else:
        for branch in condition.of:
            yield from leaves(branch)
