"""Catching up: what becomes of partitions that became due while no watcher led (``catchup`` of an entry).

A partition of a pipeline was missed when it has never been started, is due, and all that makes it due was missed:
completions that came while nobody led, or upstreams that are due for that reason alone. That is found out once, when
a term begins, before anything is started: then the upstreams of a diamond still show why its bottom is due. What is
not to be made up for is given up before anything is started, upstreams first, for what is below one that was given up
may not be due any more. A successor that takes over in the middle finds the same with fewer left.

Partitions that become due while a watcher leads, reruns, and orders of people are none of its business.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from coordinator.controller.pace import Pace
from coordinator.controller.writes import RETRY_AFTER
from coordinator.model.decide import Decision
from coordinator.model.dependencies import Catchup
from coordinator.model.evaluation import WOULD_HOLD, EvaluatedInput, all_inputs, inputs_at
from coordinator.model.graph import Graph
from coordinator.model.partitions.instants import partition_order
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunState

_log = structlog.get_logger(__name__)


PIECE = 512
"""So many records are written before the deciding thread looks up: it must not seem dead after a long absence."""


@dataclass(frozen=True, slots=True)
class Absence:
    """While nobody led.

    :ivar after: etcd revision up to which a watcher has been there; 0: none ever was, as far as is known.
    :ivar until: that at which this term began.
    :ivar before: what completed later than this is live, although it was written before the term began: a failover
        takes a moment, and has missed nothing.
    """

    after: int
    until: int
    before: datetime


@dataclass(frozen=True, slots=True)
class Skip:
    """A missed partition that is not made up for."""

    decision: Decision
    reason: str


def find_missed(propagation: Propagation, absence: Absence) -> dict[PipelineRef, list[Target]]:
    """What was missed, by pipeline, upstreams first. Nothing where no pipeline would pass over any of it."""
    missed: dict[PipelineRef, list[Target]] = {}
    for _ in finding_missed(propagation, absence, missed):
        pass
    return missed


def finding_missed(
    propagation: Propagation, absence: Absence, by_pipeline: dict[PipelineRef, list[Target]]
) -> Iterator[None]:
    """The same, target by target. :param by_pipeline: takes what is found."""
    if not is_asked_for(propagation.graph):
        return
    by_rank: dict[int, list[Target]] = {}
    for target in propagation.unsettled():
        by_rank.setdefault(propagation.graph.rank(target.pipeline), []).append(target)
        yield
    missed: set[Target] = set()
    for rank in sorted(by_rank):
        for target in by_rank[rank]:
            decision = propagation.decide(target)
            if _never_started(propagation, decision) and _was_missed(decision, absence, missed):
                missed.add(target)
                by_pipeline.setdefault(target.pipeline, []).append(target)
            yield


def find_skips(propagation: Propagation, pipeline: PipelineRef, missed: Iterable[Target]) -> list[Target]:
    """Which of a pipeline's missed partitions are to be given up, as things stand now, the oldest first.

    By name: of a hundred thousand of them the decisions would be gigabytes.
    """
    skips: list[Target] = []
    for _ in finding_skips(propagation, pipeline, missed, skips):
        pass
    return skips


def finding_skips(
    propagation: Propagation, pipeline: PipelineRef, missed: Iterable[Target], skips: list[Target]
) -> Iterator[None]:
    """The same, target by target. :param skips: takes what is found, once that is done."""
    policy = policy_of(propagation, pipeline)
    if policy is Catchup.ALL:
        return
    due = []
    for target in missed:
        if _never_started(propagation, propagation.decide(target)):
            due.append((partition_order(target.partition), target))
        yield
    due.sort()
    skips += [target for _, target in (due[:-1] if policy is Catchup.LATEST else due)]


def skips_of(propagation: Propagation, targets: Iterable[Target]) -> Iterator[Skip]:
    """What is to be written for these, as far as they are still due: somebody may have ordered or started one since,
    or its record may have been written after all."""
    for target in targets:
        decision = propagation.decide(target)
        if _never_started(propagation, decision):
            policy = policy_of(propagation, target.pipeline)
            yield Skip(decision, f"it was missed while no watcher led, and catchup is {policy}")


def policy_of(propagation: Propagation, pipeline: PipelineRef) -> Catchup:
    """How a pipeline catches up."""
    node = propagation.graph.node(pipeline)
    return node.downstream.catchup if node is not None else Catchup.ALL


def is_asked_for(graph: Graph) -> bool:
    """Whether any pipeline passes over what was missed."""
    return any(node.downstream.catchup is not Catchup.ALL for node in graph.nodes())


class CatchingUp:
    """What is still to be given up in this term."""

    def __init__(self, propagation: Propagation, pace: Pace) -> None:
        self._propagation = propagation
        self._pace = pace
        self._finding: Iterator[None] | None = None
        self._missed: dict[PipelineRef, list[Target]] = {}
        self._skips: list[Target] = []
        self._refused: set[Target] = set()
        self._try_at: float | None = None

    def __bool__(self) -> bool:
        """Whether there is something to be found out or given up yet."""
        return bool(self._finding is not None or self._missed or self._skips)

    def begin(self, absence: Absence) -> None:
        """A term has begun. Nothing may be started before :meth:`give_up` says that it is done."""
        self.clear()
        if is_asked_for(self._propagation.graph):
            self._finding = finding_missed(self._propagation, absence, self._missed)

    def clear(self) -> None:
        self._finding = None
        self._missed = {}
        self._skips = []
        self._refused.clear()
        self._try_at = None

    def refuse(self, target: Target) -> None:
        """etcd answers, and will not write anything about this one: all others need not wait for it, and it is given up
        when that can be written."""
        if self._skips:
            self._refused.add(target)

    def is_refused(self, target: Target) -> bool:
        return target in self._refused

    def still_owed(self, target: Target) -> Skip | None:
        """What is still to be written about one that etcd refused to give up. Until then it is not started either."""
        if target not in self._refused:
            return None
        skip = next(skips_of(self._propagation, (target,)), None)
        if skip is None:
            self._refused.discard(target)
        return skip

    def next_at(self) -> float | None:
        """Monotonic seconds at which to call :meth:`give_up` again; ``None``: it is done."""
        return self._try_at

    def give_up(self, write: Callable[[Sequence[Skip]], bool], *, now: float) -> bool:
        """Give up what is not to be made up for, or a piece of it.

        :param write: writes the records of skipped partitions; says whether all of them are written and known, or
            refused.
        :param now: monotonic seconds.
        :returns: whether it is done; if not, it must be called again.
        """
        while self:
            if self._skips:
                if not write(list(skips_of(self._propagation, self._skips[:PIECE]))):
                    self._try_at = now + RETRY_AFTER
                    return False
                del self._skips[:PIECE]
                self._try_at = now  # what that touches is decided about first
                return False
            if not self._find():
                self._try_at = now
                return False
        self._try_at = None
        return True

    def _find(self) -> bool:
        """Find out some of what was missed, or which of it is to be given up. Returns whether to go on at once."""
        budget = self._pace.budget()
        if self._finding is None:
            pipeline = next(iter(self._missed))
            self._finding = self._finding_skips(pipeline, self._missed.pop(pipeline))
        for _ in self._finding:
            budget.spend()
            if not budget:
                return False
        self._finding = None
        return True

    def _finding_skips(self, pipeline: PipelineRef, targets: list[Target]) -> Iterator[None]:
        skips: list[Target] = []
        yield from finding_skips(self._propagation, pipeline, targets, skips)
        self._skips = skips
        if skips:
            _log.info(
                "catchup.skipped",
                pipeline=str(pipeline),
                partitions=len(skips),
                oldest=skips[0].partition,
                newest=skips[-1].partition,
                catchup=str(policy_of(self._propagation, pipeline)),
            )


def _never_started(propagation: Propagation, decision: Decision) -> bool:
    """Whether it is due, of its own accord, for its first run."""
    target = decision.target
    fresh = propagation.record(target) is None and propagation.state(target) is None
    return fresh and decision.due and not decision.order and decision.evaluated is not None


def _was_missed(decision: Decision, absence: Absence, missed: Collection[Target]) -> bool:
    """Whether all that makes it due was missed: the newest completion, and whatever is still to come."""
    assert decision.evaluated is not None
    reasons = [one for one in inputs_at(decision.evaluated, WOULD_HOLD) if one.triggers and (one.new or one.busy)]
    if not reasons:  # it fires late, on a condition that does not hold
        reasons = [one for one in all_inputs(decision.evaluated) if one.new]
    coming = [one for one in reasons if one.busy]
    there = [one for one in reasons if not one.busy]
    if not all(one.target in missed for one in coming):
        return False
    # Behind one that was missed, what is there may have come while somebody led: it is not the newest reason.
    after = 0 if coming else absence.after
    return not there or _came_in(there, after=after, until=absence.until, before=absence.before)


def _came_in(completions: list[EvaluatedInput], *, after: int, until: int, before: datetime) -> bool:
    """Whether the newest of these completions came in that time. One that does not say when is taken for live."""
    times, revisions = [], []
    for one in completions:
        if one.seen is None or not isinstance(one.seen.value, RunState) or one.seen.value.observed_at is None:
            return False
        times.append(one.seen.value.observed_at)
        revisions.append(one.seen.revision)
    return after < max(revisions) <= until and max(times) <= before
