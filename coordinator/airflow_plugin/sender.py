"""``python -m coordinator.airflow_plugin.sender --outbox DIR``: delivers an outbox to etcd.

The listener starts it, beside Airflow's processes; a person may start it after an Airflow has been shut down for good.
There is one sender per outbox: the process that holds the lock on ``sender.lock``. The process opens the lock file
itself and never inherits it, because Airflow's scheduler forks workers that would keep the lock.

Exit codes: 0 nothing is left to do, or another sender does it; 1 events stay in the outbox, or, without ``--client``,
events are parked.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO, cast

import structlog

from coordinator.airflow_plugin.activity import Activity
from coordinator.airflow_plugin.announcing import Announcer
from coordinator.airflow_plugin.clients import Clients
from coordinator.airflow_plugin.delivery import Delivery, OtherEnvironment, Retired, Undelivered
from coordinator.airflow_plugin.identity import AirflowIdentity
from coordinator.airflow_plugin.lossy_log import LossyLog
from coordinator.airflow_plugin.outbox import LOCK_NAME, AnyEvent, EmittedEvent, Outbox
from coordinator.airflow_plugin.private import FILE, exposed
from coordinator.airflow_plugin.wakeup_pipe import WakeupPipe, ask_to_retire, wake_up
from coordinator.commands.emit import write_event
from coordinator.commands.report import write_report
from coordinator.config.loading import load_settings
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import Verdict
from coordinator.store.connection import connect
from coordinator.store.keys import Keys
from coordinator.store.port import Store, StoreError

log = structlog.get_logger(__name__)

LOCK_LIMIT = 10.0
"""Seconds to wait for another sender to retire: it first finishes a write that it has begun."""
_LOOK_EVERY = 0.05
_READ_SETTINGS_AGAIN_AFTER = 60.0


@dataclass(frozen=True, slots=True)
class _Connection:
    store: Store
    keys: Keys
    environment: str
    opened_at: float


class EtcdWriter:
    """Writes events to the configured etcd. It reads the settings when it needs them, and again after a failure, at
    most once a minute: they may be the cause, and somebody may have corrected them."""

    def __init__(self) -> None:
        self._connection: _Connection | None = None

    def __call__(self, event: AnyEvent) -> Verdict:
        """Write an event. Raises as :data:`coordinator.airflow_plugin.delivery.Write` says."""
        connection = self._connection = self._connection or self._connect()
        if event.environment not in (None, connection.environment):
            self._close_if_old(connection)
            raise OtherEnvironment(
                f"it belongs to the environment {event.environment!r}, and this sender reports for "
                f"{connection.environment!r}; if that is wrong, correct COORDINATOR_REPORTER__ENVIRONMENT, and it is "
                f"delivered; if it is the new name: coordinator outbox replay --all --environment "
                f"{connection.environment}"
            )
        environment = event.environment or connection.environment
        try:
            if isinstance(event, EmittedEvent):
                return write_event(connection.store, connection.keys, environment, event.event_id, event.asset)
            pipeline = PipelineRef(environment, event.dag_id)
            # One attempt: Delivery does the waiting, and reads the wakeup pipe meanwhile.
            return write_report(
                connection.store, connection.keys, Target(pipeline, event.partition), event.document, within=0
            )
        except StoreError:
            self._close_if_old(connection)
            raise

    def _close_if_old(self, connection: _Connection) -> None:
        if time.monotonic() - connection.opened_at > _READ_SETTINGS_AGAIN_AFTER:
            self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.store.close()
            self._connection = None

    @staticmethod
    def _connect() -> _Connection:
        settings = load_settings()
        return _Connection(
            store=connect(settings.etcd),
            keys=Keys(settings.etcd.prefix),
            environment=settings.reporter.environment,
            opened_at=time.monotonic(),
        )


@contextmanager
def only_one(directory: Path, *, client: int | None) -> Iterator[bool]:
    """Hold the lock of an outbox. The newest sender has the newest configuration, so it asks the present one to retire.
    Yields ``False`` when that one stays (it is newer, or does not listen); it then gets our client.
    """
    descriptor = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, FILE)
    try:
        held = _acquire(descriptor, directory)
        if held:
            _leave_our_number(descriptor)
        elif client is not None:
            wake_up(directory, client=client)
        yield held
    finally:
        os.close(descriptor)


def _leave_our_number(descriptor: int) -> None:
    """Write our PID into the lock file, for people, tests, and processes that wait for the lock."""
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
    except OSError as error:  # a full disk; delivering frees space
        log.warning("sender.lock_not_written", error=str(error))


def _acquire(descriptor: int, directory: Path) -> bool:
    until = time.monotonic() + LOCK_LIMIT
    asked: bytes | None = None
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0)
        if time.monotonic() >= until:
            return False
        if asked is None:
            asked = holder if ask_to_retire(directory) else None
        elif holder not in (asked, b""):
            return False  # it has retired, and another sender was quicker
        time.sleep(_LOOK_EVERY)


def deliver(directory: Path, *, client: int | None, airflow: AirflowIdentity) -> None:
    """Deliver an outbox until its clients are gone.

    :param client: deliver for as long as this process lives; ``None``: deliver the present events.
    :param airflow: the Airflow of that process.
    :raises Undelivered: events are left.
    """
    with only_one(directory, client=client) as held:
        if not held:
            log.info("sender.not_needed", outbox=str(directory))
            return
        outbox = Outbox(directory)
        outbox.sweep()
        wakeup_pipe = _wakeup_pipe(directory)
        try:
            log.info("sender.ready", outbox=str(directory), waiting=len(outbox.pending()), pid=os.getpid())
            activity = Activity()
            delivery = Delivery(
                outbox,
                EtcdWriter(),
                clients=Clients(() if client is None else (client,)),
                wakeup_pipe=wakeup_pipe,
                activity=activity,
            )
            # A sender without a client is no sign of a live Airflow.
            with nullcontext() if client is None else Announcer(outbox, activity, airflow=airflow):
                delivery.run()
        finally:
            if wakeup_pipe is not None:
                wakeup_pipe.close()
        log.info("sender.finished", outbox=str(directory))


def _wakeup_pipe(directory: Path) -> WakeupPipe | None:
    try:
        return WakeupPipe(directory)
    except OSError as error:
        log.warning(
            "sender.without_wakeup_pipe",
            error=str(error),
            consequence="events wait for up to a second",
            place=str(directory),
        )
        return None


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m coordinator.airflow_plugin.sender", description=__doc__)
    parser.add_argument("--outbox", type=Path, required=True, help="the directory of events")
    parser.add_argument(
        "--client", type=int, help="deliver for as long as this process lives (default: the present events only)"
    )
    parser.add_argument("--airflow-version", help="the version of that Airflow (default: unknown)")
    parser.add_argument("--airflow-url", help="its [api] base_url (default: unknown)")
    chosen = parser.parse_args(arguments)
    if not chosen.outbox.is_dir():
        parser.error(f"{chosen.outbox} is not a directory; expected an outbox, like $AIRFLOW_HOME/coordinator-outbox")
    if (problem := exposed(chosen.outbox)) is not None:
        parser.error(problem)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"]),
        ],
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, LossyLog(sys.stderr.fileno()))),
    )
    by_hand = chosen.client is None
    try:
        airflow = AirflowIdentity(version=chosen.airflow_version, url=chosen.airflow_url)
        deliver(chosen.outbox, client=chosen.client, airflow=airflow)
    except Retired:
        log.info("sender.replaced", outbox=str(chosen.outbox))
    except Undelivered as left:
        log.error("sender.gave_up", reason=str(left))
        return 1
    # A sender that Airflow starts shows parked events in etcd; an exit code would look like a failure to start.
    return 1 if by_hand and Outbox(chosen.outbox).parked.names() else 0


if __name__ == "__main__":
    sys.exit(main())
