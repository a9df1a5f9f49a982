"""The graph as the oracle and the checkers know it: read from ``dependencies.json`` with nothing of the model's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from coordinator.model.references import PipelineRef, Target


@dataclass(frozen=True, slots=True)
class Leaf:
    """A dependency."""

    upstream: PipelineRef
    on: str = "success"

    def inputs(self, partition: str) -> tuple[Target, ...]:
        """What it asks for in a downstream's partition."""
        return (Target(self.upstream, partition),)


@dataclass(frozen=True, slots=True)
class Branch:
    n: int
    of: tuple[Tree, ...]


Tree = Leaf | Branch


def tree_of(upstream: Any) -> Tree:
    """Read a condition."""
    match upstream:
        case str():
            return Leaf(PipelineRef.parse(upstream))
        case {"pipeline": pipeline, **more}:
            return Leaf(PipelineRef.parse(pipeline), str(more.get("on", "success")))
        case {"at_least": n, "of": of}:
            return Branch(n, tuple(map(tree_of, of)))
        case {"any": of}:
            return Branch(1, tuple(map(tree_of, of)))
        case {"all": of} | list(of):
            return Branch(len(of), tuple(map(tree_of, of)))
    raise ValueError(f"not a condition: {upstream!r}")


def leaves(tree: Tree) -> Iterator[Leaf]:
    if isinstance(tree, Leaf):
        yield tree
    else:
        for branch in tree.of:
            yield from leaves(branch)


@dataclass(frozen=True)
class Entry:
    """A downstream pipeline."""

    tree: Tree
    rerun: str
    settle: str

    @property
    def is_plain(self) -> bool:
        """All of its inputs, their success, at rest, and it runs again for each: what can be said of it is simple."""
        return (
            self.settle == "wave"
            and self.rerun in ("clear", "new_run")
            and all(leaf.on == "success" for leaf in leaves(self.tree))
            and _needs_all(self.tree)
        )


def _needs_all(tree: Tree) -> bool:
    return isinstance(tree, Leaf) or (tree.n == len(tree.of) and all(map(_needs_all, tree.of)))


@dataclass
class Wiring:
    """What is published.

    :ivar active: since when each dependency of a pipeline counts, as an etcd revision.
    :ivar ever_ignored: pipelines whose rerun policy is or was ``ignore``: they may rest on what is long gone.
    """

    entries: dict[PipelineRef, Entry] = field(default_factory=dict)
    active: dict[tuple[PipelineRef, Leaf], int] = field(default_factory=dict)
    order: list[PipelineRef] = field(default_factory=list)
    ever_ignored: set[PipelineRef] = field(default_factory=set)

    def publish(self, document: Mapping[str, Any], revision: int) -> None:
        """Another document. A dependency that was there before counts since it did."""
        before = self.active
        self.entries = {
            PipelineRef.parse(name): Entry(
                tree_of(entry["upstream"]), entry.get("rerun", "clear"), entry.get("settle", "wave")
            )
            for name, entry in document.items()
        }
        self.active = {
            (pipeline, leaf): before.get((pipeline, leaf), revision)
            for pipeline, entry in self.entries.items()
            for leaf in leaves(entry.tree)
        }
        self.ever_ignored |= {pipeline for pipeline, entry in self.entries.items() if entry.rerun == "ignore"}
        self.order = []
        for pipeline in self.entries:
            self._sort_in(pipeline)

    def _sort_in(self, pipeline: PipelineRef) -> None:
        if pipeline in self.order:
            return
        if (entry := self.entries.get(pipeline)) is not None:
            for leaf in leaves(entry.tree):
                self._sort_in(leaf.upstream)
        self.order.append(pipeline)

    def below(self, top: PipelineRef) -> set[PipelineRef]:
        """Everything that a pipeline reaches."""
        found = {top}
        for pipeline in self.order:
            entry = self.entries.get(pipeline)
            if entry is not None and any(leaf.upstream in found for leaf in leaves(entry.tree)):
                found.add(pipeline)
        return found - {top}
