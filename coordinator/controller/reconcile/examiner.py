"""The examiner: does what is to be done about one target. A mistake about one does not stop the others."""

from __future__ import annotations

from coordinator.controller.leading.catching_up import CatchingUp
from coordinator.controller.queue.postponed import Postponed
from coordinator.controller.reconcile.breakage import Breakage
from coordinator.controller.reconcile.observer import Observer
from coordinator.controller.reconcile.reconcile import Reconcile
from coordinator.controller.reconcile.whole_states import WholeStates
from coordinator.controller.state.cache import Cache
from coordinator.model.decide import Decision, Obstacle
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.references import Target
from coordinator.model.view import readable_record


class Examiner:
    """See the module. Used by the deciding thread only."""

    def __init__(
        self,
        propagation: Propagation,
        cache: Cache,
        *,
        reconcile: Reconcile,
        observer: Observer,
        postponed: Postponed,
        catching_up: CatchingUp,
        breakage: Breakage,
        whole_states: WholeStates,
    ) -> None:
        self._propagation = propagation
        self._cache = cache
        self._reconcile = reconcile
        self._observer = observer
        self._postponed = postponed
        self._catching_up = catching_up
        self._breakage = breakage
        self._whole_states = whole_states

    def examine(self, target: Target, decision: Decision | None, now: float) -> None:
        """Do what is to be done about the target that was taken from the queue.

        :param decision: the newest one, if it was kept; ``None``: it is made again.
        :param now: monotonic seconds.
        """
        if self._breakage.waits(target, now):
            return  # it is in the queue for then
        try:
            if target in self._cache.waits:
                self._observer.examine_wait(target, now)
            elif not self._reconcile.conclude(target, readable_record(self._cache.record(target))):
                if not self._propagation.is_final(target):
                    self._postponed.add(target)
                    return
                decision = decision or self._propagation.decide(target)
                if Obstacle.BROKEN in decision.obstacles:
                    if target not in self._breakage:
                        self._propagation.touch((), recorded=(target,))  # what depends on it must see that it is stuck
                    self._reconcile.stop(target)
                    return
                self._act_on(decision, now)
        except Exception as error:  # noqa: BLE001 - it is logged, and shown
            self._breakage.contain(target, error, now)
        else:
            self._breakage.acted(target)

    def _act_on(self, decision: Decision, now: float) -> None:
        """Do what a decision about a target asks for, unless it has still to be given up."""
        target = decision.target
        if (skip := self._catching_up.to_be_given_up(target)) is not None and not self._reconcile.draining:
            if not self._reconcile.is_put_off(target, now):
                self._reconcile.give_up(skip, counts="skipped_catching_up")
            return
        if decision.is_state_outdated(self._cache.state(target)) and not self._reconcile.draining:
            self._whole_states.write(decision)
        record = readable_record(self._cache.record(target))
        self._observer.follow(decision, record, now)
        self._reconcile.examine(decision, record, now)
