"""The service: the threads around the reconciler, from start to stop.

=============  ===========================================================================================
thread         what it does
=============  ===========================================================================================
the caller's   takes messages from the inbox and steps the reconciler; publishes the dependencies file
reflector      list + watch; posts what it reads
candidate      keeps the lease, campaigns
environment    a pool each: requests to Airflow
etcd-size      checks every minute how full etcd is
decision-log   writes the decision log, if one is configured
=============  ===========================================================================================
"""

from __future__ import annotations

import os
import socket
import threading
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog

from coordinator.commands.publish import check_owner
from coordinator.config.settings import Settings
from coordinator.controller.building import Options
from coordinator.controller.clock import Clock, SystemClock
from coordinator.controller.compat.etl_state import EtlStates
from coordinator.controller.decision_log import DecisionLog, line_of
from coordinator.controller.dispatch.dispatcher import limits_by_environment
from coordinator.controller.dispatch.dispatchers import Dispatchers
from coordinator.controller.dispatch.pools import Pools
from coordinator.controller.inbox import Inbox
from coordinator.controller.leading import paused_dags, unknown_dags
from coordinator.controller.leading.dag_checks import DagChecks
from coordinator.controller.leading.guarding import refuse_unless_leading
from coordinator.controller.leading.misnamed_reporters import MisnamedReporters
from coordinator.controller.leading.paused_dags import PausedDags
from coordinator.controller.leading.progress import ProgressOfReading
from coordinator.controller.leading.publisher import Publisher, Writer
from coordinator.controller.leading.unknown_dags import UnknownDags
from coordinator.controller.leading.watched_file import WatchedFile
from coordinator.controller.line_file import LineFile
from coordinator.controller.reconciler import Reconciler
from coordinator.controller.state.problems import shown
from coordinator.controller.state.reporters import HealthOfReporters, HeardInNumbers
from coordinator.controller.state.task_problems import task_problems
from coordinator.errors import ConfigurationError, WatcherIdTaken
from coordinator.runners.port import Runner
from coordinator.runners.rows import ConfiguredFiles
from coordinator.store.capacity import SizeAlarm
from coordinator.store.election import Callbacks, Candidate
from coordinator.store.keys import Keys
from coordinator.store.port import Store
from coordinator.store.presence import place_of
from coordinator.store.reflector import Disconnected, Reflector

_log = structlog.get_logger(__name__)

TICK = 1.0
"""Seconds between two checks of the dependencies file and the limits, at most."""

STALLED_AFTER = 30.0
"""Seconds without a turn of the deciding thread after which the watcher counts as stalled, and gives up the leadership.
A turn may wait for etcd, whose requests are bounded well below this."""


@dataclass(frozen=True, slots=True)
class Liveness:
    """What ``/healthz`` and ``/readyz`` look at: nothing that grows with documents or keys.

    :ivar stepped_at: when the deciding thread turned last, by the watcher's monotonic clock.
    :ivar connected: the cache is filled and the watch is alive.
    """

    stepped_at: float
    connected: bool


@dataclass(frozen=True, slots=True)
class Health:
    """The health of a watcher: ``/metrics`` shows it in numbers.

    :ivar connected: the cache is filled and the watch is alive.
    :ivar revision: etcd revision up to which it has read.
    :ivar idle: nothing is queued, asked, sent or being written.
    :ivar problems: some of each kind, by place; the watcher's own first.
    :ivar problems_not_shown: how many more there are of each kind.
    :ivar problems_by_kind: how many there are of each kind: the ``watcher``'s own, about an ``environment`` and its
        ``reporters``, ``broken`` targets, and ``keys``.
    """

    watcher: str
    leads: bool
    connected: bool
    revision: int
    idle: bool
    problems: Mapping[str, str]
    problems_count: int
    problems_not_shown: Mapping[str, int]
    problems_by_kind: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class FileToPublish:
    """A dependencies.json that a watcher publishes while it leads.

    :ivar owner: whose document it is: an environment, or ``default``.
    """

    path: Path
    owner: str = "default"


class Watcher:
    """See the module.

    :param runners: the environments by name.
    :param file: the dependencies to publish; without any the watcher only follows what others publish.
    :param size_alarm: watches how full etcd is.
    :raises ConfigurationError: the lease is too short for a request, or the decision log cannot be opened.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        store: Store,
        runners: Mapping[str, Runner],
        file: FileToPublish | None = None,
        watcher_id: str | None = None,
        clock: Clock | None = None,
        size_alarm: SizeAlarm | None = None,
    ) -> None:
        _check_times(settings)
        self.watcher_id = watcher_id or f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self._settings = settings
        self._clock = clock or SystemClock()
        keys = Keys(settings.etcd.prefix)
        self._inbox = Inbox(clock=self._clock.monotonic)
        self._stop = threading.Event()  # for the reflector's thread
        self._stopping = False
        self._reflector = Reflector(store, keys.root, largest=keys.largest_value)
        self._progress = ProgressOfReading(keys.signs_of_life, settings.environments)
        self._stepped_at = self._clock.monotonic()
        self._candidate = Candidate(
            store,
            keys,
            watcher_id=self.watcher_id,
            ttl=settings.watcher.lease_ttl,
            request_timeout=_longest_request(settings),
            callbacks=Callbacks(
                progress=lambda: self._progress.present,
                is_stalled=self._is_stalled,
                now=self._clock.now,
                on_change=self._inbox.wake,
            ),
        )
        self._pools = Pools(
            {name: settings.environments[name].max_in_flight for name in runners}, self._inbox.put_answer
        )
        self._dispatchers = Dispatchers.make(
            runners,
            limits_by_environment(settings),
            settings=settings.watcher,
            executor=self._pools,
            guard=self._guard,
            files=ConfiguredFiles(settings.items),
        )
        destination = settings.watcher.decision_log
        self._decisions = LineFile(destination, line_of) if destination is not None else None
        self.reconciler = Reconciler(
            store=store,
            keys=keys,
            dispatchers=self._dispatchers,
            leadership=self._candidate.leadership,
            clock=self._clock,
            options=Options(
                settings=settings.watcher,
                who=self.watcher_id,
                observed=frozenset(name for name in runners if settings.environments[name].is_observed),
                retention=settings.retention,
                decisions=(
                    DecisionLog(self._decisions.take, clock=self._clock, who=self.watcher_id)
                    if self._decisions is not None
                    else None
                ),
                may_begin=lambda term: self._publisher is None or self._publisher.may_begin(term),
            ),
        )
        self._size_alarm = size_alarm
        self._reporters = HealthOfReporters(self.reconciler.cache.reporters, settings.environments)
        self._misnamed_reporters = MisnamedReporters(
            self.reconciler.cache.reporters, runners, settings.environments, clock=self._clock
        )
        checks = DagChecks(runners, clock=self._clock.monotonic, answered=self._inbox.wake)
        self._unknown_dags = UnknownDags(self.reconciler.cache, checks, clock=self._clock.monotonic)
        self._paused_dags = PausedDags(self.reconciler.propagation, checks, clock=self._clock.monotonic)
        self._etl_states = None
        if settings.compat.etl_state is not None:
            self._etl_states = EtlStates(
                store, keys, prefix=settings.compat.etl_state, environment=settings.compat.environment
            )
        self._publisher = None
        if file is not None:
            check_owner(file.owner, settings.environments)
            self._publisher = Publisher(
                WatchedFile(file.path, set(settings.environments)),
                owner=file.owner,
                cache=self.reconciler.cache,
                settings=settings.publication,
                checks=checks,
                writer=Writer(store, keys, self.watcher_id, self._clock),
            )

    def run(self, *, max_runtime: float | None = None, max_events: int | None = None) -> None:
        """Watch until :meth:`stop`, or until a limit is reached; then finish what is under way and resign.

        :raises WatcherIdTaken: another live watcher has the same id.
        :param max_runtime: seconds.
        :param max_events: changes of run states seen while it led; after so many it ends once nothing is left to do.
        """
        began = self._clock.monotonic()
        reading = threading.Thread(target=self._read, name="reflector", daemon=True)
        reading.start()
        self._candidate.start()
        if self._size_alarm is not None:
            self._size_alarm.start()
        if self._decisions is not None:
            self._decisions.start()
        if self._etl_states is not None:
            self._etl_states.start()
        _log.info("watcher.started", watcher=self.watcher_id, prefix=self._settings.etcd.prefix)
        try:
            while not self._stopping:
                self._turn()
                if self._candidate.refused is not None:
                    raise WatcherIdTaken(self._candidate.refused)
                if max_runtime is not None and self._clock.monotonic() - began >= max_runtime:
                    _log.info("watcher.limit_reached", max_runtime=max_runtime)
                    break
                if max_events is not None and self.reconciler.states_seen >= max_events and self.reconciler.is_idle():
                    _log.info("watcher.limit_reached", max_events=max_events)
                    break
            self._drain()
        finally:
            self._stop.set()
            if self._size_alarm is not None:
                self._size_alarm.stop()
            self._inbox.close()
            # Before a successor may lead: it would ask about a request that has not arrived yet, and send it once more.
            # After a complete drain none is left.
            self._pools.end_effects()
            self._candidate.resign()
            self._pools.close()
            if self._decisions is not None:
                self._decisions.close()
            self._reflector.close()
            if self._etl_states is not None:
                self._etl_states.stop(self._settings.etcd.timeout)
            reading.join(timeout=self._settings.etcd.timeout)
            _log.info("watcher.stopped", watcher=self.watcher_id)

    def stop(self) -> None:
        """Ask :meth:`run` to end. Safe from any thread, and in a signal handler: nothing here takes a lock."""
        self._stopping = True
        self._inbox.wake()

    def liveness(self) -> Liveness:
        """Whether this watcher works. Safe from any thread, and cheap however much there is."""
        return Liveness(self._stepped_at, self.reconciler.connected)

    def health(self) -> Health:
        """The health of this watcher. Safe from any thread."""
        reconciler = self.reconciler
        by_kind = {
            "watcher": {place: what for place, what in self._problems() if what is not None},
            "environment": {place_of(name): what for name, what in self._failing_environments()},
            "reporters": self._reporters.problems(self._clock.now()),
            "tasks": task_problems(reconciler.cache, reconciler.propagation.graph),
            "broken": reconciler.breakage.problems(),
        }
        some = shown(
            {place: what for of_kind in by_kind.values() for place, what in of_kind.items()}, reconciler.cache.problems
        )
        return Health(
            watcher=self.watcher_id,
            leads=reconciler.leads,
            connected=reconciler.connected,
            revision=reconciler.cache.revision,
            idle=self._inbox.is_empty() and reconciler.is_idle(),
            problems=some.some,
            problems_count=some.count,
            problems_not_shown=some.more,
            problems_by_kind={kind: len(of_kind) for kind, of_kind in by_kind.items()}
            | {"broken": len(reconciler.breakage), "keys": reconciler.cache.problems.count},
        )

    def heard(self) -> HeardInNumbers:
        """How environments are heard from. Safe from any thread."""
        return self._reporters.in_numbers(self._clock.now())

    @property
    def kinds(self) -> dict[str, str]:
        """What runs in each configured environment: ``airflow``, ``command``, ..."""
        return {name: environment.kind for name, environment in self._settings.environments.items()}

    @property
    def changes_waiting(self) -> int:
        """The number of changes that were read from etcd and are not handled yet. Safe from any thread."""
        return self._inbox.changes_waiting

    def _problems(self) -> Iterator[tuple[str, str | None]]:
        """The problems of this watcher's parts, by place. Each is read once, because other threads change it."""
        yield "dependencies", self.reconciler.graph_problem
        if self._publisher is not None:
            yield "dependencies file", self._publisher.problem
        yield from self._found_out().items()
        if self._size_alarm is not None:
            yield "etcd", self._size_alarm.problem

    def _failing_environments(self) -> Iterator[tuple[str, str]]:
        for dispatcher in self._dispatchers.all():
            if (error := dispatcher.present_error) is not None:
                yield dispatcher.environment, error

    def _found_out(self) -> dict[str, str]:
        """The problems that follow from no key in etcd: others read them in this watcher's presence key."""
        found: dict[str, str | None] = dict(self._misnamed_reporters.problems)
        found[unknown_dags.PLACE] = self._unknown_dags.problem
        found[paused_dags.PLACE] = self._paused_dags.problem
        for asset, pipeline in dict(self.reconciler.asset_states.loops).items():
            found[str(asset)] = (
                f"{pipeline}, which is below it, emits it: its events from there do not count; take one of the two out"
            )
        for dispatcher in self._dispatchers.all():
            found[place_of(dispatcher.environment)] = dispatcher.problem(self._clock.monotonic())
        if self._etl_states is not None:
            found["compat.etl_state"] = self._etl_states.problem()
        if self._decisions is not None:
            found["decision log"] = self._decisions.problem
        found |= self.reconciler.problems()
        return {place: what for place, what in found.items() if what is not None}

    def _turn(self) -> None:
        self._publish()
        for asking in (self._unknown_dags, self._paused_dags, self._misnamed_reporters):
            if self.reconciler.leads:
                asking.look()
            else:
                asking.rest()
        file = self._publisher.present_file if self._publisher is not None else None
        unanswered = self._unknown_dags.unanswered
        unknown = {unknown_dags.PLACE: unanswered} if unanswered is not None else {}
        if self._progress.has_found(file, self._found_out(), unknown):
            self._candidate.nudge()  # show a new problem at once, and not only with the next keep-alive
        messages = self._inbox.take(self._patience(), updates=not self.reconciler.is_behind)
        if self.reconciler.step(messages, lag=self._inbox.lag):
            self._candidate.nudge()
        self._progress.note(messages)
        connected, revision = self.reconciler.connected, self.reconciler.cache.revision
        self._reporters.note(self.reconciler.propagation.graph, connected=connected, now=self._clock.now())
        stands_there = self.reconciler.has_decided or not connected
        if stands_there and self._progress.stand_at(revision, warm=connected):
            self._candidate.nudge()
        self._stepped_at = self._clock.monotonic()

    def _is_stalled(self) -> bool:
        return self._clock.monotonic() - self._stepped_at > STALLED_AFTER

    def _patience(self) -> float:
        wake_at = self.reconciler.wake_at()
        return TICK if wake_at is None else min(TICK, max(0.0, wake_at - self._clock.monotonic()))

    def _publish(self) -> None:
        if self._publisher is None or self.reconciler.is_reading:
            return
        leadership = self._candidate.leadership() if self.reconciler.leads else None
        term = leadership.create_revision if leadership is not None else None
        self._publisher.take_turn(term=term, connected=self.reconciler.connected)

    def _drain(self) -> None:
        """Finish what is under way: every request is bounded, and so is this."""
        self.reconciler.drain()
        until = self._clock.monotonic() + _longest_request(self._settings) + self._settings.etcd.timeout
        while not self.reconciler.is_drained() and self._clock.monotonic() < until:
            self.reconciler.step(self._inbox.take(min(0.1, self._patience())), lag=self._inbox.lag)
            self._stepped_at = self._clock.monotonic()

    def _read(self) -> None:
        while not self._stop.is_set():
            try:
                for update in self._reflector.updates(self._stop):
                    self.reconciler.cache.publications.prepare(update)
                    if not self._inbox.put_update(update):
                        return
            except Exception as error:  # noqa: BLE001 - it is logged; see below
                # Without this thread, a leader would see no changes any more, and nobody would notice.
                _log.exception("reflector.broken", watcher=self.watcher_id)
                self._inbox.put_update(Disconnected(f"a mistake in the coordinator: {error}"))
                self._stop.wait(TICK)

    def _guard(self, seconds: float, term: int | None) -> None:
        refuse_unless_leading(self._candidate.leadership(), seconds=seconds, term=term)


def _longest_request(settings: Settings) -> float:
    return max((environment.request_timeout for environment in settings.environments.values()), default=0.0)


def _check_times(settings: Settings) -> None:
    """Refuse time limits that do not fit. A lease is renewed after a third of its time: a request must fit into the
    rest."""
    surely_left = settings.watcher.lease_ttl * 2 / 3
    for name, environment in settings.environments.items():
        if environment.request_timeout >= surely_left:
            raise ConfigurationError(
                f"environments.{name}.request_timeout: {environment.request_timeout} s does not fit into "
                f"watcher.lease_ttl: expected less than two thirds of it ({surely_left:.1f} s); "
                "raise the one or lower the other"
            )
