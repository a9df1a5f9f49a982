"""Propagation: keeping the readiness of every target, so that a completion costs only as much as it affects.

Readiness is recursive: a pipeline is busy because an input is busy, and so on up. It is kept here and only corrected:
changed targets are decided again, upstreams first, and a change is propagated to a downstream only if its decision can
differ because of it. Only busy and stuck targets are stored.

Deciding can be interrupted after each target. :meth:`Propagation.touch` notes what has changed, and
:meth:`Propagation.decide_next` decides about one target of the frontier (the targets that may have changed). Until
everything above a target has been decided about, its decision may be wrong, and nothing may be started on it
(:meth:`Propagation.is_final`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import NamedTuple

from coordinator.model.assets.names import is_asset
from coordinator.model.conditions import Dependency
from coordinator.model.decide import Decision, Obstacle, decide
from coordinator.model.graph import Graph
from coordinator.model.hold import Hold
from coordinator.model.items.whole import ItemTallies, Standing, rows_of, whole_of
from coordinator.model.loops import comes_of
from coordinator.model.partitions import Identity, Latest, Mapping
from coordinator.model.partitions.instants import partition_order
from coordinator.model.propagation.at_rest import AtRest
from coordinator.model.propagation.components import Area
from coordinator.model.propagation.frontier import Frontier
from coordinator.model.propagation.partition_index import PartitionIndex
from coordinator.model.propagation.tally import Tallies
from coordinator.model.references import PipelineRef, Target, target_of
from coordinator.model.retention.watermark import Watermark
from coordinator.model.runstate import Unreadable
from coordinator.model.view import Facts, Readiness, SeenOrder, SeenRecord, SeenState, SeenWait

BEFORE_ALL = datetime.min.replace(tzinfo=UTC)
"""The time for callers without a clock: no deadline has passed, and nothing is too old."""

SCANNED = 500
"""Targets in one piece of an exchange of the graph."""

COMPARED = 50
"""Partitions of two pipelines that can be compared in the time of looking at one target."""

MAPPED = 25
"""Asking a mapping takes as long as comparing so many partitions."""

_Scanned = defaultdict[PipelineRef, dict[str, None]]
"""Partitions by pipeline, in the order in which they came."""

BROKEN_RETRY = timedelta(seconds=60)
"""The time after which a target that raised an exception is decided about again."""


class Made(NamedTuple):
    """A decision that was made.

    :ivar live: it was made because of a change that has just happened; otherwise it belongs to catching up.
    """

    decision: Decision
    live: bool


@dataclass
class _Exchange:
    """The state of an exchange of the graph.

    :ivar waiting: targets that waited before, to be decided about on the new graph.
    :ivar changed: pipelines whose dependencies have changed.
    :ivar everything: every fact may have changed as well.
    """

    waiting: tuple[Frontier, ...]
    changed: set[PipelineRef]
    everything: bool
    pieces: Iterator[None]


class Propagation:
    """A :class:`~coordinator.model.view.View` over facts that change, with the readiness kept up to date.

    :param graph: :meth:`replace_graph` may replace it.
    :ivar now: the moment at which decisions are made; a caller with a clock updates it.
    :ivar broken: targets that could not be decided about, with the exception. They are stuck, and are decided about
        again when they are touched, and after :data:`BROKEN_RETRY`.
    :ivar miscounted: targets whose tally disagreed with the decision: a mistake. A caller with a log reports them.
    """

    def __init__(self, graph: Graph, facts: Facts, *, now: datetime = BEFORE_ALL) -> None:
        self.graph = graph
        self.now = now
        self._facts = facts
        self._unsettled: dict[Target, Readiness] = {}
        self._partitions = PartitionIndex(graph, facts)
        self._frontier = Frontier(graph)
        self._tallies = Tallies(graph)
        self._at_rest = AtRest(graph, facts, self._unsettled)
        self._items = ItemTallies(facts, self.readiness)
        self._exchange: _Exchange | None = None
        self.broken: dict[Target, Exception] = {}
        self.miscounted: list[Target] = []
        self._to_recount: set[Target] = set()

    def state(self, target: Target) -> SeenState | None:
        return self._facts.state(target)

    def record(self, target: Target) -> SeenRecord | None:
        return self._facts.record(target)

    def order(self, target: Target) -> SeenOrder | None:
        return self._facts.order(target)

    def hold(self, pipeline: PipelineRef) -> Hold | Unreadable | None:
        return self._facts.hold(pipeline)

    def watermark(self, pipeline: PipelineRef) -> Watermark | None:
        return self._facts.watermark(pipeline)

    def sensors(self, target: Target) -> Sequence[SeenWait]:
        return self._facts.sensors(target)

    def runs_behind(self, upstream: Target) -> Iterable[Target]:
        return self._facts.runs_behind(upstream)

    def readiness(self, target: Target) -> Readiness:
        return self._unsettled.get(target, Readiness.SETTLED)

    def gathered(self, dependency: Dependency, downstream: Target) -> Collection[Target]:
        return self._partitions.gathered(dependency, downstream)

    def newest(self, upstream: PipelineRef, *, without: Callable[[Target], bool] = lambda _: False) -> Target | None:
        return self._partitions.newest(upstream, without=without)

    def items(self, whole: Target) -> Standing | None:
        return self._items.standing(whole)

    def comes_of(self, producer: Target, downstream: Target) -> bool:
        return comes_of(self.graph, self._facts, producer, downstream)

    def is_newest_partition(self, downstream: Target) -> bool:
        return self._partitions.is_newest_partition(downstream)

    def is_coming_partition(self, downstream: Target) -> bool:
        return self._partitions.is_coming_partition(downstream)

    def unsettled_readiness(self) -> list[tuple[Target, Readiness]]:
        """The busy and stuck targets. Copied in one go, so that any thread may ask."""
        return list(self._unsettled.items())

    def unsettled(self) -> Iterator[Target]:
        """All busy and stuck targets, which a new leader must examine."""
        return iter(tuple(self._unsettled))

    def unsettled_by_age(self) -> Iterator[Target]:
        """The same, the oldest partitions first: the order of catching up."""
        partitions: dict[str, list[Target]] = {}
        for target in self._unsettled:
            partitions.setdefault(target.partition, []).append(target)
        for partition in sorted(partitions, key=partition_order):
            yield from sorted(partitions[partition])

    def decide(self, target: Target) -> Decision:
        """Decide on the present facts. A mistake in deciding about one target does not stop the others."""
        try:
            decision = decide(self.graph, self, target)
        except Exception as error:  # noqa: BLE001 - it is kept in ``broken``, and a caller with a log shows it
            return self._break(target, error)
        if self.broken:
            self.broken.pop(target, None)
        return decision

    def dependents(self, upstream: Target) -> Iterator[Target]:
        """Every downstream partition that an upstream partition can affect."""
        yield from self.graph.dependents(upstream)
        yield from self._partitions.followers(upstream)
        yield from self._facts.runs_behind(upstream)
        if upstream.pipeline.item:  # also of one whose entry has lost its items
            whole = whole_of(upstream)
            if rows_of(self._facts, whole) is not None and not self.graph.fans_out(whole.pipeline):
                yield whole
        if upstream.pipeline.is_rows:
            whole = Target(upstream.pipeline.fanned_out, upstream.partition)
            if (rows := rows_of(self._facts, whole)) is not None:
                yield from (target_of((whole.pipeline.with_item(key), upstream.partition)) for key in rows.by_key)
                yield whole

    def partitions_of(self, pipelines: Collection[PipelineRef], targets: Iterable[Target]) -> set[Target]:
        """Every partition of these pipelines that is known, or that follows from an upstream of theirs.

        :param targets: all targets that have a state, a record or an order.
        """
        upstreams = {leaf.upstream for one in pipelines if (node := self.graph.node(one)) for leaf in node.leaves()}
        of_tasks = {upstream.whole for upstream in upstreams if upstream.task}
        found: set[Target] = set()
        for target in targets:
            if target.pipeline in pipelines:
                found.add(target)
            if target.pipeline in upstreams:
                found.update(one for one in self.dependents(target) if one.pipeline in pipelines)
            if target.pipeline in of_tasks:  # whose tasks may have no keys yet
                for task in self.graph.tasks(target.pipeline):
                    below = self.dependents(target_of((task, target.partition)))
                    found.update(one for one in below if one.pipeline in pipelines)
        return found

    # -- deciding again ---------------------------------------------------------------------------------------------

    @property
    def is_drained(self) -> bool:
        """Whether the frontier is empty: every change has been decided about."""
        return not self._frontier and self._exchange is None

    @property
    def is_caught_up(self) -> bool:
        """Whether all changes that are not ``live`` have been decided about."""
        return self._exchange is None and self._frontier.is_caught_up

    def is_final(self, target: Target) -> bool:
        """Whether every target that can change this one's decision has been decided about."""
        return self._exchange is None and self._frontier.is_clear(target)

    def area(self, target: Target) -> Area:
        """Targets of different areas are final independently of each other."""
        return self._frontier.area(target)

    def touch(self, changed: Iterable[Target], *, recorded: Iterable[Target] = (), live: bool = True) -> None:
        """Note what has changed: it is decided about next, and then the targets that it affects.

        :param changed: targets whose state, order or hold has changed since the last call.
        :param recorded: targets of which only the record has changed: others depend only on the readiness.
        :param live: the change has just happened; otherwise it belongs to catching up, and live changes go first.
        """
        for targets, seen_by_others in ((changed, True), (recorded, False)):
            for target in targets:
                self._tallies.drop(target)
                for newest in self._partitions.note_change(target, self.readiness(target)):
                    self._frontier.add(newest, live=live)
                self._frontier.add(target, live=live, changed=seen_by_others)

    def recount(self) -> None:
        """Decide about every target with a tally, and compare the tallies with the decisions."""
        for target in self._tallies.targets():
            self._to_recount.add(target)
            self._frontier.add(target, live=False)

    def decide_next(self) -> Made | None:
        """Decide about the next target of the frontier, or do a piece of an exchange of the graph.

        :returns: the decision; ``None`` where nothing was decided: call again until :attr:`is_drained`.
        """
        if self._exchange is not None:
            if next(self._exchange.pieces, self) is self:
                self._exchange = None
            return None
        waiting = self._frontier.pop()
        if waiting is None:
            return None
        target, changed, live = waiting
        is_counted = self._tallies.get(target) is not None
        try:
            is_same = is_counted and self._tallies.is_same(self, target)
            # A tally may be newer than the change, if the target waited in both lines.
            if is_same and not changed and target not in self._to_recount:
                return None  # the changes of its inputs make no difference
        except Exception:  # noqa: BLE001 - deciding below raises it again, and notes what to show
            self._tallies.drop(target)
            is_counted = False
        decision = self._decide_at_once(target) or self.decide(target)
        try:
            if is_counted or (self._tallies.counts(target.pipeline) and not decision.sensors):
                self._count(decision)
            self._propagate(decision, live=live, changed=changed)
        except Exception as error:  # noqa: BLE001 - as in decide()
            decision = self._break(target, error)
            self._unsettled[target] = decision.readiness
            self._items.moved(target)
        return Made(decision, live)

    def refresh(self, changed: Iterable[Target] = (), *, recorded: Iterable[Target] = ()) -> list[Decision]:
        """Decide again about what has changed and everything that it affects. Parameters as in :meth:`touch`.

        :returns: every decision that was made.
        """
        self.touch(changed, recorded=recorded)
        decisions = []
        while not self.is_drained:
            if (made := self.decide_next()) is not None:
                decisions.append(made.decision)
        return decisions

    def replace_graph(self, graph: Graph, targets: Iterable[Target]) -> list[Decision]:
        """Use another graph, and decide again about everything.

        :param targets: all targets that have a state, a record or an order.
        """
        self._unsettled.clear()
        self.exchange_graph(graph, targets, everything=True)
        return self.refresh()

    def exchange_graph(self, graph: Graph, targets: Iterable[Target], *, everything: bool = False) -> None:
        """Use another graph. Targets whose decision may change go to the frontier, piece by piece.

        These are, for the pipelines whose dependencies have changed, all partitions that are known or follow from an
        upstream.

        :param targets: all targets that have a state, a record or an order; must not change during the iteration.
        :param everything: every fact may have changed as well: ``targets`` includes deleted ones.
        """
        before, self.graph = self.graph, graph
        changed = {pipeline for pipeline in {*before, *graph} if before.node(pipeline) != graph.node(pipeline)}
        changed |= _with_other_producers(before, graph)
        tasks = {*before.all_tasks(), *graph.all_tasks()}
        changed |= {task for task in tasks if before.task_active_since(task) != graph.task_active_since(task)}
        waiting: tuple[Frontier, ...] = (self._frontier,)
        self._frontier = Frontier(graph)
        if self._exchange is not None:  # the previous exchange is unfinished, and has not yet moved all waiting targets
            changed |= self._exchange.changed
            everything = everything or self._exchange.everything
            waiting += self._exchange.waiting
        self._partitions = PartitionIndex(graph, self._facts)
        self._tallies = Tallies(graph)
        self._at_rest = AtRest(graph, self._facts, self._unsettled)
        self._items = ItemTallies(self._facts, self.readiness)
        pieces = self._note_everything(waiting, targets, changed, everything=everything)
        self._exchange = _Exchange(waiting, changed, everything, pieces)

    def _note_everything(
        self, waiting: Sequence[Frontier], targets: Iterable[Target], changed: set[PipelineRef], *, everything: bool
    ) -> Iterator[None]:
        again = changed | self._partitions.with_latest  # their newest partition may be another one
        upstreams = {leaf.upstream for one in again if (node := self.graph.node(one)) for leaf in node.leaves()}
        of_tasks = {upstream.whole for upstream in upstreams if upstream.task}
        number = 0
        for target, seen_by_others, live in chain.from_iterable(frontier.entries() for frontier in waiting):
            self._frontier.add(target, live=live, changed=seen_by_others)
            if (number := number + 1) % SCANNED == 0:
                yield
        unsettled = tuple(self._unsettled)
        scanned: _Scanned = defaultdict(dict)
        for target in chain(targets, unsettled):  # including due targets without any key yet
            self._partitions.note_change(target, self.readiness(target))
            if everything:
                scanned[target.pipeline][target.partition] = None
                # The partitions that follow through ``latest`` are known only at the end.
                is_followed = self._partitions.has_followers(target.pipeline)
                if is_followed or not self._is_plainly_settled(target):
                    self._frontier.add(target, live=False, changed=is_followed)
            elif target.pipeline in again:
                self._frontier.add(target, live=False)
            if not everything and target.pipeline in upstreams:
                for dependent in self.dependents(target):
                    if dependent.pipeline in again:
                        self._frontier.add(dependent, live=False)
            if not everything and target.pipeline in of_tasks:  # whose tasks may have no keys yet
                for task in self.graph.tasks(target.pipeline):
                    self._frontier.add(target_of((task, target.partition)), live=False, changed=True)
            if (number := number + 1) % SCANNED == 0:
                yield
        for beyond in self._dependents_beyond(scanned):
            if beyond is not None:
                self._frontier.add(beyond, live=False)
            if (number := number + 1) % SCANNED == 0:
                yield
        for target in unsettled:
            self._partitions.note_readiness(target, self.readiness(target))
            if (number := number + 1) % SCANNED == 0:
                yield

    def _is_plainly_settled(self, target: Target) -> bool:
        """Whether it was settled, and still is unless a target above it changes, which would touch it."""
        return target not in self._unsettled and self._decide_at_once(target) is not None

    def _dependents_beyond(self, scanned: _Scanned) -> Iterator[Target | None]:
        """Targets that were not scanned, and that a scanned upstream can affect; ``None`` regularly in between.

        :param scanned: the scanned partitions, by pipeline.
        """
        nothing: dict[str, None] = {}
        compared = 0
        for upstream, partitions in scanned.items():
            downstreams: dict[Mapping, list[tuple[PipelineRef, dict[str, None]]]] = {}
            for downstream, mapping in self.graph.edges(upstream):
                if not isinstance(mapping, Latest):
                    downstreams.setdefault(mapping, []).append((downstream, scanned.get(downstream, nothing)))
            for mapping, below in downstreams.items():
                assert not isinstance(mapping, Latest)
                is_same = isinstance(mapping, Identity)
                for one in partitions:
                    for partition in (one,) if is_same else mapping.downstreams(one):
                        compared += len(below)
                        for downstream, itself in below:
                            if partition not in itself:
                                yield target_of((downstream, partition))
                    compared += 1 if is_same else MAPPED
                    if compared >= COMPARED:
                        compared = 0
                        yield None

    def _propagate(self, decision: Decision, *, live: bool, changed: bool) -> None:
        """Note a decision, and add the dependents to the frontier whose decision can differ because of it."""
        target, readiness = decision.target, decision.readiness
        self._partitions.note_decision(decision)
        if readiness is not self.readiness(target):
            changed = True
            if readiness is Readiness.SETTLED:
                del self._unsettled[target]
            else:
                self._unsettled[target] = readiness
            for newest in self._partitions.note_readiness(target, readiness):
                self._frontier.add(newest, live=live)
        self._items.moved(target)
        if readiness is Readiness.SETTLED:
            self._items.drop(target)
        if changed:
            for dependent in self.dependents(target):
                self._tallies.moved(dependent, target)
                # What is known of a task, and of an asset, hangs on the state of a run, and those that wait for it on
                # what is known.
                hangs_on_run = bool(dependent.pipeline.task) or is_asset(dependent.pipeline)
                self._frontier.add(dependent, live=live, changed=hangs_on_run)
        else:  # a run that goes on may have become due again, which its tasks must know
            for task in self.graph.tasks(target.pipeline):
                self._frontier.add(target_of((task, target.partition)), live=live)

    def _decide_at_once(self, target: Target) -> Decision | None:
        """The decision about a target at rest. One with a tally is left to the rule, which is compared with the
        tally."""
        if target in self.broken or self._tallies.counts(target.pipeline):
            return None
        try:
            return self._at_rest.decide(target)
        except Exception:  # noqa: BLE001 - as above
            return None

    def _count(self, decision: Decision) -> None:
        target = decision.target
        self._to_recount.discard(target)
        before = self._tallies.drop(target)
        after = self._tallies.keep(self, decision)
        is_other = before is not None and after is not None and before.outcome != after.outcome
        if is_other and self._frontier.is_clear_above(target):  # otherwise the tally does not know of all changes yet
            self.miscounted.append(target)

    def _break(self, target: Target, error: Exception) -> Decision:
        self.broken[target] = error
        return Decision(
            target,
            Readiness.STUCK,
            obstacles=frozenset((Obstacle.BROKEN,)),
            recheck_at=self.now + BROKEN_RETRY,
        )


def _with_other_producers(before: Graph, after: Graph) -> set[PipelineRef]:
    """The pipelines that wait for an asset, and start what emits it, in one of two graphs only: to these, it is or was
    their own."""
    return {
        waiting.downstream
        for emitted in after.sensors
        for waiting in after.edges(emitted.downstream)
        if is_asset(emitted.downstream)
        and before.is_above(waiting.downstream, emitted.upstream)
        != after.is_above(waiting.downstream, emitted.upstream)
    }
