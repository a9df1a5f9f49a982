"""Random layered dependency graphs, the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class LayeredGraph:
    """:ivar document: as ``dependencies.json`` holds it.

    :ivar sources: what waits for nothing, and has something below it.
    :ivar parents: all upstreams of each downstream, whatever the condition.
    """

    document: Mapping[str, Any]
    sources: tuple[str, ...]
    parents: Mapping[str, tuple[str, ...]]

    @property
    def names(self) -> tuple[str, ...]:
        """Every pipeline, upstreams first."""
        return tuple(dict.fromkeys((*self.sources, *self.parents)))

    def below(self, *tops: str) -> set[str]:
        """Everything that these pipelines reach."""
        found = set(tops)
        for name, parents in self.parents.items():  # in the order of the layers
            if not found.isdisjoint(parents):
                found.add(name)
        return found - set(tops)

    def __or__(self, other: LayeredGraph) -> LayeredGraph:
        """Both, side by side."""
        return LayeredGraph(
            {**self.document, **other.document}, self.sources + other.sources, {**self.parents, **other.parents}
        )


def layered(
    seed: int,
    *,
    layers: Sequence[int] = (3, 7, 8, 7, 5),
    environments: Sequence[str] = ("default", "team_b"),
    mixed: bool,
) -> LayeredGraph:
    """A graph whose pipelines depend on one to four of any layers above them, so that arms are of unequal length.

    :param layers: how many pipelines each layer has; the first are the sources.
    :param mixed: with ``any`` and ``at_least`` and nestings of them; else ``all`` alone.
    """
    chance = random.Random(f"{seed} {mixed}")
    above: list[str] = []
    document: dict[str, Any] = {}
    parents: dict[str, tuple[str, ...]] = {}
    for depth, width in enumerate(layers):
        layer = [_name(chance.choice(environments), f"g{seed}_l{depth}_{place}") for place in range(width)]
        if depth:
            nearest = above[-layers[depth - 1] :]
            for name in layer:
                chosen = {chance.choice(nearest), *chance.choices(above, k=chance.randint(0, 3))}
                parents[name] = tuple(sorted(chosen))
                document[name] = _condition(chance, list(parents[name]), mixed=mixed)
        above += layer
    used = {parent for of in parents.values() for parent in of}
    return LayeredGraph(document, tuple(name for name in above[: layers[0]] if name in used), parents)


def _name(environment: str, dag_id: str) -> str:
    return dag_id if environment == "default" else f"{environment}/{dag_id}"


def _condition(chance: random.Random, parents: list[str], *, mixed: bool) -> Any:
    if len(parents) == 1:
        return parents[0]
    if not mixed:
        return parents
    match chance.choice(("all", "any", "at_least", "nested")):
        case "any":
            return {"upstream": {"any": parents}}
        case "at_least":
            return {"upstream": {"at_least": chance.randint(1, len(parents)), "of": parents}}
        case "nested" if len(parents) > 2:
            return {"upstream": {"all": [parents[0], {"any": parents[1:]}]}}
    return parents
