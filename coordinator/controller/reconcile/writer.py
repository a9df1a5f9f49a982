"""The writer: writes what is in the ledger, and queues what follows from the result of each write."""

from __future__ import annotations

import structlog

from coordinator.controller.leading.catching_up import CatchingUp
from coordinator.controller.leading.term import Term
from coordinator.controller.queue.work_queue import WorkQueue
from coordinator.controller.reconcile.breakage import Breakage
from coordinator.controller.reconcile.ledger import Ledger
from coordinator.controller.reconcile.reconcile import Reconcile
from coordinator.controller.reconcile.upstream_checks import Checks
from coordinator.controller.writes import (
    RETRY_AFTER,
    Lost,
    RecordWrite,
    Result,
    StateWrite,
    Unanswered,
    WaitWrite,
    Write,
    WriteRefused,
    Written,
)
from coordinator.model.references import Target

_log = structlog.get_logger(__name__)


class Writer:
    """See the module. Used by the deciding thread only.

    :ivar retry_at: monotonic seconds at which to write again, since etcd did not answer.
    """

    def __init__(
        self,
        ledger: Ledger,
        term: Term,
        *,
        reconcile: Reconcile,
        checks: Checks,
        queue: WorkQueue,
        catching_up: CatchingUp,
        breakage: Breakage,
    ) -> None:
        self._ledger = ledger
        self._term = term
        self._reconcile = reconcile
        self._checks = checks
        self._queue = queue
        self._catching_up = catching_up
        self._breakage = breakage
        self._answered = True
        self.retry_at = 0.0

    def flush(self, now: float) -> bool:
        """Write what is in the ledger. Returns whether to go on examining.

        :param now: monotonic seconds.
        """
        if (term := self._term.number) is None:
            return False
        self._answered = True
        if not self._term.fenced(lambda: self._write(term, now)):
            self._answered = False
        if not self._answered:
            self.retry_at = now + RETRY_AFTER
        return self._answered

    def _write(self, term: int, now: float) -> None:
        for write, result in self._ledger.flush(term):
            try:
                self._take(write, result, now)
            except Exception as error:  # noqa: BLE001 - it is logged, and shown
                self._breakage.contain(write.target, error, now)

    def _take(self, write: Write, result: Result, now: float) -> None:
        target, subject = write.target, write.subject
        match result, subject:
            case Written(revision), RecordWrite():
                self._reconcile.written(target, subject, revision, now)
            case ((Written(revision) | Lost(revision)), StateWrite(askers)):
                self._checks.hold_until(askers, revision)
            case Lost(revision), WaitWrite():
                self._queue.add(target, after_revision=revision)
            case Written(), WaitWrite():
                pass
            case Lost(revision), RecordWrite():
                self._catching_up.read_up_to(revision)
                self._queue.add(target, after_revision=revision)
            case WriteRefused(reason), _:
                _log.error("etcd.refused", pipeline=str(target.pipeline), partition=target.partition, reason=reason)
                self._catching_up.refuse(target)
                for asker in _askers(write):
                    self._reconcile.refused_by_etcd(asker, now, is_own=asker == target)
            case Unanswered(reason), _:
                if self._answered:
                    _log.warning("etcd.unavailable", reason=reason)
                    self._checks.clear()  # a state that they saw may not have been written
                self._answered = False
                for waiting in _askers(write) | {target}:
                    self._queue.add(waiting, after=now + RETRY_AFTER)


def _askers(write: Write) -> frozenset[Target]:
    """The targets that wait for a write."""
    return write.subject.askers if isinstance(write.subject, StateWrite) else frozenset({write.target})
