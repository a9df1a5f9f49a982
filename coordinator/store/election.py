"""One leader by lease (docs/architecture.md#leadership, and etcd's ``client/v3/concurrency``).

Every watcher keeps a lease alive. Its presence key, ``watchers/<id>``, is on that lease. The key ``leader`` is on the
lease of the watcher that created it first, which leads. When that lease ends, both keys are deleted, and another
watcher creates ``leader``.

A presence is put again when a keep-alive is due and something has changed since, except for another watcher's
presence: otherwise they would keep each other busy for ever.

A watcher that has not read everything yet (that is not *warm*) does not campaign: one that has would have to wait.

A second watcher with the same id is refused; see :mod:`~coordinator.store.watcher_id`.

The lease of a killed watcher normally has to expire. Where its process has provably ended (see
:mod:`~coordinator.store.process_id`), the lease is revoked instead. The successor asks about the last requests of that
watcher only when they have surely ended, as it would after the expiry of the lease. The same holds where somebody has
deleted the key ``leader`` (see :mod:`~coordinator.store.last_leader`).

A lease does not fence by itself: a leader that was suspended does not know that it no longer leads. So each write
compares the create revision of ``leader``, and each request outside etcd first checks ``Leadership.remaining()``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import TracebackType

import structlog

from coordinator.boottime import boottime
from coordinator.store.keys import Keys
from coordinator.store.last_leader import LastLeader
from coordinator.store.leadership import HeldLease, Leadership
from coordinator.store.port import (
    CreateRevisionIs,
    KeyValue,
    LeaseNotFound,
    Put,
    Store,
    StoreError,
    Transaction,
)
from coordinator.store.presence import Presence, Progress, read_presence, written
from coordinator.store.process_id import is_gone
from coordinator.store.repeated import Repeated
from coordinator.store.watcher_id import WatcherId

log = structlog.get_logger(__name__)

AGAIN_WITHIN = 60.0
"""Seconds after which a presence is put again even if nothing has changed."""


@dataclass(frozen=True, slots=True)
class Callbacks:
    """What a candidate asks its watcher, and what it tells it.

    :ivar progress: returns how far this watcher has read; call :meth:`Candidate.nudge` when it has become warm. If it
        returns ``None``, this watcher campaigns whenever it can.
    :ivar is_stalled: returns whether the deciding thread hangs although the lease is still kept alive: then another
        watcher should lead.
    :ivar now: the time of day, for people.
    :ivar on_change: called (in the thread that notices it) when this watcher has become the leader or has ceased to be
        it. If the lease expires while etcd is down, only ``Leadership.remaining()`` shows it in time.
    """

    progress: Callable[[], Progress | None] = lambda: None
    is_stalled: Callable[[], bool] = lambda: False
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    on_change: Callable[[], None] = lambda: None


class Candidate:
    """A watcher that leads, or wants to.

    Without a thread: call :meth:`step` after as many seconds as it returns. With a thread: :meth:`start` and
    :meth:`resign`, or as a context manager.

    :param request_timeout: seconds that a request of a watcher takes at most.
    :param ttl: seconds after which a silent leader is replaced; etcd takes 2 at least.
    :param clock: seconds; must go on while the process is stopped or the machine suspended.
    """

    def __init__(
        self,
        store: Store,
        keys: Keys,
        watcher_id: str,
        *,
        ttl: int = 10,
        request_timeout: float = 0.0,
        clock: Callable[[], float] = boottime,
        callbacks: Callbacks | None = None,
    ) -> None:
        asks = callbacks or Callbacks()
        self.watcher_id = watcher_id
        self._store = store
        self._leader_key = keys.leader
        self._last_leader = LastLeader(keys)
        self._id = WatcherId(store, keys.watcher(watcher_id), ttl=ttl, clock=clock)
        self._ttl = ttl
        self._request_timeout = request_timeout
        self._last_request_ends = 0.0
        self._clock = clock
        self._failures = Repeated(clock)
        self._on_change = asks.on_change
        self._progress = asks.progress
        self._is_stalled = asks.is_stalled
        self._now = asks.now
        self._presence = Presence.of_this_process(watcher_id, since=asks.now())
        self._held: HeldLease | None = None
        self._is_announced = False
        self._announced: Progress | None = None
        self._announce_again_at = 0.0
        self._leadership: Leadership | None = None
        self._keep_alive_at = clock()
        self._awake = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None

    def leadership(self) -> Leadership | None:
        """The present term of this watcher; ``None`` when it does not lead, or may not lead any more."""
        term = self._leadership
        return term if term is not None and term.remaining() > 0 else None

    @property
    def refused(self) -> str | None:
        """Why this watcher will never lead: another one has its id; ``None``: it may lead."""
        return self._id.refused

    def keep_alive_once(self) -> None:
        """Keep the lease alive, or take a new one, and write this watcher's presence.

        :raises StoreError: etcd failed.
        """
        if self._stopping or self.refused is not None:
            return
        held = self._held
        if held is not None:
            asked_at = self._clock()
            # An answer that comes after the end by our clock is too late, even if etcd still has the lease.
            left = self._store.refresh_lease(held.id, quorum_key=self._leader_key) if held.remaining() > 0 else 0
            if left <= 0 or not held.prolong(asked_at=asked_at, ttl=min(left, self._ttl)):
                self._give_up(held, "the lease has expired")
        if self._held is None:
            asked_at = self._clock()
            lease = self._store.grant_lease(self._ttl)
            self._held = HeldLease(lease, asked_at=asked_at, ttl=self._ttl, clock=self._clock)
            self._is_announced = False
        progress = self._progress()
        if not self._is_announced or self._has_changed(progress):
            self._announce(self._held, progress)

    def campaign_once(self) -> Leadership | None:
        """Become the leader if there is none, or find out whether we still are. :raises StoreError: etcd failed."""
        return self._campaign(may_end_lease=True)

    def _campaign(self, *, may_end_lease: bool) -> Leadership | None:
        held = self._held
        if self._stopping or held is None or held.remaining() <= 0 or not self._is_announced:
            return None
        if self._leadership is None and not self._is_warm():
            return None
        since = written(self._now())
        waits = self._clock() < self._last_request_ends or None
        try:
            answer = self._store.commit(
                Transaction(
                    (CreateRevisionIs(self._leader_key, 0), *self._last_leader.has_gone()),
                    (Put(self._leader_key, replace(self._presence, since=since, took_over=waits).to_value(), held.id),),
                    otherwise=(self._leader_key, *self._last_leader.keys()),
                )
            )
        except LeaseNotFound:
            self._give_up(held, "the lease has gone")
            return None
        if answer.succeeded:
            self._last_leader.saw(self.watcher_id, held.id)
            self._lead(answer.revision, held, since)
            return self.leadership()
        leader, *presence = answer.found
        if leader is None:
            self._key_has_gone(presence)
            return self._campaign(may_end_lease=may_end_lease)
        self._last_leader.saw_key(leader)
        if leader.lease == held.id:
            # Ours; perhaps of an earlier campaign whose answer was lost.
            self._lead(leader.create_revision, held, read_presence(leader.value).since)
        else:
            if may_end_lease and self._end_lease_of_gone(leader):
                return self._campaign(may_end_lease=False)
            if not leader.lease:
                log.error("leader.without_lease", key=self._leader_key, remedy="delete it: it stays for ever")
            self._end_term("another watcher leads")
        return self.leadership()

    def step(self) -> float:
        """Do what is due. Returns the seconds until something is due again. Raises no error of the store."""
        try:
            if self._leadership is not None and self._held is not None and self._is_stalled():
                log.error("leader.stalled", watcher=self.watcher_id, remedy="another one leads soon; restart this one")
                self._let_go("its deciding thread hangs")
                self._keep_alive_at = self._clock()
            if self._clock() >= self._keep_alive_at:
                self.keep_alive_once()
                self._keep_alive_at = self._clock() + self._ttl / 3
            self.campaign_once()
        except StoreError as error:
            term = self._leadership
            if term is not None and term.remaining() <= 0:
                self._end_term("the lease has run out")
            if self._failures.is_logged(str(error)):
                log.warning("election.step_failed", watcher=self.watcher_id, error=str(error))
            self._keep_alive_at = self._clock()
            return min(1.0, self._ttl / 10)
        self._failures.ended()
        return max(0.0, self._keep_alive_at - self._clock())

    def nudge(self) -> None:
        """Campaign now: no watcher leads any more, or this one has become warm. From any thread; returns at once."""
        self._awake.set()

    def start(self) -> Candidate:
        """Run in a thread of its own, until :meth:`resign`."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=f"election {self.watcher_id}", daemon=True)
            self._thread.start()
        return self

    def resign(self) -> None:
        """Stop for good, and let a successor take over at once."""
        self._stopping = True
        self._awake.set()
        if self._thread is not None:
            self._thread.join(self._ttl)
        led = self._leadership is not None
        self._end_term("resigned")
        held, self._held = self._held, None
        if held is None:
            return
        held.end()
        try:
            if led and self._clock() < self._last_request_ends:
                # Whoever leads next does not know of that wait, but waits until this lease has run out.
                self._store.refresh_lease(held.id, quorum_key=self._leader_key)
                log.warning("lease.left", ttl=self._ttl, reason="a request of the leader before may be under way")
                return
            self._store.revoke_lease(held.id)
        except StoreError as error:
            log.warning("lease.not_revoked", ttl=self._ttl, error=str(error))

    def __enter__(self) -> Candidate:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.resign()

    def _run(self) -> None:
        while not self._stopping:
            self._awake.clear()
            try:
                pause = self.step()
            except Exception:
                # Without this thread, a watcher would never lead again, and nobody would notice.
                log.exception("election.step_broken", watcher=self.watcher_id)
                pause = 1.0
            if not self._stopping:
                self._awake.wait(pause)

    def _is_warm(self) -> bool:
        progress = self._progress()
        return (progress is None or progress.warm) and not self._is_stalled()

    def _has_changed(self, progress: Progress | None) -> bool:
        if progress is None or self._announced is None:
            return progress is not self._announced
        has_changed = progress.differs_from(self._announced)
        return has_changed or self._clock() >= self._announce_again_at

    def _announce(self, held: HeldLease, progress: Progress | None) -> None:
        presence = self._presence
        if progress is not None:
            presence = presence.progressed(progress, written_at=self._now(), again_within=AGAIN_WITHIN + self._ttl)
        try:
            self._is_announced = self._id.announce(presence, held.id)
        except LeaseNotFound:
            self._give_up(held, "the lease has gone")
            return
        if self._is_announced:
            self._announced, self._announce_again_at = progress, self._clock() + AGAIN_WITHIN
        elif self.refused is not None:
            self._on_change()

    def _end_lease_of_gone(self, leader: KeyValue) -> bool:
        """End the lease of a leader whose process has ended. Returns whether the leader key is free now."""
        presence = read_presence(leader.value)
        if not leader.lease or not is_gone(presence.process) or self._may_have_asked_nothing(presence):
            return False
        self.keep_alive_once()  # a watcher that waits for our lease then also waits for that leader's last request
        seen_gone_at = self._clock()
        try:
            self._store.revoke_lease(leader.lease)
        except StoreError as error:
            log.warning("leader.lease_not_revoked", leader=str(presence), error=str(error))
            return False
        self._last_request_ends = seen_gone_at + self._request_timeout
        log.warning("leader.lease_revoked", watcher=self.watcher_id, leader=str(presence))
        return True

    def _key_has_gone(self, presence: Sequence[KeyValue | None]) -> None:
        """There is no leader key, although the watcher of the last one is still there."""
        if self._last_leader.still_has_its_lease(presence):
            self.keep_alive_once()  # a watcher that waits for our lease then also waits for that leader's last request
            # It may send for as long as its lease lasts. When that is prolonged, it is told that it no longer leads.
            self._last_request_ends = self._clock() + self._ttl + self._request_timeout
            log.error("leader.key_deleted", key=self._leader_key, remedy="leave it alone: it goes with its lease")
        self._last_leader.forget()

    def _may_have_asked_nothing(self, gone: Presence) -> bool:
        """Whether a leader that took over may have ended before its wait was over.

        Its lease is not revoked then. Otherwise a watcher that crashes repeatedly would begin the wait again each time,
        and never get to ask.
        """
        if not gone.took_over or gone.began is None:
            return False
        led = (self._now() - gone.began).total_seconds()
        return 0 <= led <= self._request_timeout + self._ttl + 1  # times of day are written in whole seconds

    def _lead(self, create_revision: int, held: HeldLease, since: str) -> None:
        term = self._leadership
        if term is not None and term.create_revision == create_revision and term.remaining() > 0:
            return
        self._end_term("the leader key has gone")
        if held.remaining() <= 0:  # the answer came too late
            return
        self._leadership = Leadership(create_revision, held, since=since, last_request_ends=self._last_request_ends)
        log.info("leader.elected", watcher=self.watcher_id, create_revision=create_revision)
        self._on_change()

    def _end_term(self, reason: str) -> None:
        term, self._leadership = self._leadership, None
        if term is not None:
            term.end()
            log.warning("leader.lost", watcher=self.watcher_id, create_revision=term.create_revision, reason=reason)
            self._on_change()

    def _give_up(self, held: HeldLease, reason: str) -> None:
        self._let_go(reason)
        # By etcd's clock it may still be valid, with a leader key whose watcher no longer leads.
        self._store.revoke_lease(held.id)

    def _let_go(self, reason: str) -> None:
        """Stop keeping the lease alive, without revoking it. A request under this lease may be under way, and surely
        ends before it expires: after a revocation, a successor could send the same request once more."""
        held, self._held = self._held, None
        if held is not None:
            held.end()
        self._end_term(reason)
