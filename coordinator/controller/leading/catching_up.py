"""Catching up: what becomes of partitions that became due while no watcher led (``catchup`` of an entry).

A partition of a pipeline was *missed* when it has never been started, is due, and everything that makes it due was
missed: completions that came while nobody led, or upstreams that are due for that reason alone. To *give it up* means
to consume its completions without a run. What was missed is found out once, when a term begins, before anything is
started: then the upstreams of a diamond still show why its bottom is due. Partitions are also given up before anything
is started, upstreams first, because what is below one that was given up may not be due any more. A successor that takes
over in the middle finds the same with fewer left.

Partitions that become due while a watcher leads, reruns, and orders of people are not affected.
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
"""Records written before the deciding thread does something else: it must not seem dead after a long absence."""


@dataclass(frozen=True, slots=True)
class Absence:
    """The time in which nobody led.

    :ivar after: etcd revision up to which some watcher has led; 0: none is known to have led.
    :ivar until: etcd revision at which this term began.
    :ivar before: what completed later than this is live, although it was written before the term began: a failover
        takes a moment, and has missed nothing.
    """

    after: int
    until: int
    before: datetime


@dataclass(frozen=True, slots=True)
class Skip:
    """A missed partition that is to be given up."""

    decision: Decision
    reason: str


def find_missed(propagation: Propagation, absence: Absence) -> dict[PipelineRef, list[Target]]:
    """The missed partitions, by pipeline, upstreams first; nothing where every pipeline starts all that it missed."""
    missed: dict[PipelineRef, list[Target]] = {}
    for _ in finding_missed(propagation, absence, missed):
        pass
    return missed


def finding_missed(
    propagation: Propagation, absence: Absence, by_pipeline: dict[PipelineRef, list[Target]]
) -> Iterator[None]:
    """The same, target by target. :param by_pipeline: filled with the result."""
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
    """Which of a pipeline's missed partitions are to be given up, on the present facts, the oldest first.

    Targets only: the decisions about a hundred thousand of them would need gigabytes.
    """
    skips: list[Target] = []
    for _ in finding_skips(propagation, pipeline, missed, skips):
        pass
    return skips


def finding_skips(
    propagation: Propagation, pipeline: PipelineRef, missed: Iterable[Target], skips: list[Target]
) -> Iterator[None]:
    """The same, target by target. :param skips: filled with the result at the end."""
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
    """What is to be written for these targets, if they are still due: a person may have ordered or started one since,
    its record may have been written after all, or another ``catchup`` may have been published."""
    for target in targets:
        decision, policy = propagation.decide(target), policy_of(propagation, target.pipeline)
        if policy is not Catchup.ALL and _never_started(propagation, decision):
            yield Skip(decision, f"it was missed while no watcher led, and catchup is {policy}")


def policy_of(propagation: Propagation, pipeline: PipelineRef) -> Catchup:
    """The ``catchup`` of a pipeline."""
    node = propagation.graph.node(pipeline)
    return node.downstream.catchup if node is not None else Catchup.ALL


def is_asked_for(graph: Graph) -> bool:
    """Whether any pipeline gives up what it missed."""
    return any(node.downstream.catchup is not Catchup.ALL for node in graph.nodes())


class CatchingUp:
    """The partitions that are still to be given up in this term."""

    def __init__(self, propagation: Propagation, pace: Pace) -> None:
        self._propagation = propagation
        self._pace = pace
        self._finding: Iterator[None] | None = None
        self._missed: dict[PipelineRef, list[Target]] = {}
        self._skips: list[Target] = []
        self._refused: set[Target] = set()
        self._try_at: float | None = None
        self._reads_up_to = 0

    def __bool__(self) -> bool:
        """Whether something is still to be found out or given up."""
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
        self._reads_up_to = 0

    def read_up_to(self, revision: int) -> None:
        """A record to be written has changed in etcd, at this revision at the latest: a write whose answer was lost may
        have arrived, or a person has acted. Nothing more can be given up before that has been read."""
        if self:
            self._reads_up_to = max(self._reads_up_to, revision)

    def takes_updates(self, known: int) -> bool:
        """Whether what etcd says again is taken in now. Otherwise it waits: what was missed is given up first.

        :param known: etcd revision up to which everything has been read.
        """
        return not self or known < self._reads_up_to

    def refuse(self, target: Target) -> None:
        """etcd refuses to write the record of this target: the others do not wait for it, and it is given up once its
        record can be written."""
        if self._skips:
            self._refused.add(target)

    def is_refused(self, target: Target) -> bool:
        return target in self._refused

    def to_be_given_up(self, target: Target) -> Skip | None:
        """The skip that etcd has refused to write so far. Until it is written, the target is not started either."""
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
        """Give up some of what is to be given up.

        :param write: writes the records of skipped partitions; returns whether all of them are written and known, or
            refused.
        :param now: monotonic seconds.
        :returns: whether everything is done; if not, this must be called again.
        """
        while self:
            if self._skips:
                if not write(list(skips_of(self._propagation, self._skips[:PIECE]))):
                    self._try_at = now + RETRY_AFTER
                    return False
                del self._skips[:PIECE]
                self._try_at = now  # what is touched by that is decided about first
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
    """Whether it is due for its first run, without a person's order."""
    target = decision.target
    fresh = propagation.record(target) is None and propagation.state(target) is None
    return fresh and decision.due and not decision.order and decision.evaluated is not None


def _was_missed(decision: Decision, absence: Absence, missed: Collection[Target]) -> bool:
    """Whether everything that makes it due was missed: its newest completion, and the busy inputs that it waits for."""
    assert decision.evaluated is not None
    reasons = [one for one in inputs_at(decision.evaluated, WOULD_HOLD) if one.triggers and (one.new or one.busy)]
    if not reasons:  # it fires late, on a condition that does not hold
        reasons = [one for one in all_inputs(decision.evaluated) if one.new]
    coming = [one for one in reasons if one.busy]
    there = [one for one in reasons if not one.busy]
    if not all(one.target in missed for one in coming):
        return False
    # Below a missed upstream, completions may have come while somebody led: the missed upstream is the newer reason.
    after = 0 if coming else absence.after
    return not there or _came_in(there, after=after, until=absence.until, before=absence.before)


def _came_in(completions: list[EvaluatedInput], *, after: int, until: int, before: datetime) -> bool:
    """Whether the newest of these completions came in that time. One without a time counts as live."""
    times, revisions = [], []
    for one in completions:
        if one.seen is None or not isinstance(one.seen.value, RunState) or one.seen.value.observed_at is None:
            return False
        times.append(one.seen.value.observed_at)
        revisions.append(one.seen.told_at)
    return after < max(revisions) <= until and max(times) <= before
