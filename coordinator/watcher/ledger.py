"""The ledger: records and states to be written in this step, and what follows when they are.

Our own records are taken into the cache as soon as they are written: that can only make more look busy. States
that are reported on a pipeline's behalf come back through the watch: a state that is ahead of the rest of the
cache could make a downstream look ready whose other inputs are due for the same reason.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

import structlog

from coordinator.model.decide import Decision
from coordinator.model.references import Target
from coordinator.model.standings import Standings
from coordinator.model.trigger import Status, TriggerRecord, dump_record
from coordinator.model.view import Standing
from coordinator.store.keys import Keys
from coordinator.store.port import CreateRevisionIs, Delete, ModRevisionIs, Put, Store, StoreUnavailable
from coordinator.watcher.agenda import Agenda
from coordinator.watcher.cache import Cache
from coordinator.watcher.decision_log import DecisionLog, Deed
from coordinator.watcher.writes import Write, commit

_log = structlog.get_logger(__name__)

WARNINGS = frozenset({"trigger.blocked", "trigger.unanswered"})
"""Events that somebody may have to do something about."""


class Ledger:
    """Collects writes, and writes them together.

    :param refused: takes a target of which etcd will not write something; it has been logged.
    :ivar decisions: where what led to something is written down for people; ``None``: nowhere.
    """

    def __init__(
        self,
        store: Store,
        keys: Keys,
        *,
        cache: Cache,
        standings: Standings,
        agenda: Agenda,
        refused: Callable[[Target], None],
        decisions: DecisionLog | None = None,
    ) -> None:
        self._store = store
        self._keys = keys
        self._cache = cache
        self._standings = standings
        self._agenda = agenda
        self._refused = refused
        self.decisions = decisions
        self._writes: list[Write] = []

    def __bool__(self) -> bool:
        return bool(self._writes)

    def clear(self) -> None:
        self._writes.clear()

    def record(
        self,
        target: Target,
        record: TriggerRecord,
        *,
        grounds: Iterable[tuple[Target, int]] = (),
        then: Callable[[int], None] = lambda _: None,
        decision: Decision | None = None,
        deed: Deed | None = None,
    ) -> None:
        """Write a trigger record, if the present one is still the one that is known.

        :param grounds: states, with their revisions, that must not have moved.
        :param then: called with the revision once it is written.
        :param decision: what led to it, for the decision log.
        :param deed: what it is, where the record alone does not tell the decision log.
        """
        seen = self._cache.record(target)
        decided_on = self._cache.revision

        def committed(revision: int) -> None:
            self._cache.note_record(target, record, revision)
            then(revision)  # first of all: a request may be waiting for this
            log_record(f"trigger.{record.status}", target, record)
            if self.decisions is not None:
                self.decisions.note(
                    target,
                    record,
                    previous=seen.value if seen is not None and isinstance(seen.value, TriggerRecord) else None,
                    decided_on=decided_on,
                    deed=deed,
                    decision=decision,
                    recorded_at=revision,
                )
            if record.status is Status.INTENT and self._standings.standing(target) is Standing.BUSY:
                return  # it was due and now is in flight: busy as before, and nobody need look again
            self._standings.touch((), recorded=(target,))

        self._writes.append(
            Write(
                target=target,
                operation=Put(self._keys.trigger(target), dump_record(record)),
                expected=seen.revision if seen is not None else 0,
                grounds=tuple(ModRevisionIs(self._keys.state(ground), revision) for ground, revision in grounds),
                committed=committed,
                lost=lambda revision: self._agenda.once_read(revision, (target,)),
                refused=lambda reason: self._refuse(target, reason),
            )
        )

    def taken_over(self, target: Target, record: TriggerRecord) -> None:
        """Say that the outcome of an intent is asked for which is a predecessor's, or in doubt."""
        log_record("trigger.taken_over", target, record)
        if self.decisions is not None:
            self.decisions.note(target, record, previous=None, decided_on=self._cache.revision, deed=Deed.TAKEN_OVER)

    def state(self, target: Target, value: bytes | None, *, then: Callable[[int], None]) -> None:
        """Write a state on a pipeline's behalf, or delete it, if the present one is still the one that is known.

        :param then: called with the etcd revision from which on it, or what got in between, can be read.
        """
        seen = self._cache.state(target)
        key = self._keys.state(target)
        self._writes.append(
            Write(
                target=target,
                operation=Delete(key) if value is None else Put(key, value),
                expected=seen.revision if seen is not None else 0,
                committed=then,
                lost=then,
                refused=lambda reason: self._refuse(target, reason),
            )
        )

    def flush(self, term: int) -> list[Target]:
        """Write everything, fenced by the leadership of this term.

        :returns: the targets of which it is not known whether they were written: etcd gave no answer.
        :raises LeadershipLost: somebody else leads.
        """
        writes, self._writes = self._writes, []
        if not writes:
            return []
        try:
            commit(self._store, CreateRevisionIs(self._keys.leader, term), writes)
        except StoreUnavailable as error:
            _log.warning("etcd.unavailable", reason=str(error), writes=len(writes))
            return [write.target for write in writes]
        return []

    def _refuse(self, target: Target, reason: str) -> None:
        _log.error("etcd.refused", pipeline=str(target.pipeline), partition=target.partition, reason=reason)
        self._refused(target)


def log_record(event: str, target: Target, record: TriggerRecord, **more: str) -> None:
    """One line about a trigger, with everything to grep by; a warning where somebody may have to act."""
    _log.log(
        logging.WARNING if event in WARNINGS else logging.INFO,
        event,
        pipeline=str(target.pipeline),
        partition=target.partition,
        sequence=record.sequence,
        wave=record.wave,
        action=str(record.action),
        run_id=record.run_id,
        **({"reason": record.last_error} if record.last_error else {}),
        **more,
    )
