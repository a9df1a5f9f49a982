"""An act as rows for people: what ran, when and why. Pure; whoever shows the rows brings colours and widths."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from coordinator.demo.chronicle import Chronicle, Execution, Request
from coordinator.demo.plot import Act, Plot
from coordinator.model.consumption import Inputs
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import State
from coordinator.model.trigger import Action, Status

WAITS, REFUSED, AT_REST = "waits", "refused", "at rest"

LEGEND = (
    "02@27: the completion of 02_pipeline that etcd has at revision 27. "
    "wave: the revision of the completion at the top, because of which all of this runs."
)


@dataclass(frozen=True, slots=True)
class Row:
    """A pipeline in an act.

    :ivar state: a run state, or one of the words above.
    :ivar took: seconds.
    :ivar detail: the completions that the run stands on.
    """

    pipeline: str
    state: str
    started: datetime | None = None
    took: float | None = None
    wave: int | None = None
    why: str = ""
    detail: str = ""


def rows_of(act: Act, plot: Plot, chronicle: Chronicle, now: datetime) -> list[Row]:
    """A row for everybody on the stage, upstreams before their downstreams."""
    names = short_names(plot.pipelines)
    return [_row(pipeline, act, plot, chronicle, names, now) for pipeline in plot.pipelines]


def reason(request: Request, names: Mapping[PipelineRef, str]) -> str:
    """Why a pipeline was started, in words: ``cleared: 03 succeeded again``."""
    record = request.record
    inputs = [target for target in request.inputs if target in request.fresh] or list(request.inputs)
    succeeded = all(request.inputs[target].state is State.SUCCESS for target in inputs)
    ended = "succeeded" if succeeded else "ended"
    again = " again" if record.action is Action.CLEAR else ""
    verb = "cleared" if record.action is Action.CLEAR else "created"
    return f"{verb}: {', '.join(names.get(t.pipeline, str(t.pipeline)) for t in inputs)} {ended}{again}"


def stands_on(request: Request, names: Mapping[PipelineRef, str]) -> str:
    """The completions that a request stands on: ``03@61; still 02@27 04@37``."""
    fresh = _completions(request.inputs, (target for target in request.inputs if target in request.fresh), names)
    old = _completions(request.inputs, (target for target in request.inputs if target not in request.fresh), names)
    return f"{fresh}; still {old}" if fresh and old else fresh or old


def short_names(pipelines: Iterable[PipelineRef]) -> dict[PipelineRef, str]:
    """Names without what they all end in: ``01`` for ``01_pipeline`` where all are called so."""
    known = list(pipelines)
    same_ending = len({pipeline.dag_id.partition("_")[2] for pipeline in known}) == 1
    return {pipeline: (pipeline.dag_id.partition("_")[0] if same_ending else "") or str(pipeline) for pipeline in known}


def _completions(inputs: Inputs, targets: Iterable[Target], names: Mapping[PipelineRef, str]) -> str:
    return " ".join(f"{names.get(t.pipeline, str(t.pipeline))}@{inputs[t].revision}" for t in targets)


def _row(
    pipeline: PipelineRef,
    act: Act,
    plot: Plot,
    chronicle: Chronicle,
    names: Mapping[PipelineRef, str],
    now: datetime,
) -> Row:
    executions = chronicle.executions(pipeline, act.number)
    requests = chronicle.requests(pipeline, act.number)
    execution = executions[-1] if executions else None
    if pipeline == act.top:
        return _top(act, execution, now)
    if requests:
        return _requested(requests[-1], execution, names, now)
    if execution is not None:
        return Row(str(pipeline), execution.state, execution.started, _took(execution, now), why="not by us")
    if pipeline not in act.expected:
        return Row(str(pipeline), AT_REST, why=f"does not wait for {names[act.top]}")
    awaited = [upstream for upstream in plot.upstreams.get(pipeline, ()) if upstream in act.expected]
    return Row(str(pipeline), WAITS, why=f"waits for {', '.join(names[upstream] for upstream in awaited)}")


def _top(act: Act, execution: Execution | None, now: datetime) -> Row:
    why = "triggered by hand" if act.number == 1 else "cleared by hand"
    if execution is None:
        return Row(str(act.top), State.QUEUED, why=why)
    wave = execution.revision if execution.state.is_terminal else None
    detail = f"its completion makes wave {wave}" if wave else ""
    return Row(str(act.top), execution.state, execution.started, _took(execution, now), wave, why, detail)


def _requested(request: Request, execution: Execution | None, names: Mapping[PipelineRef, str], now: datetime) -> Row:
    name, wave = str(request.pipeline), request.record.wave
    if request.record.status is Status.BLOCKED:
        return Row(name, REFUSED, wave=wave, why=reason(request, names), detail=request.record.last_error or "")
    return Row(
        name,
        State.QUEUED if execution is None else execution.state,
        execution.started if execution is not None else None,
        _took(execution, now) if execution is not None else None,
        wave,
        reason(request, names),
        stands_on(request, names),
    )


def _took(execution: Execution, now: datetime) -> float | None:
    if execution.started is None:
        return None
    return max(0.0, ((execution.ended or now).astimezone(UTC) - execution.started).total_seconds())
