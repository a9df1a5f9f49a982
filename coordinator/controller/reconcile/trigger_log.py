"""The service's log lines about triggers, and the decision log."""

from __future__ import annotations

import logging

import structlog

from coordinator.controller.clock import Clock
from coordinator.controller.counters import Counters
from coordinator.controller.decision_log import DecisionLog, LogEvent, event_of
from coordinator.controller.state.cache import Cache
from coordinator.controller.writes import RecordWrite
from coordinator.model.references import Target
from coordinator.model.runstate import RunState
from coordinator.model.trigger import Status, TriggerRecord

_log = structlog.get_logger(__name__)

WARNINGS = frozenset({"trigger.blocked", "trigger.unanswered"})
"""Events that may need somebody's action."""

LONGEST_MEASURED = 86_400.0
"""Seconds. What is longer is no trigger time: a report may claim any moment, and one such would be the whole sum."""


class TriggerLog:
    """Logs and counts the outcomes of triggers.

    :param decisions: the decision log; ``None``: there is none.
    """

    def __init__(self, counters: Counters, cache: Cache, clock: Clock, decisions: DecisionLog | None = None) -> None:
        self._counters = counters
        self._cache = cache
        self._clock = clock
        self._decisions = decisions
        self._written: list[tuple[Target, RecordWrite, int]] = []

    def say(self, event: str, target: Target, record: TriggerRecord, **more: str) -> None:
        """Log a line about a trigger, with all names to search for; a warning where somebody may have to act."""
        _log.log(
            logging.WARNING if event in WARNINGS else logging.INFO,
            event,
            pipeline=str(target.pipeline),
            partition=target.partition,
            sequence=record.sequence,
            wave=record.wave,
            action=str(record.action),
            run_id=record.run_id,
            **({"tasks": ",".join(record.tasks)} if record.tasks else {}),
            **({"retry": record.retried + (record.status is Status.INTENT)} if record.retrying else {}),
            **({"reason": record.last_error} if record.last_error else {}),
            **more,
        )

    def written(self, target: Target, write: RecordWrite, revision: int) -> None:
        """A record was written at this etcd revision: it is counted, and logged with the next :meth:`flush`."""
        self._written.append((target, write, revision))
        if write.counts is not None:
            self._counters.add(**{write.counts: 1})

    def flush(self) -> None:
        """Log what was written. Called after the requests that follow from it were sent, so that they need not wait."""
        written, self._written = self._written, []
        for target, write, revision in written:
            try:
                self._say_written(target, write, revision)
            except Exception:  # noqa: BLE001 - it is logged; a failure to log must not affect the work
                _log.exception("trigger.not_logged", pipeline=str(target.pipeline), partition=target.partition)

    def _say_written(self, target: Target, write: RecordWrite, revision: int) -> None:
        self.say(f"trigger.{write.record.status}", target, write.record)
        event = write.event or event_of(write.record, write.previous)
        self._counters.count_trigger(target.pipeline.environment, event)
        if event is LogEvent.SENT and write.previous is not None:
            self._measure(target, write.previous)
        if self._decisions is not None:
            self._decisions.note(
                target,
                write.record,
                previous=write.previous,
                decided_on=write.decided_on,
                event=event,
                decision=write.decision,
                recorded_at=revision,
            )

    def _measure(self, target: Target, intent: TriggerRecord) -> None:
        """Measure the time from the newest input's completion to the answer to the request."""
        newest = max(intent.inputs.named.items(), key=lambda one: one[1].revision, default=None)
        if newest is None or intent.ordered:  # a person's order may use completions of long ago
            return
        seen = self._cache.state(newest[0])
        if seen is None or seen.revision != newest[1].revision or not isinstance(seen.value, RunState):
            return
        if (observed_at := seen.value.observed_at) is not None:
            seconds = max(0.0, (self._clock.now() - observed_at).total_seconds())  # two machines, two clocks
            if seconds <= LONGEST_MEASURED:
                self._counters.trigger_seconds.labels(target.pipeline.environment).observe(seconds)

    def taken_over(self, target: Target, record: TriggerRecord, *, read_up_to: int) -> None:
        """The outcome of an intent is asked for, because it is a predecessor's, or in doubt."""
        self.say("trigger.taken_over", target, record)
        if self._decisions is not None:
            self._decisions.note(target, record, previous=None, decided_on=read_up_to, event=LogEvent.TAKEN_OVER)
