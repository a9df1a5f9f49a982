"""One reading of etcd with the decisions on it: ``status`` and ``explain`` show what the watcher would decide."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from typing import TypeVar

from coordinator.commands.publication_history import oldest_readable
from coordinator.controller.reconcile.broken_targets import problems_of
from coordinator.controller.state.cache import Cache
from coordinator.controller.state.heartbeat import Heartbeat
from coordinator.controller.state.publications import Publications
from coordinator.controller.state.task_problems import task_problems
from coordinator.errors import CoordinatorError
from coordinator.model.alike import alike
from coordinator.model.assets.names import is_asset
from coordinator.model.conditions import leaves
from coordinator.model.graph import CycleFound, Graph
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.publishing.owners import merge
from coordinator.model.publishing.publication import Publication
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunState, State
from coordinator.model.trigger import Status, TriggerRecord
from coordinator.model.view import SeenRecord, SeenState, readable_record
from coordinator.reading.partition_names import PartitionNames, newest_first, partition_names
from coordinator.reading.wanted_keys import About, listing_of
from coordinator.store.gathering import gather
from coordinator.store.keys import Keys
from coordinator.store.large_values import kept
from coordinator.store.port import Compacted, KeyValue, Page, Store

_TRIES = 3
_Read = TypeVar("_Read")


class NoSuchRevision(CoordinatorError):
    """The requested revision is no longer kept, or lies in the future."""


NOBODY_LEADS = (
    "no watcher leads: no sensor is answered, and nobody asks what has ended in observed environments, or of tasks; "
    "start one: coordinator watch"
)
"""What people are told who ask why something waits."""


class UnknownPipeline(CoordinatorError):
    """A pipeline that no document names and that has no keys in etcd.

    :ivar near: those that may have been meant.
    """

    def __init__(self, message: str, *, near: Sequence[PipelineRef] = ()) -> None:
        super().__init__(message)
        self.near = near


@dataclass(frozen=True, slots=True)
class Noted:
    """Targets among which all those are whose run has failed, and for which a request has no known outcome yet."""

    failed: Collection[Target]
    intents: Collection[Target]


def failure_of(seen: SeenState | None) -> RunState | None:
    """The run, if it has failed."""
    if seen is None or not isinstance(seen.value, RunState) or seen.value.state is not State.FAILED:
        return None
    return seen.value


def intent_of(seen: SeenRecord | None) -> TriggerRecord | None:
    """The record, if its request has no known outcome yet."""
    record = readable_record(seen)
    return record if record is not None and record.status is Status.INTENT else None


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything that was read, at ``cache.revision``.

    :ivar problems: problems with the dependencies and with decisions, by place; problems with keys: ``cache.problems``.
    :ivar newest_time: for an earlier revision, the newest time in any of its keys; ``None``: there is none.
    :ivar newest_change: the mod revision of the newest key that is not only a sign of life.
    :ivar noted: what has failed and what is asked for, where somebody keeps a note of it; ``None``: all keys are looked
        through.
    :ivar late: targets that were not started although their deadline has passed; most of them have no key of their own.
    """

    cache: Cache
    propagation: Propagation
    problems: dict[str, str]
    newest_time: datetime | None
    late: frozenset[Target] = frozenset()
    newest_change: int = 0
    noted: Noted | None = None

    def failed(self) -> Iterator[tuple[Target, RunState]]:
        """The targets whose present run has failed."""
        for target in self.noted.failed if self.noted is not None else self.cache.targets():
            if (state := failure_of(self.cache.state(target))) is not None:
                yield target, state

    def intents(self) -> Iterator[tuple[Target, TriggerRecord]]:
        """The targets for which a request has no known outcome yet."""
        for target in self.noted.intents if self.noted is not None else self.cache.recorded():
            if (record := intent_of(self.cache.record(target))) is not None:
                yield target, record

    def known_pipelines(self) -> set[PipelineRef]:
        """Those that a published document names, of which a run has been reported, or in which a sensor waits."""
        of_sensors = (seen.ref.run.pipeline for seen in self.cache.waits)
        return {*self.propagation.graph, *(target.pipeline for target in self.cache.targets()), *of_sensors}

    def require(self, pipeline: PipelineRef) -> None:
        """Check that a pipeline is known. :raises UnknownPipeline: with the nearest names."""
        known = self.known_pipelines()
        if pipeline in known:
            return
        tasks = {str(one): one for one in known if one.task}
        if (task := tasks.get(str(pipeline))) is not None:
            raise UnknownPipeline(f"{task} is a task; expected a pipeline, such as {task.whole}", near=[task.whole])
        names = {str(one): one for one in sorted({one.whole for one in known})}
        near = [names[one] for one in alike(str(pipeline), names, most=5, cutoff=0.5)]
        same = (one for one in names.values() if one.dag_id == pipeline.dag_id and one not in near)
        near += islice(same, 5)
        hint = (
            f"did you mean {', '.join(map(str, near))}?"
            if near
            else f"{len(names)} pipelines are known: coordinator status --all"
        )
        raise UnknownPipeline(
            f"{pipeline}: no published document names it, and no run of it has been reported "
            f"(etcd revision {self.cache.revision}); {hint}",
            near=near,
        )

    def partitions_of(self, pipeline: PipelineRef) -> list[str]:
        """The partitions in which a pipeline has run, or in which one of its upstreams has; the newest first."""
        partitions = {target.partition for target in self._heard_of() if target.pipeline == pipeline}
        node = self.propagation.graph.node(pipeline)
        if node is not None:
            upstreams = {leaf.upstream for leaf in leaves(node.downstream.condition)}
            for target in self.cache.targets():
                if target.pipeline in upstreams:
                    dependents = self.propagation.dependents(target)
                    partitions.update(one.partition for one in dependents if one.pipeline == pipeline)
        return newest_first(partitions)

    def _heard_of(self) -> Iterator[Target]:
        yield from self.cache.targets()
        yield from self.propagation.unsettled()


def read(
    store: Store,
    keys: Keys,
    *,
    revision: int = 0,
    at: datetime | None = None,
    about: About | None = None,
    publications: Publications | None = None,
    progress: Callable[[int], object] = lambda _: None,
) -> Reading:
    """Read etcd at one revision, and decide about what was read.

    :param revision: of etcd; 0: the present.
    :param at: the time for decisions about the present; ``None``: that of this machine's clock.
    :param about: read only the keys that decisions about this need; ``None``: all keys.
    :param publications: documents that were read before.
    :param progress: called with the number of keys read so far, while all keys are read.
    :raises NoSuchRevision: the revision is compacted, or lies in the future.
    """

    def reading(fill: Callable[[Cache], int]) -> Reading:
        return _read(store, keys, revision, at, about, publications or Publications(keys), fill)

    return _at(
        store,
        keys,
        revision,
        lambda: reading(lambda cache: _fill(store, keys, cache, progress)),
        at_last=lambda: reading(lambda cache: _fill_at_last(store, keys, cache)),
    )


def _at(
    store: Store, keys: Keys, revision: int, read: Callable[[], _Read], *, at_last: Callable[[], _Read] | None = None
) -> _Read:
    """Call ``read``, again if a compaction interrupts it.

    :param at_last: called instead if compactions interrupt it again and again.
    :raises NoSuchRevision: as :func:`read`.
    """
    if revision and revision > (present := store.list(keys.leader).revision):
        raise NoSuchRevision(f"revision {revision} has not come yet: etcd is at {present}")
    for _ in range(_TRIES - 1):
        try:
            return read()
        except Compacted as error:  # of the present: between two ranges
            if revision:
                oldest = oldest_readable(store, keys.leader, after=revision, present=present)
                raise NoSuchRevision(
                    f"revision {revision} cannot be read any more: etcd keeps everything from revision {oldest} on; "
                    "ask for a later one, or look into the decision log (watcher.decision_log), which compaction does "
                    "not affect"
                ) from error
    return (at_last or read)()


def read_newest(
    store: Store, keys: Keys, pipeline: PipelineRef, *, most: int, revision: int = 0, at: datetime | None = None
) -> tuple[Reading, PartitionNames]:
    """Read the keys that decisions about a pipeline's newest partitions need, and the names of those partitions.

    :param most: how many partitions.
    :param at: as :func:`read`.
    :raises UnknownPipeline: no document names the pipeline, and it has no keys.
    :raises NoSuchRevision: as :func:`read`.
    """

    publications = Publications(keys)
    names = read_names(store, keys, pipeline, most=most, revision=revision, publications=publications)
    about = About(pipeline, names.newest)
    reading = read(store, keys, revision=revision, at=at, about=about, publications=publications)
    reading.require(pipeline)
    return reading, names


def read_names(
    store: Store,
    keys: Keys,
    pipeline: PipelineRef,
    *,
    most: int | None = None,
    revision: int = 0,
    publications: Publications,
) -> PartitionNames:
    """Which partitions a pipeline has, by the names of keys alone. Parameters and errors as :func:`read`.

    :param most: how many of the newest; ``None``: all.
    """

    def names_then() -> PartitionNames:
        graph, _ = graph_of(_documents(store, keys, revision, publications))
        return partition_names(store, keys, graph, pipeline, most=most, revision=revision)

    return _at(store, keys, revision, names_then)


def _fill(store: Store, keys: Keys, cache: Cache, progress: Callable[[int], object]) -> int:
    """Read everything, page by page, so that raw pages do not stay in memory.

    :returns: the newest change, see :class:`Reading`.
    :raises Compacted: somebody compacts etcd faster than it can be read.
    """
    count = newest = 0

    def pages() -> Iterator[Page]:
        nonlocal count, newest
        for page in store.pages(keys.root, pinned=True):
            items = [kept(kv, keys.largest_value) for kv in page.items]
            newest = max(newest, newest_change(keys, items))
            yield replace(page, items=items)
            progress(count := count + len(items))

    cache.fill(pages())
    return newest


def _fill_at_last(store: Store, keys: Keys, cache: Cache) -> int:
    """The same in a way that no compaction can disturb, with all keys in memory at once."""
    listing = gather(store, keys.root, largest=keys.largest_value)
    newest = newest_change(keys, listing.items)
    cache.replace(listing)
    return newest


def _read(
    store: Store,
    keys: Keys,
    revision: int,
    at: datetime | None,
    about: About | None,
    publications: Publications,
    fill: Callable[[Cache], int],
) -> Reading:
    """:param fill: reads all present keys."""
    cache = Cache(keys, publications=publications)
    if about is None:
        if revision:
            listing = store.list(keys.root, revision=revision, largest=keys.largest_value)
            newest = newest_change(keys, listing.items)
            cache.replace(listing)
        else:
            newest = fill(cache)
        graph, problems = graph_of(cache)
    else:
        documents = _documents(store, keys, revision, publications)
        whole, problems = graph_of(documents)
        closure = about.closure(whole, documents.waits)
        graph = whole.within(closure)
        listing = listing_of(store, keys, whole, closure, documents.revision)
        newest = newest_change(keys, listing.items)
        cache.replace(listing)
        cache.published, cache.waits = documents.published, documents.waits
        cache.problems.take_over(documents.problems)
    newest_time = max(_times(cache), default=None) if revision else None
    # etcd keeps no times: for an earlier revision, the newest time in any of its keys is the best estimate.
    now = newest_time if revision and newest_time is not None else at or datetime.now(UTC)
    propagation = Propagation(graph, cache, now=now)
    propagation.exchange_graph(graph, cache.targets(), everything=True)
    late: set[Target] = set()
    while not propagation.is_drained:  # the last decision about a target counts
        if (made := propagation.decide_next()) is not None:
            (late.add if made.decision.late else late.discard)(made.decision.target)
    problems.update(problems_of(propagation.broken))
    problems.update(task_problems(cache, graph))
    return Reading(cache, propagation, problems, newest_time, frozenset(late), newest)


def _documents(store: Store, keys: Keys, revision: int, publications: Publications) -> Cache:
    """The published documents, the waits of sensors, and who emits the assets that are waited for: what connects
    pipelines."""
    documents = Cache(keys, publications=publications)
    published = store.list(keys.every("dependencies"), revision=revision, largest=keys.largest_value)
    waits = store.list(keys.every("wait"), revision=published.revision, largest=keys.largest_value)
    items = [*published.items, *waits.items]
    documents.replace(replace(published, items=[*items]))
    if assets := _assets_in(documents):
        for asset in assets:
            items += store.list(keys.states_of(asset), revision=published.revision, largest=keys.largest_value).items
        documents.replace(replace(published, items=items))
    return documents


def _assets_in(documents: Cache) -> list[PipelineRef]:
    """The assets that pipelines wait for: their states say which runs emit them."""
    published = (one.value for one in documents.published.values())
    entries = (entry for one in published if isinstance(one, Publication) for entry in one.document.values())
    return sorted({leaf.upstream for entry in entries for leaf in leaves(entry.condition) if is_asset(leaf.upstream)})


def newest_change(keys: Keys, items: Iterable[KeyValue]) -> int:
    """The mod revision of the newest of these keys that is not only a sign of life; 0: there is none."""
    no_news = (keys.leader, keys.heartbeat, *keys.signs_of_life)
    return max((kv.mod_revision for kv in items if not kv.key.startswith(no_news)), default=0)


def graph_of(cache: Cache) -> tuple[Graph, dict[str, str]]:
    """The published dependencies with what else connects pipelines, and their problems."""
    try:
        graph, conflicts = merge(cache.published)
    except CycleFound as error:
        return Graph(), {"dependencies": f"the published dependencies close a cycle: {error}"}
    graph = graph.with_sensors(cache.connections())
    return graph, {f"dependencies ({number})": text for number, text in enumerate(conflicts, 1)}


def _times(cache: Cache) -> Iterator[datetime]:
    if isinstance(cache.heartbeat, Heartbeat) and cache.heartbeat.when is not None:
        yield cache.heartbeat.when
    for target in cache.targets():
        state, record = cache.state(target), cache.record(target)
        if state is not None and isinstance(state.value, RunState):
            yield from (time for time in (state.value.observed_at, state.value.attempt.queued_at) if time is not None)
        if record is not None and isinstance(record.value, TriggerRecord) and record.value.when is not None:
            yield record.value.when
