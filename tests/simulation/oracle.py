"""The oracle: who must run, given everything at rest and one change. One pass over the graph, upstreams first.

It knows nothing of the rule that decides. At rest nothing is on its way, so what the rule needs for what is on its
way (busy, looks, flights, waiting for other branches) is not needed here: a pipeline runs when its condition holds,
for something that it has not used yet; it is stuck when only repairing would help; everything else is settled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from coordinator.model.references import PipelineRef, Target
from tests.simulation.checkers import MET
from tests.simulation.history import Completion, History
from tests.simulation.retries import retry_is_to_come
from tests.simulation.tasks import outcome_of, task_of
from tests.simulation.wiring import Branch, Entry, Leaf, Tree, Wiring, leaves

LATER = 1 << 60
"""Revisions of what has not happened yet."""


@dataclass
class Facts:
    """What stands in etcd at rest, and what each pipeline has used.

    :ivar states: the completion, and the etcd revision of it.
    :ivar ended_at: of tasks.
    :ivar heard_of: everything that has a state, a record or an order.
    :ivar to_retry: what has failed, and is to be started again.
    """

    states: dict[Target, tuple[Completion, int]]
    consumed: dict[Target, dict[Target, Completion]]
    stood_on: dict[Target, dict[PipelineRef, int]]
    held: frozenset[PipelineRef]
    ran: set[Target]
    orders: dict[Target, str]
    heard_of: set[Target]
    skipped: set[Target]
    to_retry: set[Target] = field(default_factory=set)
    ended_at: dict[Completion, datetime | None] = field(default_factory=dict)

    @classmethod
    def of(cls, history: History) -> Facts:
        return cls(
            states={
                target: (written.completion, written.revision)
                for target, written in history.states.items()
                if not target.pipeline.task
            }
            | _tasks(history),
            consumed={target: dict(used) for target, used in history.consumed.items()},
            stood_on={target: dict(used) for target, used in history.stood_on.items()},
            held=frozenset(history.held),
            ran=set(history.ran),
            orders={target: order for target, (order, _) in history.orders.items()},
            heard_of=history.targets(),
            skipped=set(history.skipped),
            to_retry={target for target in history.states if retry_is_to_come(target, history)},
            ended_at={
                (run_id, truth.identity, str(truth.state)): history.at(task, truth.ended_at) if truth.ended_at else None
                for (task, run_id), truth in history.tasks.now.items()
            },
        )


def _tasks(history: History) -> dict[Target, tuple[Completion, int]]:
    """The tasks that have ended in the runs that stand in etcd, as their environments know them, whether or not
    anybody has looked; but of a run that was deleted, only those that somebody has looked at before. The revision is
    that of the look; without one, that of the run."""
    found: dict[Target, tuple[Completion, int]] = {}
    for (task, run_id), truth in history.tasks.now.items():
        run, written = history.states.get(task.whole), history.states.get(task)
        if run is None or run.state.attempt.run_id != run_id or truth.state is None:
            continue
        completion = (run_id, truth.identity, truth.state)
        is_seen = written is not None and written.completion == completion
        if not is_seen and history.excused.get(task.whole) == "run deleted":
            continue
        found[task] = completion, written.revision if is_seen and written is not None else run.revision
    return found


@dataclass
class Forecast:
    """:ivar starts: how often the coordinator starts what.

    :ivar stuck: what cannot run by itself.
    :ivar late: what is to be given up.
    """

    starts: dict[Target, int] = field(default_factory=dict)
    stuck: set[Target] = field(default_factory=set)
    late: set[Target] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Verdict:
    """:ivar holds: ... now. :ivar repaired: ... if what has failed or is stuck were repaired.

    :ivar used: by holding: the inputs, and whether each is new.
    :ivar has_pending_change: something that can start it is new or could be repaired, in branches that would hold then.
    :ivar touched: something that can start it is new, in any branch.
    """

    holds: bool
    repaired: bool
    used: tuple[tuple[Target, bool], ...] = ()
    has_pending_change: bool = False
    touched: bool = False


def foresee(
    wiring: Wiring,
    facts: Facts,
    *,
    outcome: Callable[[PipelineRef], str],
    is_newest: Callable[[Target], bool],
    again: Mapping[Target, str] | None = None,
    tasks: Mapping[str, Mapping[str, object]] | None = None,
    cleared: Mapping[Target, frozenset[str]] | None = None,
) -> Forecast:
    """What happens by itself.

    :param outcome: how a run of a pipeline ends.
    :param is_newest: whether a partition is its pipeline's newest one: only that is started by ``latest``.
    :param again: what people run, and how it ends: another attempt of it ends before anything below it starts.
    :param tasks: see ``Plan.tasks``. :param cleared: the tasks that run again, where people clear only some of a run.
    """
    return _Foresight(wiring, facts, outcome, is_newest, tasks or {}).see(again or {}, cleared or {})


class _Foresight:
    def __init__(
        self,
        wiring: Wiring,
        facts: Facts,
        outcome: Callable[[PipelineRef], str],
        is_newest: Callable[[Target], bool],
        tasks: Mapping[str, Mapping[str, object]],
    ) -> None:
        self._tasks = tasks
        self._wiring = wiring
        self._facts = facts
        self._outcome = outcome
        self._is_newest = is_newest
        self._forecast = Forecast()
        self._later = LATER

    def see(self, again: Mapping[Target, str], cleared: Mapping[Target, frozenset[str]]) -> Forecast:
        for target, state in again.items():
            self._complete(target, "by a person", state, cleared.get(target))
        # What was taken out, and nothing waits for, may still be ordered.
        outside = {one.pipeline for one in self._facts.heard_of} - set(self._wiring.order)
        for pipeline in (*self._wiring.order, *sorted(outside)):
            for partition in self._partitions(pipeline):
                self._see(Target(pipeline, partition))
        return self._forecast

    def _see(self, target: Target) -> None:
        facts, forecast, pipeline = self._facts, self._forecast, target.pipeline
        entry, order = self._wiring.entries.get(pipeline), facts.orders.get(target)
        verdict = self._evaluate(entry.tree, target, entry.settle == "direct") if entry else _Verdict(False, False)
        due = order == "rerun" or (verdict.holds and any(new for _, new in verdict.used))
        if entry and entry.on_late != "show" and target not in facts.ran and target not in facts.states:
            # At rest the deadline of whatever has a pending change has passed.
            there = [one for leaf in leaves(entry.tree) for one in self._evaluate(leaf, target, False).used]
            due = due or (entry.on_late == "fire" and any(new for _, new in there))
            if entry.on_late == "skip" and self._stirs(entry, target):
                forecast.late.add(target)
        ignores = entry is not None and entry.rerun == "ignore" and target in facts.ran and order != "rerun"
        ignores = ignores or (target in facts.skipped and order != "rerun")
        waits = entry is not None and entry.rerun == "hold" and target in facts.ran and order is None
        if target in facts.to_retry and not (due and not ignores and not waits):
            if pipeline in facts.held:
                forecast.stuck.add(target)
            else:
                forecast.starts[target] = forecast.starts.get(target, 0) + 1
        elif due and not ignores and (pipeline in facts.held or waits):
            forecast.stuck.add(target)
        elif due:
            consumed = facts.consumed.setdefault(target, {})
            consumed.update({used: facts.states[used][0] for used, _ in verdict.used})
            stood_on = facts.stood_on.setdefault(target, {})
            for used, _ in verdict.used:
                stood_on[used.pipeline] = max(facts.states[used][1], stood_on.get(used.pipeline, 0))
            if not ignores:
                forecast.starts[target] = forecast.starts.get(target, 0) + 1
                facts.ran.add(target)
                self._complete(target, "by the coordinator", self._outcome(pipeline))
        elif verdict.repaired and not verdict.holds and verdict.has_pending_change and not ignores:
            forecast.stuck.add(target)

    def _stirs(self, entry: Entry, target: Target) -> bool:
        """Whether something that could start it has completed: from the first such completion its time runs."""
        return any(self._evaluate(leaf, target, False).touched for leaf in leaves(entry.tree))

    def _complete(self, target: Target, by: str, state: str, cleared: frozenset[str] | None = None) -> None:
        self._later += 1
        self._facts.states[target] = (by, str(self._later), state), self._later
        shape = self._tasks.get(str(target.pipeline), {"tasks": ()})
        for name in shape["tasks"]:  # type: ignore[attr-defined]
            if cleared is None or name in cleared:
                ended = outcome_of(shape, name, fails=state == "failed")
                self._facts.states[task_of(target, name)] = (by, str(self._later), ended), self._later
        self._facts.heard_of.add(target)

    def _partitions(self, pipeline: PipelineRef) -> list[str]:
        """The partitions of a pipeline that there are, or that what is above it brings about."""
        known = {target.partition for target in self._facts.heard_of if target.pipeline == pipeline}
        entry = self._wiring.entries.get(pipeline)
        for leaf in leaves(entry.tree) if entry else ():
            for above in self._known(leaf.upstream):
                known.update(leaf.downstreams(above.partition))
        if entry and all(leaf.mapper == "latest" for leaf in leaves(entry.tree)):
            known.update(above.partition for leaf in leaves(entry.tree) for above in self._known(leaf.upstream))
        return sorted(known)

    def _known(self, pipeline: PipelineRef) -> Iterator[Target]:
        return (one for one in self._facts.heard_of | self._forecast.stuck if one.pipeline == pipeline.whole)

    def _evaluate(self, tree: Tree, target: Target, direct: bool) -> _Verdict:
        if isinstance(tree, Branch):
            return _at_least(tree.n, [self._evaluate(branch, target, direct) for branch in tree.of])
        triggers = tree.trigger and (tree.mapper != "latest" or self._is_newest(target))
        verdicts = [self._evaluate_input(tree, one, target, direct, triggers) for one in self._inputs(tree, target)]
        return _at_least(tree.needed(target.partition), verdicts)

    def _inputs(self, leaf: Leaf, target: Target) -> list[Target]:
        if leaf.mapper == "start_of_quarter":
            return sorted(one for one in self._known(leaf.upstream) if leaf.asks_for(one, target.partition))
        if leaf.mapper in ("latest", "fixed_key"):
            ended = [
                (-revision, one)
                for one, ((_, _, state), revision) in self._facts.states.items()
                if leaf.asks_for(one, target.partition) and state in MET["done"]
            ]
            return [min(ended)[1]] if ended else []  # of those written together the first by name
        return list(leaf.inputs(target.partition))

    def _evaluate_input(self, leaf: Leaf, upstream: Target, target: Target, direct: bool, triggers: bool) -> _Verdict:
        # At rest nothing of what ``latest`` stands on is coming; that some of it is stuck holds nobody back.
        stuck = upstream.whole in self._forecast.stuck
        if upstream not in self._facts.states:
            return _Verdict(False, stuck, has_pending_change=stuck and triggers)
        completion, revision = self._facts.states[upstream]
        state, since = completion[2], self._wiring.since(target.pipeline, leaf)
        if upstream.pipeline.task and self._facts.states.get(upstream.whole, (None, 0))[1] <= since:
            revision = 0  # its run had ended before
        if upstream.pipeline.task and self._wiring.is_past(target.pipeline, leaf, self._facts.ended_at.get(completion)):
            revision = 0
        changed = revision > since and (self._facts.consumed.get(target, {}).get(upstream) != completion)
        if leaf.mapper in ("latest", "fixed_key"):  # where the newest was deleted, an older one is no news
            changed = changed and revision > self._facts.stood_on.get(target, {}).get(upstream.pipeline, 0)
        holds = state in MET[leaf.on] and (direct or not stuck) and leaf.max_age is None
        repairable = stuck or (state == "failed" and leaf.on == "success" and changed)
        new = changed and triggers and state in MET["done"]
        has_change = triggers and (new or repairable)
        return _Verdict(holds, holds or repairable, ((upstream, new),) if holds else (), has_change, new)


def _at_least(n: int, verdicts: list[_Verdict]) -> _Verdict:
    holds = sum(verdict.holds for verdict in verdicts) >= n
    repaired = sum(verdict.repaired for verdict in verdicts) >= n
    used = tuple(one for verdict in verdicts if verdict.holds for one in verdict.used) if holds else ()
    has_pending_change = repaired and any(verdict.has_pending_change for verdict in verdicts if verdict.repaired)
    return _Verdict(holds, repaired, used, has_pending_change, any(verdict.touched for verdict in verdicts))


def countable(wiring: Wiring, *, refused: set[PipelineRef]) -> set[PipelineRef]:
    """The pipelines of which the oracle can say how often they run.

    Not ``settle: direct``; not what is started again when it fails, or stopped; not what stands on the newest partition
    of another, for which of several comes last nobody can say; not what hangs on the time that it takes; nothing below
    these. Nor what need not wait for one that its environment refused for a while: it may go without, and once more
    with it.

    :param refused: what was blocked on the way.
    """
    vague: set[PipelineRef] = set()
    uncertain = set(refused)
    for pipeline in wiring.order:
        entry: Entry | None = wiring.entries.get(pipeline)
        if entry is None:
            continue
        newest = any(leaf.mapper in ("latest", "fixed_key") or leaf.max_age for leaf in leaves(entry.tree))
        if (
            entry.settle == "direct"
            or entry.on_late != "show"
            or entry.catchup != "all"
            or entry.retries
            or entry.timeout is not None
            or newest
            or _reaches(entry.tree, vague)
        ):
            vague.add(pipeline)
        if _reaches(entry.tree, uncertain):
            uncertain.add(pipeline)
            if not entry.is_plain:
                vague.add(pipeline)
    return set(wiring.order) - vague


def _reaches(tree: Tree, pipelines: set[PipelineRef]) -> bool:
    return any(leaf.upstream.whole in pipelines for leaf in leaves(tree))
