"""Did what was to happen happen, and nothing else? Asked of the chronicle and of Airflow itself. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from coordinator.demo.chronicle import Chronicle, Execution
from coordinator.demo.plot import Act, Plot
from coordinator.model.references import PipelineRef
from coordinator.model.runstate import State
from coordinator.model.trigger import Action, Status


@dataclass(frozen=True, slots=True)
class Check:
    """One promise of an act. ``problems``: how it was broken, empty if it was kept."""

    promise: str
    problems: tuple[str, ...]

    @property
    def kept(self) -> bool:
        return not self.problems


@dataclass(frozen=True, slots=True)
class ShownRun:
    """A run as Airflow itself shows it."""

    run_id: str
    state: str


Shown = Mapping[PipelineRef, Sequence[ShownRun]]
"""The runs of each pipeline in the partition, as Airflow shows them."""


def is_over(act: Act, chronicle: Chronicle) -> bool:
    """Whether everybody who was to run has ended, and nobody is under way."""
    for pipeline in chronicle.pipelines():
        if any(not each.state.is_terminal for each in chronicle.executions(pipeline, act.number)):
            return False
        if any(request.under_way for request in chronicle.requests(pipeline, act.number)):
            return False
    return not missing(act, chronicle)


def missing(act: Act, chronicle: Chronicle) -> list[PipelineRef]:
    """Who was to run and has not, or has not ended."""
    return [
        pipeline
        for pipeline in act.expected
        if not any(each.state.is_terminal for each in chronicle.executions(pipeline, act.number))
    ]


def failure(act: Act, chronicle: Chronicle) -> str | None:
    """What makes waiting pointless: a run that failed, or a request that Airflow refuses."""
    for pipeline in sorted(chronicle.pipelines()):
        for execution in chronicle.executions(pipeline, act.number):
            if execution.state is State.FAILED:
                return f"the run {execution.run_id} of {pipeline} failed in Airflow"
        for request in chronicle.requests(pipeline, act.number):
            if request.record.status is Status.BLOCKED:
                return f"{pipeline} cannot be started: {request.record.last_error}"
    return None


def judge(act: Act, plot: Plot, chronicle: Chronicle, shown: Shown) -> list[Check]:
    """The promises of an act, each kept or broken."""
    count = len(act.expected)
    again = act.number > 1
    others = [
        pipeline for pipeline in sorted({*plot.pipelines, *chronicle.pipelines()}) if pipeline not in act.expected
    ]
    who = f"{act.expected[0]} and the {count - 1} below it" if again else f"each of the {count} pipelines"
    checks = [
        Check(f"{who} ran exactly once{' more' if again else ''}", tuple(_not_once(act, chronicle))),
        Check("each began only after everything that it waits for had ended", tuple(_too_early(act, plot, chronicle))),
        Check("each was started for the completion at the top", tuple(_wrong_reason(act, chronicle))),
        Check("Airflow shows one run of each, successful", tuple(_shown_otherwise(plot, shown))),
    ]
    if again:
        checks[1:1] = [
            Check("nothing else ran", tuple(_ran(others, act, chronicle))),
            Check("they are the same runs as before, cleared, none created", tuple(_other_runs(act, chronicle))),
        ]
    elif others:
        checks.insert(1, Check("nothing else ran", tuple(_ran(others, act, chronicle))))
    return checks


def _not_once(act: Act, chronicle: Chronicle) -> Iterable[str]:
    for pipeline in act.expected:
        times = len(chronicle.executions(pipeline, act.number))
        if times != 1:
            yield f"{pipeline} ran {times} times" if times else f"{pipeline} did not run"


def _too_early(act: Act, plot: Plot, chronicle: Chronicle) -> Iterable[str]:
    for pipeline in act.expected:
        began = _began(chronicle.executions(pipeline, act.number))
        for upstream in plot.upstreams.get(pipeline, ()):
            executions = [
                each for number in range(1, act.number + 1) for each in chronicle.executions(upstream, number)
            ]
            ended = executions[-1].ended if executions else None
            if pipeline == act.top and upstream not in act.expected:
                continue  # a person started it, whatever it waits for
            if began is None or ended is None or began < ended:
                yield f"{pipeline} began at {_clock(began)}, {upstream} ended at {_clock(ended)}"


def _wrong_reason(act: Act, chronicle: Chronicle) -> Iterable[str]:
    completions = [each.revision for each in chronicle.executions(act.top, act.number) if each.state.is_terminal]
    wanted = Action.CREATE if act.number == 1 else Action.CLEAR
    for pipeline in act.expected[1:]:
        executions = chronicle.executions(pipeline, act.number)
        for request in (chronicle.request_for(execution) for execution in executions):
            if request is None:
                yield f"{pipeline} was not started by the coordinator"
            elif request.record.wave not in completions:
                yield f"{pipeline} belongs to wave {request.record.wave}, not to {completions}"
            elif request.record.action is not wanted:
                yield f"{pipeline}: expected the action {wanted}, found {request.record.action}"


def _ran(others: Iterable[PipelineRef], act: Act, chronicle: Chronicle) -> Iterable[str]:
    for pipeline in others:
        if chronicle.executions(pipeline, act.number):
            yield f"{pipeline} ran"
        elif chronicle.requests(pipeline, act.number):
            yield f"{pipeline} was asked to run"


def _other_runs(act: Act, chronicle: Chronicle) -> Iterable[str]:
    for pipeline in act.expected:
        before = {each.run_id for each in chronicle.executions(pipeline, act.number - 1)}
        now = {each.run_id for each in chronicle.executions(pipeline, act.number)}
        if before != now:
            yield f"{pipeline}: runs {sorted(map(str, before))} before, {sorted(map(str, now))} now"


def _shown_otherwise(plot: Plot, shown: Shown) -> Iterable[str]:
    for pipeline in plot.wave.expected:
        runs = shown.get(pipeline, ())
        if len(runs) != 1 or runs[0].state != State.SUCCESS:
            found = ", ".join(f"{run.run_id} ({run.state})" for run in runs) or "none"
            yield f"{pipeline}: expected one successful run, found {found}"


def _began(executions: Sequence[Execution]) -> datetime | None:
    return executions[0].started if executions else None


def _clock(instant: datetime | None) -> str:
    return instant.time().isoformat(timespec="milliseconds") if instant is not None else "no known time"
