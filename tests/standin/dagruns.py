"""The DAGs and runs behind the stand-in, and how their states change.

What changes with a trigger, a clear and a set state is Airflow 3.3's: run_id, logical date and conf stay for ever;
queued_at is new after every clear and every set to queued; a clear of a *running* run keeps state and start_date.
"""

from __future__ import annotations

import bisect
import heapq
import itertools
import queue
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from coordinator.model.runstate import State
from coordinator.runners.port import ObservedRun

OnState = Callable[[ObservedRun], None]


class Conflict(Exception):
    """run_id or logical date is taken; Airflow's answer does not say which."""


class NoSuchRun(Exception):
    pass


@dataclass
class Dag:
    """:ivar auto: seconds that a run takes; ``None``: runs wait for ``start`` and ``finish``.

    :ivar ends: the state that runs end in by themselves.
    :ivar tasks: whether there are any; without, a clear changes nothing.
    :ivar refuse: looks at a conf and says what is wrong with it (params against the schema).
    """

    dag_id: str
    auto: float | None = None
    ends: State = State.SUCCESS
    paused: bool = False
    tasks: bool = True
    refuse: Callable[[dict[str, Any]], str | None] | None = None
    runs: dict[str, Run] = field(default_factory=dict)
    run_ids: list[str] = field(default_factory=list)
    dates: dict[datetime, Run] = field(default_factory=dict)


@dataclass
class Run:
    id: int
    dag_id: str
    run_id: str
    state: State
    queued_at: datetime
    run_after: datetime
    logical_date: datetime | None = None
    partition_key: str | None = None
    start_date: datetime | None = None
    end_date: datetime | None = None
    conf: dict[str, Any] = field(default_factory=dict)
    note: str | None = None
    by: str = "admin"
    run_type: str = "manual"
    versioned: bool = True
    """Whether Airflow knows the version of its DAG: by its task instances, so not without tasks."""
    starts: int = 0
    """How often it has begun to run."""

    def observed(self) -> ObservedRun:
        return ObservedRun(
            dag_id=self.dag_id,
            run_id=self.run_id,
            state=self.state,
            queued_at=self.queued_at,
            logical_date=self.logical_date,
            partition_key=self.partition_key,
            start_date=self.start_date,
            end_date=self.end_date,
            conf=self.conf,
        )


class DagRuns:
    """Thread-safe. Every change of a state is delivered to the subscribers in order, by one thread."""

    def __init__(self) -> None:
        lock = threading.RLock()
        self.changed = threading.Condition(lock)
        self._planned = threading.Condition(lock)
        self.dags: dict[str, Dag] = {}
        self.dag_ids: list[str] = []
        self.any_dag: Callable[[str], Dag] | None = None
        self.history: list[ObservedRun] = []
        self.failures: list[str] = []
        """Tracebacks of subscribers that raised."""
        self._ids = itertools.count(1)
        self._last = datetime.min.replace(tzinfo=UTC)
        self._subscribers: list[tuple[OnState, bool]] = []
        self._events: queue.SimpleQueue[tuple[ObservedRun, threading.Event] | None] = queue.SimpleQueue()
        self._due: list[tuple[float, int, Run, datetime]] = []
        self._order = itertools.count()
        self._closed = False
        self._dispatcher = threading.Thread(target=self._dispatch, name="standin-reports", daemon=True)
        self._scheduler = threading.Thread(target=self._schedule, name="standin-scheduler", daemon=True)
        self._dispatcher.start()
        self._scheduler.start()

    # DAGs and subscribers

    def dag(
        self,
        dag_id: str,
        *,
        auto: float | None = None,
        ends: State = State.SUCCESS,
        paused: bool = False,
        tasks: bool = True,
        refuse: Callable[[dict[str, Any]], str | None] | None = None,
    ) -> Dag:
        """Declare a DAG, see :class:`Dag`. A DAG that is there already keeps its runs."""
        with self.changed:
            dag = Dag(dag_id, auto, ends, paused, tasks, refuse)
            if dag_id in self.dags:
                present = self.dags[dag_id]
                dag.runs, dag.run_ids, dag.dates = present.runs, present.run_ids, present.dates
            else:
                bisect.insort(self.dag_ids, dag_id)
            self.dags[dag_id] = dag
            return dag

    def remove_dag(self, dag_id: str) -> None:
        """As ``airflow dags delete``: the DAG and all its runs."""
        with self.changed:
            del self.dags[dag_id]
            self.dag_ids.remove(dag_id)

    def find_dag(self, dag_id: str) -> Dag | None:
        dag = self.dags.get(dag_id)
        if dag is None and self.any_dag is not None:
            dag = self.any_dag(dag_id)
        return dag

    def pause(self, dag_id: str, paused: bool = True) -> None:
        """Paused: new runs stay queued. Unpaused: they go on."""
        with self.changed:
            dag = self.dags[dag_id]
            dag.paused = paused
            if not paused:
                for run in dag.runs.values():
                    if run.state is State.QUEUED:
                        self._plan(dag, run)

    def on_state(self, subscriber: OnState, *, queued: bool = False) -> None:
        """Call ``subscriber`` for every run that becomes running, success or failed, in order, in another thread.

        :param queued: for queued too. Airflow has no listener for it: who reports to etcd must not hear of it.
        """
        self._subscribers.append((subscriber, queued))

    # What people and the REST API do

    def trigger(
        self,
        dag_id: str,
        run_id: str | None = None,
        *,
        logical_date: datetime | None = None,
        partition_key: str | None = None,
        conf: dict[str, Any] | None = None,
        by: str = "admin",
        note: str | None = None,
    ) -> Run:
        """:raises KeyError: no such DAG. :raises Conflict: run_id or logical date is taken."""
        with self.changed:
            dag = self.find_dag(dag_id)
            if dag is None:
                raise KeyError(dag_id)
            now = self._now()
            if run_id is None:
                run_id = f"manual__{now.isoformat()}"
            if run_id in dag.runs or (logical_date is not None and logical_date in dag.dates):
                raise Conflict
            run = Run(
                id=next(self._ids),
                dag_id=dag_id,
                run_id=run_id,
                state=State.QUEUED,
                queued_at=now,
                run_after=now,
                logical_date=logical_date,
                partition_key=partition_key,
                conf=conf or {},
                by=by,
                note=note,
                versioned=dag.tasks,
            )
            dag.runs[run_id] = run
            bisect.insort(dag.run_ids, run_id)
            if logical_date is not None:
                dag.dates[logical_date] = run
            self._announce(run)
            self._plan(dag, run)
            return run

    def clear(self, dag_id: str, run_id: str) -> Run:
        """:raises NoSuchRun: there is none."""
        with self.changed:
            run = self.get(dag_id, run_id)
            dag = self.dags[dag_id]
            if not dag.tasks:
                return run
            run.queued_at = self._now()
            if run.state.is_terminal:
                run.state, run.start_date, run.end_date = State.QUEUED, None, None
                self._announce(run)
            self._plan(dag, run)
            self.changed.notify_all()
            return run

    def set_state(self, dag_id: str, run_id: str, state: State) -> threading.Event:
        """As a person does in the UI: queued, success or failed. The event is set once it has been delivered."""
        with self.changed:
            run = self.get(dag_id, run_id)
            if state is State.QUEUED:
                run.state, run.queued_at, run.start_date, run.end_date = state, self._now(), None, None
                delivered = self._announce(run)
                self._plan(self.dags[dag_id], run)
                return delivered
            if not run.state.is_terminal:
                run.end_date = self._now()
            run.state = state
            return self._announce(run)

    def delete(self, dag_id: str, run_id: str) -> None:
        """:raises NoSuchRun: there is none."""
        with self.changed:
            run = self.get(dag_id, run_id)
            dag = self.dags[dag_id]
            del dag.runs[run_id]
            dag.run_ids.remove(run_id)
            if run.logical_date is not None:
                del dag.dates[run.logical_date]
            self.changed.notify_all()

    # What the scheduler does

    def start(self, dag_id: str, run_id: str) -> threading.Event:
        """Let a queued run begin. The event is set once it has been delivered."""
        with self.changed:
            run = self.get(dag_id, run_id)
            if run.state is not State.QUEUED:
                raise ValueError(f"{dag_id}/{run_id} is {run.state}; only a queued run can begin")
            return self._begin(run)

    def finish(self, dag_id: str, run_id: str, state: State = State.SUCCESS) -> threading.Event:
        """Let a run end; one that is still queued begins first. The event is set once it has been delivered."""
        with self.changed:
            run = self.get(dag_id, run_id)
            if run.state is State.QUEUED:
                self._begin(run)
            if run.state is not State.RUNNING:
                raise ValueError(f"{dag_id}/{run_id} is {run.state}; only a running run can end")
            run.state, run.end_date = state, self._now()
            return self._announce(run)

    # Looking

    def get(self, dag_id: str, run_id: str) -> Run:
        """:raises NoSuchRun: there is none."""
        dag = self.dags.get(dag_id)
        run = dag.runs.get(run_id) if dag else None
        if run is None:
            raise NoSuchRun(f"{dag_id}/{run_id}")
        return run

    def select_dags(self, terms: list[str] | None) -> list[str]:
        """DAG ids by Airflow's prefix pattern, sorted."""
        return _by_terms(self.dag_ids, terms)

    def select(self, dag_id: str | None, dag_terms: list[str] | None, run_terms: list[str] | None) -> Iterator[Run]:
        """Runs by Airflow's prefix patterns; ``None`` is no filter."""
        dag_ids = [dag_id] if dag_id is not None else _by_terms(self.dag_ids, dag_terms)
        for name in dag_ids:
            dag = self.dags[name]
            for run_id in _by_terms(dag.run_ids, run_terms):
                yield dag.runs[run_id]

    def close(self) -> None:
        with self.changed:
            self._closed = True
            self._planned.notify()
        self._events.put(None)
        self._scheduler.join(10)
        self._dispatcher.join(10)

    # Inside

    def _now(self) -> datetime:
        """Never the same twice: two clears in one microsecond would be one attempt."""
        self._last = max(datetime.now(UTC), self._last + timedelta(microseconds=1))
        return self._last

    def _begin(self, run: Run) -> threading.Event:
        run.state, run.start_date = State.RUNNING, self._now()
        run.starts += 1
        return self._announce(run)

    def _announce(self, run: Run) -> threading.Event:
        observed = run.observed()
        self.history.append(observed)
        delivered = threading.Event()
        self._events.put((observed, delivered))
        self.changed.notify_all()
        return delivered

    def _plan(self, dag: Dag, run: Run) -> None:
        if dag.auto is not None and not dag.paused:
            wait = dag.auto if run.state is State.RUNNING else 0.0
            heapq.heappush(self._due, (time.monotonic() + wait, next(self._order), run, run.queued_at))
            self._planned.notify()

    def _schedule(self) -> None:
        with self.changed:
            while not self._closed:
                wait = self._due[0][0] - time.monotonic() if self._due else None
                if wait is None or wait > 0:
                    self._planned.wait(wait)
                    continue
                _, _, run, queued_at = heapq.heappop(self._due)
                dag = self.dags.get(run.dag_id)
                if dag is None or dag.runs.get(run.run_id) is not run or run.queued_at != queued_at:
                    continue  # Deleted or cleared since: that has made its own plan.
                if run.state is State.QUEUED and not dag.paused:
                    self._begin(run)
                    self._plan(dag, run)
                elif run.state is State.RUNNING:
                    run.state, run.end_date = dag.ends, self._now()
                    self._announce(run)

    def _dispatch(self) -> None:
        while (event := self._events.get()) is not None:
            observed, delivered = event
            for subscriber, queued in list(self._subscribers):
                if observed.state is State.QUEUED and not queued:
                    continue
                try:
                    subscriber(observed)
                except Exception:  # noqa: BLE001 - as Airflow's listeners: kept for the test to see, others go on
                    self.failures.append(traceback.format_exc())
            delivered.set()


def _by_terms(names: list[str], terms: list[str] | None) -> list[str]:
    """Airflow's prefix pattern over a sorted list (``common/parameters.py``, ``_PrefixSearchParam``)."""
    if terms is None:
        return list(names)
    found: set[str] = set()
    for term in terms:
        lower, upper = _lower(term), _upper(term)
        begin = bisect.bisect_left(names, lower) if lower else 0
        end = bisect.bisect_left(names, upper) if lower and upper is not None else len(names)
        found.update(names[begin:end])
    return sorted(found)


def _lower(term: str) -> str:
    while term and not term[-1].isalnum():
        term = term[:-1]
    return term


def _upper(term: str) -> str | None:
    while term := _lower(term):
        bumped = chr(ord(term[-1]) + 1)
        if bumped.isalnum():
            return term[:-1] + bumped
        term = term[:-1]
    return None
