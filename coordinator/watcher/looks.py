"""Looks: asking the environments, before an intent, about the runs that a decision stands on.

A person's clear is silent until the run starts: Airflow has no listener for ``queued``. So before D fires, the
runs behind its inputs are looked at, and, where D's own run is to be cleared, that run. An input whose
completion arrived live a moment ago needs no look, so a chain pays nothing. A look at an upstream's environment
is bounded: a deployment that is away never holds back pipelines of others (design section 5, point 1).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from coordinator.model.consumption import Consumed, Inputs, same_inputs
from coordinator.model.decide import Decision
from coordinator.model.references import Target
from coordinator.runners.port import ObservedRun, RequestRefused, RunRef
from coordinator.watcher.agenda import Agenda
from coordinator.watcher.cache import Cache
from coordinator.watcher.lanes import Lane, LookDone

OWN_RUN_RETRY = 0.5
"""Seconds before a run that must end before it can be cleared is looked at again."""

Question = tuple[str, RunRef]
"""A run in an environment that is asked about."""

Waiting = dict[Question, dict[Target, int]]
"""Who waits for an answer, and how many looks had gone out to that environment when it asked: one of those saw what was
there before, and may have missed what it is asked for."""


@dataclass(slots=True)
class Ticket:
    """What a decision waits to hear before it may become an intent.

    :ivar inputs: the decision that it was issued for; another one needs another ticket.
    :ivar own: D's own run, when that is to be cleared.
    :ivar deadline: monotonic seconds; upstreams' environments are not waited for any longer.
    :ivar fresh: it became due while this watcher led.
    :ivar own_refused: why D's own environment will not tell about that run, though it answers.
    :ivar rests_until: monotonic seconds; it is used up, and until then no other one is issued.
    :ivar not_before_revision: what a look brought to light is in etcd from this revision on.
    """

    inputs: Inputs
    own: Question | None
    deadline: float
    fresh: bool
    waiting: set[Question] = field(default_factory=set)
    own_run: ObservedRun | None = None
    own_seen: bool = False
    own_refused: str | None = None
    rests_until: float | None = None
    answered_at: float | None = None
    not_before_revision: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """One run that was asked about: whose it is, and who waits for the answer."""

    ref: RunRef
    run: ObservedRun | None
    subjects: frozenset[Target]
    askers: frozenset[Target]


class Looks:
    """The tickets of all decisions, and what is being asked for them."""

    def __init__(self, cache: Cache, lanes: Mapping[str, Lane], *, agenda: Agenda, timeout: float) -> None:
        self._cache = cache
        self._lanes = lanes
        self._agenda = agenda
        self._timeout = timeout
        self._tickets: dict[Target, Ticket] = {}
        self._subjects: Waiting = {}
        self._askers: Waiting = {}

    def clear(self) -> None:
        """Nothing that was heard counts any more. Who waits for an answer that is still on its way is woken by it
        all the same, and asks again."""
        self._tickets.clear()
        self._subjects.clear()

    def forget(self) -> None:
        """A term has begun or ended: what the lanes had not asked yet is not asked any more."""
        self.clear()
        self._askers.clear()

    def drop(self, target: Target) -> None:
        """The decision has become an intent, or is no more."""
        self._tickets.pop(target, None)

    def rest(self, target: Target, until: float) -> None:
        """Its own run cannot be cleared now: nothing is asked for it before, however often it is examined.

        Each examination without a ticket sends a look, and leaves a deadline on the agenda, at which it is examined
        again: without a rest these would breed.
        """
        if (ticket := self._tickets.get(target)) is not None:
            ticket.rests_until = until
            self._agenda.at(until, target, patient=not ticket.fresh)

    def is_resting(self, target: Target, now: float) -> bool:
        """Whether nothing is to be asked for it yet; then it is examined again as soon as it may be."""
        ticket = self._tickets.get(target)
        if ticket is None or ticket.rests_until is None or ticket.rests_until <= now:
            return False
        self._agenda.at(ticket.rests_until, target, patient=not ticket.fresh)
        return True

    def has_ticket(self, target: Target) -> bool:
        return target in self._tickets

    def is_fresh(self, target: Target) -> bool:
        """Whether who waits for an answer became due while this watcher led."""
        ticket = self._tickets.get(target)
        return ticket is None or ticket.fresh

    def answered_ticket(
        self, decision: Decision, own_run_id: str | None, *, now: float, fresh: bool = True
    ) -> Ticket | None:
        """The answered ticket of a decision; ``None`` while something is still to be heard or read: then the target
        is examined again once it has been.

        :param own_run_id: the run of the target itself that is to be cleared.
        :param fresh: it became due while this watcher led.
        """
        ticket = self._ticket(decision, own_run_id, now=now, fresh=fresh)
        if ticket.waiting:
            if now < ticket.deadline:
                self._agenda.at(ticket.deadline, decision.target, patient=not fresh)
            return None  # past the deadline it waits for its own environment alone, whose answer wakes it
        if self._cache.revision < ticket.not_before_revision:
            self._agenda.once_read(ticket.not_before_revision, (decision.target,))
            return None
        return ticket

    def _ticket(self, decision: Decision, own_run_id: str | None, *, now: float, fresh: bool) -> Ticket:
        """The ticket of a decision; issued, and its questions sent on their way, if there is no valid one."""
        target = decision.target
        ticket = self._tickets.get(target)
        if ticket is None or not self._is_valid(ticket, decision, now):
            ticket = self._issue(decision, own_run_id, now, fresh=fresh)
            self._tickets[target] = ticket
        elif ticket.waiting and now >= ticket.deadline:
            ticket.waiting.intersection_update({ticket.own} if ticket.own is not None else ())
        if not ticket.waiting and ticket.answered_at is None:
            ticket.answered_at = now
        return ticket

    def follow(self, target: Target, ref: RunRef, *, timeout: float) -> None:
        """Ask about a run on nobody's behalf."""
        environment = target.pipeline.environment
        if (lane := self._lanes.get(environment)) is not None:
            self._subjects.setdefault((environment, ref), {})[target] = lane.looks_sent
            lane.look(ref, timeout=timeout)

    def answered(self, message: LookDone) -> Iterator[Answer]:
        """Take in what a look saw, or that it failed. Who was waiting waits no more, but for its own run.

        Who has asked since that look went out waits for the next one; if it failed, nobody does.
        """
        before = self._lanes[message.environment].looks_sent if message.seen is not None else None
        for ref in message.asked:
            question = (message.environment, ref)
            subjects = frozenset(self._subjects.get(question, ()))  # what was seen of them is true for all
            _take(self._subjects, question, before=before)
            askers = _take(self._askers, question, before=before)
            seen = message.seen or {}
            for asker in askers:
                ticket = self._tickets.get(asker)
                if ticket is None:
                    continue
                ticket.waiting.discard(question)
                if question == ticket.own and ref in seen:
                    ticket.own_seen, ticket.own_run = True, seen[ref]
                elif question == ticket.own:
                    ticket.own_refused = _why_refused(message, ref)
            if ref in seen:
                yield Answer(ref, seen[ref], subjects, askers)
            else:
                yield Answer(ref, None, frozenset(), askers)

    def hold_until(self, askers: frozenset[Target], revision: int) -> None:
        """These decisions must be made again on what stands in etcd at this revision."""
        for asker in askers:
            if (ticket := self._tickets.get(asker)) is not None:
                ticket.not_before_revision = max(ticket.not_before_revision, revision)

    def _is_valid(self, ticket: Ticket, decision: Decision, now: float) -> bool:
        expired = ticket.answered_at is not None and now - ticket.answered_at > self._timeout
        return not expired and ticket.rests_until is None and same_inputs(ticket.inputs, decision.inputs)

    def _issue(self, decision: Decision, own_run_id: str | None, now: float, *, fresh: bool) -> Ticket:
        target = decision.target
        own = None
        if own_run_id is not None:
            own = (target.pipeline.environment, RunRef(target.pipeline.dag_id, own_run_id))
        ticket = Ticket(inputs=decision.inputs, own=own, deadline=now + self._timeout, fresh=fresh)
        for upstream, consumed in decision.inputs.items():
            question = self._question_about(upstream, consumed, now)
            if question is not None:
                self._ask(question, subject=upstream, asker=target, ticket=ticket, timeout=self._timeout)
        if own is not None:
            # Without it nothing can be cleared: one that takes as long as a request may holds back only its own.
            patience = max(self._timeout, self._lanes[target.pipeline.environment].request_timeout)
            self._ask(own, subject=target, asker=target, ticket=ticket, timeout=patience)
        return ticket

    def _question_about(self, upstream: Target, consumed: Consumed, now: float) -> Question | None:
        """What to ask about an input; nothing when it is fresh, its environment is away, or it cannot be told.

        A state without queued_at cannot be compared with what the environment shows: its writer has no
        protection (design section 3).
        """
        run_id, environment = consumed.attempt.run_id, upstream.pipeline.environment
        lane = self._lanes.get(environment)
        if run_id is None or consumed.attempt.queued_at is None or lane is None:
            return None
        if lane.is_down(now) or self._cache.is_fresh(upstream, now):
            return None
        return environment, RunRef(upstream.pipeline.dag_id, run_id)

    def _ask(self, question: Question, *, subject: Target, asker: Target, ticket: Ticket, timeout: float) -> None:
        environment, ref = question
        lane = self._lanes[environment]
        self._subjects.setdefault(question, {})[subject] = lane.looks_sent
        self._askers.setdefault(question, {})[asker] = lane.looks_sent
        ticket.waiting.add(question)
        lane.look(ref, timeout=timeout)


def _take(waiting: Waiting, question: Question, *, before: int | None) -> frozenset[Target]:
    """Who waits no more. :param before: who asked before this look; ``None``: all."""
    found = waiting.pop(question, {})
    if left := {target: asked for target, asked in found.items() if before is not None and asked >= before}:
        waiting[question] = left
    return frozenset(target for target in found if target not in left)


def _why_refused(message: LookDone, ref: RunRef) -> str | None:
    """Why a run was left out of an answer; ``None``: there was no answer."""
    match message.error:
        case RequestRefused() as refusal:
            return f"{refusal.status}: {refusal}"
        case None:
            return (
                f"{message.environment} does not tell about run {ref.run_id} of {ref.dag_id}, which is to be cleared: "
                "the coordinator's user needs leave to read the runs of this DAG"
            )
        case _:
            return None
