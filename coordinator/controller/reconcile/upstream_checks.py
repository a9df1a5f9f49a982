"""Upstream checks: asking the environments, before an intent, about the runs that a decision uses.

A person's clear is not reported until the run starts: Airflow has no listener for ``queued``. So before D fires, the
coordinator looks at the runs behind its inputs, and, where D's own run is to be cleared, at that run. An input whose
completion arrived live a moment ago, and was observed a moment ago, needs no look, so a chain costs nothing. A look at
an upstream's environment is bounded: a deployment that is down never holds back pipelines of others.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from coordinator.controller.dispatch.dispatchers import Dispatchers
from coordinator.controller.dispatch.jobs import LookDone
from coordinator.controller.queue.work_queue import Priority, WorkQueue
from coordinator.controller.state.cache import Cache
from coordinator.model.assets.completions import AssetCompletion
from coordinator.model.consumption import Consumed, Inputs, same_inputs
from coordinator.model.decide import Decision
from coordinator.model.lifecycle import OwnRun, Verification
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.references import Target
from coordinator.model.runstate import Attempt
from coordinator.model.view import readable_state
from coordinator.runners.port import ObservedRun, ObservedTask, RequestRefused, RunOrTask, RunRef, TaskRef

STOOD_STILL = 1.0
"""Seconds. A watcher that is so late for a deadline has stood still, and so may have the looks that it waits for."""

Question = tuple[str, RunOrTask]
"""An environment, and a run or a task in it to ask about."""

Waiting = dict[Question, dict[Target, int]]
"""The targets that wait for an answer, each with the number of looks that had gone out to that environment when it
asked: those looks may have seen an older state."""


@dataclass(slots=True)
class PendingCheck:
    """The answers that a decision needs before it may become an intent.

    :ivar inputs: the inputs of the decision that it was made for; another decision needs another check.
    :ivar own: D's own run, if that is to be cleared.
    :ivar sensors: D's own tasks, if those are to be cleared: they may have been cleared since, by whomever.
    :ivar deadline: monotonic seconds until which it waits for upstreams' environments.
    :ivar is_second: the one before was not answered while the watcher stood still. It is asked again once.
    :ivar priority: of the target in the work queue.
    :ivar own_refused: why D's own environment refuses to tell about that run.
    :ivar not_before_revision: what a look has shown is in etcd from this revision on.
    """

    inputs: Inputs
    own: Question | None
    deadline: float
    priority: Priority
    waiting: set[Question] = field(default_factory=set)
    sensors: frozenset[Question] = frozenset()
    own_run: ObservedRun | None = None
    own_seen: bool = False
    seen: set[Question] = field(default_factory=set)
    own_refused: str | None = None
    answered_at: float | None = None
    not_before_revision: int = 0
    is_second: bool = False

    def stood_still(self, now: float) -> bool:
        """Whether the watcher has not read the answers in time: then they are no reason to go on without."""
        return bool(self.waiting) and not self.is_second and now >= self.deadline + STOOD_STILL

    def verification(self) -> Verification:
        run = self.own_run
        return Verification(
            own=OwnRun(run.run_id, run.queued_at, run.state.is_terminal) if run is not None else None,
            told=(self.own is None or self.own_seen) and self.sensors <= self.seen,
            refused=self.own_refused,
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer about one run or task, with the targets that it is about and the targets that wait for the answer.

    :ivar look: the number of the look among those of the environment.
    :ivar refused: why the environment refuses to show it; then nothing was seen.
    """

    ref: RunOrTask
    seen: ObservedRun | ObservedTask | None
    look: int
    subjects: frozenset[Target]
    askers: frozenset[Target]
    refused: RequestRefused | None = None


class Checks:
    """The checks of all decisions, and what is being asked for them.

    :param timeout: seconds, for a look at upstreams' environments.
    """

    def __init__(
        self, cache: Cache, propagation: Propagation, dispatchers: Dispatchers, queue: WorkQueue, *, timeout: float
    ) -> None:
        self._cache = cache
        self._propagation = propagation
        self._dispatchers = dispatchers
        self._queue = queue
        self._timeout = timeout
        self._pending: dict[Target, PendingCheck] = {}
        self._subjects: Waiting = {}
        self._askers: Waiting = {}
        self._deadlines: list[tuple[float, Target]] = []

    def clear(self) -> None:
        """Discard all answers. A target that waits for an answer that is still to come is examined again when it comes,
        or at its deadline, and asks again."""
        for target, pending in self._pending.items():
            if pending.waiting:
                self._queue.add(target, pending.priority, after=pending.deadline)
        self._drop_all()

    def forget(self) -> None:
        """A term has begun or ended: questions that the dispatchers had not asked yet are dropped."""
        self._drop_all()
        self._askers.clear()

    def drop(self, target: Target) -> None:
        """Drop the check of a target: the decision has become an intent, or is obsolete."""
        self._pending.pop(target, None)

    def can_ask(self, target: Target) -> bool:
        """Whether its environment is configured."""
        return self._dispatchers.of(target) is not None

    def environments(self) -> list[str]:
        """The configured environments."""
        return self._dispatchers.names()

    def is_pending(self, target: Target) -> bool:
        return target in self._pending

    def own_run_has_ended(self, target: Target) -> bool:
        """Whether the run to clear was seen, and has ended."""
        pending = self._pending.get(target)
        return pending is not None and pending.own_run is not None and pending.own_run.state.is_terminal

    def priority(self, target: Target) -> Priority:
        """The priority of a target that waits for an answer."""
        pending = self._pending.get(target)
        return Priority.LIVE if pending is None else pending.priority

    def heard(self, decision: Decision, own_run_id: str | None, now: float) -> Verification | None:
        """The answers for a decision; ``None`` while something is still to be asked, answered or read.

        :param own_run_id: the target's own run, if it is to be cleared.
        """
        pending = self._valid(decision, own_run_id, now)
        if pending is None:
            return None
        if pending.waiting and now >= pending.deadline:  # from now on only its own environment is waited for
            own = {pending.own} if pending.own is not None else set()
            pending.waiting.intersection_update(own | pending.sensors)
        if pending.waiting:
            return None
        if pending.answered_at is None:
            pending.answered_at = now
        return pending.verification() if self._cache.revision >= pending.not_before_revision else None

    def ask(self, decision: Decision, own_run_id: str | None, now: float, *, priority: Priority) -> bool:
        """Ask what a decision needs. The target is examined again once everything is answered.

        :returns: whether every answer is there already.
        """
        target = decision.target
        pending = self._valid(decision, own_run_id, now)
        if pending is None:
            pending = self._pending[target] = self._issue(decision, own_run_id, now, priority)
        if pending.waiting:
            return False
        if self._cache.revision < pending.not_before_revision:
            self._queue.add(target, after_revision=pending.not_before_revision)
            return False
        return True

    def pass_time(self, now: float) -> None:
        """Queue the targets whose answer has not come in time, to be examined without it."""
        while (deadline := self.next_at()) is not None and deadline <= now:
            _, target = heapq.heappop(self._deadlines)
            self._queue.add(target, self.priority(target), first=True)

    def next_at(self) -> float | None:
        """Monotonic seconds at which the next one has waited for long enough."""
        while self._deadlines:
            deadline, target = self._deadlines[0]
            pending = self._pending.get(target)
            if pending is not None and pending.waiting and pending.deadline == deadline:
                return deadline
            heapq.heappop(self._deadlines)  # it has been answered
        return None

    def go_on(self, askers: Iterable[Target]) -> None:
        """Examine targets again whose answer has shown nothing that is to be written first."""
        for asker in askers:
            self._queue.add(asker, self.priority(asker), first=True)

    def follow(self, target: Target, ref: RunOrTask) -> None:
        """Ask about a run or task that is only followed: no target waits for the answer."""
        if (dispatcher := self._dispatchers.of(target)) is not None:
            self._subjects.setdefault((dispatcher.environment, ref), {})[target] = dispatcher.looks_sent
            dispatcher.look(ref, timeout=self._timeout, followed=True)

    def answered(self, message: LookDone) -> Iterator[Answer]:
        """Handle the result of a look, or its failure. The targets that waited for it wait no more, except for their
        own run.

        A target that asked after that look went out waits for the next one, unless the look failed. Runs that there was
        no time for are asked about again by the dispatcher, and their targets go on waiting.
        """
        looked = message.looked
        dispatcher = self._dispatchers.get(message.environment)
        assert dispatcher is not None
        sent = dispatcher.looks_sent  # one look is out at a time: it is this one
        for ref in (*looked.seen, *looked.refused, *(looked.unanswered - message.asked_again)):
            question = (message.environment, ref)
            before = None if ref in looked.unanswered else sent
            subjects = frozenset(self._subjects.get(question, ()))  # what was seen of them is true for all
            _take(self._subjects, question, before=before)
            askers = _take(self._askers, question, before=before)
            for asker in askers:
                pending = self._pending.get(asker)
                if pending is None:
                    continue
                pending.waiting.discard(question)
                if question == pending.own and ref in looked.seen:
                    own = looked.seen[ref]
                    assert not isinstance(own, ObservedTask)
                    pending.own_seen, pending.own_run = True, own
                elif question in pending.sensors and ref in looked.seen:
                    pending.seen.add(question)
                elif (question == pending.own or question in pending.sensors) and ref in looked.refused:
                    pending.own_refused = _why_refused(message.environment, ref, looked.refused[ref])
            if ref in looked.seen:
                yield Answer(ref, looked.seen[ref], sent, subjects, askers)
            elif ref in looked.refused:
                yield Answer(ref, None, sent, subjects, askers, looked.refused[ref])
            else:
                yield Answer(ref, None, sent, frozenset(), askers)

    def hold_until(self, askers: frozenset[Target], revision: int) -> None:
        """These decisions must be made again on what is in etcd at this revision: their targets are examined then."""
        for asker in askers:
            if (pending := self._pending.get(asker)) is not None:
                pending.not_before_revision = max(pending.not_before_revision, revision)
            self._queue.add(asker, after_revision=revision)

    def _drop_all(self) -> None:
        self._pending.clear()
        self._subjects.clear()
        self._deadlines.clear()

    def _valid(self, decision: Decision, own_run_id: str | None, now: float) -> PendingCheck | None:
        pending = self._pending.get(decision.target)
        if pending is None:
            return None
        expired = pending.answered_at is not None and now - pending.answered_at > self._timeout
        if expired or pending.stood_still(now) or pending.own != _own_question(decision.target, own_run_id):
            return None
        if pending.sensors != {question for _, question in _questions_about_sensors(decision)}:
            return None
        return pending if same_inputs(pending.inputs, decision.inputs) else None

    def _issue(self, decision: Decision, own_run_id: str | None, now: float, priority: Priority) -> PendingCheck:
        target = decision.target
        own = _own_question(target, own_run_id)
        before = self._pending.get(target)
        pending = PendingCheck(inputs=decision.inputs, own=own, deadline=now + self._timeout, priority=priority)
        pending.is_second = before is not None and before.stood_still(now)
        for used, consumed in decision.inputs.items():
            for upstream, attempt in self._runs_behind(used, consumed):
                question = self._question_about(upstream, attempt, now)
                if question is not None:
                    self._ask(question, subject=upstream, asker=target, pending=pending, timeout=self._timeout)
        if own is not None:
            # Nothing can be cleared without it. A look may take as long as a request: it holds back only its own.
            dispatcher = self._dispatchers.of(target)
            patience = max(self._timeout, dispatcher.limits.request_timeout if dispatcher is not None else 0.0)
            self._ask(own, subject=target, asker=target, pending=pending, timeout=patience)
            sensors = _questions_about_sensors(decision)
            pending.sensors = frozenset(question for _, question in sensors)
            for name, question in sensors:
                self._ask(question, subject=name, asker=target, pending=pending, timeout=patience)
        if pending.waiting:
            heapq.heappush(self._deadlines, (pending.deadline, target))
        return pending

    def _runs_behind(self, used: Target, consumed: Consumed) -> Iterator[tuple[Target, Attempt]]:
        """The runs behind an input, each with the attempt that is known of it: its own, or those that have emitted it.

        A state of which nobody knows the run is not asked about.
        """
        state = readable_state(self._cache.state(used))
        if not isinstance(state, AssetCompletion):
            yield used, consumed.attempt
            return
        for producer in state.producers:
            if (run := readable_state(self._cache.state(producer))) is not None:
                yield producer, run.attempt

    def _question_about(self, upstream: Target, attempt: Attempt, now: float) -> Question | None:
        """What to ask about an input; ``None`` when it is fresh, its environment is down, or it cannot be compared.

        A state without queued_at cannot be compared with what the environment shows: such writers are not protected.
        """
        run_id, task = attempt.run_id, upstream.pipeline.task
        dispatcher = self._dispatchers.of(upstream)
        if run_id is None or (attempt.queued_at is None and not task) or dispatcher is None:
            return None
        if not dispatcher.may_look(now) or self._cache.is_fresh(upstream, now, at=self._propagation.now):
            return None
        dag_id = upstream.pipeline.run_dag_id
        return dispatcher.environment, TaskRef(dag_id, run_id, task) if task else RunRef(dag_id, run_id)

    def _ask(
        self, question: Question, *, subject: Target, asker: Target, pending: PendingCheck, timeout: float
    ) -> None:
        environment, ref = question
        dispatcher = self._dispatchers.get(environment)
        assert dispatcher is not None
        self._subjects.setdefault(question, {})[subject] = dispatcher.looks_sent
        self._askers.setdefault(question, {})[asker] = dispatcher.looks_sent
        pending.waiting.add(question)
        dispatcher.look(ref, timeout=timeout)


def _questions_about_sensors(decision: Decision) -> list[tuple[Target, Question]]:
    """The names of the waits of the sensors that are to be cleared, each with what to ask about it."""
    environment, dag_id = decision.target.pipeline.environment, decision.target.pipeline.run_dag_id
    return [
        (seen.ref.name, (environment, TaskRef(dag_id, seen.ref.run_id, seen.ref.task_id))) for seen in decision.clears
    ]


def _own_question(target: Target, own_run_id: str | None) -> Question | None:
    if own_run_id is None:
        return None
    return target.pipeline.environment, RunRef(target.pipeline.run_dag_id, own_run_id)


def _take(waiting: Waiting, question: Question, *, before: int | None) -> frozenset[Target]:
    """Remove the targets that need not wait any more. :param before: only those that asked before this look; ``None``:
    all."""
    found = waiting.pop(question, {})
    if left := {target: asked for target, asked in found.items() if before is not None and asked >= before}:
        waiting[question] = left
    return frozenset(target for target in found if target not in left)


def _why_refused(environment: str, ref: RunOrTask, refusal: RequestRefused) -> str:
    what = f"task {ref.task_id} of " if isinstance(ref, TaskRef) else ""
    remedy = "; the coordinator's user needs permission to read the runs of this DAG" if refusal.status == 403 else ""
    return (
        f"{environment} refuses to show {what}run {ref.run_id} of {ref.dag_id}, which is to be cleared: "
        f"{refusal.status}: {refusal}{remedy}"
    )
