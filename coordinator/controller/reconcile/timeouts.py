"""Timeouts: stops runs that take longer than their entry allows (docs/architecture.md#retries-and-time-limits).

The decision says from when on a run is to be stopped (``stops_at``). It is asked for again until the run is known to
have ended. What is kept here follows from decisions: a successor, or a standby, finds the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import structlog

from coordinator.controller.clock import Clock
from coordinator.controller.counters import Counters
from coordinator.controller.dispatch.dispatchers import Dispatchers
from coordinator.controller.dispatch.jobs import EffectDone
from coordinator.controller.reconcile.ledger import Ledger
from coordinator.controller.reconcile.observations import Followed, document_of, observation_to_report
from coordinator.controller.reconcile.upstream_checks import Checks
from coordinator.controller.state.cache import Cache
from coordinator.errors import LeadershipLost
from coordinator.model.decide import Decision
from coordinator.model.durations import format_duration
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.references import Target
from coordinator.model.retries import attempt_to_stop, time_limit_of
from coordinator.model.runstate import Attempt, State
from coordinator.model.view import readable_record, readable_state
from coordinator.runners.port import Happened, NotHappened, ObservedRun, Refused, RunRef

_log = structlog.get_logger(__name__)

AGAIN_AFTER = 5.0
"""Seconds after which a run that is known not to have ended is stopped once more."""

REFUSED_AFTER = 60.0
"""The same, where its environment refuses to stop it."""


@dataclass(slots=True)
class _Overdue:
    """A run over its limit. :ivar at: monotonic seconds; it is stopped then. :ivar said: what was logged last."""

    at: float = 0.0
    said: str = ""


class Timeouts:
    """See the module. Used by the deciding thread only; a standby only takes note."""

    def __init__(
        self,
        propagation: Propagation,
        cache: Cache,
        *,
        dispatchers: Dispatchers,
        checks: Checks,
        ledger: Ledger,
        counters: Counters,
        clock: Clock,
    ) -> None:
        self._propagation = propagation
        self._cache = cache
        self._dispatchers = dispatchers
        self._checks = checks
        self._ledger = ledger
        self._counters = counters
        self._clock = clock
        self._overdue: dict[Target, _Overdue] = {}

    def note(self, decision: Decision) -> None:
        """Note a decision; the newest one about a target counts."""
        if decision.stops_at is not None and self._propagation.now >= decision.stops_at:
            self._overdue.setdefault(decision.target, _Overdue())
        elif self._overdue:
            self._overdue.pop(decision.target, None)

    def clear(self) -> None:
        """A term has begun or ended: what is over its limit is stopped at once, whatever a predecessor has asked."""
        self._overdue = {target: _Overdue() for target in self._overdue}

    def next_at(self) -> float | None:
        """Monotonic seconds of the next request."""
        return min((one.at for one in self._overdue.values()), default=None)

    def ask(self, now: float) -> None:
        """Ask for what is due. :param now: monotonic seconds."""
        for target, one in self._overdue.items():
            if now < one.at:
                continue
            one.at = now + AGAIN_AFTER
            dispatcher, attempt = self._dispatchers.of(target), self._over_its_limit(target)
            if dispatcher is not None and attempt is not None and attempt.run_id is not None:
                one.at = now + REFUSED_AFTER  # an answer comes before that
                ref = RunRef(target.pipeline.dag_id, attempt.run_id)
                dispatcher.stop(target, ref, before=attempt.queued_at)

    def _over_its_limit(self, target: Target) -> Attempt | None:
        """The attempt to stop, on the present facts: since the decision, another one may have begun."""
        node = self._propagation.graph.node(target.pipeline)
        record = readable_record(self._cache.record(target))
        state = readable_state(self._cache.state(target))
        limit = time_limit_of(record, state, node.downstream) if node is not None else None
        return attempt_to_stop(record, state) if limit is not None and self._propagation.now >= limit else None

    def answered(self, message: EffectDone, now: float) -> None:
        """Handle the result of a request. :param now: monotonic seconds."""
        target, outcome = message.target, message.outcome
        one = self._overdue.get(target)
        match outcome:
            case Happened(run):
                self.say("run.stopped", one, target, run_id=run.run_id, state=str(run.state))
                if run.state.is_terminal:
                    self._report(target, run)
            case NotHappened(reason):
                self.say("run.not_stopped", one, target, reason=reason)
                self._follow(target)  # etcd does not know of it yet
            case Refused(status, answer):
                self.say("run.not_stopped", one, target, reason=f"{status}: {answer}")
            case _ if not isinstance(message.error, LeadershipLost):
                self.say("run.not_stopped", one, target, reason=str(message.error))
        if one is not None:
            one.at = now + (REFUSED_AFTER if isinstance(outcome, Refused) else AGAIN_AFTER)

    def _report(self, target: Target, run: ObservedRun) -> None:
        """Report the end of a run on its pipeline's behalf, with the reason, unless it is known already."""
        seen, now = self._cache.state(target), self._clock.now()
        if self._cache.watermark_is_unknown(target.pipeline):
            return
        present = seen.value if seen is not None else None
        found = observation_to_report(
            present,
            run,
            asked_at=now,
            is_older=False,
            watermark=self._cache.watermark(target.pipeline),
            policy=Followed(in_flight=True, end_seen=True),
        )
        if found is None:
            return
        node = self._propagation.graph.node(target.pipeline)
        if found.state is State.FAILED and found.note is None and node is not None and node.downstream.timeout:
            found = replace(found, note=f"stopped after {format_duration(node.downstream.timeout)}, its timeout")
        document = document_of(found, reported_by=self._ledger.reported_by, observed_at=now).after(present)
        self._ledger.state(target, document.to_value(), askers=frozenset())

    def _follow(self, target: Target) -> None:
        record = readable_record(self._cache.record(target))
        if record is not None and record.run_id is not None:
            self._checks.follow(target, RunRef(target.pipeline.dag_id, record.run_id))

    def say(self, event: str, one: _Overdue | None, target: Target, **more: str) -> None:
        """Log it, and count what was stopped, unless it is the same as before."""
        said = f"{event} {more.get('reason', '')}"
        if one is None or one.said == said:
            return
        one.said = said
        self._counters.add(stopped=event == "run.stopped")
        _log.warning(event, pipeline=str(target.pipeline), partition=target.partition, **more)
