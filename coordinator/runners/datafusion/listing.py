"""The runs of programs, as CDAP lists them, and remembered: a run that has ended does not change any more.

A program may have tens of thousands of runs since ``look_back``, and each start asks for its list. So everything is
listed at first and then every :data:`ALL_EVERY`; in between, only what was started since the oldest run that had not
ended, and since the list before, less the time within which a run that was started is listed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from coordinator.boottime import boottime
from coordinator.runners.airflow.deadline import Deadline
from coordinator.runners.datafusion.attempts import Attempt, Run, attempt_of, run_of
from coordinator.runners.datafusion.client import CdapClient
from coordinator.runners.datafusion.settings import DataFusionSettings
from coordinator.runners.port import RequestRefused, RunRef

ALL_EVERY = 600.0
"""Seconds. The deletion of a run that has ended is noticed after so long."""

_SLACK = 60.0
"""Seconds by which clocks inside CDAP may differ."""

_UNKNOWN = 404


class _Seen(NamedTuple):
    """By ``boottime``: :ivar at: when the newest list that shows it was asked for. :ivar first: likewise, the first."""

    attempt: Attempt
    at: float
    first: float


@dataclass(slots=True)
class _Known:
    """What is known of a program.

    :ivar seen: the attempts of ours, by CDAP's id. :ivar ids: the same, by our run_id.
    :ivar going: those that had not ended.
    :ivar all_at: when everything was last listed, by ``boottime``; ``None``: not yet.
    :ivar until: what was listed by then is known: by CDAP's clock, in seconds since 1970; ``None``: it does not say.
    """

    seen: dict[str, _Seen] = field(default_factory=dict)
    ids: dict[str, set[str]] = field(default_factory=dict)
    going: set[str] = field(default_factory=set)
    all_at: float | None = None
    until: float | None = None

    def since(self, listed_within: float) -> float | None:
        """From when on the next list has to be, in seconds since 1970; ``None``: everything."""
        if self.until is None or self.all_at is None or boottime() - self.all_at >= ALL_EVERY:
            return None
        going = (self.seen[one].attempt.record.starting for one in self.going)
        return min([self.until - listed_within - _SLACK, *going])

    def take(self, attempts: Mapping[str, Attempt], at: float, *, is_all: bool) -> None:
        """Take in a list.

        Lists of other threads may have been asked for before, and be taken in later.

        :param at: when it was asked for, by ``boottime``. :param is_all: it is a list of everything.
        """
        for runid in list(self.seen if is_all else self.going):
            if runid not in attempts and self.seen[runid].at < at:
                self._remove(runid)
        for runid, attempt in attempts.items():
            known = self.seen.get(runid)
            if known is not None and (known.at > at or known.attempt.state.is_terminal):
                attempt = known.attempt
            first = at if known is None else min(at, known.first)
            self.seen[runid] = _Seen(attempt, at if known is None else max(at, known.at), first)
            self.ids.setdefault(attempt.ours.run_id, set()).add(runid)
            (self.going.discard if attempt.state.is_terminal else self.going.add)(runid)
        if is_all:
            self.all_at = at if self.all_at is None else max(at, self.all_at)

    def _remove(self, runid: str) -> None:
        run_id = self.seen.pop(runid).attempt.ours.run_id
        self.going.discard(runid)
        self.ids[run_id].discard(runid)
        if not self.ids[run_id]:
            del self.ids[run_id]


class Listed:
    """The runs of a program, as of a list. :ivar now: the moment by CDAP's clock; ``None``: it does not say."""

    def __init__(self, listings: Listings, dag_id: str, attempts: Iterable[Attempt], now: datetime | None) -> None:
        self.now = now
        self._listings = listings
        self._dag_id = dag_id
        self._own: dict[str, list[Attempt]] = {}
        for one in attempts:
            self._own.setdefault(one.ours.run_id, []).append(one)

    def run(self, run_id: str) -> Run | None:
        """A run that this list shows, or an earlier one, or that was accepted."""
        found = {one.record.runid: one for one in self._own.get(run_id, ())}
        for one in self._listings.attempts_of(self._dag_id, run_id):
            found.setdefault(one.record.runid, one)
        return run_of(self._dag_id, found.values()) if found else None


class Listings:
    """The runs of the pipelines of an environment. Used from several threads at once."""

    def __init__(self, client: CdapClient, settings: DataFusionSettings) -> None:
        self._client = client
        self._settings = settings
        self._lock = threading.Lock()
        self._known: dict[str, _Known] = {}
        self._accepted: dict[RunRef, tuple[float, Attempt]] = {}

    def accept(self, ref: RunRef, attempt: Attempt) -> None:
        """CDAP has accepted an attempt, and may not list it yet."""
        with self._lock:
            self._accepted[ref] = (boottime(), attempt)

    def renew(self, dag_id: str, deadline: Deadline) -> Listed:
        """List what may have changed.

        A program that does not exist has no runs: it may be deployed anew just now.

        :raises EnvironmentUnavailable: no answer. :raises RequestRefused: CDAP refuses to show them.
        """
        at = boottime()
        with self._lock:
            since = self._known.setdefault(dag_id, _Known()).since(self._settings.listed_within.total_seconds())
        is_all = since is None
        if since is None:
            since = time.time() - self._settings.look_back.total_seconds()
        date: datetime | None = None
        attempts: dict[str, Attempt] = {}
        try:
            pipeline = self._settings.pipelines[dag_id]
            records, date = self._client.runs(pipeline, since=max(0.0, since), deadline=deadline)
            attempts = {one.record.runid: one for record in records.values() if (one := attempt_of(record))}
        except RequestRefused as refused:
            if refused.status != _UNKNOWN:
                raise
            is_all = True
        with self._lock:
            known = self._known[dag_id]
            known.take(attempts, at, is_all=is_all)
            if date is not None:
                known.until = max(date.timestamp() - (boottime() - at), known.until or 0.0)
            self._forget_accepted(dag_id, known)
        return Listed(self, dag_id, attempts.values(), date)

    def known_for(self, dag_id: str, attempt: Attempt) -> float:
        """For how many seconds an attempt has been listed, as far as this process knows. It needs no wall clock."""
        with self._lock:
            seen = self._known[dag_id].seen.get(attempt.record.runid)
        return 0.0 if seen is None else boottime() - seen.first

    def attempts_of(self, dag_id: str, run_id: str) -> list[Attempt]:
        """What is known of a run."""
        with self._lock:
            known = self._known[dag_id]
            attempts = [known.seen[one].attempt for one in known.ids.get(run_id, ())]
            accepted = self._accepted.get(RunRef(dag_id, run_id))
        return attempts if accepted is None else [*attempts, accepted[1]]

    def _forget_accepted(self, dag_id: str, known: _Known) -> None:
        """Those that are listed, or should be by now."""
        within = self._settings.listed_within.total_seconds()
        for ref, (at, attempt) in list(self._accepted.items()):
            if ref.dag_id == dag_id and (attempt.record.runid in known.seen or boottime() - at > within):
                del self._accepted[ref]
