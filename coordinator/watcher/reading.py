"""One reading of etcd, decided about: what ``status`` and ``explain`` show is what the watcher would decide."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from coordinator.errors import CoordinatorError
from coordinator.model.conditions import leaves
from coordinator.model.graph import CycleFound, Graph
from coordinator.model.owners import merge
from coordinator.model.partitions import parse_instant
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunState
from coordinator.model.standings import Standings
from coordinator.model.trigger import TriggerRecord
from coordinator.publication_history import oldest_readable
from coordinator.store.keys import Keys
from coordinator.store.port import Compacted, Listing, Store
from coordinator.watcher.breakage import problems_of
from coordinator.watcher.cache import Cache

_NO_TIME = datetime.min.replace(tzinfo=UTC)


class NoSuchRevision(CoordinatorError):
    """What stood in etcd at the revision asked about is no longer kept, or it has not come yet."""


class UnknownPipeline(CoordinatorError):
    """A pipeline that no document declares and of which nothing stands in etcd."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything, as it stood at ``cache.revision``.

    :ivar newest_time: the newest time that anything in it says; ``None`` where nothing says one.
    :ivar newest_change: the mod revision of the newest key that is not a watcher's word about itself.
    :ivar late: what has not been started although its deadline has passed; most of it has no key of its own.
    """

    cache: Cache
    standings: Standings
    problems: dict[str, str]
    newest_time: datetime | None
    late: frozenset[Target] = frozenset()
    newest_change: int = 0

    def require(self, pipeline: PipelineRef) -> None:
        """:raises UnknownPipeline: with the nearest names."""
        known = {*self.standings.graph, *(target.pipeline for target in self.cache.targets())}
        if pipeline in known:
            return
        names = sorted(map(str, known))
        near = difflib.get_close_matches(str(pipeline), names, n=5, cutoff=0.5)
        near += [str(one) for one in sorted(known) if one.dag_id == pipeline.dag_id and str(one) not in near]
        hint = (
            f"did you mean {', '.join(near)}?"
            if near
            else f"{len(names)} pipelines are known: coordinator status --all"
        )
        raise UnknownPipeline(
            f"{pipeline}: no published document names it, and no run of it has been reported "
            f"(etcd revision {self.cache.revision}); {hint}"
        )

    def partitions_of(self, pipeline: PipelineRef) -> list[str]:
        """The partitions in which a pipeline has run, or in which one of its upstreams has; the newest first."""
        partitions = {target.partition for target in self._heard_of() if target.pipeline == pipeline}
        node = self.standings.graph.node(pipeline)
        if node is not None:
            upstreams = {leaf.upstream for leaf in leaves(node.downstream.condition)}
            for target in self.cache.targets():
                if target.pipeline in upstreams:
                    dependents = self.standings.dependents(target)
                    partitions.update(one.partition for one in dependents if one.pipeline == pipeline)
        return sorted(partitions, key=lambda partition: (parse_instant(partition) or _NO_TIME, partition), reverse=True)

    def _heard_of(self) -> Iterator[Target]:
        yield from self.cache.targets()
        yield from self.standings.unsettled()


def read(store: Store, keys: Keys, *, revision: int = 0, at: datetime | None = None) -> Reading:
    """Read all keys at one revision and decide about everything.

    :param revision: of etcd; 0: the present.
    :param at: the time at which the present is judged; ``None``: that of this machine's clock.
    :raises NoSuchRevision: etcd has been compacted since, or the revision lies in the future.
    """
    listing = _list_past(store, keys, revision) if revision else store.list(keys.root)
    of_watchers = (keys.leader, keys.watchers)
    newest_change = max((kv.mod_revision for kv in listing.items if not kv.key.startswith(of_watchers)), default=0)
    cache = Cache(keys)
    cache.replace(listing)
    problems = dict(cache.problems)
    graph = Graph()
    try:
        graph, conflicts = merge(cache.published)
        problems.update({f"dependencies ({number})": text for number, text in enumerate(conflicts, 1)})
    except CycleFound as error:
        problems["dependencies"] = f"the published dependencies close a cycle: {error}"
    newest_time = max(_times(cache), default=None)
    # etcd keeps no times: of an earlier revision the newest one that anything in it says is the nearest to be had.
    now = newest_time if revision and newest_time is not None else at or datetime.now(UTC)
    standings = Standings(graph, cache, now=now)
    decided = {decision.target: decision.late for decision in standings.refresh(cache.targets())}
    problems.update(problems_of(standings.broken))
    late = frozenset(target for target, is_late in decided.items() if is_late)
    return Reading(cache, standings, problems, newest_time, late, newest_change)


def _list_past(store: Store, keys: Keys, revision: int) -> Listing:
    present = store.list(keys.leader).revision
    if revision > present:
        raise NoSuchRevision(f"revision {revision} has not come yet: etcd is at {present}")
    try:
        return store.list(keys.root, revision=revision)
    except Compacted as error:
        oldest = oldest_readable(store, keys.leader, after=revision, present=present)
        raise NoSuchRevision(
            f"revision {revision} cannot be read any more: etcd keeps what stood there from revision {oldest} on; ask "
            "for a later one, or look into the decision log (watcher.decision_log), which outlives compaction"
        ) from error


def _times(cache: Cache) -> Iterator[datetime]:
    for target in cache.targets():
        state, record = cache.state(target), cache.record(target)
        if state is not None and isinstance(state.value, RunState):
            yield from (time for time in (state.value.observed_at, state.value.attempt.queued_at) if time is not None)
        if record is not None and isinstance(record.value, TriggerRecord) and record.value.when is not None:
            yield record.value.when
