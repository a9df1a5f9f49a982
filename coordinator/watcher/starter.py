"""Starting: from a decision to fire to the intent that is written down, and its request (design section 5, 1 to 3).

And its opposite: giving up a partition, without a run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from coordinator.model.decide import Decision
from coordinator.model.references import Target
from coordinator.model.standings import Standings
from coordinator.model.trigger import Status, TriggerRecord
from coordinator.watcher import records
from coordinator.watcher.cache import Cache
from coordinator.watcher.clock import Clock
from coordinator.watcher.flights import Flights
from coordinator.watcher.lanes import Lane
from coordinator.watcher.ledger import Ledger
from coordinator.watcher.limits import Limits
from coordinator.watcher.looks import OWN_RUN_RETRY, Looks
from coordinator.watcher.rooms import Rooms


class Starter:
    """See the module.

    :param lanes: the ways into the environments, by name.
    :param who: this watcher's name, for records.
    """

    def __init__(
        self,
        lanes: Mapping[str, Lane],
        *,
        cache: Cache,
        standings: Standings,
        looks: Looks,
        ledger: Ledger,
        flights: Flights,
        limits: Limits,
        rooms: Rooms,
        clock: Clock,
        who: str,
    ) -> None:
        self._lanes = lanes
        self._cache = cache
        self._standings = standings
        self._looks = looks
        self._ledger = ledger
        self._flights = flights
        self._limits = limits
        self._rooms = rooms
        self._clock = clock
        self._who = who

    def start(self, decision: Decision, record: TriggerRecord | None, now: float, *, came_in: bool) -> None:
        """Look, then write the intent; its request follows.

        :param came_in: it became due while this watcher led.
        """
        target = decision.target
        lane = self._lanes.get(target.pipeline.environment)
        node = self._standings.graph.node(target.pipeline)
        policy = node.downstream.rerun if node is not None else None
        own_run_id = records.run_to_clear(decision, record, self._cache.state(target), policy)
        if lane is None:
            environment = target.pipeline.environment
            reason = f"no environment {environment!r} is configured; add [environments.<name>] for it"
            self._block(decision, record, own_run_id, reason, now)
            return
        if self._looks.is_resting(target, now):
            return
        # Before the look, which would be outdated when its turn comes.
        if not self._limits.enter(target, fresh=came_in, now=now):
            # Perhaps the limit is new, and it has had a place and looked without it.
            self._rooms.leave(target)
            self._looks.drop(target)
            return
        if not self._rooms.enter(target, fresh=came_in):
            self._looks.drop(target)
            return
        ticket = self._looks.answered_ticket(decision, own_run_id, now=now, fresh=came_in)
        if ticket is None:
            return
        own, existing = ticket.own_run, None
        if ticket.own_refused is not None:
            self.leave(target)
            self._looks.drop(target)
            self._block(decision, record, own_run_id, ticket.own_refused, now)
            return
        if ticket.own is not None and not ticket.own_seen:
            # Its own environment gave no answer: nothing can be started there now.
            self.leave(target)
            self._looks.rest(target, max(lane.not_before, now + OWN_RUN_RETRY))
            return
        if own is not None and not own.state.is_terminal:
            self.leave(target)
            self._looks.rest(target, now + OWN_RUN_RETRY)
            return
        self._looks.drop(target)
        if own is not None:
            existing = records.ExistingRun(own.run_id, own.queued_at)
        intent = records.intend(decision, record, existing, who=self._who, when=self._clock.now())
        self._ledger.record(
            target,
            intent,
            grounds=[(upstream, consumed.revision) for upstream, consumed in decision.inputs.items()],
            decision=decision,
            then=lambda _: self._begin(target, intent, now, came_in=came_in),
        )

    def leave(self, target: Target) -> None:
        """It is not to start now: it gives up its places."""
        self._limits.leave(target)
        self._rooms.leave(target)

    def give_up(
        self, decision: Decision, record: TriggerRecord | None, reason: str, *, then: Callable[[int], None]
    ) -> None:
        """Consume what is there without a run, for good. :param then: called once that is written."""
        skipped = records.skipped(decision, record, reason, who=self._who, when=self._clock.now())
        self._ledger.record(decision.target, skipped, then=then)

    def _begin(self, target: Target, intent: TriggerRecord, now: float, *, came_in: bool) -> None:
        self._rooms.leave(target)
        self._flights.begin(target, intent, now, fresh=came_in)
        self._limits.began(target)

    def _block(
        self, decision: Decision, record: TriggerRecord | None, own_run_id: str | None, reason: str, now: float
    ) -> None:
        """It cannot even be asked for: as if it had been refused. :param own_run_id: the run to be cleared, if any."""
        target = decision.target
        self._flights.block(target, now)
        if record is None or record.status is not Status.BLOCKED or record.last_error != reason:
            existing = records.ExistingRun(own_run_id, None) if own_run_id is not None else None
            intent = records.intend(decision, record, existing, who=self._who, when=self._clock.now())
            self._ledger.record(target, records.blocked(intent, reason))
