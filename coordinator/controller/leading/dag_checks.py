"""Whether environments have the DAGs that dependencies name. Background threads ask; nothing waits for them.

A DAG that is missing, or an environment that cannot be asked, is asked about again as long as :meth:`DagChecks.known`
is called for it. An answer that a DAG exists is believed, and asked for again now and then: with each answer the runner
hears whether the DAG is partitioned (``runners/airflow/partitioned``).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from math import inf

import structlog

from coordinator.model.publishing.guard import Known
from coordinator.model.references import PipelineRef
from coordinator.runners.port import EnvironmentFault, EnvironmentReport, Runner

_log = structlog.get_logger(__name__)

AGAIN_AFTER = 15.0
"""Seconds after which a missing DAG, or an environment without an answer, is asked about again."""

RENEWED_AFTER = 300.0
"""Seconds after which a DAG that exists is asked about again."""

PAUSED_AGAIN_AFTER = 30.0
"""Seconds after which a paused DAG is asked about again."""

PATIENCE = 10.0
"""Seconds to wait for a first answer. A slower environment counts as one that cannot be asked."""

_NOT_CONFIGURED = "it was not configured when this watcher started; correct its name, or restart the watcher"

AWAY_AFTER = 60.0
"""Seconds without an answer after which an environment is a problem: a machine may be busy, and an API server may be
started again."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """:ivar problem: why it is not known whether the DAG is there. :ivar at: monotonic seconds."""

    is_there: bool
    problem: str | None
    at: float
    is_paused: bool = False

    @property
    def is_well(self) -> bool:
        return self.is_there and self.problem is None

    @property
    def again_after(self) -> float:
        """Seconds after which it is asked for again."""
        if not self.is_well:
            return AGAIN_AFTER
        return PAUSED_AGAIN_AFTER if self.is_paused else RENEWED_AFTER


class DagChecks:
    """See the module. Used by the deciding thread; answers come from other threads.

    :param clock: monotonic seconds.
    :param answered: called, in another thread, when an answer has come.
    """

    def __init__(
        self, runners: Mapping[str, Runner], *, clock: Callable[[], float], answered: Callable[[], object]
    ) -> None:
        self._runners = runners
        self._clock = clock
        self._answered = answered
        self._lock = threading.Lock()
        self._answers: dict[PipelineRef, _Answer] = {}
        self._wanted_since: dict[PipelineRef, float] = {}
        self._asking: set[str] = set()
        self._no_answer_since: dict[str, float] = {}

    def known(self, pipelines: Collection[PipelineRef]) -> Known | None:
        """What is known of these DAGs; asks about those that are unknown or missing. ``None``: wait for the answer."""
        now = self._clock()
        missing: set[PipelineRef] = set()
        unasked: dict[str, str] = {}
        to_ask: dict[str, list[str]] = {}
        is_complete = True
        with self._lock:
            for pipeline in pipelines:
                environment = pipeline.environment
                answer = self._answers.get(pipeline)
                if environment not in self._runners:
                    unasked[environment] = _NOT_CONFIGURED
                    continue
                if answer is None or now - answer.at >= answer.again_after:
                    to_ask.setdefault(environment, []).append(pipeline.dag_id)
                if answer is None:
                    if now - self._wanted_since.setdefault(pipeline, now) < PATIENCE:
                        is_complete = False
                    else:
                        unasked.setdefault(environment, f"it has not answered within {PATIENCE:.0f} s")
                elif answer.problem is not None:
                    unasked[environment] = answer.problem
                elif not answer.is_there:
                    missing.add(pipeline)
            begin = {name: dag_ids for name, dag_ids in to_ask.items() if name not in self._asking}
            self._asking.update(begin)
            for environment in begin:
                self._no_answer_since.setdefault(environment, now)
            awaited = {name for name in unasked if now - self._no_answer_since.get(name, -inf) < AWAY_AFTER}
        for environment, dag_ids in begin.items():
            asking = threading.Thread(
                target=self._ask, args=(environment, dag_ids), name=f"dags of {environment}", daemon=True
            )
            try:
                asking.start()
            except RuntimeError as error:  # the machine has no threads left; they are asked about again
                _log.warning("dags.not_asked", environment=environment, reason=str(error))
                with self._lock:
                    self._asking.discard(environment)
        return Known(frozenset(missing), unasked, frozenset(awaited)) if is_complete else None

    def paused(self) -> set[PipelineRef]:
        """The DAGs that were paused when they were last asked about."""
        with self._lock:
            return {pipeline for pipeline, answer in self._answers.items() if answer.is_well and answer.is_paused}

    def _ask(self, environment: str, dag_ids: list[str]) -> None:
        try:
            report = self._runners[environment].check(dag_ids)
        except Exception as error:  # noqa: BLE001 - logged; without an answer it would be asked again at once, for ever
            _log.exception("dags.not_asked", environment=environment)
            report = EnvironmentReport(problem=f"a mistake in the coordinator: {error}", fault=EnvironmentFault.MISTAKE)
        missing, paused, now = set(report.missing_dags), set(report.paused_dags), self._clock()
        problem = None if report.says_dags else report.problem
        with self._lock:
            self._asking.discard(environment)
            if problem is None:
                self._no_answer_since.pop(environment, None)
            elif report.fault is not EnvironmentFault.UNREACHABLE:
                self._no_answer_since[environment] = -inf  # it is there, and says no
            for dag_id in dag_ids:
                pipeline = PipelineRef(environment, dag_id)
                known = self._answers.get(pipeline)
                stands = (
                    problem is not None and known is not None and known.is_well
                )  # it has been there, as far as known
                is_paused = known is not None and known.is_paused if stands else dag_id in paused
                self._answers[pipeline] = _Answer(dag_id not in missing, None if stands else problem, now, is_paused)
                self._wanted_since.pop(pipeline, None)
        self._answered()
