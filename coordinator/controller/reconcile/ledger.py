"""The ledger: records, states and answers to waits that are to be written in this step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from coordinator.controller.decision_log import LogEvent
from coordinator.controller.state.cache import Cache
from coordinator.controller.writes import (
    Lost,
    RecordWrite,
    Result,
    StateWrite,
    WaitWrite,
    Write,
    WriteRefused,
    Written,
    commit,
)
from coordinator.model.decide import Decision
from coordinator.model.references import Target
from coordinator.model.trigger import TriggerRecord, dump_record
from coordinator.model.view import SeenWait, readable_record
from coordinator.model.waits import Wait, dump_wait
from coordinator.store.keys import Keys
from coordinator.store.port import CreateRevisionIs, Delete, ModRevisionIs, Put, Store


class Ledger:
    """Collects them, and writes them together.

    :param who: this watcher's name.
    :ivar reported_by: the same, for states that it writes.
    """

    def __init__(self, store: Store, keys: Keys, cache: Cache, *, who: str) -> None:
        self._store = store
        self._keys = keys
        self._cache = cache
        self.reported_by = f"coordinator/{who}"
        self._writes: list[Write] = []
        self._written = 0

    @property
    def known_revision(self) -> int:
        """The latest etcd revision that is known: what is asked from now on shows what was so then, or later."""
        return max(self._cache.revision, self._written)

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
        sensors: Iterable[SeenWait] = (),
        decision: Decision | None = None,
        event: LogEvent | None = None,
        counts: str | None = None,
    ) -> None:
        """Write a trigger record, provided that the known one is still present.

        :param grounds: states, with their revisions, that must not have changed.
        :param sensors: waits that must not have changed.
        :param decision: what led to it.
        :param event: its event in the decision log, where that does not follow from the record alone.
        :param counts: the counter to increase.
        """
        seen = self._cache.record(target)
        self._writes.append(
            Write(
                target=target,
                operation=Put(self._keys.trigger(target), dump_record(record)),
                expected=seen.revision if seen is not None else 0,
                subject=RecordWrite(record, readable_record(seen), self._cache.revision, decision, event, counts),
                grounds=(
                    *(ModRevisionIs(self._keys.wait(seen.ref), seen.revision) for seen in sensors),
                    *(ModRevisionIs(self._keys.state(ground), revision) for ground, revision in grounds),
                ),
            )
        )

    def state(self, target: Target, value: bytes | None, *, askers: frozenset[Target]) -> None:
        """Write a state on a pipeline's behalf, or delete it, provided that the known one is still present.

        The cache gets it through the watch, and not here: a state that is newer than the rest of the cache could make a
        downstream look ready although its other inputs are due for the same reason.

        :param askers: the targets that wait for it.
        """
        seen = self._cache.state(target)
        key = self._keys.state(target)
        self._writes.append(
            Write(
                target=target,
                operation=Delete(key) if value is None else Put(key, value),
                expected=seen.revision if seen is not None else 0,
                subject=StateWrite(askers),
            )
        )

    def wait(self, seen: SeenWait, answer: Wait | None) -> None:
        """Answer a wait, or remove it, provided that it is still the one that was seen.

        :param answer: ``None``: remove it.
        """
        key = self._keys.wait(seen.ref)
        grounds: tuple[ModRevisionIs, ...] = ()
        if answer is not None and answer.completion is not None:
            grounds = (ModRevisionIs(self._keys.state(answer.upstream), answer.completion.revision),)
        self._writes.append(
            Write(
                target=seen.ref.name,
                operation=Delete(key) if answer is None else Put(key, dump_wait(answer)),
                expected=seen.revision,
                subject=WaitWrite(),
                grounds=grounds,
            )
        )

    def flush(self, term: int) -> Iterator[tuple[Write, Result]]:
        """Write everything, fenced by the leadership of this term, and yield each write with its result.

        What etcd refuses becomes a problem of its key.

        :raises LeadershipLost: somebody else leads.
        """
        writes, self._writes = self._writes, []
        if writes:
            for write, result in commit(self._store, CreateRevisionIs(self._keys.leader, term), writes):
                if isinstance(result, Written | Lost):
                    self._written = max(self._written, result.revision)
                elif isinstance(result, WriteRefused):
                    self._cache.problems.note(write.operation.key, f"etcd refuses to write it: {result.reason}")
                yield write, result
