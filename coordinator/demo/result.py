"""What was shown, for programs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from coordinator.demo.chronicle import Chronicle, Execution
from coordinator.demo.plot import Act
from coordinator.demo.show import Performance
from coordinator.model.partitions.instants import format_instant


def as_json(performance: Performance) -> dict[str, Any]:
    """Acts with their runs and verdicts, times in seconds; the same words as in etcd."""
    return {
        "partition": performance.partition,
        "seconds": performance.seconds,
        "acts": [_act(act, performance) for act in performance.acts],
    }


def _act(act: Act, performance: Performance) -> dict[str, Any]:
    chronicle = performance.chronicle
    return {
        "act": act.number,
        "title": act.title,
        "top": str(act.top),
        "expected": [str(pipeline) for pipeline in act.expected],
        "runs": [
            _run(execution, chronicle)
            for pipeline in sorted(chronicle.pipelines())
            for execution in chronicle.executions(pipeline, act.number)
        ],
        "verdicts": [
            {"promise": check.promise, "kept": check.kept, "problems": list(check.problems)}
            for check in performance.checks.get(act.number, [])
        ],
    }


def _run(execution: Execution, chronicle: Chronicle) -> dict[str, Any]:
    request = chronicle.request_for(execution)
    record = request.record if request is not None else None
    return {
        "pipeline": str(execution.pipeline),
        "run_id": execution.run_id,
        "attempt": _number(execution, chronicle),
        "state": execution.state,
        "revision": execution.revision,
        "queued_at": _instant(execution.queued_at),
        "start_date": _instant(execution.started),
        "end_date": _instant(execution.ended),
        "started_by": "coordinator" if record is not None else "hand",
        "action": record.action if record is not None else None,
        "wave": record.wave if record is not None else execution.revision,
        "inputs": [
            {
                "pipeline": str(target.pipeline),
                "partition": target.partition,
                "run_id": used.attempt.run_id,
                "state": used.state,
                "revision": used.revision,
                "new": request is not None and target in request.fresh,
            }
            for target, used in (request.inputs.items() if request is not None else ())
        ],
    }


def _number(execution: Execution, chronicle: Chronicle) -> int:
    """Which attempt of its run this is, from 1."""
    attempts = [
        each
        for act in range(1, execution.act + 1)
        for each in chronicle.executions(execution.pipeline, act)
        if each.run_id == execution.run_id
    ]
    return attempts.index(execution) + 1


def _instant(instant: datetime | None) -> str | None:
    return format_instant(instant) if instant is not None else None
