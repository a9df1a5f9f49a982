"""What is healthy ran after what it stands on, whatever the environments' own clocks say."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from coordinator.model.references import Target
from coordinator.runners.port import ObservedRun
from tests.simulation.history import History, PromiseBroken


def ran_after_their_inputs(history: History, runs_of: Callable[[Target], Sequence[ObservedRun]]) -> None:
    """At rest, the newest attempt of each pipeline began after the attempts that it used had ended.

    :param runs_of: the runs in a partition, newest first.
    :raises PromiseBroken: one began before.
    """
    for target in sorted(history.targets()):
        _check(target, history, runs_of)


def _check(target: Target, history: History, runs_of: Callable[[Target], Sequence[ObservedRun]]) -> None:
    entry = history.wiring.entries.get(target.pipeline)
    if entry is None or not entry.is_plain or target.pipeline in history.wiring.ever_ignored:
        return
    inputs = history.consumed.get(target, {})
    runs = runs_of(target)
    if not runs or target in history.excused:
        return
    for upstream, completion in inputs.items():
        above = runs_of(upstream.whole)
        if not above or upstream.whole in history.excused or above[0].end_date is None:
            continue
        if upstream.pipeline.task:
            truth = history.tasks.now.get((upstream, above[0].run_id))
            began = history.at(target, max(run.start_date for run in runs if run.start_date is not None))
            same = truth is not None and completion == (above[0].run_id, truth.identity, truth.state)
            if (
                truth is not None
                and truth.ended_at is not None
                and same
                and began < history.at(upstream, truth.ended_at)
            ):
                raise PromiseBroken("what is healthy ran after its inputs", f"{target} began before {upstream} ended")
            continue
        if completion != (above[0].run_id, str(above[0].queued_at), above[0].state.value):
            continue  # it counts no more, or not yet: what is due, the oracle has said
        began = history.at(target, max(run.start_date for run in runs if run.start_date is not None))
        if began < history.at(upstream, above[0].end_date):
            raise PromiseBroken("what is healthy ran after its inputs", f"{target} began before {upstream} ended")
