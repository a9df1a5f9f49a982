"""One watch on one gRPC stream of its own.

etcd3's watcher treats a watch that is cancelled at creation as a success, spins while etcd is down, and hangs after a
token has expired. So a thread here reads the stream, and only hands responses over.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from time import monotonic
from types import TracebackType
from typing import Any

from coordinator.store.failures import translate, without_frames
from coordinator.store.members import Member, Metadata
from coordinator.store.port import (
    AccessDenied,
    Changed,
    Changes,
    Compacted,
    KeyValue,
    StoreError,
    StoreUnavailable,
)
from coordinator.store.protobuf import import_etcd3

REQUESTED_PROGRESS_IS_ORDERED_SINCE = (3, 5, 8)
"""Before it, the answer to a progress request may overtake events (https://github.com/etcd-io/etcd/issues/15220).

Late versions of 3.4 have the same fix. They are not distinguished here, which only makes resuming slower.
"""

_BROADCAST = -1
"""The watch_id of the answer to a progress request."""

_READ_AHEAD = 16
"""Responses kept for a slow consumer; then gRPC's flow control holds the server back. Fragments have about 2 MiB."""

_READER_ENDS_WITHIN = 1.0
"""Seconds. A cancelled call ends its reader within a millisecond."""


class EtcdWatch:
    """A :class:`coordinator.store.port.WatchStream` over gRPC.

    A response may contain a thousand revisions. So fragments are requested, of about the size of one request to etcd.
    All of a fragment is handed on except its last revision, which the next fragment may continue.

    :param from_revision: the first revision; 0: the one after that of the store.
    :param on_loss: called when the stream has ended, neither because of the request nor by :meth:`close`.
    :raises RuntimeError: no more threads can be started.
    :raises ValueError: the channel is closed.
    """

    def __init__(
        self,
        member: Member,
        metadata: Metadata,
        *,
        key: bytes,
        range_end: bytes,
        from_revision: int,
        on_loss: Callable[[], None],
    ) -> None:
        self._rpc = import_etcd3().etcdrpc
        self._endpoint = member.endpoint
        since = f"from revision {from_revision}" if from_revision else "from now on"
        self._doing = f"watching {key.decode(errors='replace')} {since}"
        self._complete_to = from_revision - 1
        self._kept_back: tuple[Changed, ...] = ()
        self._on_loss = on_loss
        self._trusts_requested_progress = False
        self._ended: str | None = None
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._responses: queue.Queue[Any] = queue.Queue(_READ_AHEAD)
        self.cluster_id = 0
        self.revision = 0
        self._requests.put(
            self._rpc.WatchRequest(
                create_request=self._rpc.WatchCreateRequest(
                    key=key, range_end=range_end, start_revision=from_revision, progress_notify=True, fragment=True
                )
            )
        )
        # hasleader: a member that has lost its quorum accepts a plain watch, and then never answers.
        call = member.watches.Watch(iter(self._requests.get, None), metadata=(*metadata, ("hasleader", "true")))
        self._call: Any = call
        name = f"etcd-watch {self._endpoint}"
        self._reader = threading.Thread(target=self._read, args=(call,), name=name, daemon=True)
        try:
            self._reader.start()
        except RuntimeError:
            call.cancel()
            self._requests.put(None)
            del self._call, self._reader  # the reader refers to this object, and would keep it for ever
            raise

    def open(self, timeout: float) -> None:
        """Wait until the server has created the watch.

        :raises AccessDenied: it refuses.
        :raises StoreUnavailable: no answer in time, or the stream broke.
        """
        response = self._next_response(timeout)
        if response is None:
            raise self._end(self._lost(f"no answer within {timeout} s"))
        self.cluster_id = int(response.header.cluster_id)
        self.revision = int(response.header.revision)
        if self._complete_to < 0:
            self._complete_to = self.revision

    def trust_requested_progress(self, version: tuple[int, ...]) -> None:
        """Use requested progress notifications as proof of completeness, if this version of the server allows that."""
        self._trusts_requested_progress = version >= REQUESTED_PROGRESS_IS_ORDERED_SINCE

    def receive(self, timeout: float) -> Changes | None:
        until = monotonic() + timeout
        while (response := self._next_response(max(0.0, until - monotonic()))) is not None:
            if (batch := self._batch_of(response)) is not None:
                return batch
        return None

    def _batch_of(self, response: Any) -> Changes | None:
        """The changes that this response completes; ``None``: only a part of a revision has come so far."""
        if response.events:
            changes = (*self._kept_back, *map(_changed, response.events))
            self._kept_back = ()
            if response.fragment:
                last = changes[-1].revision
                whole = next(count for count, change in enumerate(changes) if change.revision == last)
                changes, self._kept_back = changes[:whole], changes[whole:]
                if not changes:
                    return None
            # Not the header's revision: a response need not contain everything up to it.
            self._complete_to = changes[-1].revision
            return Changes(changes, self._complete_to)
        if response.watch_id != _BROADCAST or self._trusts_requested_progress:
            self._complete_to = max(self._complete_to, int(response.header.revision))
        return Changes((), self._complete_to)

    def request_progress(self) -> None:
        self._requests.put(self._rpc.WatchRequest(progress_request=self._rpc.WatchProgressRequest()))

    def close(self) -> None:
        """End the stream, and release gRPC's call.

        The finalizer of a call takes a lock that gRPC's own threads take too. At the end of the interpreter those
        threads may have been killed while holding the lock, and the finalizer would wait for ever: so no call outlives
        this.
        """
        call, self._call = self._call, None
        if call is not None:
            call.cancel()
        self._requests.put(None)
        with suppress(queue.Empty):  # a reader that waits for room must go on to see the cancellation
            while True:
                self._responses.get_nowait()
        with suppress(queue.Full):
            self._responses.put_nowait(self._lost("closed by this side"))
        self._reader.join(_READER_ENDS_WITHIN)

    def __enter__(self) -> EtcdWatch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self, call: Any) -> None:
        for item in self._until_the_end(call):
            self._responses.put(item)

    def _until_the_end(self, call: Any) -> Iterator[Any]:
        import grpc

        try:
            yield from call
        except grpc.RpcError as error:
            yield translate(without_frames(error), doing=self._doing, endpoint=self._endpoint)
        else:
            yield self._lost("the server ended the stream")

    def _next_response(self, timeout: float) -> Any:
        """The next response; ``None`` after a time-out. :raises StoreError: the watch was cancelled."""
        if self._ended is not None:
            raise self._lost(f"it has ended: {self._ended}")
        until = monotonic() + timeout
        while True:
            try:
                item = self._responses.get(timeout=max(0.0, until - monotonic())) if timeout > 0 else self._poll()
            except queue.Empty:
                return None
            if isinstance(item, StoreError):
                try:
                    raise self._end(item)
                finally:
                    del item  # the error refers to this frame: a reference cycle
            # Checked before `created`: one response can create and cancel a watch, with a meaningless watch_id.
            if item.canceled or item.compact_revision:
                raise self._end(self._cancelled(item))
            return item

    def _poll(self) -> Any:
        return self._responses.get_nowait()

    def _cancelled(self, response: Any) -> StoreError:
        found = f"etcd {self._endpoint}, {self._doing}: cancelled by the server"
        if response.compact_revision:
            return Compacted(
                f"{found}: compacted up to {response.compact_revision}, list again",
                compact_revision=int(response.compact_revision),
            )
        reason = response.cancel_reason or "no reason given"
        if "permission denied" in reason or "auth" in reason:
            return AccessDenied(f"{found}: {reason}; check etcd.username and the roles granted to it")
        return StoreUnavailable(f"{found}: {reason}")

    def _lost(self, found: str) -> StoreUnavailable:
        return StoreUnavailable(f"etcd {self._endpoint}, {self._doing}: {found}")

    def _end(self, error: StoreError) -> StoreError:
        self._ended, closed_by_us = str(error), self._call is None
        self.close()
        if isinstance(error, StoreUnavailable) and not closed_by_us:
            self._on_loss()
        return error


def _changed(event: Any) -> Changed:
    kv = event.kv
    key = kv.key.decode("utf-8", "surrogateescape")
    revision = kv.mod_revision
    if event.type:  # DELETE is 1
        return Changed(key, revision, None)
    return Changed(key, revision, KeyValue(key, kv.value, kv.create_revision, revision, kv.lease))
