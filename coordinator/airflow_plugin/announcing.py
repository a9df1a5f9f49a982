"""Announcing a live sender: ``reporter/<environment>/<name>`` on a lease, and ``reporter_seen/<environment>``.

It has a thread and a connection of its own, so that a slow write of an event does not delay the renewal of the lease,
and a slow renewal does not delay an event.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from coordinator.airflow_plugin.activity import Activity
from coordinator.airflow_plugin.identity import NO_AIRFLOW, AirflowIdentity
from coordinator.airflow_plugin.outbox import Outbox
from coordinator.config.loading import load_settings
from coordinator.config.settings import Settings
from coordinator.errors import ConfigurationError
from coordinator.model.reporters import LEASE, SEEN_EVERY, LastSeen, ReporterStatus, read_last_seen
from coordinator.store.connection import connect
from coordinator.store.keys import Keys
from coordinator.store.port import LeaseNotFound, Put, Store, StoreError, Transaction
from coordinator.version import __version__

log = structlog.get_logger(__name__)

EVERY = LEASE.total_seconds() / 4
"""Seconds between two renewals; changes are written then too."""
_SAY_AGAIN_AFTER = 60.0
_LEAVES_WITHIN = 2.0


@dataclass(slots=True)
class _Term:
    """A connection, and the lease on it."""

    store: Store
    keys: Keys
    environment: str
    lease: int
    announced: ReporterStatus | None = None
    seen_at: float = float("-inf")


class Announcer:
    """Announces one sender until it is closed. Use as a context manager.

    :param settings: reads the settings, for each connection again: somebody may have repaired them.
    :ivar renewals: how often the lease has been renewed, and changes were written.
    :ivar failures: how often that failed.
    """

    def __init__(
        self,
        outbox: Outbox,
        activity: Activity,
        *,
        airflow: AirflowIdentity = NO_AIRFLOW,
        settings: Callable[[], Settings] = load_settings,
        every: float = EVERY,
    ) -> None:
        self.renewals = 0
        self.failures = 0
        self.name = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self._outbox = outbox
        self._activity = activity
        self._airflow = airflow
        self._settings = settings
        self._every = every
        self._since = datetime.now(UTC)
        self._term: _Term | None = None
        self._complained_at = float("-inf")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="announcer", daemon=True)

    def __enter__(self) -> Announcer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        # Not longer: etcd may hang, and a newer sender waits for the outbox. The lease then expires.
        self._thread.join(_LEAVES_WITHIN)

    def _run(self) -> None:
        while True:
            try:
                self._announce()
                self.renewals += 1
            except LeaseNotFound:
                self._disconnect()
                continue
            except (StoreError, ConfigurationError, OSError) as error:
                self.failures += 1
                self._complain(error)
                self._disconnect()
            if self._stop.wait(self._every):
                break
        self._resign()

    def _announce(self) -> None:
        term = self._term = self._term or self._begin()
        key = term.keys.reporter(term.environment, self.name)
        if term.announced is not None and term.store.refresh_lease(term.lease, quorum_key=key) <= 0:
            raise LeaseNotFound(f"{key}: its lease has expired")
        is_due = time.monotonic() - term.seen_at >= SEEN_EVERY.total_seconds()
        status = self._status()
        if is_due or not status.says_the_same_as(term.announced):
            term.store.commit(Transaction((), (Put(key, status.to_value(), lease=term.lease),)))
            term.announced = status
        if is_due:
            self._leave_a_sign(term, status)
            term.seen_at = time.monotonic()

    def _leave_a_sign(self, term: _Term, status: ReporterStatus) -> None:
        """Write ``reporter_seen``: once a minute for the environment, however many reporters it has."""
        key = term.keys.reporter_seen(term.environment)
        present = term.store.get(key)
        seen = read_last_seen(present.value) if present is not None else None
        if isinstance(seen, LastSeen) and abs(status.written_at - seen.at) < SEEN_EVERY / 2:
            return
        value = LastSeen(at=status.written_at, reporter=self.name, host=status.host).to_value()
        term.store.commit(Transaction((), (Put(key, value),)))

    def _status(self) -> ReporterStatus:
        names = self._outbox.pending()
        oldest = self._outbox.written_at(names[0]) if names else None
        return ReporterStatus(
            host=socket.gethostname(),
            pid=os.getpid(),
            since=self._since,
            written_at=datetime.now(UTC),
            version=__version__,
            airflow_version=self._airflow.version,
            airflow_url=self._airflow.url,
            outbox=str(self._outbox.directory),
            backlog=len(names),
            oldest=datetime.fromtimestamp(oldest, UTC) if oldest is not None else None,
            parked=len(self._outbox.parked.names()),
            recent=self._activity.recent,
        )

    def _begin(self) -> _Term:
        settings = self._settings()
        store = connect(settings.etcd)
        try:
            lease = store.grant_lease(int(LEASE.total_seconds()))
        except BaseException:
            store.close()
            raise
        return _Term(store, Keys(settings.etcd.prefix), settings.reporter.environment, lease)

    def _resign(self) -> None:
        """Delete the key at once, so that readers need not wait for the end of the lease."""
        if self._term is not None:
            try:
                self._term.store.revoke_lease(self._term.lease)
            except StoreError as error:
                log.info("reporter.key_not_removed", reason=str(error), consequence="it ends with its lease")
        self._disconnect()

    def _disconnect(self) -> None:
        if self._term is not None:
            self._term.store.close()
            self._term = None

    def _complain(self, error: Exception) -> None:
        """Log an error at most once a minute: the log is on the same disk as the outbox."""
        now = time.monotonic()
        if now - self._complained_at >= _SAY_AGAIN_AFTER:
            self._complained_at = now
            log.warning("reporter.key_not_written", error=str(error), remedy="events are delivered all the same")
