"""The next version of a trigger record, one function for each way in which it changes."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from coordinator.model.assets.events import AssetState, extra_to_send
from coordinator.model.assets.names import is_delivery, part_of, source_of
from coordinator.model.conf import conf_to_send
from coordinator.model.consumption import NOTHING, Consumption, Inputs
from coordinator.model.decide import Decision, completions
from coordinator.model.dependencies import Rerun
from coordinator.model.graph import Graph
from coordinator.model.items.rows import Rows, fingerprint_of, is_run_of_row
from coordinator.model.items.whole import row_of, whole_of
from coordinator.model.partitions.instants import coordinator_run_id, name_of_item_run, parse_instant
from coordinator.model.references import Target
from coordinator.model.runstate import RunState
from coordinator.model.trigger import Action, Status, TriggerRecord
from coordinator.model.view import Facts, SeenState, readable_record
from coordinator.runners.port import AssetDelivery, ObservedRun, RowsRead, RowsWanted, StartRequest


@dataclass(frozen=True, slots=True)
class ExistingRun:
    """The run to clear, as its environment shows it now."""

    run_id: str
    queued_at: datetime | None


_random = random.Random()
"""Seeded by the operating system. Asking it for each token would hand Python's lock to other threads each time."""

os.register_at_fork(after_in_child=_random.seed)  # else parent and child would give the same tokens


def _new_token() -> str:
    """A unique name for a request. It is no secret."""
    return f"{_random.getrandbits(128):032x}"


def intend(
    decision: Decision,
    previous: TriggerRecord | None,
    existing: ExistingRun | None,
    *,
    who: str,
    when: datetime,
    row: bytes | None = None,
) -> TriggerRecord:
    """The intent that a decision to fire becomes (docs/architecture.md#intent).

    :param row: of an item: what it runs for.
    :param existing: the run in this partition. If there is one, the rerun policy applies; otherwise a run is created.
    """
    sequence = 1
    if previous is not None:
        # A create that is known not to have happened gives its number back, and with it its run_id: if it is carried
        # out late after all, our next request finds that run instead of creating another one.
        unused = previous.status in (Status.WITHDRAWN, Status.BLOCKED) and previous.run_id is None
        sequence = previous.sequence if unused else previous.sequence + 1
    return TriggerRecord(
        status=Status.INTENT,
        sequence=sequence,
        action=Action.CREATE if existing is None else Action.CLEAR,
        run_id=_run_id(decision.target, sequence, row) if existing is None else existing.run_id,
        token=_new_token(),
        wave=decision.wave,
        before=None if existing is None else existing.queued_at,
        inputs=Consumption.of(decision.inputs),
        consumed=previous.consumed if previous is not None else NOTHING,
        who=who,
        when=when,
        order=previous.order if previous is not None else 0,
        ordered=decision.order,
        blocked_since=previous.blocked_since if previous is not None and previous.status is Status.BLOCKED else None,
        tasks=decision.tasks_to_clear,
        retried=previous.retried if previous is not None else 0,
        retrying=decision.retries,
        previous_attempt=(previous.attempt or previous.previous_attempt) if previous is not None else None,
        rows=previous.rows if previous is not None else None,
    )


def _run_id(target: Target, sequence: int, row: bytes | None) -> str:
    name = target.partition
    if row is not None:
        name = name_of_item_run(target.partition, target.pipeline.item, fingerprint_of(row))
    return coordinator_run_id(name, sequence)


def existing_run_id(record: TriggerRecord | None) -> str | None:
    """The run that exists in the partition, by its record."""
    if record is None or (record.status is Status.INTENT and record.action is Action.CREATE):
        return None
    return record.run_id


def run_to_clear(
    decision: Decision,
    record: TriggerRecord | None,
    seen: SeenState | None,
    rerun: Rerun | None,
    row: bytes | None = None,
) -> str | None:
    """The run that firing now would clear; ``None``: one is created.

    It is the one in the record, or, where a person orders it, the one that reported; or that of the sensors that are to
    be cleared. A retry is of the run that failed, whatever the rerun policy. A run of an item has its row in its conf,
    which a clear does not change: for another row, another run is created.

    :param seen: the target's own state.
    :param row: of an item: what it is to run for.
    """
    if decision.clears:
        return decision.clears[0].ref.run_id
    if decision.retries:
        return existing_run_id(record)
    if rerun is Rerun.NEW_RUN:
        return None
    target = decision.target
    if row is not None:
        known = existing_run_id(record)
        fits = known is not None and is_run_of_row(known, target.partition, target.pipeline.item, row)
        return known if fits else None
    if record is not None or not decision.order:
        return existing_run_id(record)
    return seen.value.attempt.run_id if seen is not None and isinstance(seen.value, RunState) else None


def cleared_since(intent: TriggerRecord, seen: SeenState | None) -> datetime | None:
    """When the run that an intent is to clear was queued again, if its state says that this has happened since."""
    if intent.action is not Action.CLEAR or seen is None or not isinstance(seen.value, RunState):
        return None
    attempt = seen.value.attempt
    if attempt.run_id != intent.run_id or attempt.queued_at is None:
        return None
    return attempt.queued_at if intent.before is not None and attempt.queued_at > intent.before else None


def is_beside(graph: Graph, target: Target, record: TriggerRecord) -> bool:
    """Whether the run that an intent creates is to stand beside one that the partition has already. It gets no logical
    date, which only one run can have."""
    if target.pipeline.item:
        return True  # they all have the date of one partition
    node = graph.node(target.pipeline)
    return node is not None and node.downstream.rerun is Rerun.NEW_RUN and record.sequence > 1


def request_of(graph: Graph, facts: Facts, target: Target, record: TriggerRecord) -> StartRequest:
    """The request that an intent stands for (docs/architecture.md#request). The same intent gives the same request."""
    assert record.run_id is not None
    if is_delivery(target.pipeline):
        delivery = _delivery_of(facts, target, record)
        return StartRequest(target.pipeline.dag_id, record.action, record.run_id, record.token, delivery=delivery)
    node = graph.node(target.pipeline)
    own_conf: Mapping[str, Any] = node.downstream.conf if node is not None else {}
    if node is not None and node.downstream.items is not None:
        wanted = RowsWanted(node.downstream.items, conf_to_send(own_conf))
        dag_id, partition = target.pipeline.dag_id, target.partition
        return StartRequest(dag_id, record.action, record.run_id, record.token, partition=partition, rows=wanted)
    row, used = None, record.consumed if record.retrying else record.inputs
    if target.pipeline.item:  # it stands on the rows, and these on what its pipeline was started for
        row, whole = row_of(facts, target), readable_record(facts.record(whole_of(target)))
        used = whole.consumed if whole is not None else NOTHING
    inputs = [
        {
            "pipeline": str(input_target.pipeline.whole),
            **part_of(input_target.pipeline),
            "partition": input_target.partition,
            "run_id": consumed.attempt.run_id,
            "state": consumed.state.value,
            "revision": consumed.revision,
        }
        for input_target, consumed in used.named.items()
    ]
    ours = {
        "partition": target.partition,
        "sequence": record.sequence,
        "token": record.token,
        "wave": record.wave,
        **_claim_of(target, row),
        "inputs": inputs,
        **({"more_inputs": used.more} if used.more else {}),
    }
    creates, beside = record.action is Action.CREATE, is_beside(graph, target, record)
    return StartRequest(
        dag_id=target.pipeline.run_dag_id,
        action=record.action,
        run_id=record.run_id,
        token=record.token,
        logical_date=parse_instant(target.partition) if creates and not beside else None,
        conf={**conf_to_send(own_conf), **({"item": json.loads(row)} if row is not None else {}), "coordinator": ours},
        before=record.before,
        partition=target.partition,
        tasks=record.tasks,
        beside=creates and beside,
    )


def _claim_of(target: Target, row: bytes | None) -> dict[str, str]:
    """What the conf of the run of an item says of that: with it, its run_id shows that it was created for this row."""
    return {"item": target.pipeline.item, "row": fingerprint_of(row)} if row is not None else {}


def _delivery_of(facts: Facts, target: Target, record: TriggerRecord) -> AssetDelivery:
    """The newest event among its inputs: with ``once``, the others are the same one.

    If somebody has deleted it, there is nothing to send: the delivery says so, and the decision is another one.
    """
    since = record.when or datetime.now(UTC)
    newest = max(record.inputs.named.items(), key=lambda one: one[1].revision, default=None)
    seen = facts.state(newest[0]) if newest is not None else None
    if newest is None or seen is None or not isinstance(seen.value, AssetState):
        return AssetDelivery("", newest[0].partition if newest is not None else "", {}, since)
    event, document = newest[0].partition, seen.value.document()
    extra = extra_to_send(document, event, source_of(target.pipeline))
    return AssetDelivery(document.uri, event, extra, since, document.partition_key)


def delivered(record: TriggerRecord) -> TriggerRecord:
    """The environment has the asset event: the inputs are consumed, and nothing is followed."""
    return replace(_started(record, None, None), status=Status.DONE)


def fanned_out(record: TriggerRecord, found: RowsRead) -> TriggerRecord:
    """The rows have been read: the inputs are consumed, and the items make use of the rows."""
    rows = Rows(record.token, record.sequence, found.source, found.read_at, found.on_empty, found.by_key)
    return replace(_started(record, None, None), status=Status.DONE, rows=rows)


def sent(record: TriggerRecord, run: ObservedRun) -> TriggerRecord:
    """The request has succeeded: the inputs are consumed."""
    return _started(record, run.run_id, run.queued_at)


def cleared(record: TriggerRecord, queued_at: datetime) -> TriggerRecord:
    """The run to clear has been cleared, by whomever: its new attempt consumes the inputs."""
    return _started(record, record.run_id, queued_at)


def _started(record: TriggerRecord, run_id: str | None, attempt: datetime | None) -> TriggerRecord:
    return replace(
        record,
        status=Status.SENT,
        run_id=run_id,
        attempt=attempt,
        consumed=record.consumed if record.tasks else record.consumed.and_then(record.inputs),
        inputs=NOTHING,
        last_error=None,
        blocked_since=None,
        order=max(record.order, record.ordered),
        ordered=0,
        retried=record.retried + 1 if record.retrying else 0,
        previous_attempt=None,
    )


def ignored(record: TriggerRecord, inputs: Inputs) -> TriggerRecord:
    """The rerun policy is ``ignore``: the inputs are consumed without a run."""
    return replace(record, consumed=record.consumed.and_then(Consumption.of(inputs)))


def skipped(
    decision: Decision, previous: TriggerRecord | None, reason: str, *, who: str, when: datetime
) -> TriggerRecord:
    """The partition is given up: its completions, present and future, are consumed without a run."""
    return TriggerRecord(
        status=Status.DONE,
        sequence=previous.sequence if previous is not None else 0,
        action=Action.CREATE,
        run_id=existing_run_id(previous),
        token=_new_token(),
        wave=decision.wave,
        consumed=(previous.consumed if previous is not None else NOTHING).and_then(
            Consumption.of(completions(decision))
        ),
        who=who,
        when=when,
        last_error=f"skipped: {reason}",
        order=previous.order if previous is not None else 0,
        skipped=True,
        rows=previous.rows if previous is not None else None,
    )


def done(record: TriggerRecord, *, note: str | None = None) -> TriggerRecord:
    """The run has ended."""
    return replace(record, status=Status.DONE, last_error=note)


def blocked(record: TriggerRecord, answer: str) -> TriggerRecord:
    """The environment refuses. Nothing is consumed."""
    return replace(
        record,
        status=Status.BLOCKED,
        run_id=existing_run_id(record),
        last_error=answer,
        blocked_since=record.blocked_since or record.when,
    )


def withdrawn(record: TriggerRecord, reason: str) -> TriggerRecord:
    """The request is known not to have happened, and will not be repeated as it stands."""
    return _withdrawn(record, existing_run_id(record), reason)


def without_run(record: TriggerRecord, reason: str) -> TriggerRecord:
    """The run to clear no longer exists: the next request creates one."""
    return _withdrawn(record, None, reason)


def adopted(record: TriggerRecord, run: ObservedRun) -> TriggerRecord:
    """A run that is not ours exists where ours should be: it becomes the partition's run, for the rerun policy."""
    found = _withdrawn(record, run.run_id, f"run {run.run_id} existed already and is adopted")
    return replace(found, previous_attempt=None)  # it is not ours


def _withdrawn(record: TriggerRecord, run_id: str | None, reason: str) -> TriggerRecord:
    return replace(record, status=Status.WITHDRAWN, run_id=run_id, last_error=reason, blocked_since=None)
