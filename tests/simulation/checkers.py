"""One checker per promise. Each looks at an event, and at what was known before it, and says what is broken.

What is documented as accepted (docs/guarantees.md, *What is not promised*) is no breach: a clear that nobody could
see between look and request, an environment that was away when it would have been looked at.
"""

from __future__ import annotations

from coordinator.model.references import Target
from coordinator.model.taskstate import TaskState
from coordinator.model.trigger import Action, Status, TriggerRecord
from tests.simulation.clockwork import seconds_of
from tests.simulation.history import (
    PERSON,
    UNSEEN,
    EffectMade,
    Event,
    History,
    PromiseBroken,
    Published,
    RecordWritten,
    RunChanged,
    StateWritten,
    WaitAnswered,
    completion_of,
)
from tests.simulation.retries import a_retry_follows_a_failure, only_what_takes_too_long_is_stopped, retry_is_to_come
from tests.simulation.wiring import Branch, Tree, leaves

SENSORS = "sensors"
"""The DAG whose runs have a sensor, see ``tests.simulation.sensors``."""

MET = {
    "success": ("success",),
    "failure": ("failed",),
    "skipped": ("skipped",),
    "done": ("success", "failed", "skipped"),
}

MARKED_AFTER = 20.0
"""Seconds after which a leader has left a mark, whatever went wrong: its lease is shorter."""


def only_the_leader_writes(event: Event, history: History) -> None:
    """No record, and no state on a pipeline's behalf, is written by a watcher that does not lead."""
    del history
    if isinstance(event, RecordWritten | StateWritten) and not event.leads and event.by.startswith("watcher"):
        raise PromiseBroken("only the leader writes", f"{event.by} wrote about {event.target} while it did not lead")


def only_the_leader_sends(event: Event, history: History) -> None:
    """No request of a watcher that does not lead changes anything."""
    del history
    if isinstance(event, EffectMade) and not event.leads:
        raise PromiseBroken("only the leader sends", f"{event.by}: {event.action} {event.target} while it did not lead")


def an_intent_has_one_effect(event: Event, history: History) -> None:
    """An intent is written before its request, and no two requests of one intent change anything; unless somebody has
    deleted what the first one made."""
    if not isinstance(event, EffectMade):
        return
    if event.token not in history.intents:
        raise PromiseBroken("an intent comes first", f"{event.action} {event.target} without an intent")
    if event.token in history.effects and event.target not in history.no_cause_asked:
        raise PromiseBroken("nothing is doubled", f"{event.action} {event.target} twice for one intent")
    if event.token in history.taken_for_ours:
        raise PromiseBroken("nothing is doubled", f"{event.action} {event.target}, which was known to be done")


def nothing_is_said_to_be_sent_that_was_not(event: Event, history: History) -> None:
    """``sent``, and with it what was consumed, stands on an effect: ours, or another clear after the intent's look."""
    if not isinstance(event, RecordWritten) or event.record is None or event.record.status is not Status.SENT:
        return
    record = event.record
    if record.token in history.effects:
        return
    intent = history.intents.get(record.token)
    made_by = history.attempts.get(event.target, {}).get(str(record.attempt))
    if intent is None or made_by is None or record.attempt == record.before or record.action is Action.CREATE:
        raise PromiseBroken("the effect comes before it is confirmed", f"{event.target}: no request had any effect")
    if made_by.time < intent.time - UNSEEN:
        raise PromiseBroken(
            "the effect comes before it is confirmed", f"{event.target}: a clear of long before the intent counts as it"
        )


def every_run_has_a_cause(event: Event, history: History) -> None:
    """A start uses something that the starts before it did not use, and nothing from before a dependency counted."""
    if not isinstance(event, EffectMade) or event.token not in history.intents:
        return
    target, intent = event.target, history.intents[event.token]
    if target in history.no_cause_asked or intent.record.ordered or intent.record.retrying:
        return
    consumed = history.consumed.get(target, {})
    for upstream, used in history.in_full(intent.record.inputs).items():
        if consumed.get(upstream) != history.used(upstream, used) and upstream not in intent.past:
            return
    raise PromiseBroken("every run has a cause", f"{event.action} {target}: it had used all of that before")


def nothing_fires_early(event: Event, history: History) -> None:
    """At the intent, the inputs used make the condition hold, are what stands in etcd, and are at rest."""
    if not isinstance(event, RecordWritten) or event.record is None or event.record.status is not Status.INTENT:
        return
    target, inputs = event.target, history.in_full(event.record.inputs)
    entry = history.wiring.entries.get(target.pipeline)
    if entry is None:
        return
    if target.pipeline in history.held and history.held[target.pipeline] <= event.knows:
        raise PromiseBroken("what is held is not started", f"{target} is held")
    if _publishing_unseen(history, event.knows):
        return
    used_states = {upstream: used.state.value for upstream, used in inputs.items()}
    late = entry.on_late == "fire" and target not in history.ran
    asked = event.record.ordered or event.record.retrying
    if not asked and not late and not _holds(entry.tree, target, used_states):
        raise PromiseBroken(
            "nothing fires early", f"{target}: {sorted(map(str, inputs))} do not make its condition hold"
        )
    for upstream, used in inputs.items():
        written = history.states.get(upstream)
        if written is None or written.revision != used.revision:
            raise PromiseBroken("nothing fires early", f"{target}: {upstream} had changed when the intent was written")
        if entry.settle == "wave" and (why := unrest(upstream, history, event.knows)):
            raise PromiseBroken("nothing fires early", f"{target} uses {upstream}, but {why}")
        allowed = [leaf.max_age for leaf in leaves(entry.tree) if leaf.asks_for(upstream, target.partition)]
        if (
            all(allowed)
            and not history.clock_was_wrong
            and event.time - written.time > max(filter(None, allowed), default=0.0) + UNSEEN
        ):
            age = event.time - written.time
            raise PromiseBroken("nothing too old is used", f"{target} uses {upstream}, which is {age:.0f} s old")
        if (why := _unlooked(upstream, event, history)) is not None:
            raise PromiseBroken("a clear is looked for", f"{target} uses {upstream}, but {why}")
    own = history.states.get(target)
    if own is not None and not own.state.state.is_terminal and own.revision <= event.knows:
        raise PromiseBroken("what runs is left to finish", f"{target} says {own.state.state}")


def _publishing_unseen(history: History, knows: int) -> bool:
    """The writer decided by a graph that has just been replaced."""
    return history.published_at > knows


def _holds(tree: Tree, target: Target, used: dict[Target, str]) -> bool:
    if isinstance(tree, Branch):
        return sum(_holds(branch, target, used) for branch in tree.of) >= tree.n
    met = MET[tree.on]
    there = [one for one, state in used.items() if state in met and tree.asks_for(one, target.partition)]
    return len(there) >= tree.needed(target.partition)


def unrest(target: Target, history: History, knows: int) -> str | None:
    """Why a pipeline is not at rest, as far as the revision ``knows`` shows it; ``None`` if it is.

    Of pipelines that wait for ``any``, or handle failures, or ignore, only what they do themselves is looked at.
    """
    written, recorded = history.states.get(target.whole), history.records.get(target.whole)
    if target.pipeline.task:
        # Its run may go on. Where it has ended in this attempt of it, only what the run itself is due for matters.
        if written is not None and written.revision <= knows and not history.tells_of_present_run(target):
            return f"{target} was not seen in the present attempt of its run"
        target = target.whole
    elif written is not None and written.revision <= knows and not written.state.state.is_terminal:
        return f"{target} says {written.state.state}"
    if recorded is not None and recorded.revision <= knows:
        record = recorded.record
        if record.status is Status.INTENT:
            return f"{target} is about to be started"
        if record.status is Status.SENT and record.attempt is not None:
            ended = written is not None and written.state.attempt.queued_at is not None
            if not ended or (
                written is not None
                and written.state.attempt.queued_at is not None
                and written.state.attempt.queued_at < record.attempt
            ):
                return f"{target} was started and has not ended"
    if retry_is_to_come(target, history, knows):
        return f"{target} has failed, and is to be started again"
    entry = history.wiring.entries.get(target.pipeline)
    if entry is None or not entry.is_plain:
        return None
    reasons = []
    for leaf in leaves(entry.tree):
        for upstream in leaf.inputs(target.partition):
            # Without the state of its run, a task is not known.
            above = history.states.get(upstream) if upstream.whole in history.states else None
            since = history.wiring.since(target.pipeline, leaf)
            if history.is_past(upstream, since) and not history.tells_of_present_run(upstream):
                continue  # a task that nobody has asked about, because it starts nothing
            new = history.is_new(target, upstream, since)
            if (why := unrest(upstream, history, knows)) is not None:
                reasons.append(why)
            elif above is None or above.completion[2] == "skipped" or (above.completion[2] == "failed" and not new):
                return None  # this one cannot come, so nothing becomes of the others
            elif new and above.revision <= knows:
                reasons.append(f"{target} has not used {upstream}'s newest completion")
    return reasons[0] if reasons else None


def no_sensor_passes_early(event: Event, history: History) -> None:
    """A sensor passes on a completion that stands in etcd, meets what it waits for, and is at rest."""
    if not isinstance(event, WaitAnswered) or event.wait.completion is None:
        return
    upstream, wait, written = event.upstream, event.wait, history.states.get(event.upstream)
    if not event.leads:
        raise PromiseBroken("only the leader writes", f"{event.by} let a sensor pass while it did not lead")
    if written is None or written.state.state.value not in MET[str(wait.on)]:
        raise PromiseBroken("no sensor passes early", f"{upstream} is {written and written.state.state}")
    if written.revision > event.knows or _publishing_unseen(history, event.knows):
        return  # it has changed a moment ago
    assert event.wait.completion is not None
    if written.revision != event.wait.completion.revision:
        raise PromiseBroken("no sensor passes early", f"{upstream} had changed when a sensor passed")
    if why := unrest(upstream, history, event.knows) or _unlooked(upstream, event, history):
        raise PromiseBroken("no sensor passes early", f"one that waits for {upstream} has passed, but {why}")


def _unlooked(upstream: Target, event: RecordWritten | WaitAnswered, history: History) -> str | None:
    """Whether a newer attempt of an input waits in its environment, for so long that a look must have shown it.

    An input whose completion has just arrived is not looked at, unless its report has waited for long.
    """
    written, now = history.states[upstream], event.time
    observed = written.state.observed_at
    is_fresh = observed is None or written.time - seconds_of(observed) < UNSEEN
    away_until = history.away_until.get(upstream.pipeline.environment, 0.0)
    if (written.revision > event.knew and is_fresh) or now < away_until + UNSEEN:
        return None
    if upstream.pipeline.task:
        truth = history.tasks.now.get((upstream, str(written.state.attempt.run_id)))
        if truth is None or truth.identity == written.identity or upstream.whole in history.excused:
            return None
        return f"it was cleared {now - truth.since:.0f} s before" if truth.since < now - UNSEEN else None
    used_at, run_id = written.state.attempt.queued_at, written.state.attempt.run_id
    for attempt in history.attempts.get(upstream, {}).values():
        queued_at = attempt.run.queued_at
        if attempt.run.run_id != run_id or used_at is None or queued_at is None or queued_at <= used_at:
            continue
        since = seconds_of(history.at(upstream, queued_at))
        if since < now - UNSEEN and upstream not in history.excused:
            return f"it was cleared {now - since:.0f} s before"
    return None


def nothing_is_sent_on_what_has_changed(event: Event, history: History) -> None:
    """At the request, what it uses is still what stands in etcd, unless that has changed a moment ago."""
    if not isinstance(event, EffectMade) or event.token not in history.intents:
        return
    intent = history.intents[event.token].record
    for upstream, used in history.in_full(intent.inputs).items():
        written = history.states.get(upstream)
        if written is None or written.revision > event.knew:
            continue
        if written.completion != history.used(upstream, used):
            raise PromiseBroken(
                "what has changed is decided again",
                f"{event.action} {event.target} for {upstream}, which has said {written.state.state} since then",
            )
    if (
        event.action is Action.CLEAR
        and event.before is not None
        and not event.before.state.is_terminal
        and event.before.queued_at is not None
        and seconds_of(history.at(event.target, event.before.queued_at)) < history.intents[event.token].time - UNSEEN
    ):
        raise PromiseBroken("what runs is left to finish", f"{event.target} was cleared while it ran")


def nothing_rests_on_two_attempts(event: Event, history: History) -> None:
    """What a start uses does not rest, further up, on two attempts of one ancestor."""
    if not isinstance(event, RecordWritten) or event.record is None or event.record.status is not Status.INTENT:
        return
    entry = history.wiring.entries.get(event.target.pipeline)
    if entry is None or entry.settle == "direct":
        return
    rests_on: dict[Target, tuple[str, Target]] = {}

    def claim(ancestor: Target, attempt: str, by: Target) -> None:
        known = rests_on.setdefault(ancestor, (attempt, by))
        if known[0] != attempt:
            raise PromiseBroken(
                "nothing rests on two attempts",
                f"{event.target}: {known[1]} rests on {ancestor} of {known[0]}, {by} on that of {attempt}",
            )

    def visit(target: Target, attempt: str, by: Target) -> None:
        if target.pipeline.task:  # another attempt of its run may have left it alone
            target = target.whole
        else:
            claim(target, attempt, by)
        made = history.attempts.get(target, {}).get(attempt)
        above = history.wiring.entries.get(target.pipeline)
        if not isinstance(made, EffectMade) or made.token not in history.intents or above is None:
            return
        if not above.is_plain or target.pipeline in history.wiring.ever_ignored:
            return
        for leaf in leaves(above.tree):
            for upstream in leaf.inputs(target.partition):
                written, since = history.states.get(upstream), history.wiring.since(target.pipeline, leaf)
                if written is None:
                    return  # somebody deleted it: that is "not yet", and what waits for it rests as it is
                if written.completion[2] == "skipped":
                    return  # it waits for a success that does not come
                if written.completion[2] == "failed" and not history.is_new(target, upstream, since):
                    return  # nobody has to repair it: it failed before the target asked for it
        intent = history.intents[made.token]
        used_before = history.in_full(intent.record.inputs)
        for leaf in leaves(above.tree):
            if history.wiring.since(target.pipeline, leaf) > intent.revision:
                continue  # it did not count yet
            for upstream in leaf.inputs(target.partition):
                if (used := used_before.get(upstream)) is not None:
                    visit(upstream, history.ran_in(upstream, used), target)

    for upstream, used in history.in_full(event.record.inputs).items():
        visit(upstream, history.ran_in(upstream, used), event.target)


def runs_come_from_somewhere(event: Event, history: History) -> None:
    """Nothing begins in an environment that neither a person nor a request has queued."""
    if not isinstance(event, RunChanged) or event.what != "begun":
        return
    if str(event.run.queued_at) not in history.attempts.get(event.target, {}):
        raise PromiseBroken("every run has a cause", f"{event.target} began by itself")


def no_more_are_in_flight_than_allowed(event: Event, history: History) -> None:
    """A pipeline's ``max_in_flight`` and its environment's ``max_runs_in_flight`` hold, as far as the leader knows."""
    if not isinstance(event, RecordWritten) or event.record is None or event.record.status is not Status.INTENT:
        return
    entry, environment = history.wiring.entries.get(event.target.pipeline), event.target.pipeline.environment
    others = [
        target
        for target, recorded in history.records.items()
        if target.pipeline.environment == environment
        and target != event.target
        and target.pipeline.dag_id != SENSORS  # while a sensor waits, its run takes no place
        and recorded.revision <= event.knows
        and _in_flight(target, recorded.record, recorded.revision, history)
    ]
    same = [target for target in others if target.pipeline == event.target.pipeline]
    limits = [(history.runs_in_flight, others)]
    if entry is not None and not _publishing_unseen(history, event.knows):
        limits.append((entry.max_in_flight, same))
    for limit, beside in limits:
        if limit is not None and len(beside) >= limit:
            raise PromiseBroken(
                "limits are kept", f"{event.target} beside {', '.join(map(str, beside))}; allowed: {limit}"
            )


def no_more_are_started_in_a_minute_than_allowed(event: Event, history: History) -> None:
    """An environment's ``max_starts_per_minute``, and the sixth of it that may come at once."""
    if not isinstance(event, RecordWritten) or event.record is None or event.record.status is not Status.INTENT:
        return
    if history.starts_per_minute is None or history.clock_was_wrong or event.record.token in history.intents:
        return
    environment = event.target.pipeline.environment
    started = sum(
        one.time > event.time - 60.0 for one in history.intended if one.target.pipeline.environment == environment
    )
    allowed = history.starts_per_minute + max(1.0, history.starts_per_minute / 6)
    if started + 1 > allowed:
        raise PromiseBroken("limits are kept", f"{event.target} is start {started + 1} of a minute; {allowed:g} may be")


def _in_flight(target: Target, record: TriggerRecord, revision: int, history: History) -> bool:
    if record.status is Status.INTENT:
        return True
    written = history.states.get(target)
    if record.status is not Status.SENT or written is None or not written.state.state.is_terminal:
        return record.status is Status.SENT
    reported = written.state.attempt.queued_at
    return reported < record.attempt if reported and record.attempt else written.revision <= revision


def only_what_was_missed_is_passed_over(event: Event, history: History) -> None:
    """``catchup`` gives up nothing of which a leader knew for so long that it must have left a mark."""
    if not isinstance(event, RecordWritten) or event.record is None or not event.record.skipped:
        return
    before, entry = history.consumed.get(event.target, {}), history.wiring.entries.get(event.target.pipeline)
    if entry is None or entry.on_late == "skip" or _publishing_unseen(history, event.knows):
        return  # it may be given up for being late
    if entry.catchup == "all":
        raise PromiseBroken("only what was missed is passed over", f"{event.target} makes up for everything")
    inputs = history.in_full(event.record.consumed)
    if any(one not in inputs for leaf in leaves(entry.tree) for one in leaf.inputs(event.target.partition)):
        return  # what is still to come may have been missed as well
    new = [used.revision for upstream, used in inputs.items() if before.get(upstream) != history.used(upstream, used)]
    if new and history.led_knowing(max(new)) > MARKED_AFTER:
        raise PromiseBroken(
            "only what was missed is passed over", f"a leader knew long before that {event.target} was due"
        )


def marks_stand(event: Event, history: History) -> None:
    """What a person has marked is overruled by another attempt or another person only."""
    if not isinstance(event, StateWritten) or event.state is None or event.by == PERSON:
        return
    before = history.states.get(event.target)
    if before is not None and before.marked and before.completion[:2] == completion_of(event.state)[:2]:
        raise PromiseBroken("marks stand", f"{event.target} was marked, and {event.by} says {event.state.state}")


def nothing_older_is_published(event: Event, history: History) -> None:
    """Watchers whose files differ, and between whom the lead goes to and fro, never publish an older document.

    One without a build number that was never in force is taken for new where no watcher saw it come: nothing tells.
    """
    if not isinstance(event, Published) or event.by == PERSON or event.edition >= history.edition:
        return
    if history.serials or event.edition in history.editions:
        raise PromiseBroken(
            "nothing older is published", f"{event.by} publishes #{event.edition} over #{history.edition}"
        )


def what_is_said_of_tasks_is_true(event: Event, history: History) -> None:
    """A task that is said to have ended has ended so: all of its instances, since the task was cleared last."""
    if not isinstance(event, StateWritten) or not isinstance(event.state, TaskState):
        return
    identity, state = history.tasks.identity_of(event.target, event.state), event.state.state
    if state.is_terminal and (event.target, identity, state.value) not in history.tasks.ended:
        raise PromiseBroken("what is said of tasks is true", f"{event.by}: {event.target} {state}, which it never was")


CHECKERS = (
    no_sensor_passes_early,
    what_is_said_of_tasks_is_true,
    marks_stand,
    only_what_was_missed_is_passed_over,
    nothing_older_is_published,
    no_more_are_in_flight_than_allowed,
    no_more_are_started_in_a_minute_than_allowed,
    only_the_leader_writes,
    only_the_leader_sends,
    an_intent_has_one_effect,
    nothing_is_said_to_be_sent_that_was_not,
    every_run_has_a_cause,
    nothing_fires_early,
    nothing_is_sent_on_what_has_changed,
    nothing_rests_on_two_attempts,
    runs_come_from_somewhere,
    a_retry_follows_a_failure,
    only_what_takes_too_long_is_stopped,
)
