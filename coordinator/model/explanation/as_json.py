"""The whole explanation for programs: everything that people are shown, and ids for further queries."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from coordinator.model.assets.completions import AssetCompletion, producer_of
from coordinator.model.assets.names import is_asset, part_of, uri_of
from coordinator.model.consumption import Consumed, Inputs
from coordinator.model.evaluation import Evaluated, EvaluatedBranch, EvaluatedInput
from coordinator.model.explanation.causes import Cause
from coordinator.model.explanation.explained import Explanation
from coordinator.model.explanation.in_words import InWords, in_words
from coordinator.model.explanation.items import ItemShown
from coordinator.model.explanation.waits import WaitingSensor
from coordinator.model.explanation.words import state_of
from coordinator.model.hold import hold_as_json
from coordinator.model.items.whole import is_of_items
from coordinator.model.partitions.instants import format_instant
from coordinator.model.references import PipelineRef, Target
from coordinator.model.retries import Retry
from coordinator.model.runstate import Attempt, RunState, Unreadable
from coordinator.model.sensors import EvaluatedSensor
from coordinator.model.view import SeenOrder, SeenRecord, SeenState, readable_state

Json = dict[str, Any]


def as_json(explanation: Explanation) -> Json:
    """The explanation as JSON. Revisions are etcd's; times are UTC."""
    decision = explanation.decision
    return {
        "pipeline": str(decision.target.pipeline),
        "partition": decision.target.partition,
        "says": explanation.headline,
        "readiness": decision.readiness,
        "fires": decision.fires,
        "due": decision.due,
        "due_by": _instant(decision.due_by),
        "late": decision.late,
        "retry": _retry(decision.retry),
        "stops_at": _instant(decision.stops_at),
        "obstacles": sorted(decision.obstacles),
        "wave": decision.wave or None,
        "state": _state(explanation.state),
        "condition": _node(decision.evaluated) if decision.evaluated is not None else None,
        "sensors": [_sensor(sensor) for sensor in decision.sensors],
        "waiting_sensors": [_waiting(one) for one in explanation.waiting],
        "items": [_item(one) for one in explanation.items],
        "causes": [_cause(cause) for cause in explanation.causes],
        "fires_when": explanation.outlook,
        "remedies": explanation.remedies(),
        "record": _record(explanation.record),
        "order": _order(explanation.order),
        "hold": hold_as_json(explanation.hold),
        "in_words": _in_words(in_words(explanation)),
    }


def _retry(retry: Retry | None) -> Json | None:
    return None if retry is None else {"at": _instant(retry.at), "number": retry.number, "of": retry.most}


def _item(one: ItemShown) -> Json:
    return {
        "key": one.key,
        "state": one.state,
        "readiness": one.readiness,
        "requests": one.requests,
        "run_id": one.run_id,
        "note": one.note,
    }


def _node(evaluated: Evaluated) -> Json:
    if isinstance(evaluated, EvaluatedBranch):
        mapped = evaluated.dependency
        return {
            "holds": evaluated.holds,
            "of": evaluated.word,
            "needed": evaluated.n,
            **({"pipeline": str(mapped.upstream), "mapping": str(mapped.mapping)} if mapped is not None else {}),
            "branches": [_node(branch) for branch in evaluated.branches],
        }
    return _input(evaluated)


def _sensor(one: EvaluatedSensor) -> Json:
    upstream, used = one.wait.upstream, one.wait.completion
    return {
        "task": one.seen.ref.task_id,
        "map_index": one.seen.ref.map_index,
        "run_id": one.seen.ref.run_id,
        "pipeline": str(upstream.pipeline),
        "partition": upstream.partition,
        "on": one.wait.on,
        "revision": one.state.revision if one.state is not None else None,
        "consumed_revision": used.revision if used is not None else None,
        "new": one.new,
        "busy": one.busy,
        "loop": one.is_loop,
    }


def _waiting(one: WaitingSensor) -> Json:
    upstream, since = one.wait.upstream, one.wait.since
    return {
        "task": one.ref.task_id,
        "map_index": one.ref.map_index,
        "run_id": one.ref.run_id,
        "pipeline": str(upstream.pipeline),
        "partition": upstream.partition,
        "on": one.wait.on,
        "since": _instant(since.replace(microsecond=0)) if since is not None else None,
        "passes_now": not one.causes,
    }


def _input(one: EvaluatedInput) -> Json:
    state = readable_state(one.seen)
    return {
        "holds": one.holds,
        "pipeline": str(one.dependency.upstream),
        **_emitted(one.dependency.upstream, one.seen),
        "on": one.dependency.on,
        "partition": one.target.partition,
        "state": state_of(one.seen),
        "revision": one.seen.revision if one.seen is not None else None,
        **_attempt(_shown_attempt(state)),
        "observed_at": _instant(state.observed_at if state is not None else None),
        "ended_at": _ended_at(state),
        "consumed_revision": one.consumed.revision if isinstance(one.consumed, Consumed) else None,
        "consumed": _consumed(one.consumed) if isinstance(one.consumed, Consumed) else None,
        "consumed_before": one.consumed is not None,
        "triggers": one.triggers,
        "expires": _instant(one.expires),
        "met": one.met,
        "new": one.new,
        "readiness": one.readiness,
    }


def _cause(cause: Cause) -> Json:
    return {
        **_target(cause.target),
        "kind": cause.kind,
        "says": cause.says,
        "run_id": cause.run_id,
        "since": _instant(cause.since),
        "via": [_target(step) for step in cause.via],
        "passes_by_itself": cause.kind.passes_by_itself,
        "remedy": cause.remedy or None,
    }


def _state(seen: SeenState | None) -> Json | None:
    if seen is None:
        return None
    if isinstance(seen.value, Unreadable):
        return {"problem": seen.value.reason, "revision": seen.revision}
    return {
        "state": seen.value.state,
        **_attempt(Attempt() if is_of_items(seen.value.attempt) else seen.value.attempt),
        "observed_at": _instant(seen.value.observed_at),
        "ended_at": _ended_at(seen.value),
        "revision": seen.revision,
    }


def _ended_at(state: RunState | None) -> str | None:
    """When it ended; ``None`` where that is not known."""
    return _instant(state.ended_at) if state is not None and state.state.is_terminal else None


def _record(seen: SeenRecord | None) -> Json | None:
    if seen is None:
        return None
    if isinstance(seen.value, Unreadable):
        return {"problem": seen.value.reason, "revision": seen.revision}
    record = seen.value
    return {
        "status": record.status,
        "sequence": record.sequence,
        "action": record.action,
        "run_id": record.run_id,
        "token": record.token,
        "wave": record.wave,
        "revision": seen.revision,
        "who": record.who,
        "when": _instant(record.when),
        "before": _instant(record.before),
        "attempt": _instant(record.attempt),
        "inputs": _inputs(record.inputs.named),
        "more_inputs": record.inputs.more,
        "consumed": _inputs(record.consumed.named),
        "more_consumed": record.consumed.more,
        "last_error": record.last_error,
        "blocked_since": _instant(record.blocked_since),
        "order": record.order or None,
        "skipped": record.skipped,
        "retried": record.retried,
    }


def _order(seen: SeenOrder | None) -> Json | None:
    if seen is None:
        return None
    if isinstance(seen.value, Unreadable):
        return {"problem": seen.value.reason, "revision": seen.revision}
    given = seen.value
    return {
        "order": given.order,
        "who": given.who,
        "when": _instant(given.when),
        "why": given.why,
        "revision": seen.revision,
    }


def _inputs(inputs: Inputs) -> list[Json]:
    return [_target(target) | _consumed(consumed) for target, consumed in inputs.items()]


def _consumed(consumed: Consumed) -> Json:
    return {"state": consumed.state, "revision": consumed.revision, **_attempt(consumed.attempt)}


def _in_words(said: InWords) -> Json:
    return {
        "sensors": said.sensors,
        "items": said.items,
        "condition": [
            {
                "depth": line.depth,
                "holds": line.holds,
                "text": line.text,
                "name": line.name or None,
                "about": _about(line.about) if line.about is not None else None,
            }
            for line in said.condition
        ],
        "because": said.because,
        "outlook": said.outlook,
        "remedies": said.remedies,
        "state": said.state,
        "hold": said.hold,
        "order": said.order,
        "trigger": said.trigger,
    }


def _about(one: EvaluatedInput) -> Json:
    state = readable_state(one.seen)
    return {
        **_target(one.target),
        "state": state.state if state is not None else None,
        "run_id": _shown_attempt(state).run_id,
        "run_of": str(producer.pipeline) if (producer := producer_of(one.seen)) is not None else None,
        "readiness": one.readiness,
    }


def _emitted(upstream: PipelineRef, seen: SeenState | None) -> Json:
    """Of an asset: which one, its newest event, and who has emitted it."""
    if not is_asset(upstream):
        return {}
    known = readable_state(seen)
    by = known.producers if isinstance(known, AssetCompletion) else ()
    event = known.event if isinstance(known, AssetCompletion) else None
    return {"asset": uri_of(upstream), "event": event, "producers": [_target(one) for one in by]}


def _target(target: Target) -> Json:
    return {"pipeline": str(target.pipeline), "partition": target.partition, **part_of(target.pipeline)}


def _attempt(attempt: Attempt) -> Json:
    return {"run_id": attempt.run_id, "queued_at": _instant(attempt.queued_at), "attempt": attempt.number}


def _shown_attempt(state: RunState | None) -> Attempt:
    """Of an asset, the number is a digest, which says nothing to people, and so is the run_id of several items."""
    if state is not None and is_of_items(state.attempt):
        return Attempt()
    if isinstance(state, AssetCompletion):
        return Attempt(state.attempt.run_id)
    return state.attempt if state is not None else Attempt()


def _instant(when: datetime | None) -> str | None:
    return format_instant(when) if when is not None else None
