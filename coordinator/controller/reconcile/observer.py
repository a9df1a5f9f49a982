"""The observer: compares what environments show with etcd, and follows runs (docs/architecture.md#end)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

import structlog

from coordinator.controller.dispatch.jobs import LookDone
from coordinator.controller.reconcile import records
from coordinator.controller.reconcile.following import FollowedRun, Following
from coordinator.controller.reconcile.ledger import Ledger
from coordinator.controller.reconcile.observations import Followed, document_of, observation_to_report
from coordinator.controller.reconcile.task_observer import TaskObserver
from coordinator.controller.reconcile.upstream_checks import Answer, Checks
from coordinator.controller.reconcile.waits import WaitController
from coordinator.controller.state.cache import Cache
from coordinator.model.assets.completions import AssetCompletion
from coordinator.model.decide import Decision, Obstacle, repairable_upstreams
from coordinator.model.items.whole import is_of_items, rows_of, whole_of
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.references import Target
from coordinator.model.runstate import RunState, State
from coordinator.model.trigger import Status, TriggerRecord
from coordinator.model.view import Readiness, readable_record, readable_state
from coordinator.runners.port import ObservedRun, ObservedTask, RunRef, TaskRef

_log = structlog.get_logger(__name__)

ASKED_AT_ONCE = 500
"""Followed runs that are queued for a look in one step, which must be short."""


class Observer:
    """Reports on behalf of pipelines that do not report.

    :param tasks: looks at tasks that something waits for.
    :param waits: looks at sensors that wait.
    :param every: seconds without news until the first question about a run that is followed.
    """

    def __init__(
        self,
        propagation: Propagation,
        cache: Cache,
        *,
        checks: Checks,
        ledger: Ledger,
        tasks: TaskObserver,
        waits: WaitController,
        every: float,
    ) -> None:
        self._cache = cache
        self._propagation = propagation
        self._checks = checks
        self._ledger = ledger
        self._following = Following(every=every)
        self._tasks = tasks
        self._waits = waits
        self._failing: dict[str, str] = {}

    def clear(self) -> None:
        self._following.clear()
        self._tasks.clear()
        self._waits.clear()

    def begin_term(self, now: float) -> None:
        """A term has begun: sensors that have passed are looked after. :param now: monotonic seconds."""
        self._waits.begin_term(now)

    @property
    def problems(self) -> Mapping[str, str]:
        """What only looks have shown, by place. Any thread may ask."""
        return self._waits.problems

    def next_at(self) -> float | None:
        """Monotonic seconds of the next question."""
        times = (self._following.next_at(), self._tasks.next_at(), self._waits.next_at())
        return min((at for at in times if at is not None), default=None)

    def ask(self, now: float) -> None:
        """Ask about some of the followed runs that are due; :meth:`next_at` says when to go on."""
        for target, ref in self._following.due(now, ASKED_AT_ONCE):
            if self._matters(target):
                self._checks.follow(target, ref)
            else:
                self._following.want(target, None, now=now)
        for target, task in chain(self._tasks.due(now, ASKED_AT_ONCE), self._waits.due(now, ASKED_AT_ONCE)):
            self._checks.follow(target, task)

    def take(self, message: LookDone) -> None:
        """Handle the result of a look. The targets that wait for it are examined again with what it showed."""
        self._log_failure(message)
        if left := message.asked_again:
            _log.info("look.unfinished", environment=message.environment, seen=len(message.looked.seen), left=len(left))
        for answer in self._checks.answered(message):
            try:
                written = [self._written(subject, answer, message) for subject in answer.subjects]
            except Exception as error:  # noqa: BLE001 - the other answers count, and the targets that wait go on
                _log.exception("look.broken", environment=message.environment, run=answer.ref.run_id, exc_info=error)
                written = []
            if not any(written):
                self._checks.go_on(answer.askers)

    def _log_failure(self, message: LookDone) -> None:
        """A refusal of the same is not logged again at every look, nor is what does not answer."""
        reason = str(message.error) if message.error is not None else ""
        if reason and reason != self._failing.get(message.environment):
            _log.warning("look.failed", environment=message.environment, reason=reason)
        self._failing[message.environment] = reason

    def follow(self, decision: Decision, record: TriggerRecord | None, now: float) -> None:
        """Follow a run that may not be reported, and stop following one that is reported or does not matter."""
        self._tasks.follow(decision, now)
        if decision.target.pipeline.task:
            return
        followed = self._run_to_follow(decision, record)
        for_others = decision.target in self._following and self._others_wait_behind(decision.target)
        if followed is not None or not for_others:
            self._following.want(decision.target, followed, now=now)
        if decision.readiness is Readiness.STUCK:
            for upstream in repairable_upstreams(decision):
                self._follow_until_repaired(upstream, now)

    def examine_wait(self, name: Target, now: float) -> None:
        """Answer a wait, or follow what it waits for. :param name: of the wait."""
        if (upstream := self._waits.examine(name, now)) is not None:
            self._follow_until_repaired(upstream, now)

    def _follow_until_repaired(self, upstream: Target, now: float) -> None:
        """Follow a run that others wait behind, because it may be repaired where nothing reports it. A task is followed
        itself, and its run with it: a person may mark the task alone."""
        run = readable_state(self._cache.state(upstream.whole))
        if isinstance(run, AssetCompletion):
            for producer in run.producers:
                self._follow_until_repaired(producer, now)
            return
        if run is not None and is_of_items(run.attempt):
            for item in self._failed_items(upstream):
                self._follow_until_repaired(item, now)
            return
        if run is None or self._record_in_flight(upstream.whole) is not None:
            return  # the run that we started is followed, and not the one before it
        followed = _comparable_run(upstream.whole, run)
        if upstream.pipeline.task and run.attempt.run_id is not None:
            ref = TaskRef(upstream.pipeline.run_dag_id, run.attempt.run_id, upstream.pipeline.task)
            followed = FollowedRun(ref, run.attempt.queued_at)
        self._following.want(upstream, followed, now=now)

    def _failed_items(self, whole: Target) -> Iterator[Target]:
        rows = rows_of(self._cache, whole)
        for key in rows.by_key if rows is not None else ():
            item = Target(whole.pipeline.with_item(key), whole.partition)
            state = readable_state(self._cache.state(item))
            if state is not None and state.state is State.FAILED:
                yield item

    def _run_to_follow(self, decision: Decision, record: TriggerRecord | None) -> FollowedRun | None:
        """The run that we started, until it is known to have ended; where the state names a newer run, that one
        instead, because then only its end matters."""
        state = readable_state(self._cache.state(decision.target))
        running = None
        if state is not None and not state.state.is_terminal:
            running = _comparable_run(decision.target, state)
        if record is None or record.status is not Status.SENT or Obstacle.IN_FLIGHT not in decision.obstacles:
            return running
        ours = None
        if record.run_id is not None:
            ours = FollowedRun(RunRef(decision.target.pipeline.run_dag_id, record.run_id), record.attempt)
        if running is None or ours is None or running.generation is None or ours.generation is None:
            return ours
        return running if running.generation > ours.generation else ours

    def _matters(self, target: Target) -> bool:
        """Whether the end of a run matters: the target still counts as in flight, or others are stuck because of it."""
        if target.pipeline.task:
            return self._others_wait_behind(target)
        state = readable_state(self._cache.state(target))
        if state is None or not state.state.is_terminal:
            return True
        return self._record_in_flight(target) is not None or self._others_wait_behind(target)

    def _others_wait_behind(self, target: Target) -> bool:
        """Whether others are stuck because of it, perhaps because it failed, or sensors wait for it."""
        dependents: Iterable[Target] = self._propagation.dependents(target)
        if target.pipeline.item:  # nobody but its pipeline waits for it
            dependents = self._propagation.dependents(whole_of(target))
        if any(self._propagation.readiness(dependent) is Readiness.STUCK for dependent in dependents):
            return True
        return bool(self._cache.waits.behind(target.whole))

    def _written(self, subject: Target, answer: Answer, message: LookDone) -> bool:
        """Whether an answer has shown something new of a subject, which is to be written."""
        asked_at = message.asked_at
        if answer.refused is not None:
            if not isinstance(answer.ref, TaskRef) or answer.ref.task_id != subject.pipeline.task:
                return False
            return self._tasks.refused(subject, answer.ref, answer.refused, asked_at, answer.askers)
        if isinstance(answer.ref, TaskRef) and answer.ref.task_id != subject.pipeline.task:
            # The name of a wait, which may be gone by now.
            return self._waits.observed(subject, answer.seen, answer.look, answer.askers)
        match answer.ref, answer.seen:
            case RunRef() as ref, None:
                return self._run_is_gone(subject, ref, answer.askers)
            case TaskRef() as ref, None:
                return self._tasks.run_is_gone(subject, ref, asked_at, answer.askers)
            case _, ObservedTask() as task:
                of_run = self._observe(subject.whole, task.run, message, answer.askers)
                return self._tasks.observe(subject, task, asked_at, answer.askers) or of_run
            case _, ObservedRun() as run:
                return self._observe(subject, run, message, answer.askers)
        raise AssertionError(answer)

    def _observe(self, subject: Target, run: ObservedRun, message: LookDone, askers: frozenset[Target]) -> bool:
        seen = self._cache.state(subject)
        end_seen = run.state.is_terminal and self._following.end_seen(subject)
        in_flight = self._record_in_flight(subject) is not None
        if self._cache.watermark_is_unknown(subject.pipeline):
            return False  # this report would be ignored, too
        # As of the question, not of its answer: a report that came in between is newer than what was seen.
        found = observation_to_report(
            seen.value if seen else None,
            run,
            asked_at=message.asked_at,
            is_older=seen is not None and seen.revision > message.known_revision,
            watermark=self._cache.watermark(subject.pipeline),
            policy=Followed(in_flight, end_seen),
        )
        if found is None:
            return False
        document = document_of(found, reported_by=self._ledger.reported_by, observed_at=message.asked_at)
        document = document.after(seen.value if seen is not None else None)
        _log.info("state.observed", pipeline=str(subject.pipeline), partition=subject.partition, state=str(run.state))
        self._ledger.state(subject, document.to_value(), askers=askers)
        return True

    def _run_is_gone(self, subject: Target, ref: RunRef, askers: frozenset[Target]) -> bool:
        """A deleted run means "not yet"; but a success is not undone by cleaning up afterwards (``db clean``), nor is a
        person's mark. It is undone where the deleted run was in a newer attempt, which we had started."""
        record = self._record_in_flight(subject)
        if record is not None and record.run_id == ref.run_id:
            self._ledger.record(subject, records.done(record, note=f"run {ref.run_id} was deleted"))
        state = readable_state(self._cache.state(subject))
        if state is None or state.attempt.run_id != ref.run_id:
            return False
        if state.marked or (state.state is State.SUCCESS and not _is_newer(record, state)):
            return False
        _log.warning("state.run_deleted", pipeline=str(subject.pipeline), partition=subject.partition, run=ref.run_id)
        self._ledger.state(subject, None, askers=askers)
        return True

    def _record_in_flight(self, target: Target) -> TriggerRecord | None:
        """The target's record while the run that we started is not known to have ended."""
        record = readable_record(self._cache.record(target))
        if record is None or record.status is not Status.SENT:
            return None
        return record if Obstacle.IN_FLIGHT in self._propagation.decide(target).obstacles else None


def _is_newer(record: TriggerRecord | None, state: RunState) -> bool:
    """Whether our request has made a newer attempt than the one that a state names."""
    if record is None or record.attempt is None or state.attempt.queued_at is None:
        return False
    return record.attempt > state.attempt.queued_at


def _comparable_run(target: Target, state: RunState) -> FollowedRun | None:
    """The run behind a state, if it can be compared with what its environment shows."""
    if state.attempt.run_id is None or state.attempt.queued_at is None:
        return None
    return FollowedRun(RunRef(target.pipeline.run_dag_id, state.attempt.run_id), state.attempt.queued_at)
