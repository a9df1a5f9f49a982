"""Delivery: from the outbox to etcd, in order, one event at a time.

An event is removed from the outbox only when its write is known to have succeeded, so after a crash at any point it is
delivered again. :func:`coordinator.commands.report.write_report` recognises the repeat.

A failure that concerns all events alike (etcd is down, full or slow; the configuration is broken) is waited for. A
failure that concerns one event alone (it is unreadable, it is too large, etcd denies its key, it names another
environment) must not delay the others: the event is parked (:mod:`coordinator.airflow_plugin.parking`), and tried
again at intervals if somebody may grant it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

import structlog
from tenacity import RetryCallState, Retrying, retry_if_exception, wait_random_exponential

from coordinator.airflow_plugin.activity import Activity
from coordinator.airflow_plugin.clients import Clients
from coordinator.airflow_plugin.outbox import AnyEvent, Outbox, UnreadableEvent
from coordinator.airflow_plugin.parking import Reason
from coordinator.airflow_plugin.probing import Probing
from coordinator.airflow_plugin.wakeup_pipe import WakeupPipe
from coordinator.errors import ConfigurationError, CoordinatorError
from coordinator.model import bounds
from coordinator.model.assets.events import InvalidEvent
from coordinator.model.printable import printable
from coordinator.model.runstate import InvalidReport, Verdict
from coordinator.store.port import AccessDenied, StoreError, TransactionTooLarge

log = structlog.get_logger(__name__)

IDLE = 1.0
"""Seconds between two checks without a wake-up: a safety net, and the time in which the end of all clients is
noticed."""
GRACE = 5.0
"""Seconds for which a sender without a client goes on trying to reach etcd."""
_SAY_AGAIN_AFTER = 60.0
_MANY = 10_000

Write = Callable[[AnyEvent], Verdict]
"""Writes an event to etcd and returns when it is written.

:raises StoreError: it may or may not be written.
:raises AccessDenied: etcd refuses this one, until somebody grants it.
:raises OtherEnvironment: it belongs to another environment than this sender's.
:raises ConfigurationError: it is unknown which etcd to use, until the configuration is repaired.
:raises InvalidReport, InvalidEvent, TransactionTooLarge: it can never be written.
"""


class OtherEnvironment(CoordinatorError):
    """An event names another environment than the one that this sender reports for: the environment was renamed, or the
    file does not belong here."""


class Undelivered(Exception):
    """There is no client left, and etcd does not answer: the rest is left to the next sender."""


class Retired(Exception):
    """A newer sender takes over the outbox."""


class Delivery:
    """Delivers the events of the outbox for as long as there is a client; then delivers the rest, and stops.

    :param activity: notes what was delivered.
    :param wakeup_pipe: ``None`` where the file system has no named pipes; then only :data:`IDLE` counts.
    :param probing: when parked events are tried again.
    :param grace: seconds, see :data:`GRACE`.
    """

    def __init__(
        self,
        outbox: Outbox,
        write: Write,
        *,
        clients: Clients,
        wakeup_pipe: WakeupPipe | None,
        activity: Activity | None = None,
        probing: Probing | None = None,
        grace: float = GRACE,
    ) -> None:
        self._outbox = outbox
        self._write = write
        self._clients = clients
        self._wakeup_pipe = wakeup_pipe
        self._grace = grace
        self._alone_since: float | None = None
        self._warned_of = 0
        self._activity = activity or Activity()
        self._probing = probing or Probing(outbox.parked)
        self._immovable: set[str] = set()
        self._retrying = Retrying(
            retry=retry_if_exception(_may_pass),
            wait=wait_random_exponential(multiplier=0.1, max=3.0),
            stop=lambda _: self._gives_up(),
            sleep=self._pause,
            before_sleep=_Complaints(),
            reraise=True,
        )

    def run(self) -> None:
        """Deliver until this sender is not needed any more.

        :raises Undelivered: events are left in the outbox.
        :raises Retired: a newer sender waits.
        """
        self._probe()  # whatever was wrong may have been corrected before this start
        while self._clients.any_alive():
            self._deliver_all()
            self._listen(IDLE)
            self._probe()
        if self._wakeup_pipe is not None:
            # From now on a writer finds no sender and starts the next one. A writer that woke this one earlier
            # had put its event before that, so the last check below sees it.
            self._wakeup_pipe.close()
            self._wakeup_pipe = None
        self._deliver_all()

    def _probe(self) -> None:
        try:
            self._probing.round(self._outbox.replay, deliver=self._deliver)
        except OSError as error:  # the permissions of the directory were changed; other events must not wait for that
            log.warning("parked.not_tried_again", error=str(error), place=str(self._outbox.parked.directory))

    def _deliver_all(self) -> None:
        while names := [name for name in self._outbox.pending() if name not in self._immovable]:
            self._warn_of_many(len(names))
            for name in names:
                self._listen(0)
                self._deliver(name)

    def _deliver(self, name: str) -> None:
        try:
            event = self._outbox.read(name)
        except FileNotFoundError:
            return
        except UnreadableEvent as error:
            self._park(name, error, may_pass=False)
            return
        except OSError as error:  # the permissions of the file
            self._park(name, error, may_pass=True)
            return
        began = time.perf_counter()
        try:
            verdict = self._retrying(self._write, event)
        except (InvalidReport, InvalidEvent, TransactionTooLarge) as error:
            self._park(name, error, may_pass=False, environment=event.environment)
            return
        except (AccessDenied, OtherEnvironment) as error:
            self._park(name, error, may_pass=True, environment=event.environment)
            return
        except (StoreError, ConfigurationError) as error:
            raise Undelivered(f"{name} and what follows it stay in the outbox: {error}") from error
        self._outbox.remove(name)
        self._activity.note(event)
        written_at = self._outbox.written_at(name)
        log.info(
            "event.delivered",
            file=name,
            **event.about,
            verdict=verdict.value,
            milliseconds=round((time.perf_counter() - began) * 1000, 2),
            waited=None if written_at is None else round(time.time() - written_at, 3),
        )

    def _park(self, name: str, error: Exception, *, may_pass: bool, environment: str | None = None) -> None:
        why = Reason(
            reason=printable(str(error), limit=bounds.REASON),
            may_pass=may_pass,
            since=datetime.now(UTC),
            environment=environment,
        )
        try:
            place = self._outbox.parked.park(name, why)
        except OSError as immovable:
            self._immovable.add(name)
            log.error("event.not_parked", file=name, error=str(immovable), reason=why.reason, consequence="left out")
            return
        log.error(
            "event.parked",
            file=name,
            reason=why.reason,
            place=str(place),
            tried_again=may_pass,
            see="coordinator outbox list",
        )

    def _listen(self, seconds: float) -> None:
        if self._wakeup_pipe is None:
            time.sleep(seconds)
            return
        wake_ups = self._wakeup_pipe.wait(seconds)
        for pid in wake_ups.clients:
            self._clients.adopt(pid)
        if wake_ups.retire:
            raise Retired

    def _pause(self, seconds: float) -> None:
        """Sleep between two attempts. Wake-ups do not shorten it: while etcd is down there is one for every event."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._listen(left)

    def _gives_up(self) -> bool:
        self._listen(0)  # a wake-up may have come while the last attempt waited for etcd
        if self._clients.any_alive():
            self._alone_since = None
            return False
        if self._alone_since is None:
            self._alone_since = time.monotonic()
        return time.monotonic() - self._alone_since >= self._grace

    def _warn_of_many(self, waiting: int) -> None:
        if waiting >= _MANY and waiting >= 2 * self._warned_of:
            log.warning("outbox.grows", outbox=str(self._outbox.directory), waiting=waiting)
            self._warned_of = waiting


def _may_pass(error: BaseException) -> bool:
    """Whether to wait until the failure is over (etcd, the configuration): every other event would fail, too."""
    of_this_event = (TransactionTooLarge, AccessDenied)
    return isinstance(error, (StoreError, ConfigurationError)) and not isinstance(error, of_this_event)


class _Complaints:
    """Logs that etcd is down, at once and then once a minute: the log is on the same disk as the outbox."""

    def __init__(self) -> None:
        self._said_at = 0.0

    def __call__(self, state: RetryCallState) -> None:
        first = state.attempt_number == 1
        if not first and time.monotonic() - self._said_at < _SAY_AGAIN_AFTER:
            return
        self._said_at = time.monotonic()
        error = state.outcome.exception() if state.outcome else None
        log.warning(
            "event.not_delivered",
            error=str(error),
            attempt=state.attempt_number,
            next_attempt_in=round(state.upcoming_sleep, 2),
        )
