"""Who a watcher is: the value of ``leader`` and of ``watchers/<id>`` (design section 3)."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import asdict, dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Presence:
    """A watcher that is there. ``since``: when it came, ISO 8601 in UTC."""

    id: str
    host: str
    pid: int
    since: str

    @classmethod
    def of_this_process(cls, watcher_id: str) -> Presence:
        return cls(watcher_id, socket.gethostname(), os.getpid(), datetime.now(UTC).isoformat(timespec="seconds"))

    def __str__(self) -> str:
        return f"{self.id} ({self.host}, pid {self.pid}) since {self.since}"

    def to_value(self) -> bytes:
        """The bytes for etcd."""
        return json.dumps(asdict(self)).encode()


def read_presence(value: bytes) -> Presence:
    """Read a presence. What cannot be read is ``?``: the key alone says that somebody is there."""
    try:
        known = json.loads(value)
    except (ValueError, RecursionError):
        known = None
    if not isinstance(known, dict):
        known = {}
    pid = known.get("pid")
    return Presence(
        id=str(known.get("id", "?")),
        host=str(known.get("host", "?")),
        pid=pid if isinstance(pid, int) else 0,
        since=str(known.get("since", "?")),
    )
