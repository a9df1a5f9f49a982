"""What runs say about a wave, about a fan-out, and about what ran again: pure functions of what was observed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from benchmarks.peers.graph import Graph
from benchmarks.peers.observed import ENDED, Run


@dataclass(frozen=True)
class Wave:
    """:ivar ended: every pipeline has run to a success, and nothing runs any more.

    :ivar once: and each has one run, which ran once.
    :ivar from_run: seconds from the end of the root's run to the end of the last pipeline's last run.
    :ivar from_task: the same from the end of the root's task.
    """

    ended: bool
    once: bool = False
    from_run: float | None = None
    from_task: float | None = None


@dataclass(frozen=True)
class FanOut:
    """Seconds from the end of the root's task.

    :ivar started: how many pipelines have begun.
    :ivar last_start: until the last task began; ``None``: not all have.
    :ivar last_end: until the last run had ended.
    """

    started: int
    last_start: float | None = None
    last_end: float | None = None


@dataclass(frozen=True)
class Again:
    """How often a pipeline ran again: :ivar same: in runs that there were. :ivar new: in new ones."""

    same: int
    new: int


def is_whole(graph: Graph, dag_ids: Mapping[str, str], runs: Iterable[Run]) -> bool:
    """Every pipeline has succeeded, and nothing runs."""
    state = {run.dag_id: "" for run in runs}
    for run in runs:
        if run.state not in ENDED or run.ended is None:
            return False
        if run.state == "success":
            state[run.dag_id] = run.state
    return all(state.get(dag_ids[pipeline]) == "success" for pipeline in graph.upstreams)


def judge_wave(graph: Graph, dag_ids: Mapping[str, str], runs: Sequence[Run]) -> Wave:
    """:param runs: all that have been created since the wave began."""
    if not is_whole(graph, dag_ids, runs):
        return Wave(ended=False)
    once = len(runs) == len(graph.upstreams) and all(run.tries <= 1 for run in runs)
    root = _first_run(runs, dag_ids[graph.root])
    last = max(_of(run.ended) for run in runs if run.dag_id == dag_ids[graph.last])
    return Wave(True, once, _seconds(root.ended, last), _seconds(root.worked, last))


def judge_fan_out(graph: Graph, dag_ids: Mapping[str, str], runs: Sequence[Run]) -> FanOut:
    """:param runs: all that have been created since."""
    leaves = [run for run in runs if run.dag_id != dag_ids[graph.root]]
    begun = {run.dag_id for run in leaves if run.began is not None}
    if not is_whole(graph, dag_ids, runs):
        return FanOut(len(begun))
    worked = _first_run(runs, dag_ids[graph.root]).worked
    last_start, last_end = max(_of(run.began) for run in leaves), max(_of(run.ended) for run in leaves)
    return FanOut(len(begun), _seconds(worked, last_start), _seconds(worked, last_end))


def ran_again(dag_ids: Mapping[str, str], before: Iterable[Run], after: Iterable[Run]) -> dict[str, Again]:
    """What has run between two looks at all runs, by pipeline; without those that did not."""
    tries = {(run.dag_id, run.run_id): run.tries for run in before}
    pipelines = {dag_id: pipeline for pipeline, dag_id in dag_ids.items()}
    found = dict.fromkeys(dag_ids, Again(0, 0))
    for run in after:
        pipeline, was = pipelines[run.dag_id], tries.get((run.dag_id, run.run_id))
        so_far = found[pipeline]
        if was is None:
            found[pipeline] = Again(so_far.same, so_far.new + run.tries)
        else:
            found[pipeline] = Again(so_far.same + run.tries - was, so_far.new)
    return {pipeline: again for pipeline, again in found.items() if again != Again(0, 0)}


def say_again(cleared: str, again: Mapping[str, Again]) -> str:
    """In words: what ran again beside the pipeline that was cleared."""
    groups: dict[Again, list[str]] = {}
    for pipeline, how in again.items():
        if pipeline != cleared or how != Again(1, 0):
            groups.setdefault(how, []).append(pipeline)
    if cleared not in again:
        return "; ".join(["not even the run that was cleared", *_say_groups(groups)])
    return "; ".join(_say_groups(groups)) or "nothing below"


def _say_groups(groups: Mapping[Again, Sequence[str]]) -> list[str]:
    said = []
    for how, pipelines in groups.items():
        names = ", ".join(pipeline.removesuffix("_pipeline") for pipeline in pipelines)
        parts = [
            f"{kind} {_times(count)}" for kind, count in (("the same run", how.same), ("new runs,", how.new)) if count
        ]
        said.append(f"{names}: {' and '.join(parts)}")
    return said


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _first_run(runs: Iterable[Run], dag_id: str) -> Run:
    return min((run for run in runs if run.dag_id == dag_id), key=lambda run: _of(run.ended))


def _seconds(begin: datetime | None, end: datetime) -> float:
    return (end - _of(begin)).total_seconds()


def _of(moment: datetime | None) -> datetime:
    assert moment is not None, "a run that has ended says when"
    return moment
