"""The show: a wave through seven pipelines in a real Airflow, a cleared run, and the cascade below it.

What is shown comes out of etcd's keys as they change, and is checked against Airflow's own view at the end of each
act. Nothing is taken for granted: whatever does not happen as promised ends the show with a sentence that says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import requests
import structlog

from coordinator.demo.airflow_api import AirflowApiError
from coordinator.demo.chronicle import Chronicle, Happening
from coordinator.demo.following import Follower
from coordinator.demo.interruption import heed
from coordinator.demo.judging import Check, ShownRun, failure, is_over, judge, missing
from coordinator.demo.plot import Act, Plot
from coordinator.demo.screen import Screen
from coordinator.demo.stage import Stage
from coordinator.errors import CoordinatorError
from coordinator.model.explanation import headline
from coordinator.model.partitions.instants import format_instant
from coordinator.model.references import PipelineRef, Target
from coordinator.reading.reading import read
from coordinator.store.keys import DependenciesKey

log = structlog.get_logger(__name__)

ACT_LIMIT = 120.0
"""Seconds for an act. It takes ten on an idle machine."""
_PUBLISHED_LIMIT = 20.0
_LOOK_EVERY = 0.1


class DemoFailed(CoordinatorError):
    """Something that was to happen did not, or something else did."""


@dataclass(slots=True)
class Performance:
    """What has been shown so far.

    :ivar seconds: how long each part took.
    """

    partition: str
    chronicle: Chronicle
    acts: list[Act] = field(default_factory=list)
    checks: dict[int, list[Check]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def partition_of_today() -> str:
    """Yesterday in UTC, the day whose data a run of today is about. No schedule of 01_pipeline comes back to it."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return format_instant(today - timedelta(days=1))


class Show:
    """Both acts, on a stage that is set.

    :param partition: the partition in which it all happens; a date-time.
    """

    def __init__(self, stage: Stage, plot: Plot, *, screen: Screen, follower: Follower, partition: str) -> None:
        self._stage = stage
        self._plot = plot
        self._screen = screen
        self._follower = follower
        self._published = False
        self.performance = Performance(partition, Chronicle(follower.keys, partition))

    def run(self) -> None:
        """Play it.

        :raises DemoFailed: with what did not happen.
        :raises CoordinatorError: a part of the stage has ended.
        """
        api, chronicle = self._stage.airflow.api, self.performance.chronicle
        self._await_publication()
        self._play(
            self._plot.wave, lambda: api.trigger(self._plot.wave.top.dag_id, logical_date=self.performance.partition)
        )
        run_id = chronicle.executions(self._plot.cascade.top, self._plot.wave.number)[-1].run_id
        self._play(self._plot.cascade, lambda: api.clear(self._plot.cascade.top.dag_id, str(run_id)))

    def _await_publication(self) -> None:
        """What runs before the dependencies are in force is their past, for which nothing is started."""
        until = time.monotonic() + _PUBLISHED_LIMIT
        while not self._published:
            self._look()
            if time.monotonic() > until:
                raise DemoFailed(f"not within {_PUBLISHED_LIMIT:.0f} s: the watcher publishes the dependencies")

    def _play(self, act: Act, begin: Callable[[], Any]) -> None:
        self.performance.acts.append(act)
        self.performance.chronicle.act = act.number
        began = time.monotonic()
        with self._screen.act(act, self._plot, self.performance.chronicle) as tell:
            try:
                begin()
            except (AirflowApiError, requests.RequestException) as error:
                raise DemoFailed(
                    f"{act.top} could not be {'triggered' if act.number == 1 else 'cleared'}: {error}"
                ) from error
            while not self._is_over(act):
                tell(self._look())
                failed = failure(act, self.performance.chronicle)
                if failed is not None:
                    raise DemoFailed(failed)
                if time.monotonic() > began + ACT_LIMIT:
                    raise DemoFailed(self._why_not(act))
        self.performance.seconds[f"act {act.number}"] = round(time.monotonic() - began, 1)
        checks = judge(act, self._plot, self.performance.chronicle, self._shown())
        self.performance.checks[act.number] = checks
        self._screen.judged(checks)
        problems = [problem for check in checks for problem in check.problems]
        log.info(
            "demo.act_played", act=act.number, seconds=self.performance.seconds[f"act {act.number}"], problems=problems
        )
        if problems:
            raise DemoFailed(f"act {act.number} did not go as it should: {'; '.join(problems)}")

    def _look(self) -> list[Happening]:
        happenings: list[Happening] = []
        for item in self._follower.changes(_LOOK_EVERY):
            self._published = self._published or isinstance(self._follower.keys.parse(item.key), DependenciesKey)
            happening = self.performance.chronicle.take(item)
            if happening is not None:
                happenings.append(happening)
        heed()
        self._stage.check()
        return happenings

    def _is_over(self, act: Act) -> bool:
        """Everybody has ended, and the watcher, knowing all of it, has nothing left to do: nobody comes after."""
        if not is_over(act, self.performance.chronicle):
            return False
        health = self._stage.watcher.health()
        return health is not None and health.idle and health.revision >= self.performance.chronicle.revision

    def _why_not(self, act: Act) -> str:
        absent = missing(act, self.performance.chronicle)
        standings = read(self._follower.store, self._follower.keys).propagation
        reasons = [headline(standings.decide(Target(pipeline, self.performance.partition))) for pipeline in absent]
        what = "; ".join(reasons) or "everything ran, but the watcher did not come to rest"
        return f"act {act.number} did not end within {ACT_LIMIT:.0f} s: {what}"

    def _shown(self) -> dict[PipelineRef, list[ShownRun]]:
        """Airflow's own view of the partition."""
        day = datetime.fromisoformat(self.performance.partition)
        return {
            pipeline: [
                ShownRun(run["dag_run_id"], run["state"])
                for run in self._stage.airflow.api.runs(pipeline.dag_id)
                if run["logical_date"] and datetime.fromisoformat(run["logical_date"]) == day
            ]
            for pipeline in self._plot.wave.expected
        }
