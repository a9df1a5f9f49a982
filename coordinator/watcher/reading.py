"""One reading of etcd, decided about: what ``status`` and ``explain`` show is what the watcher would decide."""

from __future__ import annotations

from dataclasses import dataclass

from coordinator.model.graph import CycleFound, Graph
from coordinator.model.standings import Standings
from coordinator.store.keys import Keys
from coordinator.store.port import Store
from coordinator.watcher.cache import Cache
from coordinator.watcher.graphs import merge


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything, as it stood at ``cache.revision``."""

    cache: Cache
    standings: Standings
    problems: dict[str, str]


def read(store: Store, keys: Keys) -> Reading:
    """Read all keys at one revision and decide about everything."""
    cache = Cache(keys)
    cache.replace(store.list(keys.root))
    problems = dict(cache.problems)
    graph = Graph()
    try:
        graph, conflicts = merge(cache.published)
        problems.update({f"dependencies ({number})": text for number, text in enumerate(conflicts, 1)})
    except CycleFound as error:
        problems["dependencies"] = f"the published dependencies close a cycle: {error}"
    standings = Standings(graph, cache)
    standings.refresh(cache.targets())
    return Reading(cache, standings, problems)
