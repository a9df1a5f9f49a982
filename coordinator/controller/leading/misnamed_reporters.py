"""Misnamed reporters: those that report under the name of another environment, whose Airflow does not know their runs.

Nothing else would show a plugin with a wrong environment name: its runs arrive as those of another environment, or of
one that nothing depends on, and downstream pipelines do not start.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from coordinator.config.airflow import AirflowSettings
from coordinator.config.environments import EnvironmentSettings
from coordinator.controller.clock import Clock
from coordinator.controller.state.reporters import Reporters
from coordinator.errors import CoordinatorError
from coordinator.model.references import PipelineRef
from coordinator.model.reporters import Heard, ReportedRun, ReporterStatus
from coordinator.runners.port import Runner, RunRef

_log = structlog.get_logger(__name__)

KNOWN_WITHIN = timedelta(seconds=60)
"""Airflow calls a listener before it commits, so its API may show the run only later."""

ASKED_EVERY = 60.0
"""Seconds between two questions to an environment."""


@dataclass(frozen=True, slots=True)
class MisnamedReporter:
    """A reporter, and the runs that it reported last: the Airflow of its environment knows none of them."""

    reporter: ReporterStatus
    runs: tuple[ReportedRun, ...]

    @property
    def named(self) -> str:
        """The runs, for people."""
        return ", ".join(f"{run.dag_id} {run.run_id}" for run in self.runs)


def misnamed_reporters_among(heard: Heard, runner: Runner, *, timeout: float, now: datetime) -> list[MisnamedReporter]:
    """Ask an environment about the runs that its reporters name.

    :param timeout: seconds, for all of them.
    :raises CoordinatorError: it does not answer.
    """
    asked = {
        name: runs
        for name, one in heard.readable.items()
        if (runs := tuple(run for run in one.recent if now - run.at >= KNOWN_WITHIN))
    }
    if not asked:
        return []
    every = dict.fromkeys(_ref(run) for runs in asked.values() for run in runs)
    seen = runner.look(tuple(every), timeout=timeout).seen
    found = []
    for name, runs in asked.items():
        known = [seen[ref] is not None for ref in map(_ref, runs) if ref in seen]
        if known and not any(known):
            found.append(MisnamedReporter(heard.readable[name], runs))
    return found


class MisnamedReporters:
    """Asks the environments regularly, on the leader, in background threads. Used by the deciding thread; any may read.

    :param reporters: those that stand in etcd.
    :ivar problems: by ``reported runs of <environment>``.
    """

    def __init__(
        self,
        reporters: Reporters,
        runners: Mapping[str, Runner],
        environments: Mapping[str, EnvironmentSettings],
        *,
        clock: Clock,
    ) -> None:
        self._reporters = reporters
        self._environments = {
            name: one for name, one in environments.items() if isinstance(one, AirflowSettings) and one.reports
        }
        self._runners = {name: runner for name, runner in runners.items() if name in self._environments}
        self._clock = clock
        self._ask_at: dict[str, float] = {}
        self._asking: set[str] = set()
        self._term = 0
        self._lock = threading.Lock()
        self.problems: Mapping[str, str] = {}

    def look(self) -> None:
        """Ask the environments that are to be asked now."""
        now = self._clock.monotonic()
        for name in self._runners:
            if now < self._ask_at.get(name, 0.0) or name in self._asking:
                continue
            self._ask_at[name] = now + ASKED_EVERY
            heard = self._reporters.hear(name, now=self._clock.now(), reachable_since=None)
            if not heard.readable:
                self._note(name, None, self._term)
                continue
            asking = threading.Thread(
                target=self._ask, args=(heard, self._term), name=f"reported runs of {name}", daemon=True
            )
            self._asking.add(name)
            try:
                asking.start()
            except RuntimeError as error:  # the machine has no threads left; it is asked again
                self._asking.discard(name)
                _log.warning("reporters.not_asked_about", environment=name, reason=str(error))

    def rest(self) -> None:
        """Another watcher leads, and shows these problems."""
        if self.problems or self._ask_at:
            with self._lock:
                self._term += 1
                self.problems = {}
            self._ask_at.clear()

    def _ask(self, heard: Heard, term: int) -> None:
        name = heard.environment
        try:
            settings = self._environments[name]
            found = misnamed_reporters_among(
                heard, self._runners[name], timeout=settings.request_timeout, now=self._clock.now()
            )
            self._note(name, "; ".join(_in_words(name, settings.url, one) for one in found) or None, term)
        except CoordinatorError as error:
            _log.debug("reporters.not_asked_about", environment=name, reason=str(error))  # that is a problem itself
        except Exception:  # noqa: BLE001 - logged; nothing else stands on this question, and it is asked again
            _log.exception("reporters.not_asked_about", environment=name)
        finally:
            self._asking.discard(name)

    def _note(self, name: str, problem: str | None, term: int) -> None:
        place = f"reported runs of {name}"
        with self._lock:
            if term != self._term or self.problems.get(place) == problem:
                return
            others = {other: why for other, why in self.problems.items() if other != place}
            self.problems = others if problem is None else others | {place: problem}
        if problem is not None:
            _log.warning("reporters.misnamed", environment=name, reason=problem)


def _in_words(name: str, url: str, one: MisnamedReporter) -> str:
    return (
        f"the Airflow at {url} does not know what {one.reporter.host} reports: {one.named}; another Airflow calls "
        f"itself {name}: correct its COORDINATOR_REPORTER__ENVIRONMENT, or environments.{name}.url (runs that "
        "somebody has deleted look the same)"
    )


def _ref(run: ReportedRun) -> RunRef:
    return RunRef(PipelineRef("", run.dag_id).run_dag_id, run.run_id)
