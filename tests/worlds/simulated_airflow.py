"""An Airflow in memory, at the level of the runner port. Its rules are those of the real one (docs in
``tests/standin``): unique run_id and logical date per DAG, a new queued_at with every clear, silence while queued."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from coordinator.model.partitions.instants import parse_instant, partition_of_run
from coordinator.model.runstate import State
from coordinator.model.trigger import Action
from coordinator.runners.port import (
    EnvironmentReport,
    EnvironmentUnavailable,
    Foreign,
    Happened,
    Looked,
    NotHappened,
    ObservedRun,
    Outcome,
    Permit,
    RunRef,
    StartRequest,
)

Reporter = Callable[[ObservedRun], None]


@dataclass
class SimulatedAirflow:
    """One environment.

    :ivar tick: gives the present time, later with every call.
    :ivar report: called with every running, success and failed, as a listener would.
    """

    tick: Callable[[], datetime]
    report: Reporter
    is_down: bool = False
    runs: dict[tuple[str, str], ObservedRun] = field(default_factory=dict)
    started: list[tuple[str, str]] = field(default_factory=list)
    effects: list[tuple[str, str]] = field(default_factory=list)

    # -- the runner port -----------------------------------------------------------------------------------------

    def start(self, request: StartRequest, *, permit: Permit | None = None) -> Outcome:
        self._answer_or_raise()
        if permit is not None:
            permit(0.0)
        known = self.runs.get((request.dag_id, request.run_id))
        if request.action is Action.CLEAR:
            if known is None:
                return NotHappened(f"no run {request.run_id}", run_missing=True)
            self.effects.append((request.dag_id, partition_of(known)))
            return Happened(self.clear(request.dag_id, request.run_id))
        clash = known or self._on_logical_date(request)
        if clash is not None:
            return Happened(clash) if clash.token == request.token else Foreign(clash)
        run = self.create(request.dag_id, request.run_id, logical_date=request.logical_date, conf=request.conf)
        self.effects.append((request.dag_id, partition_of(run)))
        return Happened(run)

    def ask(self, request: StartRequest) -> Outcome:
        self._answer_or_raise()
        known = self.runs.get((request.dag_id, request.run_id))
        if request.action is Action.CLEAR:
            if known is None:
                return NotHappened("the run is gone", run_missing=True)
            return NotHappened("not cleared") if known.queued_at == request.before else Happened(known)
        if known is None:
            return NotHappened("no such run")
        return Happened(known) if known.token == request.token else Foreign(known)

    def look(self, runs: Sequence[RunRef], *, timeout: float) -> Looked:
        del timeout
        self._answer_or_raise()
        return Looked({ref: self.runs.get((ref.dag_id, ref.run_id)) for ref in runs})

    def check(self, dag_ids: Sequence[str]) -> EnvironmentReport:
        del dag_ids
        return EnvironmentReport(version="simulated")

    def close(self) -> None:
        pass

    # -- what happens inside -----------------------------------------------------------------------------------------

    def create(
        self,
        dag_id: str,
        run_id: str,
        *,
        logical_date: datetime | None,
        partition_key: str | None = None,
        conf: Mapping[str, object] | None = None,
    ) -> ObservedRun:
        run = ObservedRun(
            dag_id,
            run_id,
            State.QUEUED,
            self.tick(),
            logical_date=logical_date,
            partition_key=partition_key,
            conf=dict(conf or {}),
        )
        self.runs[dag_id, run_id] = run
        return run

    def clear(self, dag_id: str, run_id: str) -> ObservedRun:
        run = replace(
            self.runs[dag_id, run_id], state=State.QUEUED, queued_at=self.tick(), start_date=None, end_date=None
        )
        self.runs[dag_id, run_id] = run
        return run

    def begin(self, dag_id: str, run_id: str) -> None:
        run = self.runs[dag_id, run_id]
        assert run.state is State.QUEUED, f"{dag_id} {run_id} is {run.state}"
        self.started.append((dag_id, partition_of(run)))
        self._change(replace(run, state=State.RUNNING, start_date=self.tick()))

    def end(self, dag_id: str, run_id: str, state: State) -> None:
        run = self.runs[dag_id, run_id]
        assert run.state is State.RUNNING, f"{dag_id} {run_id} is {run.state}"
        self._change(replace(run, state=state, end_date=self.tick()))

    def set_state(self, dag_id: str, run_id: str, state: State) -> None:
        self._change(replace(self.runs[dag_id, run_id], state=state))

    def newest(self, dag_id: str, partition: str, *states: State) -> ObservedRun:
        found = [
            run
            for run in self.runs.values()
            if run.dag_id == dag_id and partition_of(run) == partition and (not states or run.state in states)
        ]
        assert found, f"no run of {dag_id} in {partition} that is {' or '.join(states) or 'there'}"
        return max(found, key=lambda run: run.queued_at or datetime.min)

    def waiting(self) -> list[ObservedRun]:
        """Runs that are not at an end, oldest first."""
        return [run for run in self.runs.values() if not run.state.is_terminal]

    def _change(self, run: ObservedRun) -> None:
        self.runs[run.dag_id, run.run_id] = run
        self.report(run)

    def _on_logical_date(self, request: StartRequest) -> ObservedRun | None:
        if request.logical_date is None:
            return None
        for run in self.runs.values():
            if run.dag_id == request.dag_id and run.logical_date == request.logical_date:
                return run
        return None

    def _answer_or_raise(self) -> None:
        if self.is_down:
            raise EnvironmentUnavailable("connection refused")


def partition_of(run: ObservedRun) -> str:
    return partition_of_run(
        run_id=run.run_id, logical_date=run.logical_date, partition_key=run.partition_key, conf=run.conf
    )


def logical_date_of(partition: str) -> datetime | None:
    return parse_instant(partition)
