"""A play as a story: what happened, one event a line, for whoever has to find out why."""

from __future__ import annotations

from tests.simulation.clockwork import START
from tests.simulation.history import (
    EffectMade,
    Event,
    Happening,
    History,
    HoldWritten,
    OrderGiven,
    PromiseBroken,
    Published,
    RecordWritten,
    RunChanged,
    StateWritten,
    TaskChanged,
    WaitAnswered,
)
from tests.simulation.plan import Plan


def story_of(plan: Plan, history: History, broken: PromiseBroken | None) -> str:
    """The graph, everything that happened, and how it ended."""
    lines = [f"{name} waits for {entry}" for name, entry in plan.document.items()]
    lines += [f"{event.time - START:9.3f}  {_tell(event, history)}" for event in history.events]
    lines.append(f"BROKEN: {broken}" if broken else "all promises held")
    return "\n".join(lines)


def _tell(event: Event, history: History) -> str:
    match event:
        case StateWritten(_, target, state, revision, by):
            word = "deleted" if state is None else f"{state.state} of {_attempt(state.attempt.queued_at)}"
            if state is not None and target.pipeline.task:
                word = f"{state.state} of {state.attempt.number}"
            return f"etcd {revision}: {target} {word} ({by})"
        case RecordWritten(_, target, record, revision, by):
            if record is None:
                return f"etcd {revision}: record of {target} deleted ({by})"
            uses = ", ".join(
                f"{used}={one.state} of {_attempt(one.attempt.queued_at)}" for used, one in record.inputs.named.items()
            )
            error = f" [{record.last_error}]" if record.last_error else ""
            return (
                f"etcd {revision}: record of {target} {record.status} #{record.sequence} {record.action}"
                f" {record.token[:4]}{f' uses {uses}' if uses else ''}{error} ({by})"
            )
        case HoldWritten(_, pipeline, held, revision):
            return f"etcd {revision}: {pipeline} {'held' if held else 'released'}"
        case OrderGiven(_, target, order, revision):
            return f"etcd {revision}: {order} of {target} ordered"
        case Published(_, document, revision, owner, edition=edition, by=by):
            return f"etcd {revision}: {owner} publishes #{edition} ({by}): {document}"
        case EffectMade(_, target, action, token, run, _, by):
            return f"REQUEST {action} {target} {token[:4]}: {run.run_id}, attempt {_attempt(run.queued_at)} ({by})"
        case RunChanged(_, target, what, run, by):
            return f"run of {target} {what}, {run.state}: {run.run_id}, attempt {_attempt(run.queued_at)} ({by})"
        case TaskChanged(_, target, truth):
            return f"task {target} {truth.state or 'is to run'}"
        case WaitAnswered(_, upstream, wait, by):
            return f"the sensor that waits for {upstream} to end in {wait.on}: {wait.status} ({by})"
        case Happening(_, what, detail):
            return f"-- {what}{f': {detail}' if detail else ''}"
    del history
    return str(event)


def _attempt(queued_at: object) -> str:
    return str(queued_at)[14:24] if queued_at is not None else "?"
