"""A term: the time for which a watcher leads, and what it does first (docs/architecture.md#leadership).

It leads from the step in which it has read everything that its predecessor wrote, until its lease may have expired or
etcd says that another one leads. Before anything is started in a term, partitions that were missed are given up
(consumed without a run) where ``catchup`` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

import structlog

from coordinator.controller.leading.catching_up import Absence, CatchingUp, Skip
from coordinator.controller.state.cache import Cache
from coordinator.controller.state.heartbeat import Heartbeat, HeartbeatWriter, led_up_to
from coordinator.errors import LeadershipLost
from coordinator.model.propagation.propagation import Propagation
from coordinator.store.leadership import Leadership

_log = structlog.get_logger(__name__)


class Term:
    """See the module. Used by the deciding thread only.

    :param leadership: the present leadership of this watcher, if it leads.
    :param may_begin: returns whether everything is prepared for a term, given the create revision of its leader key.
    :param missed_after: seconds after which something counts as missed.
    :ivar number: the create revision of the leader key; ``None``: this watcher does not lead.
    """

    def __init__(
        self,
        *,
        leadership: Callable[[], Leadership | None],
        may_begin: Callable[[int], bool],
        cache: Cache,
        propagation: Propagation,
        catching_up: CatchingUp,
        heartbeat: HeartbeatWriter,
        missed_after: float,
    ) -> None:
        self._leadership = leadership
        self._may_begin = may_begin
        self._cache = cache
        self._propagation = propagation
        self._catching_up = catching_up
        self._heartbeat = heartbeat
        self._missed_after = timedelta(seconds=missed_after)
        self.number: int | None = None
        self._lost: int | None = None

    def changes(self, *, is_ready: bool) -> bool:
        """Check who leads. Returns whether a term has begun or ended.

        :param is_ready: everything that has been read has been decided about: a term may begin.
        """
        leadership = self._leadership()
        number = leadership.create_revision if leadership is not None else None
        if number is not None and (number == self._lost or number > self._cache.revision):
            number = None
        if number is not None and number != self.number and not (is_ready and self._may_begin(number)):
            number = None
        if number == self.number:
            return False
        self.number = number
        return True

    def predecessor_may_send_for(self) -> float:
        """Seconds for which a request of the predecessor may still be carried out; 0.0: it has ended."""
        leadership = self._leadership()
        return leadership.predecessor_may_send_for() if leadership is not None else 0.0

    def begin(self) -> None:
        """Find out what was missed."""
        assert self.number is not None
        _log.info("leader.started", term=self.number, revision=self._cache.revision)
        heartbeat = led_up_to(self._cache.heartbeat, present=self.number)
        missed_before = self._propagation.now - self._missed_after
        self._catching_up.begin(Absence(after=heartbeat, until=self.number, before=missed_before))
        self._heartbeat.begin_term()

    def has_caught_up(self, write: Callable[[Sequence[Skip]], bool], *, writes_heartbeats: bool, now: float) -> bool:
        """Give up what was missed, where ``catchup`` says so. Returns whether that is done: nothing starts before.

        :param write: writes what is given up, as :meth:`CatchingUp.give_up` asks.
        :param writes_heartbeats: the ``catchup`` of some pipeline needs to know when a watcher led.
        :param now: monotonic seconds.
        """
        if not self._catching_up.give_up(write, now=now):
            return False
        if not writes_heartbeats or self.number is None:
            return True
        heartbeat, number = Heartbeat(self._cache.revision, self._propagation.now), self.number
        return self.fenced(lambda: self._heartbeat.write(heartbeat, term=number, now=now))

    def fenced(self, do: Callable[[], object]) -> bool:
        """Do something that is fenced by this leadership. Returns whether this watcher still leads."""
        try:
            do()
        except LeadershipLost as error:
            self.lose(error)
            return False
        return True

    def lose(self, error: LeadershipLost) -> None:
        """etcd says that another watcher leads, or none: the term ends with the next step."""
        _log.warning("leader.fenced", reason=str(error))
        self._lost = self.number

    @property
    def is_lost(self) -> bool:
        """Whether :meth:`lose` was called in this term: nothing more may go out."""
        return self.number is not None and self.number == self._lost
