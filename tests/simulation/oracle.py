"""The oracle: who must run, given everything at rest and one change. One pass over the graph, upstreams first.

It knows nothing of the rule that decides. At rest nothing is on its way, so what the rule needs for what is on its
way (busy, looks, flights, waiting for other branches) is not needed here: a pipeline runs when its condition holds,
for something that it has not used yet; it is stuck when only mending would help; everything else is settled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from coordinator.model.references import PipelineRef, Target
from tests.simulation.history import Completion, History
from tests.simulation.wiring import Branch, Entry, Leaf, Tree, Wiring


@dataclass
class Facts:
    """What stands in etcd at rest, and what each pipeline has used.

    :ivar states: the completion, and the etcd revision of it.
    """

    states: dict[Target, tuple[Completion, int]]
    consumed: dict[Target, dict[Target, Completion]]
    held: frozenset[PipelineRef]
    ran: set[Target]

    @classmethod
    def of(cls, history: History) -> Facts:
        return cls(
            states={target: (written.completion, written.revision) for target, written in history.states.items()},
            consumed={target: dict(used) for target, used in history.consumed.items()},
            held=frozenset(history.held),
            ran=set(history.ran),
        )


@dataclass
class Forecast:
    """:ivar starts: how often the coordinator starts what. :ivar stuck: what cannot run by itself."""

    starts: dict[Target, int] = field(default_factory=dict)
    stuck: set[Target] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Verdict:
    """:ivar holds: ... now. :ivar mended: ... if what has failed or is stuck were mended. :ivar used: by holding."""

    holds: bool
    mended: bool
    used: tuple[tuple[Target, bool], ...] = ()


def foresee(
    wiring: Wiring,
    facts: Facts,
    *,
    partition: str,
    outcome: Callable[[PipelineRef], str],
    again: Mapping[Target, str] | None = None,
) -> Forecast:
    """What happens in a partition by itself.

    :param outcome: how a run of a pipeline ends.
    :param again: what people run, and how it ends: another attempt of it ends before anything below it starts.
    """
    forecast = Forecast()
    for pipeline in wiring.order:
        target = Target(pipeline, partition)
        if again is not None and target in again:
            facts.states[target] = (("by a person", str(target), again[target]), 1 << 60)
        entry = wiring.entries.get(pipeline)
        if entry is None:
            continue
        verdict = _judge(entry.tree, target, wiring, facts, forecast, direct=entry.settle == "direct")
        due = verdict.holds and any(new for _, new in verdict.used)
        ignores = entry.rerun == "ignore" and target in facts.ran
        if due and not ignores and pipeline in facts.held:
            forecast.stuck.add(target)
        elif due:
            consumed = facts.consumed.setdefault(target, {})
            consumed.update({used: facts.states[used][0] for used, _ in verdict.used})
            if not ignores:
                forecast.starts[target] = forecast.starts.get(target, 0) + 1
                facts.states[target] = (("by the coordinator", str(target), outcome(pipeline)), 1 << 60)
                facts.ran.add(target)
        elif verdict.mended and not verdict.holds and not ignores:
            forecast.stuck.add(target)
    return forecast


def _judge(tree: Tree, target: Target, wiring: Wiring, facts: Facts, forecast: Forecast, *, direct: bool) -> _Verdict:
    if isinstance(tree, Branch):
        verdicts = [_judge(branch, target, wiring, facts, forecast, direct=direct) for branch in tree.of]
        holds = sum(verdict.holds for verdict in verdicts) >= tree.n
        mended = sum(verdict.mended for verdict in verdicts) >= tree.n
        used = tuple(one for verdict in verdicts if verdict.holds for one in verdict.used) if holds else ()
        return _Verdict(holds, mended, used)
    upstream = tree.inputs(target.partition)[0]
    stuck = upstream in forecast.stuck
    if upstream not in facts.states:
        return _Verdict(False, stuck)
    completion, revision = facts.states[upstream]
    state = completion[2]
    met = state in ("success", "failed") and state in {"failure": ("failed",), "done": ("success", "failed")}.get(
        tree.on, ("success",)
    )
    new = revision > wiring.active[target.pipeline, tree] and (
        facts.consumed.get(target, {}).get(upstream) != completion
    )
    holds = met and (direct or not stuck)
    failed_anew = state == "failed" and tree.on == "success" and new
    return _Verdict(holds, holds or stuck or failed_anew, ((upstream, new),) if holds else ())


def countable(wiring: Wiring, *, refused: set[PipelineRef]) -> set[PipelineRef]:
    """The pipelines of which the oracle can say how often they run: not ``settle: direct``, and not below such; nor
    what need not wait for one that its environment refused for a while, as it may go without and once more with it.

    :param refused: what was blocked on the way.
    """
    vague: set[PipelineRef] = set()
    uncertain = set(refused)
    for pipeline in wiring.order:
        entry: Entry | None = wiring.entries.get(pipeline)
        if entry is None:
            continue
        if entry.settle == "direct" or _reaches(entry.tree, vague):
            vague.add(pipeline)
        if _reaches(entry.tree, uncertain):
            uncertain.add(pipeline)
            if not entry.is_plain:
                vague.add(pipeline)
    return set(wiring.order) - vague


def _reaches(tree: Tree, pipelines: set[PipelineRef]) -> bool:
    if isinstance(tree, Leaf):
        return tree.upstream in pipelines
    return any(_reaches(branch, pipelines) for branch in tree.of)
