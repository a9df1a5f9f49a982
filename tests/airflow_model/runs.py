"""The DAGs and runs of one Airflow, and how their states change. No threads, no HTTP; the time is given.

What changes with a trigger, a clear and a set state is Airflow 3.3's: run_id and logical date are unique in a DAG;
they and conf stay for ever; queued_at is new after every clear and every set to queued; a clear of a *running* run
keeps state and start_date. A task that is cleared has a new id at once.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, NamedTuple
from uuid import UUID

from coordinator.model.runstate import State
from coordinator.model.taskstate import TaskInstance
from coordinator.runners.port import ObservedRun
from tests.airflow_model.assets import Assets


class Conflict(Exception):
    """run_id or logical date is taken; Airflow's answer does not say which."""


class NoSuchDag(Exception):
    pass


class NoSuchRun(Exception):
    pass


class TaskRuns(Exception):
    """A task that is to be cleared is running."""


class Partitioning(Enum):
    """Who gives the runs of a partitioned DAG their keys: the timetable."""

    AT_RUNTIME = "PartitionedAtRuntime"
    BY_ASSETS = "PartitionedAssetTimetable"
    BY_CRON = "CronPartitionTimetable"
    """At midnight, in UTC, in its own ``key_format``."""


@dataclass(slots=True)
class Dag:
    """:ivar tasks: whether there are any; without, a clear changes nothing.

    :ivar refuse: looks at a conf and says what is wrong with it (params against the schema).
    :ivar run_ids: of its runs, sorted.
    :ivar dates: the logical dates that are taken.
    :ivar below: its tasks by id, each with those directly below it. Other tasks are not looked at.
    :ivar keys: of its runs; ``None``: it is not partitioned.
    """

    dag_id: str
    paused: bool = False
    tasks: bool = True
    refuse: Callable[[dict[str, Any]], str | None] | None = None
    run_ids: list[str] = field(default_factory=list)
    dates: set[datetime] = field(default_factory=set)
    below: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    keys: Partitioning | None = None

    def all_below(self, task_ids: Iterable[str]) -> set[str]:
        """These tasks, and everything below them."""
        found: set[str] = set()
        waiting = [*task_ids]
        while waiting:
            if (task := waiting.pop()) not in found:
                found.add(task)
                waiting += self.below.get(task, ())
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Run(ObservedRun):
    """A run as it is at one moment: every change makes another one.

    :ivar versioned: whether Airflow knows the version of its DAG: by its task instances, so not without tasks.
    :ivar starts: how often it has begun to run.
    :ivar tasks: the instances of its tasks, by task.
    :ivar updated_at: of its last change, by this Airflow's clock; no answer shows it.
    """

    id: int
    note: str | None = None
    by: str = "admin"
    run_after: datetime | None = None
    versioned: bool = True
    partition_date: datetime | None = None
    starts: int = 0
    tasks: Mapping[str, tuple[TaskInstance, ...]] = field(default_factory=dict)
    updated_at: datetime | None = None

    def observed(self) -> ObservedRun:
        """What a watcher sees of it."""
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


class What(Enum):
    """What has happened to a run."""

    CREATED = "created"
    CLEARED = "cleared"
    BEGUN = "begun"
    ENDED = "ended"
    SET = "set"
    DELETED = "deleted"


class Change(NamedTuple):
    """:ivar before: the run as it was; ``None`` for one that is new."""

    what: What
    run: Run
    before: Run | None


class Airflow:
    """:param now: the present time.

    :param changed: called with every change, once it is there.
    :ivar any_dag: every DAG exists.
    :ivar assets: the assets of its DAGs, and their events.
    :ivar runs: by dag_id and run_id, oldest first.
    """

    def __init__(self, *, now: Callable[[], datetime], changed: Callable[[Change], None]) -> None:
        self._clock = now
        self._changed = changed
        self.any_dag = False
        self.dags: dict[str, Dag] = {}
        self.dag_ids: list[str] = []
        self.assets = Assets()
        self.runs: dict[tuple[str, str], Run] = {}
        self._ids = itertools.count(1)
        self._last = datetime.min.replace(tzinfo=UTC)

    # DAGs

    def dag(
        self,
        dag_id: str,
        *,
        paused: bool = False,
        tasks: bool = True,
        refuse: Callable[[dict[str, Any]], str | None] | None = None,
        below: Mapping[str, tuple[str, ...]] | None = None,
        keys: Partitioning | None = None,
    ) -> Dag:
        """Declare a DAG, see :class:`Dag`. A DAG that is there already keeps its runs."""
        dag = self.dags.get(dag_id)
        if dag is None:
            dag = self.dags[dag_id] = Dag(dag_id)
            bisect.insort(self.dag_ids, dag_id)
        dag.paused, dag.tasks, dag.refuse, dag.keys = paused, tasks, refuse, keys
        if below is not None:
            dag.below = dict(below)
        return dag

    def find_dag(self, dag_id: str) -> Dag:
        """:raises NoSuchDag: there is none."""
        dag = self.dags.get(dag_id)
        if dag is None:
            if not self.any_dag:
                raise NoSuchDag(dag_id)
            dag = self.dag(dag_id)
        return dag

    def pause(self, dag_id: str, paused: bool = True) -> None:
        """Paused: new runs stay queued."""
        self.dags[dag_id].paused = paused

    def remove_dag(self, dag_id: str) -> None:
        """As ``airflow dags delete``: the DAG and all its runs."""
        for run_id in self.dags.pop(dag_id).run_ids:
            del self.runs[dag_id, run_id]
        self.dag_ids.remove(dag_id)

    # What people and the REST API do

    def create(
        self,
        dag_id: str,
        run_id: str | None = None,
        *,
        logical_date: datetime | None = None,
        partition_key: str | None = None,
        partition_date: datetime | None = None,
        conf: Mapping[str, Any] | None = None,
        by: str = "admin",
        note: str | None = None,
    ) -> Run:
        """:raises NoSuchDag: there is none. :raises Conflict: run_id or logical date is taken."""
        dag = self.find_dag(dag_id)
        if (dag_id, run_id) in self.runs or logical_date in dag.dates:
            raise Conflict
        now = self.now()
        run = Run(
            id=self.next_id(),
            dag_id=dag_id,
            run_id=f"manual__{now.isoformat()}" if run_id is None else run_id,
            state=State.QUEUED,
            queued_at=now,
            run_after=now,
            logical_date=logical_date,
            partition_key=partition_key,
            partition_date=partition_date,
            conf=dict(conf or {}),
            by=by,
            note=note,
            versioned=dag.tasks,
            tasks={task: (self._new_instance(-1),) for task in dag.below},
            updated_at=now,
        )
        self.add(run)
        self._changed(Change(What.CREATED, run, None))
        return run

    def test(self, dag_id: str, run_id: str, *, logical_date: datetime | None) -> Run:
        """As ``airflow dags test`` (``get_or_create_dagrun``): it replaces the run of the same logical date by one that
        is running, has no queued_at, and says that it began on its logical date."""
        for run in self.runs_of(self.find_dag(dag_id).dag_id):
            if run.logical_date == logical_date or run.run_id == run_id:
                self.delete(dag_id, run.run_id)
        now = self.now()
        run = Run(
            id=self.next_id(),
            dag_id=dag_id,
            run_id=run_id,
            state=State.RUNNING,
            queued_at=None,
            run_after=now,
            logical_date=logical_date,
            start_date=logical_date or now,
            by="dag_test",
            starts=1,
            updated_at=now,
        )
        self.add(run)
        self._changed(Change(What.BEGUN, run, None))
        return run

    def add(self, run: Run) -> None:
        """A run that is there, whatever its state; nobody is told."""
        dag = self.find_dag(run.dag_id)
        self.runs[run.dag_id, run.run_id] = run
        bisect.insort(dag.run_ids, run.run_id)
        if run.logical_date is not None:
            dag.dates.add(run.logical_date)

    def next_id(self) -> int:
        return next(self._ids)

    def clear(self, dag_id: str, run_id: str) -> Run:
        """:raises NoSuchRun: there is none."""
        run = self.get(dag_id, run_id)
        if not self.dags[dag_id].tasks:
            return run
        return self._cleared(run, run.tasks)

    def clear_tasks(
        self, dag_id: str, run_id: str, task_ids: Iterable[str], *, downstream: bool = True, prevent: bool = True
    ) -> Run:
        """:raises NoSuchRun: there is none. :raises TaskRuns: one of them is running, and ``prevent`` is asked for."""
        run = self.get(dag_id, run_id)
        wanted = self.dags[dag_id].all_below(task_ids) if downstream else set(task_ids)
        wanted &= run.tasks.keys()
        if prevent and any(one.state == "running" for task in wanted for one in run.tasks[task]):
            raise TaskRuns
        return self._cleared(run, wanted) if wanted else run

    def _cleared(self, run: Run, task_ids: Iterable[str]) -> Run:
        tasks = dict(run.tasks)
        for task in task_ids:
            tasks[task] = tuple(self._new_instance(one.map_index, one.try_number) for one in tasks[task])
        if run.state is State.RUNNING:
            return self._change(What.CLEARED, run, queued_at=self.now(), tasks=tasks)
        return self._change(
            What.CLEARED, run, state=State.QUEUED, queued_at=self.now(), start_date=None, end_date=None, tasks=tasks
        )

    def _new_instance(self, map_index: int, try_number: int = 0) -> TaskInstance:
        return TaskInstance(map_index, str(UUID(int=self.next_id())), None, try_number)

    def set_state(self, dag_id: str, run_id: str, state: State) -> Run:
        """As a person does in the UI: queued, success or failed. :raises NoSuchRun: there is none."""
        run = self.get(dag_id, run_id)
        if state is State.QUEUED:
            return self._change(What.SET, run, state=state, queued_at=self.now(), start_date=None, end_date=None)
        now = self.now()
        ended = run.end_date if run.state.is_terminal else now
        return self._change(What.SET, run, state=state, end_date=ended, updated_at=now)

    def delete(self, dag_id: str, run_id: str) -> None:
        """:raises NoSuchRun: there is none."""
        run = self.get(dag_id, run_id)
        del self.runs[dag_id, run_id]
        dag = self.dags[dag_id]
        dag.run_ids.remove(run_id)
        dag.dates.discard(run.logical_date)  # type: ignore[arg-type]
        self._changed(Change(What.DELETED, run, run))

    # What the scheduler does

    def begin(self, dag_id: str, run_id: str) -> Run:
        """Let a queued run begin."""
        run = self.get(dag_id, run_id)
        if run.state is not State.QUEUED:
            raise ValueError(f"{dag_id}/{run_id} is {run.state}; only a queued run can begin")
        return self._change(What.BEGUN, run, state=State.RUNNING, start_date=self.now(), starts=run.starts + 1)

    def end(self, dag_id: str, run_id: str, state: State) -> Run:
        """Let a running run end."""
        run = self.get(dag_id, run_id)
        if run.state is not State.RUNNING:
            raise ValueError(f"{dag_id}/{run_id} is {run.state}; only a running run can end")
        left = "success" if state is State.SUCCESS else "upstream_failed"
        tasks = {
            task: tuple(
                one if one.end_date is not None else one._replace(state=left, end_date=self.now()) for one in instances
            )
            for task, instances in run.tasks.items()
        }
        return self._change(What.ENDED, run, state=state, end_date=self.now(), tasks=tasks)

    def set_task(self, dag_id: str, run_id: str, task_id: str, *states: str | None) -> Run:
        """Let the instances of a task of a running run have these states; several where it is mapped."""
        run = self.get(dag_id, run_id)
        known = run.tasks[task_id]
        instances = []
        for number, state in enumerate(states):
            index = number if len(states) > 1 else -1
            one = known[number] if number < len(known) else self._new_instance(index)
            ended = state in ("success", "failed", "skipped", "upstream_failed")
            begun = one.start_date or self.now() if state is not None else None
            instances.append(
                one._replace(
                    map_index=index,
                    state=state,
                    try_number=max(1, one.try_number),
                    start_date=begun,
                    end_date=self.now() if ended else None,
                )
            )
        run = self.runs[dag_id, run_id] = replace(run, tasks={**run.tasks, task_id: tuple(instances)})
        return run

    # Looking

    def get(self, dag_id: str, run_id: str) -> Run:
        """:raises NoSuchRun: there is none."""
        run = self.runs.get((dag_id, run_id))
        if run is None:
            raise NoSuchRun(f"{dag_id}/{run_id}")
        return run

    def unfinished(self) -> list[Run]:
        """Runs that are not at an end, oldest first."""
        return [run for run in self.runs.values() if not run.state.is_terminal]

    def runs_of(self, dag_id: str) -> list[Run]:
        """All runs of a DAG, oldest first."""
        return sorted((self.runs[dag_id, run_id] for run_id in self.dags[dag_id].run_ids), key=lambda run: run.id)

    def select_dags(self, terms: list[str] | None) -> list[str]:
        """DAG ids by Airflow's prefix pattern, sorted."""
        return _by_terms(self.dag_ids, terms)

    def select(self, dag_id: str | None, dag_terms: list[str] | None, run_terms: list[str] | None) -> Iterator[Run]:
        """Runs by Airflow's prefix patterns; ``None`` is no filter."""
        for name in [dag_id] if dag_id is not None else self.select_dags(dag_terms):
            for run_id in _by_terms(self.dags[name].run_ids, run_terms):
                yield self.runs[name, run_id]

    def now(self) -> datetime:
        """Never the same twice: two clears in one microsecond would be one attempt."""
        self._last = max(self._clock(), self._last + timedelta(microseconds=1))
        return self._last

    def _change(self, what: What, before: Run, **fields: Any) -> Run:
        moments = [one for one in fields.values() if isinstance(one, datetime)]  # a test's clock moves when it is read
        fields.setdefault("updated_at", max(moments, default=None) or self.now())
        run = self.runs[before.dag_id, before.run_id] = replace(before, **fields)
        self._changed(Change(what, run, before))
        return run


def with_keys(runs: Iterable[Run], term: str) -> list[Run]:
    """The runs that have a key, by Airflow's prefix pattern, in which ``|`` divides nothing."""
    keys = sorted({run.partition_key for run in runs if run.partition_key is not None})
    wanted = set(_by_terms(keys, [term]))
    return [run for run in runs if run.partition_key in wanted]


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
