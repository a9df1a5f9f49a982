"""What must hold of runs that failed and are started again, and of those that take too long."""

from __future__ import annotations

from coordinator.model.references import Target
from coordinator.model.runstate import State
from coordinator.model.trigger import Status
from tests.simulation.clockwork import seconds_of
from tests.simulation.history import Event, History, PromiseBroken, RecordWritten, RunChanged

STOPPED = "stopped"
"""What has happened to a run that a watcher has stopped."""

INEXACT = 0.5
"""Seconds between the end of a run and the moment that its report says it was seen."""


def retry_is_to_come(target: Target, history: History, knows: int | None = None) -> bool:
    """Whether a run that the coordinator started has failed, and was not started again as often as allowed.

    :param knows: an etcd revision: as far as that shows it.
    """
    entry, written, recorded = (
        history.wiring.entries.get(target.pipeline),
        history.states.get(target),
        history.records.get(target),
    )
    if entry is None or written is None or recorded is None or written.marked:
        return False
    if knows is not None and max(written.revision, recorded.revision) > knows:
        return False
    record, attempt = recorded.record, written.state.attempt
    ours = record.attempt or record.previous_attempt
    if written.state.state is not State.FAILED or record.run_id is None or attempt.run_id != record.run_id:
        return False
    if ours is None or attempt.queued_at is None or attempt.queued_at < ours:
        return False
    return history.retried[target] < entry.retries


def a_retry_follows_a_failure(event: Event, history: History) -> None:
    """A retry is of a run of ours that has failed, not too early, and not more often than its entry says."""
    if not isinstance(event, RecordWritten) or event.record is None or not event.record.retrying:
        return
    target, record = event.target, event.record
    if record.status is not Status.INTENT or history.published_at > event.knows:
        return
    entry, written = history.wiring.entries.get(target.pipeline), history.states.get(target)
    if entry is None or history.retried[target] >= entry.retries:
        raise PromiseBroken(
            "not more retries than allowed", f"{target}: {history.retried[target]} before, and another one"
        )
    if written is None or written.revision > event.knows:
        return  # it has changed a moment ago
    if written.state.state is not State.FAILED or written.marked or written.state.attempt.run_id != record.run_id:
        raise PromiseBroken("a retry follows a failure", f"{target} says {written.state.state}")
    ended = written.state.completed_at
    if ended is None or history.clock_was_wrong or target.pipeline.environment in history.clocks_behind:
        return
    if event.time < seconds_of(ended) + entry.retry_delay - INEXACT:
        raise PromiseBroken("a retry waits for its delay", f"{target}: {event.time - seconds_of(ended):.2f} s after")


def only_what_takes_too_long_is_stopped(event: Event, history: History) -> None:
    """A run is stopped by the leader only, if it is ours, and has gone on for longer than its entry allows."""
    if not isinstance(event, RunChanged) or event.what != STOPPED:
        return
    target, recorded = event.target, history.records.get(event.target)
    entry = history.wiring.entries.get(target.pipeline)
    if event.by != "the leader":
        raise PromiseBroken("only the leader sends", f"{event.by} stopped {target} while it did not lead")
    if recorded is None or recorded.record.run_id != event.run.run_id:
        raise PromiseBroken("only our runs are stopped", f"{target}: {event.run.run_id}")
    queued_at = event.run.queued_at
    if entry is None or entry.timeout is None or queued_at is None or history.clock_was_wrong:
        return  # it was taken out a moment ago
    began = seconds_of(history.at(target, queued_at))
    if target.pipeline.environment in history.clocks_behind and recorded.record.when is not None:
        began = min(began, seconds_of(recorded.record.when))  # the leader cannot tell that it began later
    took = event.time - began
    if took < entry.timeout - INEXACT:
        raise PromiseBroken("only what takes too long is stopped", f"{target} after {took:.2f} s")
