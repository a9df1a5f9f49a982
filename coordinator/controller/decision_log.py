"""The decision log: a line for each decision that led to something, for people who ask later why.

etcd keeps the newest record of a pipeline in a partition, and forgets what was there before with its compaction.
These lines stay, so that "why did it run a second time?" can still be answered. Nothing reads them back; etcd is
the truth, and a line that was lost changes nothing.

A line is JSON with these fields; empty ones are left out::

    when         time of day, UTC
    what         see LogEvent
    pipeline, partition
    sequence, wave, action, run_id, token      of the trigger record
    reason       why, in a sentence
    decided_on   the etcd revision up to which this watcher had read when it decided
    recorded_at  the etcd revision of the record that was written
    inputs       the completions that were used: pipeline, partition, state, run_id, queued_at, revision,
                 new (true: this is why), before (the revision of the one consumed until then)
    more_inputs  how many inputs are left out, because the line would be too long
    who          the watcher
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from coordinator.controller.clock import Clock
from coordinator.model.consumption import NAMED, NOTHING, Consumed, Consumption, Fingerprint, Inputs
from coordinator.model.decide import Decision
from coordinator.model.explanation import headline
from coordinator.model.partitions.instants import format_instant
from coordinator.model.printable import json_text
from coordinator.model.references import Target
from coordinator.model.runstate import RunState
from coordinator.model.trigger import Status, TriggerRecord

MAX_TEXT = 1000
"""Characters of a reason or a name: a partition may be as long as etcd takes a key."""


class LogEvent(enum.StrEnum):
    """What a decision led to. The words are those of the trigger record where it has one.

    ``fire``        an intent was written; the request follows
    ``retry``       the same, of a run that failed and is started again
    ``ignored``     the inputs were consumed without a run (rerun ``ignore``)
    ``sent``        the environment has the request
    ``done``        the run has ended
    ``blocked``     the environment refuses
    ``withdrawn``   the request is known not to have happened, and will not be repeated as it stands
    ``skipped``     the partition was given up (consumed without a run): too late, or missed while nobody led
    ``adopted``     a run that is not ours stands where ours should be, and becomes the partition's
    ``taken_over``  an intent of a predecessor, or one in doubt: the environment is asked for its outcome
    """

    FIRE = "fire"
    RETRY = "retry"
    IGNORED = "ignored"
    SENT = "sent"
    DONE = "done"
    BLOCKED = "blocked"
    WITHDRAWN = "withdrawn"
    SKIPPED = "skipped"
    ADOPTED = "adopted"
    TAKEN_OVER = "taken_over"


_EVENT_OF = {
    Status.INTENT: LogEvent.FIRE,
    Status.SENT: LogEvent.SENT,
    Status.DONE: LogEvent.DONE,
    Status.BLOCKED: LogEvent.BLOCKED,
    Status.WITHDRAWN: LogEvent.WITHDRAWN,
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A line before it is written. Deeply immutable, so that another thread may write it.

    :ivar previous: the record that this one replaced.
    :ivar decision: what the rule said; ``None`` where only the outcome of a request is known.
    """

    when: datetime
    who: str
    event: LogEvent
    target: Target
    record: TriggerRecord
    previous: TriggerRecord | None
    decision: Decision | None
    decided_on: int
    recorded_at: int | None


class DecisionLog:
    """Builds the entries; ``take`` writes them.

    :param take: called for each entry, in the deciding thread: it must be quick and must not raise.
    :param who: this watcher.
    """

    def __init__(self, take: Callable[[Entry], None], *, clock: Clock, who: str) -> None:
        self._take = take
        self._clock = clock
        self._who = who

    def note(
        self,
        target: Target,
        record: TriggerRecord,
        *,
        previous: TriggerRecord | None,
        decided_on: int,
        event: LogEvent | None = None,
        decision: Decision | None = None,
        recorded_at: int | None = None,
    ) -> None:
        """Log a decision.

        :param event: where it does not follow from the record alone.
        """
        entry = Entry(
            when=self._clock.now(),
            who=self._who,
            event=event or event_of(record, previous),
            target=target,
            record=record,
            previous=previous,
            decision=decision,
            decided_on=decided_on,
            recorded_at=recorded_at,
        )
        self._take(entry)


def event_of(record: TriggerRecord, previous: TriggerRecord | None) -> LogEvent:
    """The event that follows from a written record alone."""
    same = previous is not None and (previous.token, previous.status) == (record.token, record.status)
    if record.skipped and record.status is Status.DONE and not same:
        return LogEvent.SKIPPED
    if record.retrying and record.status is Status.INTENT and not same:
        return LogEvent.RETRY
    return LogEvent.IGNORED if same else _EVENT_OF[record.status]


def line_of(entry: Entry) -> str:
    """The line, without its end."""
    record = entry.record
    used, number = _used(entry)
    inputs = _inputs(used, entry.previous.consumed if entry.previous is not None else NOTHING)
    fields: dict[str, Any] = {
        "when": format_instant(entry.when),
        "what": entry.event,
        "pipeline": str(entry.target.pipeline),
        "partition": entry.target.partition,
        "sequence": record.sequence,
        "wave": record.wave,
        "action": record.action,
        "run_id": record.run_id,
        "token": record.token,
        "reason": _reason(entry),
        "decided_on": entry.decided_on,
        "recorded_at": entry.recorded_at,
        "inputs": inputs,
        "more_inputs": number - len(inputs),
        "who": entry.who,
    }
    return json_text(_bounded(fields))


def _bounded(fields: dict[str, Any]) -> dict[str, Any]:
    """Without empty fields, and with long texts cut, so that the line stays readable."""
    return {
        name: value if not isinstance(value, str) or len(value) <= MAX_TEXT else f"{value[:MAX_TEXT]}..."
        for name, value in fields.items()
        if value not in (None, [], "") and not (name == "more_inputs" and value == 0)
    }


def _reason(entry: Entry) -> str:
    if entry.event is LogEvent.DONE:
        return entry.record.last_error or "its run has ended"
    if entry.event is LogEvent.SENT:
        return "the environment has it"
    if entry.event is LogEvent.TAKEN_OVER:
        return "its outcome is not known: the environment is asked for it"
    if entry.event in (LogEvent.FIRE, LogEvent.RETRY, LogEvent.IGNORED) and entry.decision is not None:
        return headline(entry.decision)
    return entry.record.last_error or ""


def _inputs(used: Inputs, before: Consumption) -> list[dict[str, Any]]:
    """The completions that were used: the new ones first, and no more than a record names."""
    new = {
        target: not before.knows(target, RunState(one.state, one.attempt), one.revision) for target, one in used.items()
    }
    first = sorted(used, key=lambda target: not new[target])[:NAMED]
    return [_input(target, used[target], before.get(target), new=new[target]) for target in first]


def _used(entry: Entry) -> tuple[Inputs, int]:
    """The completions that were used, as far as they are known in full, and how many there were."""
    if entry.decision is not None:
        return entry.decision.inputs, len(entry.decision.inputs)
    match entry.event:
        case LogEvent.DONE:
            kept = NOTHING
        case LogEvent.SKIPPED:
            kept = entry.record.consumed
        case LogEvent.SENT:
            kept = entry.previous.inputs if entry.previous is not None else NOTHING
        case _:
            kept = entry.record.inputs
    return kept.named, len(kept)


def _input(target: Target, used: Consumed, before: Consumed | Fingerprint | None, *, new: bool) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "pipeline": str(target.pipeline),
        "partition": target.partition,
        "state": used.state,
        "run_id": used.attempt.run_id,
        "queued_at": format_instant(used.attempt.queued_at) if used.attempt.queued_at is not None else None,
        "attempt": used.attempt.number,
        "revision": used.revision,
        "new": new,
        "before": before.revision if isinstance(before, Consumed) else None,
    }
    return _bounded(fields)
