"""The graphs that are played: the seven pipelines of dependencies.json, and one root with many pipelines below it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

DEPENDENCIES = Path(__file__).parents[2] / "dependencies.json"


@dataclass(frozen=True)
class Graph:
    """:ivar upstreams: of every pipeline, in their order; the first one is the root and has none.

    :ivar leaves_do_nothing: what waits has a task that Airflow's scheduler ends itself, so that starting is measured
        and not working.
    """

    upstreams: Mapping[str, Sequence[str]]
    leaves_do_nothing: bool = False

    @property
    def root(self) -> str:
        return next(iter(self.upstreams))

    @property
    def last(self) -> str:
        return next(reversed(list(self.upstreams)))

    @property
    def dependencies(self) -> int:
        return sum(len(upstreams) for upstreams in self.upstreams.values())


def seven() -> Graph:
    """01 above 02 to 05, these above 06, that above 07."""
    entries: dict[str, str | list[str]] = json.loads(DEPENDENCIES.read_text(encoding="utf-8"))
    upstreams = {below: [above] if isinstance(above, str) else above for below, above in entries.items()}
    every = sorted({*upstreams, *(above for its in upstreams.values() for above in its)})
    return Graph({one: upstreams.get(one, []) for one in every})


def star(leaves: int) -> Graph:
    return Graph({"root": [], **{f"leaf_{number:03}": ["root"] for number in range(leaves)}}, leaves_do_nothing=True)
