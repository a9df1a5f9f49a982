"""Playing a plan: its episodes, from rest to rest, and what must hold at rest."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta

from coordinator.model.references import PipelineRef, Target
from coordinator.model.trigger import Status
from coordinator.model.view import Readiness
from tests.simulation.checkers import CHECKERS
from tests.simulation.chronology import ran_after_their_inputs
from tests.simulation.history import (
    PERSON,
    Completion,
    Event,
    History,
    PromiseBroken,
    RecordWritten,
    RunChanged,
    StateWritten,
    completion_of,
)
from tests.simulation.oracle import Facts, countable, foresee
from tests.simulation.people import People
from tests.simulation.plan import Episode, Plan, Step
from tests.simulation.sensors import DAG as SENSORS_DAG
from tests.simulation.stage import Stage
from tests.simulation.story import story_of

AFTERWARDS = 12.0
"""Virtual seconds after the last step of an episode until everything heals."""

REPAIRS = 25
"""So many rounds of clearing what has failed are enough: each one repairs at least one layer of the graph."""


@dataclass
class Outcome:
    """What came of a play. ``broken``: the promise that does not hold."""

    plan: Plan
    history: History
    broken: PromiseBroken | None

    @property
    def story(self) -> str:
        return story_of(self.plan, self.history, self.broken)


CLOCKS_BEHIND = (0, 0, 0, 20, 50, 150, 600)
"""Seconds by which the clock of an observed environment's scheduler is behind that of its API server."""


def play(plan: Plan) -> Outcome:
    """Play a plan to its end, or until a promise is broken."""
    before = random.getstate()
    random.seed(plan.seed)  # tenacity's jitter
    history = History(
        checkers=list(CHECKERS), runs_in_flight=plan.runs_in_flight, starts_per_minute=plan.starts_per_minute
    )
    history.serials = plan.serials
    dice = random.Random(f"clocks {plan.seed}")
    history.clocks_behind = {name: timedelta(seconds=dice.choice(CLOCKS_BEHIND)) for name in plan.observed}
    try:
        _Play(plan, history).play()
    except PromiseBroken as broken:
        return Outcome(plan, history, broken)
    except Exception as defect:  # noqa: BLE001 - told as a broken promise, so that it is replayed and cut down too
        broken = PromiseBroken("nothing raises", f"{type(defect).__name__}: {defect}")
        broken.__cause__ = defect
        return Outcome(plan, history, broken)
    finally:
        random.setstate(before)
    return Outcome(plan, history, None)


class _Play:
    def __init__(self, plan: Plan, history: History) -> None:
        self._plan = plan
        self._history = history
        self._stage = Stage(plan, history)
        self._people = People(self._stage)

    def play(self) -> None:
        self._stage.clock.run_until(self._stage.clock.seconds + 1.0)  # somebody leads by then
        for number, episode in enumerate(self._plan.episodes):
            self._stage.note(f"episode {'exact' if episode.exact else 'stormy'}", str(number))
            self._play_episode(episode)
        self._repair()

    def _play_episode(self, episode: Episode) -> None:
        stage = self._stage
        stage.fails = frozenset(episode.fails)
        facts = Facts.of(self._history)
        before, seen = Counter(self._history.requests), len(self._history.events)
        for step in (*episode.acts, *episode.faults):
            stage.clock.after(step.at, lambda step=step: self._do(step))  # type: ignore[misc]
        last = max((step.at for step in (*episode.acts, *episode.faults)), default=0.0)
        stage.clock.run_until(stage.clock.seconds + last + AFTERWARDS)
        self._heal()
        if episode.exact:
            self._count(episode, facts, self._history.requests - before, self._history.events[seen:])
        self._check_rest()

    def _do(self, step: Step) -> None:
        self._stage.note(f"{step.do}", str(step))
        done_by = self._people if hasattr(self._people, step.do) else self._stage.faults
        with self._stage.by_hand():
            getattr(done_by, step.do)(step)

    def _heal(self) -> None:
        self._stage.faults.heal()
        if not self._stage.alive:
            self._stage.add_watcher()
        self._stage.note("healed")
        self._stage.rest()
        leader = self._stage.leader
        problem = leader.publisher.problem if leader is not None and leader.publisher is not None else None
        # The guard's word; or, without build numbers, nobody can tell which file is the newer one.
        if problem is not None and ("at once" in problem or not self._plan.serials):
            self._stage.note("a person applies the newest file")
            self._stage.apply_newest()
            self._stage.rest()

    # -- what must hold at rest --------------------------------------------------------------------------------------

    def _count(self, episode: Episode, facts: Facts, counted: Counter[Target], events: list[Event]) -> None:
        """After one change: who must have run, and how often."""
        wiring = self._history.wiring
        again: dict[Target, str] = {}
        cleared: dict[Target, frozenset[str]] = {}
        for event in events:
            if isinstance(event, RunChanged) and event.by == PERSON and event.what == "queued":
                again[event.target] = _outcome(episode, event.target.pipeline)
                if event.tasks is not None:
                    cleared[event.target] = event.tasks
            elif isinstance(event, RunChanged) and event.by == PERSON and event.what == "set by hand":
                # The same attempt, and another completion where the state is another one.
                by_hand = (event.run.run_id, str(event.run.queued_at), event.run.state.value)
                written = self._history.states.get(event.target)
                if written is not None and written.marked and written.completion[:2] == by_hand[:2]:
                    continue  # a mark stands until there is another attempt
                if event.target not in facts.states or facts.states[event.target][0] != by_hand:
                    _write(facts, event.target, by_hand)
                    facts.heard_of.add(event.target)
            elif isinstance(event, StateWritten) and event.by == PERSON and event.state is not None:
                _write(facts, event.target, completion_of(event.state))
        facts.held = frozenset(self._history.held)
        refused = {
            event.target.pipeline
            for event in events
            if isinstance(event, RecordWritten) and event.record and event.record.status is Status.BLOCKED
        }
        exact = countable(wiring, refused=refused)
        expected = foresee(
            wiring,
            facts,
            outcome=lambda pipeline: _outcome(episode, pipeline),
            is_newest=self._is_newest,
            again=again,
            tasks=self._plan.tasks,
            cleared=cleared,
        ).starts
        for target in {*expected, *counted}:
            if target.pipeline in exact and counted[target] != expected.get(target, 0):
                raise PromiseBroken(
                    "each runs once per wave",
                    f"{target} was to be started {expected.get(target, 0)} times, and was {counted[target]} times",
                )

    def _check_rest(self) -> None:
        """Nothing is left to do, nothing is stuck for no reason, and etcd says what the environments say."""
        leader = self._stage.leader
        if leader is None:
            raise PromiseBroken("somebody leads", f"at rest none of {[p.name for p in self._stage.alive]} does")
        if leader.reconciler.graph_problem:
            raise PromiseBroken("somebody leads", leader.reconciler.graph_problem)
        if leader.publisher is not None and self._history.edition != self._stage.edition:
            problem = leader.publisher.problem or "no problem is shown"
            raise PromiseBroken("an edit loses nothing", f"all hosts have #{self._stage.edition}: {problem}")
        facts = Facts.of(self._history)
        forecast = foresee(
            self._history.wiring,
            facts,
            outcome=lambda _: "success",
            is_newest=self._is_newest,
            tasks=self._plan.tasks,
        )
        if forecast.starts:
            raise PromiseBroken("nothing is lost", f"at rest, and yet due: {_named(forecast.starts)}")
        if forecast.late:
            raise PromiseBroken("nothing is lost", f"late, and not given up: {_named(forecast.late)}")
        stuck = forecast.stuck
        unsettled = {target: leader.reconciler.propagation.readiness(target) for target in self._unsettled()}
        busy = [
            target
            for target, readiness in unsettled.items()
            if readiness is Readiness.BUSY and not self._stage.sensors.are_waiting(target)
        ]
        if busy:
            raise PromiseBroken("rest has reasons", f"at rest, and yet busy: {_named(busy)}")
        if due := {name: count for name, count in leader.reconciler.measures().due.items() if count}:
            raise PromiseBroken("rest has reasons", f"at rest, and yet measured as due: {due}")
        shown = {target for target in unsettled if not target.pipeline.task and target.pipeline.dag_id != SENSORS_DAG}
        if stuck != shown:
            raise PromiseBroken("rest has reasons", f"stuck: {_named(shown)}; reasons there are for: {_named(stuck)}")
        self._stage.sensors.check_rest(facts, forecast)
        self._stage.assets.check_rest()
        self._compare_with_environments()

    def _is_newest(self, target: Target) -> bool:
        """The watcher's own word."""
        leader = self._stage.leader
        return leader is not None and leader.reconciler.propagation.is_newest_partition(target)

    def _unsettled(self) -> list[Target]:
        leader = self._stage.leader
        assert leader is not None
        unsettled = leader.reconciler.propagation.unsettled()
        return [target for target in unsettled if not self._stage.assets.concerns(target.pipeline)]

    def _compare_with_environments(self) -> None:
        for target in self._history.targets():
            runs = self._stage.runs_of(target)
            if target in self._history.excused or not runs or self._stage.sensors.are_waiting(target):
                continue
            newest, written = runs[0], self._history.states.get(target)
            if not newest.state.is_terminal:
                raise PromiseBroken("it comes to rest", f"{target} is still {newest.state}")
            shown = (newest.run_id, str(newest.queued_at), newest.state.value)
            if written is not None and written.marked and written.completion[:2] == shown[:2]:
                continue  # a person says otherwise
            if written is None or written.completion != shown:
                raise PromiseBroken(
                    "no end stays unknown",
                    f"{target} ended as {shown}, etcd has {written.completion if written else 'nothing'}",
                )

    # -- in the end --------------------------------------------------------------------------------------------------

    def _repair(self) -> None:
        """People repair everything: then nothing is stuck, and everything healthy ran after its inputs."""
        self._stage.note("repaired")
        self._stage.fails = frozenset()
        for pipeline in list(self._history.held):
            self._stage.hold(pipeline, False)
        self._stage.rest()
        self._release()
        self._stage.rest()
        for _ in range(REPAIRS):
            failed = self._first_failed()
            if failed is None:
                break
            self._do(self._mend(failed))
            self._stage.rest()
            self._release()
            self._check_rest()
        self._check_rest()
        stuck = [target for target in self._unsettled() if target.pipeline.dag_id != SENSORS_DAG]
        if self._first_failed() is None and stuck:
            raise PromiseBroken("rest has reasons", f"everything is repaired, and yet stuck: {_named(stuck)}")
        ran_after_their_inputs(self._history, self._stage.runs_of)

    def _release(self) -> None:
        """What waits for a person's release gets it, again and again, for it may be what others below wait for."""
        for _ in range(REPAIRS):
            waiting = [target for target in self._unsettled() if self._waits(target)]
            if not waiting:
                return
            for target in waiting:
                self._do(Step(0.0, "order", str(target.pipeline), target.partition, "release"))
            self._stage.rest()

    def _waits(self, target: Target) -> bool:
        entry = self._history.wiring.entries.get(target.pipeline)
        return entry is not None and entry.rerun == "hold" and target not in self._history.orders

    def _first_failed(self) -> Target | None:
        """Something that has failed, and behind which others wait: upstreams first."""
        for pipeline in self._history.wiring.order:
            for target in sorted(target for target in self._history.states if target.pipeline == pipeline):
                if self._history.states[target].completion[2] == "failed":
                    return target
        # A task fails on where only its run was marked.
        tasks = (target for target in self._history.states if target.pipeline.task)
        failed = (target for target in sorted(tasks) if self._history.states[target].completion[2] == "failed")
        return next((target.whole for target in failed), None)

    def _mend(self, failed: Target) -> Step:
        """A run is cleared; where somebody has deleted it, only a mark can say that all is well."""
        if self._stage.runs_of(failed):
            return Step(0.0, "clear", str(failed.pipeline), failed.partition)
        return Step(0.0, "mark", str(failed.pipeline), failed.partition, "success")


def _outcome(episode: Episode, pipeline: PipelineRef) -> str:
    return "failed" if str(pipeline) in episode.fails else "success"


def _named(targets: object) -> str:
    assert hasattr(targets, "__iter__")
    return ", ".join(sorted(map(str, targets))) or "nothing"


def _write(facts: Facts, run: Target, completion: Completion) -> None:
    """The state of a run is written again. Its tasks that nobody had asked about, because they were past, are asked
    about then: their revision was that of the run."""
    _, before = facts.states.get(run, (None, 0))
    facts.states[run] = completion, 1 << 60
    for task, (ended, revision) in list(facts.states.items()):
        if task.pipeline.task and task.whole == run and revision == before:
            facts.states[task] = ended, 1 << 60
