"""What an etcd client has asked: how long answers took, and the newest revision that they named."""

from __future__ import annotations

from typing import Any

from coordinator.store.port import StoreError, StoreUnavailable
from coordinator.store.timings import Timings

_KINDS = {
    "RangeRequest": "range",
    "TxnRequest": "txn",
    "LeaseGrantRequest": "lease",
    "LeaseKeepAliveRequest": "lease",
    "LeaseRevokeRequest": "lease",
}


class EtcdRequests:
    """Requests to any member, each attempt by itself; a watch is a stream, and no request. Safe from any thread.

    :ivar timings: by kind (``range``, ``txn``, ``lease``, ``other``) and outcome (``answered``, ``refused``,
        ``unanswered``).
    :ivar revision: that of etcd, by the answer that came last; 0: there was none.
    """

    def __init__(self) -> None:
        self.timings = Timings()
        self.revision = 0

    def answered(self, request: object, answer: Any, *, seconds: float) -> None:
        """A request was answered. :param answer: etcd's; each has a header."""
        self.timings.note(_kind(request), "answered", seconds=seconds)
        header = getattr(answer, "header", None)
        if header is not None and header.revision:
            self.revision = int(header.revision)

    def failed(self, request: object, error: StoreError, *, seconds: float) -> StoreError:
        """A request was refused, or had no answer. Returns the error."""
        outcome = "unanswered" if isinstance(error, StoreUnavailable) else "refused"
        self.timings.note(_kind(request), outcome, seconds=seconds)
        return error


def _kind(request: object) -> str:
    return _KINDS.get(type(request).__name__, "other")
