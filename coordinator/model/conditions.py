"""Conditions: what a downstream pipeline requires of its upstreams (docs/architecture.md#the-rule).

A condition is a tree. Its leaves name an upstream and the state asked for; ``all`` and ``any`` are the two
ends of ``at_least``, so one kind of inner node is enough.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

import msgspec

from coordinator.model.durations import format_duration
from coordinator.model.partitions import ALL, Assets, Identity, Mapping, Rollup, Segments
from coordinator.model.references import PipelineRef
from coordinator.model.runstate import State


class On(enum.StrEnum):
    """Which end of the upstream a dependency asks for.

    ``success``  the default
    ``failure``  it failed
    ``done``     it ended, whatever came of it
    ``skipped``  it was skipped, which only a task can be
    """

    SUCCESS = "success"
    FAILURE = "failure"
    DONE = "done"
    SKIPPED = "skipped"

    def satisfied_by(self, state: State) -> bool:
        match self:
            case On.SUCCESS:
                return state is State.SUCCESS
            case On.FAILURE:
                return state is State.FAILED
            case On.DONE:
                return state.is_terminal
            case On.SKIPPED:
                return state is State.SKIPPED


IDENTITY = Identity()


class Dependency(msgspec.Struct, frozen=True, cache_hash=True):
    """A leaf: one upstream, the required end of its run, and in which partitions.

    :ivar upstream: a pipeline, or a task of one.
    :ivar mapping: which partitions of the upstream a partition of the downstream needs.
    :ivar trigger: whether a new completion starts the downstream; otherwise the dependency is a gate, which must be
        open when others start it.
    :ivar max_age: how old the completion may be; an older one does not meet the dependency.
    """

    upstream: PipelineRef
    on: On = On.SUCCESS
    mapping: Mapping = IDENTITY
    trigger: bool = True
    max_age: timedelta | None = None

    @property
    def pipeline(self) -> PipelineRef:
        """The upstream, or the pipeline whose task it is."""
        return self.upstream.whole

    @property
    def identity(self) -> Dependency:
        """The dependency as far as its activation is concerned: ``wait``, ``max_age`` and the ``except`` of a bridge
        may be changed while partitions wait, without a new activation."""
        mapping = self.mapping
        match mapping:
            case Rollup() | Segments():
                mapping = replace(mapping, wait=ALL)
            case Assets():
                mapping = replace(mapping, but=())
            case _ if self.max_age is None:
                return self
        return msgspec.structs.replace(self, mapping=mapping, max_age=None)

    def __str__(self) -> str:
        words = [str(self.upstream)]
        if self.on is not On.SUCCESS:
            words.append(f"on {self.on}")
        if not isinstance(self.mapping, Identity):
            words.append(f"by {self.mapping}")
        if not self.trigger:
            words.append("as a gate")
        if self.max_age is not None:
            words.append(f"at most {format_duration(self.max_age)} old")
        return " ".join(words)


@dataclass(frozen=True, slots=True)
class AtLeast:
    """An inner node: holds when at least ``n`` of its branches hold."""

    n: int
    of: tuple[Condition, ...]

    @property
    def word(self) -> str:
        """Its name in the document: ``all``, ``any``, ``at_least n``."""
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
