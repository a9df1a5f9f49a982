"""A namespace of CDAP as an environment: implements the port with the other modules of this package.

CDAP names its runs itself and takes any number of equal ones, so nothing there keeps a second start from making a
second run. What does: a start is preceded by a list of the program's runs and a search for our ``run_id`` in their
arguments; within a process one thread at a time starts a run; between processes it is leadership, with a permit at the
socket; and what may have been started counts as not started only when it has not been listed for ``listed_within``.
"""

from __future__ import annotations

import json
import threading
import time
import weakref
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import msgspec

from coordinator.boottime import boottime
from coordinator.errors import CoordinatorError
from coordinator.model import bounds
from coordinator.model.printable import printable
from coordinator.model.trigger import Action
from coordinator.runners.airflow.deadline import Deadline
from coordinator.runners.datafusion.absence import Absences
from coordinator.runners.datafusion.arguments import MACRO, Ours, arguments_of, requested
from coordinator.runners.datafusion.attempts import Attempt, Run, run_of
from coordinator.runners.datafusion.client import CdapClient, Record
from coordinator.runners.datafusion.listing import Listings
from coordinator.runners.datafusion.settings import DataFusionSettings
from coordinator.runners.partitions import refusal_of_partitions
from coordinator.runners.port import (
    NO_TASKS,
    EnvironmentFault,
    EnvironmentReport,
    EnvironmentUnavailable,
    Foreign,
    Happened,
    Looked,
    MissingTask,
    NotHappened,
    NotSent,
    ObservedRun,
    ObservedTask,
    Outcome,
    Permit,
    Refused,
    RequestRefused,
    Runner,
    RunOrTask,
    RunRef,
    StartRequest,
    TaskRef,
)

_UNKNOWN = 404
_CANNOT = 400
_PAUSE = 0.2
"""Seconds between two lists while a run may still appear."""

_NOTHING_HAPPENED = (400, 401, 403, 404, 409)
"""CDAP's refusals of a start: before anything was made."""


class _Gate:
    """Lets one thread at a time start a run."""

    def __init__(self) -> None:
        self.lock = threading.Lock()


class DataFusionRunner(Runner):
    """The pipelines that the settings name (see ``port.Runner``). Used from several threads at once.

    :param name: the environment's name.
    """

    SETTINGS: ClassVar[type[DataFusionSettings]] = DataFusionSettings

    def __init__(self, name: str, settings: DataFusionSettings) -> None:
        self._name = name
        self._settings = settings
        self._client = CdapClient(name, settings)
        self._absences = Absences(settings.listed_within.total_seconds())
        self._lock = threading.Lock()
        self._gates: weakref.WeakValueDictionary[RunRef, _Gate] = weakref.WeakValueDictionary()
        self._listings = Listings(self._client, settings)
        self._doubts: dict[tuple[str, str], float] = {}

    def __repr__(self) -> str:
        return f"<DataFusionRunner {self._name} {self._settings.url} {self._settings.namespace}>"

    def start(self, request: StartRequest, *, permit: Permit | None = None) -> Outcome:
        refused = self._refusal(request) or refusal_of_partitions(self._name, self._settings, request)
        if refused is not None:
            return refused
        deadline = Deadline(self._settings.request_timeout)
        with self._alone(RunRef(request.dag_id, request.run_id), deadline):
            with _before_it_is_sent():
                run = self._find(request, deadline)
            if request.action is Action.CREATE and run is not None:
                return self._outcome(request, run)
            if request.action is Action.CLEAR:
                if run is None or _is_older(run, request):
                    return self._gone(request, deadline)
                if run.newest.ours.queued_at != request.before:
                    return Happened(self._observed(run))
            self._wait_for_doubt(request)
            if run is None:
                return self._send(request, None, deadline, permit)
            if not run.newest.state.is_terminal:
                return NotHappened(f"{_named(request)} has not ended")
            return self._send(request, run, deadline, permit)

    def ask(self, request: StartRequest) -> Outcome:
        deadline = Deadline(self._settings.request_timeout)
        if (refused := self._refusal(request)) is not None:
            return refused
        key = (request.dag_id, request.run_id, request.token)
        while True:
            run = self._find(request, deadline)
            if run is not None and not (request.action is Action.CLEAR and not _is_newer(run, request)):
                self._absences.forget(key)
                return self._outcome(request, run)
            if self._is_absent(key, deadline):
                break
        if run is not None:
            return NotHappened(f"{_named(request)} has had no attempt since")
        return NotHappened(f"there is no run {_named(request)}", run_missing=request.action is Action.CLEAR)

    def look(self, asked: Sequence[RunOrTask], *, timeout: float) -> Looked:
        deadline = Deadline(timeout)
        by_pipeline: dict[str, list[RunOrTask]] = {}
        for one in asked:
            by_pipeline.setdefault(one.dag_id, []).append(one)
        seen: dict[RunOrTask, ObservedRun | ObservedTask | None] = {}
        refused: dict[RunOrTask, RequestRefused] = {}
        error: CoordinatorError | None = None
        for dag_id, some in by_pipeline.items():
            if dag_id not in self._settings.pipelines:
                seen |= dict.fromkeys(some)
                continue
            try:
                seen |= self._looked(dag_id, some, deadline)
            except RequestRefused as refusal:
                refused |= dict.fromkeys(some, refusal)
            except EnvironmentUnavailable as failed:
                error = failed
                break
        unanswered = frozenset(asked) - seen.keys() - refused.keys()
        if error is None and refused and not seen:
            error = next(iter(refused.values()))
        return Looked(seen, refused, unanswered, error)

    def stop(self, ref: RunRef, *, before: datetime | None, permit: Permit | None = None) -> Outcome:
        deadline = Deadline(self._settings.request_timeout)
        named = printable(f"{ref.dag_id}/{ref.run_id}", limit=bounds.DETAIL)
        pipeline = self._settings.pipelines.get(ref.dag_id)
        if pipeline is None:
            return Refused(_UNKNOWN, f"environments.{self._name}.pipelines has no {named} any more")
        try:
            run = self._listings.renew(ref.dag_id, deadline).run(ref.run_id)
            if run is None:
                return NotHappened(f"there is no run {named} to stop, or it is not listed yet", run_missing=True)
            if run.newest.ours.queued_at != before:
                return NotHappened(f"{named} is in another attempt by now")
            if not run.newest.state.is_terminal and run.newest.record.status != "STOPPING":
                self._client.stop(pipeline, run.newest.record.runid, deadline, permit)
        except RequestRefused as refused:
            if refused.status != _CANNOT:  # otherwise it has just ended
                return Refused(refused.status, str(refused))
        assert run is not None
        return Happened(self._observed(run))

    def check(self, dag_ids: Sequence[str], *, tasks: Mapping[str, Collection[str]] = NO_TASKS) -> EnvironmentReport:
        deadline = Deadline(self._settings.request_timeout)
        known = self._settings.pipelines
        missing = tuple(name for name in dag_ids if name not in known)
        try:
            version = self._client.version(deadline)
            gone = {
                name: f"namespace {self._settings.namespace} has no workflow {one.program} of an app {one.app}"
                for name, one in known.items()
                if name in dag_ids and not self._client.exists(one, deadline)
            }
        except (EnvironmentUnavailable, RequestRefused) as error:
            return EnvironmentReport(
                problem=str(error),
                fault=EnvironmentFault.of(error),
                missing_dags=missing,
                remedy=f"check environments.{self._name}: url (apiEndpoint of the instance), login and namespace",
            )
        return EnvironmentReport(
            version=version,
            missing_dags=missing,
            unusable_dags=gone,
            missing_tasks=tuple(
                MissingTask(name, task, ()) for name, some in tasks.items() if name in known for task in sorted(some)
            ),
        )

    def close(self) -> None:
        self._client.close()

    # -- starting ------------------------------------------------------------------------------------------------------

    def _send(self, request: StartRequest, before: Run | None, deadline: Deadline, permit: Permit | None) -> Outcome:
        """Start an attempt. :param before: the run that it belongs to, if there is one."""
        ours = _next(request, before, datetime.now(UTC))
        pipeline = self._settings.pipelines[request.dag_id]
        self._absences.forget((request.dag_id, request.run_id, request.token))
        try:
            started = self._client.start(
                pipeline, arguments_of(ours, pipeline.arguments), deadline=deadline, permit=permit
            )
        except RequestRefused as refused:
            # Something in between may have said so, after CDAP has made a run. So it is listed first, for a while.
            with self._lock:
                self._doubts[request.dag_id, request.run_id] = boottime()
            return self._refused(refused.status, str(refused))
        except NotSent:
            raise
        except EnvironmentUnavailable:
            with suppress(EnvironmentUnavailable, RequestRefused):
                run = self._find(request, deadline)
                if run is not None and run.newest.ours.token == request.token:
                    return Happened(self._observed(run))
            raise
        if started.status_code != 200 or not started.run_id:
            said = printable(started.error or "no reason was given", limit=bounds.DETAIL)
            return self._refused(started.status_code, f"CDAP: {said}")
        # ``starting`` is not known yet; by this clock, until the run is listed.
        record = Record(started.run_id, "PENDING", ours.queued_at.timestamp())
        attempt = Attempt(record, ours)
        ref = RunRef(request.dag_id, request.run_id)
        self._listings.accept(ref, attempt)
        return Happened(self._observed(run_of(request.dag_id, (*(before.attempts if before else ()), attempt))))

    def _wait_for_doubt(self, request: StartRequest) -> None:
        """:raises NotSent: a start was refused as a whole, and a run that was made all the same may still appear."""
        with self._lock:
            at = self._doubts.get((request.dag_id, request.run_id))
        left = self._absences.within - (boottime() - at) if at is not None else 0.0
        if left > 0:
            raise NotSent(
                f"{self!r} refused the start; a run that was made all the same may still appear, for {left:.0f} s",
                retry_after=min(left, bounds.RETRY_AFTER),
            )
        with self._lock:
            self._doubts.pop((request.dag_id, request.run_id), None)

    def _refused(self, status: int, said: str) -> Refused:
        """:raises EnvironmentUnavailable: this status does not say that nothing has happened."""
        if status not in _NOTHING_HAPPENED:
            raise EnvironmentUnavailable(f"{self!r}: a start was answered with {status}: {said}")
        return Refused(status, said)

    def _outcome(self, request: StartRequest, run: Run) -> Outcome:
        seen = self._observed(run)
        if request.action is Action.CREATE and seen.token != request.token:
            return Foreign(seen)
        return Happened(seen)

    def _gone(self, request: StartRequest, deadline: Deadline) -> Outcome:
        """The run to clear is not listed."""
        while not self._is_absent((request.dag_id, request.run_id, request.token), deadline):
            with _before_it_is_sent():
                run = self._find(request, deadline)
                if run is not None and not _is_older(run, request):
                    return NotHappened(f"{_named(request)} has appeared just now")
        return NotHappened(f"there is no run {_named(request)}", run_missing=True)

    # -- finding -------------------------------------------------------------------------------------------------------

    def _find(self, request: StartRequest, deadline: Deadline) -> Run | None:
        """The run of a request, as it is listed or was accepted. Raises as :meth:`Listings.renew`."""
        return self._listings.renew(request.dag_id, deadline).run(request.run_id)

    def _looked(
        self, dag_id: str, asked: Sequence[RunOrTask], deadline: Deadline
    ) -> dict[RunOrTask, ObservedRun | ObservedTask | None]:
        """What is known of these; those that may still appear are left out. Raises as :meth:`Listings.renew`."""
        found: dict[RunOrTask, ObservedRun | ObservedTask | None] = {}
        pending = list(asked)
        while pending:
            listed = self._listings.renew(dag_id, deadline)
            for one in pending:
                if (run := listed.run(one.run_id)) is not None:
                    self._absences.forget((dag_id, one.run_id))
                    self._stop_if_late(run, listed.now, deadline)
                    seen = self._observed(run)
                    found[one] = ObservedTask(seen, ()) if isinstance(one, TaskRef) else seen
                elif self._absences.left((dag_id, one.run_id)) <= 0:
                    found[one] = None
            pending = [one for one in pending if one not in found]
            left = max((self._absences.left((dag_id, one.run_id)) for one in pending), default=0.0)
            if left + 2 * _PAUSE > deadline.remaining():
                break
            if pending:
                time.sleep(min(_PAUSE, left))
        return found

    def _stop_if_late(self, run: Run, now: datetime | None, deadline: Deadline) -> None:
        """Stop the newest attempt, if it has taken longer than its timeout. It is stopped once more if it goes on.

        :param now: by CDAP's clock; ``None``: it does not say. Then it counts from when this process first saw the run.
        """
        pipeline = self._settings.pipelines[run.dag_id]
        newest = run.newest
        if pipeline.timeout is None or newest.record.status == "STOPPING":
            return
        if now is None:
            known_for = timedelta(seconds=self._listings.known_for(run.dag_id, newest))
            is_late = not newest.state.is_terminal and known_for >= pipeline.timeout
        else:
            is_late = newest.has_taken(pipeline.timeout, now)
        if is_late:
            with suppress(EnvironmentUnavailable, RequestRefused):  # the next look shows that it goes on
                self._client.stop(pipeline, newest.record.runid, deadline)

    def _is_absent(self, key: Hashable, deadline: Deadline) -> bool:
        """It was not found. Whether it does not exist; ``False``: it is to be looked for again now.

        :raises EnvironmentUnavailable: it may still appear, later than there is time for.
        """
        left = self._absences.left(key)
        if left <= 0:
            return True
        if left + 2 * _PAUSE > deadline.remaining():
            raise EnvironmentUnavailable(
                f"{self!r} does not list the run; it may still appear, for {left:.0f} s (listed_within)",
                retry_after=min(left, bounds.RETRY_AFTER),
            )
        time.sleep(min(_PAUSE, left))
        return False

    def _observed(self, run: Run) -> ObservedRun:
        return run.observed(self._settings.pipelines[run.dag_id].timeout)

    @contextmanager
    def _alone(self, ref: RunRef, deadline: Deadline) -> Iterator[None]:
        """:raises NotSent: another thread is starting this run."""
        with self._lock:
            gate = self._gates.setdefault(ref, _Gate())
        if not gate.lock.acquire(timeout=max(0.0, deadline.remaining())):
            raise NotSent(f"{self!r}: another thread is still starting {ref.dag_id}/{ref.run_id}")
        try:
            yield
        finally:
            gate.lock.release()

    def _refusal(self, request: StartRequest) -> Refused | None:
        """Why a request cannot be carried out here, whatever exists."""
        if request.delivery is not None:
            return Refused(_CANNOT, f"environments.{self._name} has no assets; CDAP takes no asset events")
        if request.dag_id not in self._settings.pipelines:
            known = ", ".join(sorted(self._settings.pipelines))
            named = printable(repr(request.dag_id), limit=bounds.DETAIL // 2)
            return Refused(_UNKNOWN, f"environments.{self._name}.pipelines has no {named}; it has {known}")
        if request.tasks:
            return Refused(_CANNOT, "a pipeline of Data Fusion has no tasks; clear its whole run")
        if not _is_text(request):
            return Refused(_CANNOT, "the run_id or the conf contains half a surrogate pair, which is no text")
        if MACRO in json.dumps((request.partition, request.conf), ensure_ascii=False, default=str):
            return Refused(
                _CANNOT,
                f"the partition, the inputs or the conf contain {MACRO!r}: CDAP would expand that as a macro, also one "
                "that reads a secret; write such arguments into the settings",
            )
        if strange := next((name for name in request.conf if name.startswith("system.")), None):
            named = printable(repr(strange), limit=bounds.DETAIL // 2)
            return Refused(
                _CANNOT,
                f"conf has {named}: CDAP's own arguments, which choose where a run runs and as whom, belong to "
                f"environments.{self._name}.pipelines.{request.dag_id}.arguments",
            )
        return None


def _is_older(run: Run, request: StartRequest) -> bool:
    """Whether the attempt to clear is not listed any more, but one before it is."""
    return request.before is not None and run.newest.ours.queued_at < request.before


def _is_newer(run: Run, request: StartRequest) -> bool:
    """Whether the run has had another attempt than the one to clear."""
    return request.before is None or run.newest.ours.queued_at > request.before


def _next(request: StartRequest, before: Run | None, now: datetime) -> Ours:
    """What the next attempt of a run carries."""
    if before is None:
        return requested(request, now)
    first, newest = before.attempts[0].ours, before.newest.ours
    return Ours(
        request.run_id,
        request.token,
        max(now, newest.queued_at + timedelta(microseconds=1)),
        first.logical_date,
        request.conf or first.conf,
    )


@contextmanager
def _before_it_is_sent() -> Iterator[None]:
    """No answer here means that nothing was sent. :raises NotSent: instead of :class:`EnvironmentUnavailable`."""
    try:
        yield
    except NotSent:
        raise
    except EnvironmentUnavailable as error:
        raise NotSent(str(error), retry_after=error.retry_after) from error


def _is_text(request: StartRequest) -> bool:
    """Whether all of it can be written as UTF-8: what comes back changed would not be found again."""
    try:
        msgspec.json.encode((request.run_id, request.token, request.conf))
    except UnicodeEncodeError:
        return False
    return True


def _named(request: StartRequest) -> str:
    return printable(f"{request.dag_id}/{request.run_id}", limit=bounds.DETAIL)
