"""The reflector: lists and watches, and recovers from every failure (by the rules of client-go's reflector and of
etcd's own client).

It opens a watch, lists (:mod:`~coordinator.store.gathering`), hands over everything, and continues with that watch.
After any end of the watch (an error, a cancellation, or silence) it resumes after the last revision known to be
complete. It lists again only when the history is not available any more (compaction), when it is another history
(another cluster, a store restored from a backup), or when one change is larger than this client accepts.

A consumer that replaces its view at every :class:`Snapshot` and applies all :class:`Changes` in between has the view of
the store. The view may be late, if etcd is down, but it never stays wrong.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from time import monotonic

import structlog

from coordinator.model import bounds
from coordinator.store.gathering import Gathering
from coordinator.store.large_values import kept_changes
from coordinator.store.port import AnswerTooLarge, Changes, Compacted, Listing, Store, StoreError, WatchStream
from coordinator.store.repeated import Repeated

log = structlog.get_logger(__name__)

_LONGEST_WAIT = 1.0
"""Seconds until a stop event is noticed in a silent watch, if nobody calls close()."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything under the prefix at one revision: it replaces the consumer's view."""

    listing: Listing


@dataclass(frozen=True, slots=True)
class Disconnected:
    """There is no connection to etcd at present. Earlier updates stay true as of their revision."""

    reason: str


Update = Snapshot | Changes | Disconnected


class _OtherHistory(StoreError):
    """The store has another history than the one that we were watching: list again."""


@dataclass(frozen=True, slots=True)
class _Witness:
    """A change that must be found at its revision again, if the history is still the same."""

    key: str
    revision: int
    exists: bool


def jittered(failures: int, *, initial: float = 0.1, longest: float = 5.0) -> float:
    """Seconds to wait after so many failures in a row: doubling, with jitter."""
    return min(longest, initial * 2.0 ** min(failures - 1, 20)) * random.uniform(0.5, 1.0)


class Reflector:
    """Follows all keys under a prefix.

    :param largest: how many bytes the value of a key may have; see :mod:`~coordinator.store.large_values`.
    :param progress_every: seconds of silence after which the server is asked for a progress notification.
    :param silence_limit: seconds of silence after which the watch is closed and opened again. A frozen server, or one
        behind a broken connection, does not end a stream.
    :param backoff: seconds to wait after the n-th failure in a row.
    :param clock: seconds, growing.
    """

    def __init__(
        self,
        store: Store,
        prefix: str,
        *,
        largest: Callable[[str], int] = lambda _: bounds.RECORD,
        progress_every: float = 3.0,
        silence_limit: float = 10.0,
        backoff: Callable[[int], float] = jittered,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._store = store
        self._prefix = prefix
        self._largest = largest
        self._progress_every = progress_every
        self._silence_limit = silence_limit
        self._backoff = backoff
        self._clock = clock
        self._stream: WatchStream | None = None
        self._complete_to: int | None = None
        self._cluster_id = 0
        self._witness: _Witness | None = None
        self._failures = 0
        self._lost = Repeated(clock)
        self._closing = False
        self._heard_at = 0.0
        self._ask_at = 0.0
        self.retry_in = 0.0
        """Seconds to wait before the step after a :class:`Disconnected`."""

    def updates(self, stop: threading.Event) -> Iterator[Update]:
        """Yield updates of the prefix until ``stop`` is set; a snapshot comes before any changes.

        Set ``stop`` and call :meth:`close` to end this at once; with ``stop`` alone it may take a second.
        """
        try:
            while not stop.is_set():
                update = self.step(_LONGEST_WAIT)
                if stop.is_set():
                    return
                if update is not None:
                    yield update
                if isinstance(update, Disconnected):
                    stop.wait(self.retry_in)
        finally:
            self.close()

    def step(self, timeout: float) -> Update | None:
        """The next update: a listing, or the next batch (waiting at most ``timeout`` seconds for it)."""
        try:
            if self._complete_to is None:
                return self._list()
            if self._stream is None:
                self._stream = self._open(self._complete_to)
            return self._receive(self._stream, self._complete_to, timeout)
        except (Compacted, AnswerTooLarge, _OtherHistory) as error:
            self._complete_to = None
            return self._disconnected(error)
        except StoreError as error:
            return self._disconnected(error)

    def close(self) -> None:
        """Close the present watch, also from another thread. The next step would open it again."""
        self._closing = True
        stream = self._stream
        if stream is not None:
            stream.close()

    def _list(self) -> Snapshot:
        self._stream = stream = self._store.watch(self._prefix, from_revision=0)
        gathering = Gathering(self._store, self._prefix, stream, largest=self._largest, patience=self._silence_limit)
        listing = gathering.run()
        newest = max(listing.items, key=lambda kv: kv.mod_revision, default=None)
        self._witness = None if newest is None else _Witness(newest.key, newest.mod_revision, exists=True)
        self._cluster_id = listing.cluster_id
        self._complete_to = listing.revision
        self._heard()
        log.info("etcd.listed", prefix=self._prefix, keys=len(listing.items), revision=listing.revision)
        return Snapshot(listing)

    def _open(self, complete_to: int) -> WatchStream:
        stream = self._store.watch(self._prefix, from_revision=complete_to + 1)
        try:
            self._refuse_other_history(stream, complete_to)
        except StoreError:
            stream.close()
            raise
        self._heard()
        if self._failures:
            self._ask_at = self._heard_at  # a consumer learns of the reconnection without waiting for a change
            log.info("watch.resumed", prefix=self._prefix, from_revision=complete_to + 1)
        return stream

    def _heard(self) -> None:
        self._heard_at = self._clock()
        self._ask_at = self._heard_at + self._progress_every

    def _refuse_other_history(self, stream: WatchStream, complete_to: int) -> None:
        if stream.cluster_id != self._cluster_id:
            raise _OtherHistory(f"cluster {stream.cluster_id:x} answers, where {self._cluster_id:x} did before")
        if stream.revision < complete_to:
            # A member that lags behind looks the same; a listing is linearizable and waits until it has caught up.
            raise _OtherHistory(f"etcd stands at revision {stream.revision}, and was at {complete_to} before")
        if self._failures and self._witness is not None:
            self._question(self._witness)

    def _question(self, witness: _Witness) -> None:
        """A restored store keeps its cluster id if it keeps its name, and may have passed our revision already."""
        try:
            found = self._store.get(witness.key, revision=witness.revision)
        except Compacted:
            return  # it is compacted, which proves nothing
        if (found is not None and found.mod_revision == witness.revision) is not witness.exists:
            raise _OtherHistory(f"the change of {witness.key} at revision {witness.revision} does not exist")

    def _receive(self, stream: WatchStream, complete_to: int, timeout: float) -> Changes | None:
        now = self._clock()
        silent_until = self._heard_at + self._silence_limit
        batch = stream.receive(max(0.0, min(timeout, self._ask_at - now, silent_until - now)))
        now = self._clock()
        if batch is not None:
            self._failures = 0
            self._lost.ended()
            self._heard()
            batch = kept_changes(_after(complete_to, batch), self._largest)
            self._complete_to = batch.revision
            if batch.changes:
                last = batch.changes[-1]
                self._witness = _Witness(last.key, last.revision, exists=last.kv is not None)
            return batch
        if now >= silent_until:
            raise StoreError(f"nothing heard from etcd for {now - self._heard_at:.1f} s")
        if now >= self._ask_at:
            stream.request_progress()
            self._ask_at = now + self._progress_every
        return None

    def _disconnected(self, error: StoreError) -> Disconnected:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()
        if self._closing:
            self._closing = False
            return Disconnected("closed by this side")
        self._failures += 1
        self.retry_in = self._backoff(self._failures)
        if self._lost.is_logged(str(error)):
            log.warning(
                "watch.lost",
                prefix=self._prefix,
                reason=str(error),
                resume_from=None if self._complete_to is None else self._complete_to + 1,
                failures=self._failures,
                retry_in=round(self.retry_in, 3),
            )
        return Disconnected(str(error))


def _after(complete_to: int, batch: Changes) -> Changes:
    """A batch without the changes that the snapshot contains: it may be newer than the changes delivered so far."""
    if batch.changes and batch.changes[0].revision <= complete_to:
        batch = replace(batch, changes=tuple(change for change in batch.changes if change.revision > complete_to))
    return batch if batch.revision >= complete_to else replace(batch, revision=complete_to)
