"""The graph as the oracle and the checkers know it: read from ``dependencies.json`` with nothing of the model's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from coordinator.model.references import PipelineRef, Target
from tests.simulation.months import month_after, month_before, months_of, quarter_of

PREVIOUS = "-1 month"
"""The one offset there is."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A dependency.

    :ivar mapper: ``partition`` as ``dependencies.json`` names it; ``wait`` and ``key`` go with some of them.
    :ivar trigger: false: a gate.
    :ivar max_age: seconds; all is older at rest.
    """

    upstream: PipelineRef
    on: str = "success"
    mapper: str = "identity"
    wait: int | str = "all"
    key: str = ""
    trigger: bool = True
    max_age: float | None = None

    @property
    def identity(self) -> Leaf:
        """What activation belongs to."""
        return replace(self, wait="all", max_age=None)

    @property
    def is_plain(self) -> bool:
        """It needs the success of all that it names, and names it beforehand."""
        named = self.mapper in ("identity", "rollup", "fan_out", "offset")
        needs_all = self.wait == "all" and self.trigger and self.max_age is None
        return named and self.on == "success" and needs_all

    def inputs(self, partition: str) -> tuple[Target, ...]:
        """What it asks for in a downstream's partition, as far as that can be told beforehand."""
        match self.mapper:
            case "identity":
                named: tuple[str | None, ...] = (partition,)
            case "rollup":
                named = months_of(partition)
            case "fan_out":
                named = (quarter_of(partition),)
            case "offset":
                named = (month_before(partition),)
            case _:
                named = ()
        return tuple(Target(self.upstream, one) for one in named if one is not None)

    def asks_for(self, upstream: Target, partition: str) -> bool:
        """Whether this may be an input of a downstream's partition."""
        if upstream.pipeline != self.upstream:
            return False
        match self.mapper:
            case "latest":
                return True
            case "fixed_key":
                return partition == self.key
            case "start_of_quarter":
                return quarter_of(upstream.partition) == partition
        return upstream in self.inputs(partition)

    def needed(self, partition: str) -> int:
        """How many of them must be there."""
        if self.mapper != "rollup":
            return 1
        members = len(months_of(partition)) or 1
        if isinstance(self.wait, str):
            return members
        return min(self.wait, members) if self.wait > 0 else max(1, members + self.wait)

    def downstreams(self, partition: str) -> tuple[str, ...]:
        """The downstream partitions that an upstream partition belongs to; of ``latest`` none can be told."""
        match self.mapper:
            case "identity":
                named: tuple[str | None, ...] = (partition,)
            case "rollup" | "start_of_quarter":
                named = (quarter_of(partition),)
            case "fan_out":
                named = months_of(partition)
            case "offset":
                named = (month_after(partition),)
            case "fixed_key":
                named = (self.key,)
            case _:
                named = ()
        return tuple(one for one in named if one is not None)


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
            mapping: Any = more.get("partition", "identity")
            if isinstance(mapping, str):
                mapping = {"mapper": "offset"} if mapping == PREVIOUS else {"mapper": mapping}
            return Leaf(
                PipelineRef.parse(pipeline)._replace(task=str(more.get("task", ""))),
                str(more.get("on", "success")),
                mapping["mapper"],
                mapping.get("wait", "all"),
                mapping.get("downstream_key", ""),
                bool(more.get("trigger", True)),
                float(str(more["max_age"]).split()[0]) if "max_age" in more else None,
            )
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
    on_late: str
    max_in_flight: int | None = None
    catchup: str = "all"
    retries: int = 0
    retry_delay: float = 0.0
    timeout: float | None = None

    @property
    def is_plain(self) -> bool:
        """All of its inputs, their success, at rest, and it runs again for each: what can be said of it is simple."""
        return (
            self.settle == "wave"
            and self.on_late == "show"
            and self.catchup == "all"
            and self.rerun in ("clear", "new_run")
            and all(leaf.is_plain for leaf in leaves(self.tree))
            and _needs_all(self.tree)
        )


def seconds_in(duration: str | None) -> float | None:
    """Of ``n seconds``."""
    return None if duration is None else float(duration.split()[0])


def _needs_all(tree: Tree) -> bool:
    return isinstance(tree, Leaf) or (tree.n == len(tree.of) and all(map(_needs_all, tree.of)))


@dataclass
class Wiring:
    """What is published.

    :ivar entries: of all owners.
    :ivar active: since when each dependency of a pipeline counts, as an etcd revision.
    :ivar active_at: ... by the publisher's clock.
    :ivar retired: ... of those that were taken out, and when that was.
    :ivar ever_ignored: pipelines whose rerun policy is or was ``ignore``: they may rest on what is long gone.
    """

    entries: dict[PipelineRef, Entry] = field(default_factory=dict)
    active: dict[tuple[PipelineRef, Leaf], int] = field(default_factory=dict)
    retired: dict[tuple[PipelineRef, Leaf], tuple[int, datetime]] = field(default_factory=dict)
    active_at: dict[tuple[PipelineRef, Leaf], datetime] = field(default_factory=dict)
    order: list[PipelineRef] = field(default_factory=list)
    ever_ignored: set[PipelineRef] = field(default_factory=set)

    _by_owner: dict[str, dict[PipelineRef, Entry]] = field(default_factory=dict)

    def publish(
        self, owner: str, document: Mapping[str, Any], revision: int, *, at: datetime, resume_within: timedelta
    ) -> None:
        """Another document of an owner. A dependency that stays counts since it came; so does one that was taken out
        so short a time ago, whoever had it; any other one counts from now on."""
        before = {(pipeline, leaf.identity) for pipeline, leaf in self._leaves(owner)}
        self._by_owner[owner] = {
            PipelineRef.parse(name): Entry(
                tree_of(entry["upstream"]),
                entry.get("rerun", "clear"),
                entry.get("settle", "wave"),
                entry.get("on_late", "show"),
                entry.get("max_in_flight"),
                entry.get("catchup", "all"),
                entry.get("retries", 0),
                seconds_in(entry.get("retry_delay")) or 0.0,
                seconds_in(entry.get("timeout")),
            )
            for name, entry in document.items()
        }
        after = {(pipeline, leaf.identity) for pipeline, leaf in self._leaves(owner)}
        for gone in before - after:
            self.retired[gone] = self.active.pop(gone), at
        for come in after - before:
            since, taken_out = self.retired.get(come, (0, None))
            resumes = taken_out is not None and abs(at - taken_out) <= resume_within  # clocks differ by less
            self.active[come] = since if resumes else revision
            if not resumes:
                self.active_at[come] = at
        self.entries = {pipeline: entry for one in self._by_owner.values() for pipeline, entry in one.items()}
        self.ever_ignored |= {pipeline for pipeline, entry in self.entries.items() if entry.rerun == "ignore"}
        self.order = []
        for pipeline in self.entries:
            self._sort_in(pipeline)

    def _leaves(self, owner: str) -> Iterator[tuple[PipelineRef, Leaf]]:
        for pipeline, entry in self._by_owner.get(owner, {}).items():
            for leaf in leaves(entry.tree):
                yield pipeline, leaf

    def since(self, pipeline: PipelineRef, leaf: Leaf) -> int:
        """The etcd revision since which a dependency counts."""
        return self.active[pipeline, leaf.identity]

    def is_past(self, pipeline: PipelineRef, leaf: Leaf, ended_at: datetime | None) -> bool:
        """Whether a task had ended surely before a dependency came into force: clocks may differ by a minute."""
        since = self.active_at.get((pipeline, leaf.identity))
        return ended_at is not None and since is not None and ended_at < since - timedelta(seconds=60)

    def _sort_in(self, pipeline: PipelineRef) -> None:
        if pipeline in self.order:
            return
        if (entry := self.entries.get(pipeline)) is not None:
            for leaf in leaves(entry.tree):
                self._sort_in(leaf.upstream.whole)
        self.order.append(pipeline)

    def below(self, top: PipelineRef) -> set[PipelineRef]:
        """Everything that a pipeline reaches."""
        found = {top}
        for pipeline in self.order:
            entry = self.entries.get(pipeline)
            if entry is not None and any(leaf.upstream.whole in found for leaf in leaves(entry.tree)):
                found.add(pipeline)
        return found - {top}
