"""What goes wrong. Each fault is a step of the plan; it lies in wait or lasts for a while, and is counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import State
from coordinator.runners.port import ObservedRun
from coordinator.store.port import Transaction
from tests.simulation.plan import Step
from tests.simulation.process import Point

if TYPE_CHECKING:
    from tests.simulation.process import WatcherProcess
    from tests.simulation.stage import Stage

ANSWERS = ("no connection", "no answer", "500 and done", "500 and not done", "503", "429", "403")

REQUEST_LASTS = 5.0
"""Seconds: a time-out."""


class Faults:
    """The methods named like ``Step.do`` begin a fault; the others are asked by whom it may strike."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._in_wait: list[Step] = []
        self._commits: list[str] = []
        self._answers: dict[str, list[str]] = {}
        self._dead_until: dict[str, float] = {}
        self._late: dict[PipelineRef, float] = {}
        self._outboxes: dict[str, tuple[float, int]] = {}
        self._slow_until: dict[str, float] = {}
        self._slow_looks_until: dict[str, float] = {}
        self._lost: dict[PipelineRef, int] = {}
        self._repeated: dict[PipelineRef, int] = {}
        self._told_running: set[tuple[Target, str]] = set()

    # -- steps -------------------------------------------------------------------------------------------------------

    def kill(self, step: Step) -> None:
        """``on`` a point, or now; started again ``value`` seconds later."""
        if step.on:
            self._in_wait.append(step)
        elif (process := self._somebody()) is not None:
            self._stage.note("kill")
            self._stage.kill(process, float(step.value))

    def freeze(self, step: Step) -> None:
        """``on`` a point, or now; for ``value`` seconds."""
        if step.on:
            self._in_wait.append(step)
        elif (process := self._somebody()) is not None:
            self._stage.note("freeze")
            process.freeze(float(step.value))

    def lag(self, step: Step) -> None:
        """What the leader's watch delivers is read ``value`` seconds later."""
        if (process := self._somebody()) is not None:
            self._stage.note("lag")
            process.deaf_until = self._now + float(step.value)

    def cut(self, step: Step) -> None:
        """The leader cannot reach etcd for ``value`` seconds; ``on`` compacted: and its history is gone then."""
        if (process := self._somebody()) is not None:
            self._stage.note(f"cut off{' and compacted' if step.on else ''}")
            process.cut_until = self._now + float(step.value)
            if step.on:
                self._stage.clock.after(float(step.value) * 0.9, self._compact)

    def etcd_away(self, step: Step) -> None:
        """Nobody can reach etcd."""
        self._stage.note("etcd away")
        self._stage.etcd_away_until = self._now + float(step.value)

    def commit(self, step: Step) -> None:
        """The answer to a transaction is lost; ``on``: written, or not written."""
        self._commits.append(step.on)

    def away(self, step: Step) -> None:
        """The environment answers nothing for ``value`` seconds; its runs go on, and are reported."""
        self._stage.note("environment away")
        airflow = self._stage.airflows[step.on]
        airflow.is_down = True
        self._stage.history.away_until[step.on] = self._now + float(step.value)
        self._stage.clock.after(float(step.value), lambda: setattr(airflow, "is_down", False))

    def dead(self, step: Step) -> None:
        """As :meth:`away`, and its runs stand still."""
        self.away(step)
        self._stage.note("environment dead")
        self._dead_until[step.on] = self._now + float(step.value)

    def missing(self, step: Step) -> None:
        """The DAG is not there for ``value`` seconds: requests are refused."""
        self._stage.note("DAG missing")
        pipeline = PipelineRef.parse(step.on)
        missing = self._stage.airflows[pipeline.environment].api.missing
        missing.add(pipeline.dag_id)
        self._stage.clock.after(float(step.value), lambda: missing.discard(pipeline.dag_id))

    def answer(self, step: Step) -> None:
        """The next request to the environment ``on`` is answered with ``value``."""
        self._answers.setdefault(step.on, []).append(str(step.value))

    def late_reports(self, step: Step) -> None:
        """What a pipeline reports arrives up to ``value`` seconds late, in any order."""
        self._late[PipelineRef.parse(step.on)] = float(step.value)

    def outbox(self, step: Step) -> None:
        """What the environment ``on`` reports waits in its outbox for ``value`` seconds, and then arrives in order."""
        self._stage.note("reports wait in an outbox")
        self._outboxes[step.on] = self._now + float(step.value), 0

    def slow_lists(self, step: Step) -> None:
        """The environment ``on`` answers no list of runs in time for ``value`` seconds; all else it does."""
        self._stage.note("slow lists")
        self._slow_until[step.on] = self._now + float(step.value)
        self._stage.history.away_until[step.on] = max(
            self._now + float(step.value), self._stage.history.away_until.get(step.on, 0.0)
        )

    def slow_looks(self, step: Step) -> None:
        """The environment ``on`` takes its time over every question for ``value`` seconds, and answers it."""
        self._stage.note("slow looks")
        self._slow_looks_until[step.on] = self._now + float(step.value)

    def wrong_clock(self, step: Step) -> None:
        """The time of day of the watchers' hosts is wrong by ``value`` seconds, until everything heals."""
        self._stage.note("wrong clock")
        self._stage.history.clock_was_wrong = True
        self._stage.watchers_clock.wrong_by = float(step.value)

    def lost_reports(self, step: Step) -> None:
        """``value`` reports of a pipeline never arrive, where the coordinator can find out all the same."""
        self._lost[PipelineRef.parse(step.on)] = int(step.value)

    def repeated_reports(self, step: Step) -> None:
        """The next ``value`` reports of a pipeline arrive twice, the second time late."""
        self._repeated[PipelineRef.parse(step.on)] = int(step.value)

    def delete_leader(self, _: Step) -> None:
        """Somebody deletes the leader key."""
        self._stage.note("leader key deleted")
        self._stage.delete_leader()

    def overwrite(self, step: Step) -> None:
        """Somebody overwrites the published document of ``on`` with rubbish."""
        if self._stage.overwrite(step.on):
            self._stage.note("document overwritten")

    # -- the end of it -----------------------------------------------------------------------------------------------

    def heal(self) -> None:
        """Everything is as it should be, and what has not struck will not."""
        for faults in (self._in_wait, self._commits, self._answers, self._late, self._lost, self._repeated):
            faults.clear()
        for until in (self._dead_until, self._outboxes, self._slow_until, self._slow_looks_until):
            until.clear()
        self._stage.watchers_clock.wrong_by = 0.0
        self._stage.etcd_away_until = 0.0
        if self._stage.rollout is not None:
            self._stage.rollout.complete()
        for name, airflow in self._stage.airflows.items():
            if airflow.is_down:
                self._stage.history.away_until[name] = self._now
            airflow.is_down = False
            airflow.api.missing.clear()
        for process in self._stage.alive:
            process.thaw()
        self._stage.repair()

    # -- asked by those whom it may strike ---------------------------------------------------------------------------

    def at_point(self, point: Point) -> Step | None:
        for step in self._in_wait:
            if step.on == point:
                self._in_wait.remove(step)
                return step
        return None

    def of_commit(self, transaction: Transaction) -> str | None:
        del transaction
        if not self._commits:
            return None
        fault = self._commits.pop(0)
        self._stage.note(f"answer of etcd lost, {fault}")
        return fault

    def of_request(self, environment: str, question: str) -> str | None:
        if (
            question.startswith("GET")
            and question.endswith("/dagRuns")
            and self._now < self._slow_until.get(environment, 0.0)
        ):
            return "503"
        if question.startswith("GET") and self._now < self._slow_looks_until.get(environment, 0.0):
            self._stage.answer_after = REQUEST_LASTS - 0.5
        answers = self._answers.get(environment)
        if not answers:
            return None
        fault = answers.pop(0)
        if fault == "403" and question.startswith("GET"):
            fault = "503"
        if fault == "no answer":
            self._stage.answer_after = REQUEST_LASTS - 0.01
        history = self._stage.history
        history.away_until[environment] = max(self._now, history.away_until.get(environment, 0.0))
        self._stage.note(f"answered: {fault}", question)
        return fault

    def of_report(self, target: Target, run: ObservedRun, *, by_hand: bool) -> list[float]:
        """When the report arrives: seconds from now, once, twice, or never."""
        pipeline, stage = target.pipeline, self._stage
        attempt = (target, str(run.queued_at))
        if self._lost.get(pipeline, 0) > 0 and not by_hand and self._is_found_out(target, run):
            self._lost[pipeline] -= 1
            stage.note("report lost", f"{target} {run.state}")
            return []
        delays = [stage.latency("report")]
        until, before = self._outboxes.get(pipeline.environment, (0.0, 0))
        if self._now < until:
            self._outboxes[pipeline.environment] = until, before + 1
            return [until - self._now + 0.001 * before]
        if late := self._late.get(pipeline):
            stage.note("report late", f"{target} {run.state}")
            delays = [stage.dice.uniform(0.0, late)]
        elif run.state is State.RUNNING:
            self._told_running.add(attempt)
        if self._repeated.get(pipeline, 0) > 0:
            self._repeated[pipeline] -= 1
            stage.note("report repeated", f"{target} {run.state}")
            delays.append(delays[0] + stage.dice.uniform(0.0, 5.0))
        return delays

    def is_dead(self, environment: str) -> bool:
        return self._now < self._dead_until.get(environment, 0.0)

    def _is_found_out(self, target: Target, run: ObservedRun) -> bool:
        """Whether the run's end is followed: it is ours, or has told that it runs. The end of a run of which
        nobody ever heard stays unknown (docs/guarantees.md)."""
        made_by = self._stage.history.attempts.get(target, {}).get(str(run.queued_at))
        ours = made_by is not None and hasattr(made_by, "token")
        return ours or (run.state.is_terminal and (target, str(run.queued_at)) in self._told_running)

    @property
    def _now(self) -> float:
        return self._stage.clock.seconds

    def _compact(self) -> None:
        etcd = self._stage.etcd
        if self._stage.is_overwritten():
            return  # what it said before would be lost with the history (docs/guarantees.md)
        if etcd.revision > etcd.compacted_revision:
            etcd.compact(etcd.revision)

    def _somebody(self) -> WatcherProcess | None:
        """The leader, if there is one; else any watcher."""
        return self._stage.leader or next(iter(self._stage.alive), None)
