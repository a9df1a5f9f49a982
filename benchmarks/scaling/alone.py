"""The rule and the propagation alone: facts that change, and pipelines that run as soon as they are due."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime

from benchmarks.scaling.instant import HandClock
from benchmarks.scaling.ring import FIRST_REVISION, HISTORY
from coordinator.controller.reconcile import records
from coordinator.model.decide import Decision
from coordinator.model.graph import Graph
from coordinator.model.hold import Hold
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.references import PipelineRef, Target
from coordinator.model.retention.watermark import Watermark
from coordinator.model.runstate import Attempt, RunState, State, Unreadable
from coordinator.model.trigger import TriggerRecord
from coordinator.model.view import SeenOrder, SeenRecord, SeenState, SeenWait
from coordinator.runners.port import ObservedRun


class Facts:
    """States and records in memory, without an etcd."""

    def __init__(self) -> None:
        self.states: dict[Target, SeenState] = {}
        self.records: dict[Target, SeenRecord] = {}

    def state(self, target: Target) -> SeenState | None:
        return self.states.get(target)

    def record(self, target: Target) -> SeenRecord | None:
        return self.records.get(target)

    def hold(self, pipeline: PipelineRef) -> Hold | Unreadable | None:
        del pipeline
        return None

    def order(self, target: Target) -> SeenOrder | None:
        del target
        return None

    def sensors(self, target: Target) -> tuple[SeenWait, ...]:
        del target
        return ()

    def runs_behind(self, upstream: Target) -> tuple[Target, ...]:
        del upstream
        return ()

    def watermark(self, pipeline: PipelineRef) -> Watermark | None:
        del pipeline
        return None


class ModelAlone:
    """See the module.

    :param past: everything that has run, each with the record behind it.
    :ivar seconds: CPU time of :meth:`Propagation.refresh` so far.
    """

    def __init__(self, graph: Graph, past: Iterable[tuple[Target, RunState, TriggerRecord | None]]) -> None:
        self.facts = Facts()
        self.seconds = 0.0
        self._clock = HandClock()
        self._revision = FIRST_REVISION
        self._due: dict[Target, Decision] = {}
        self._propagation = Propagation(graph, self.facts)
        for target, state, record in past:
            self._revision += 1
            self.facts.states[target] = SeenState(state, self._revision)
            if record is not None:
                self.facts.records[target] = SeenRecord(record, self._revision)
        self._propagation.refresh(self.facts.states)
        assert not list(self._propagation.unsettled()), "the past is settled"

    def complete(self, target: Target) -> int:
        """Let a target run, and everything that becomes due because of it. Returns how many ran."""
        self._run(target)
        completions = 1
        while self._due:
            decision = self._due.pop(next(iter(self._due)))
            self._fire(decision)
            self._run(decision.target)
            self._record(decision.target, records.done(self._present(decision.target)))
            completions += 1
        return completions

    def _fire(self, decision: Decision) -> None:
        target, own, present = decision.target, None, None
        if target in self.facts.records:
            present = self._present(target)
            own = records.ExistingRun(HISTORY + target.partition, present.attempt)
        intent = records.intend(decision, present, own, who="", when=self._clock.now())
        self._record(target, intent)
        run = ObservedRun(target.pipeline.dag_id, HISTORY + target.partition, State.QUEUED, self._tick())
        self._record(target, records.sent(intent, run))

    def _run(self, target: Target) -> None:
        ours = target in self.facts.records
        attempt = Attempt(HISTORY + target.partition, self._present(target).attempt if ours else self._tick())
        for state in (State.RUNNING, State.SUCCESS):
            self._revision += 1
            self.facts.states[target] = SeenState(RunState(state, attempt, self._clock.now()), self._revision)
            self._refresh(target)

    def _present(self, target: Target) -> TriggerRecord:
        record = self.facts.records[target].value
        assert isinstance(record, TriggerRecord)
        return record

    def _record(self, target: Target, record: TriggerRecord) -> None:
        self._revision += 1
        self.facts.records[target] = SeenRecord(record, self._revision)
        self._refresh(target)

    def _refresh(self, target: Target) -> None:
        began = time.thread_time()
        decisions = self._propagation.refresh((target,))
        self.seconds += time.thread_time() - began
        for decision in decisions:
            self._due.pop(decision.target, None)
            if decision.fires:
                self._due[decision.target] = decision

    def _tick(self) -> datetime:
        self._clock.seconds += 0.001
        return self._clock.now()
