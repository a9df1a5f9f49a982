"""Waves over a random graph, and how often each pipeline must have run in each."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta

from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import State
from coordinator.model.trigger import Status
from coordinator.runners.port import ObservedRun
from tests.faults.stage import ENVIRONMENTS, Stage
from tests.integration.controller.waiting import until
from tests.simulation.chronology import ran_after_their_inputs
from tests.simulation.history import PromiseBroken, RecordWritten, RunChanged
from tests.simulation.oracle import Facts, countable, foresee
from tests.standin.airflow import StandInAirflow
from tests.worlds.graphs import layered
from tests.worlds.simulated_airflow import logical_date_of, partition_of

LAYERS = (3, 4, 4, 3)
FIRST_DAY = date(2026, 1, 1)
TAKES = (0.02, 0.3)
"""Seconds that a run takes, from and to."""


class Workload:
    """A graph on a stage, and people who run its sources.

    :param seed: the same graph and the same waves for the same seed.
    :ivar starts: how often the coordinator has started something, in all waves that were counted.
    :ivar requests_before: those that were made before the present wave.
    :cvar at_a_time: partitions in which waves run beside each other.
    """

    at_a_time = 2

    def __init__(self, stage: Stage, seed: int) -> None:
        self._stage = stage
        self.dice = random.Random(seed)
        self.graph = layered(seed, layers=LAYERS, environments=ENVIRONMENTS, mixed=bool(seed % 2))
        self.starts = 0
        self.waves = 0
        self._running: list[Target] = []
        self._days = 0
        self._fresh = True
        self.take_fresh_partitions()
        for name in self.graph.names:
            self._declare(name, takes=None if name in self.graph.sources else self.dice.uniform(*TAKES))
        stage.publish(self.graph.document)
        stage.await_rest()
        self.begin_anew()

    def begin_wave(self, *, everything: bool = False, without: Target | None = None) -> None:
        """Sources run: all of them for the first time, then some that people clear. Returns when etcd knows that they
        run, and none has ended: what may be in doubt from here on is what comes after that."""
        sources = list(self._sources())
        if self._fresh:
            self._fresh = False
            for source in sources:
                self._airflow(source).trigger_by_hand(
                    source.pipeline.dag_id,
                    f"scheduled__{source.partition}",
                    logical_date=logical_date_of(source.partition),
                )
        else:
            if without is not None:
                sources.remove(without)
            elif not everything:
                sources = self.dice.sample(sources, self.dice.randint(1, len(sources)))
            self.clear_silently(sources)
        self._start(sources)
        self.waves += 1

    def clear_again(self) -> None:
        """People clear what :meth:`end_sources` has ended. It runs again, which etcd knows when this returns."""
        self.clear_silently(self._running)
        self._start(self._running)

    def _start(self, sources: list[Target]) -> None:
        for source in sources:
            self._airflow(source).start(source.pipeline.dag_id, self._newest(source).run_id)
        until(lambda: all(map(self._is_known, sources)), "etcd knows that the sources run")
        self._running = sources

    def end_sources(self) -> None:
        """What :meth:`begin_wave` has started ends."""
        self.dice.shuffle(self._running)
        for source in self._running:
            self._airflow(source).finish(source.pipeline.dag_id, self._newest(source).run_id)

    def go_on(self) -> None:
        """Let the wave come to its end while the fault lasts. :raises AssertionError: it does not."""
        self._stage.await_rest()

    def idle_sources(self) -> list[Target]:
        """Sources that do not run, and whose clear is looked for in this wave; if need be in another one.

        A pipeline looks at what it uses itself. So all that uses such a source must be due in this wave: what is
        further below waits for that. None, where the graph has no such source.
        """
        if not (idle := self._looked_for()) and (possible := self._looked_for(besides=set(self._sources()))):
            self.end_sources()
            self.count()
            self.begin_wave(without=self.dice.choice(possible))
            idle = self._looked_for()
        return idle

    def _looked_for(self, besides: set[Target] | None = None) -> list[Target]:
        """Sources all of whose dependents are below others that run. :param besides: taken to run, but for itself."""
        running = besides if besides is not None else set(self._running)
        return [
            source
            for source in self._sources()
            if (besides is not None or source not in running)
            and self._dependents(source)
            <= self.graph.below(*(str(one.pipeline) for one in running - {source} if one.partition == source.partition))
        ]

    def _dependents(self, source: Target) -> set[str]:
        return {name for name, parents in self.graph.parents.items() if str(source.pipeline) in parents}

    def clear_silently(self, sources: list[Target]) -> None:
        """People clear them, and they stay in the queue, which nobody reports."""
        for source in sources:
            self._airflow(source).clear_by_hand(source.pipeline.dag_id, self._newest(source).run_id)

    def clear_some_that_ended(self) -> list[Target]:
        """People clear some of what :meth:`end_sources` has ended, and they stay in the queue."""
        cleared = self.dice.sample(self._running, self.dice.randint(1, len(self._running)))
        self.clear_silently(cleared)
        return cleared

    def run(self, sources: list[Target]) -> None:
        """What waits in the queue runs to its end."""
        for source in sources:
            self._airflow(source).finish(source.pipeline.dag_id, self._newest(source).run_id)

    def sources_are_known_to_have_ended(self) -> bool:
        """Whether etcd knows what :meth:`end_sources` did."""
        return all(map(self._is_known, self._running))

    def take_fresh_partitions(self) -> None:
        """From now on everything runs in partitions in which nothing has run yet."""
        days = (FIRST_DAY + timedelta(days=self._days + day) for day in range(self.at_a_time))
        self._partitions = [f"{day}T00:00:00Z" for day in days]
        self._days += self.at_a_time
        self._fresh = True

    def foreseen(self) -> set[Target]:
        """What the coordinator is to start in this wave, once :meth:`begin_wave` has begun it."""
        history = self._stage.history
        again = dict.fromkeys(self._running, State.SUCCESS.value)
        facts = Facts.of(history)
        return set(
            foresee(
                history.wiring, facts, outcome=lambda _: State.SUCCESS.value, is_newest=lambda _: True, again=again
            ).starts
        )

    def count(self) -> None:
        """Wait for rest, and check what has run since the last time.

        :raises PromiseBroken: lost, doubled, early, or without a cause.
        """
        self._stage.await_rest()
        history = self._stage.history
        again = {
            event.target: State.SUCCESS.value
            for event in history.events[self._seen :]
            if isinstance(event, RunChanged) and event.what == "queued"
        }
        expected = foresee(
            history.wiring, self._facts, outcome=lambda _: State.SUCCESS.value, is_newest=lambda _: True, again=again
        ).starts
        counted = history.requests - self.requests_before
        refused = {
            event.target.pipeline
            for event in history.events[self._seen :]
            if isinstance(event, RecordWritten) and event.record and event.record.status is Status.BLOCKED
        }
        exact = countable(history.wiring, refused=refused)
        for target in {*expected, *counted}:
            if target.pipeline in exact and counted[target] != expected.get(target, 0):
                raise PromiseBroken(
                    "each runs once per wave",
                    f"{target} was to be started {expected.get(target, 0)} times, and was {counted[target]} times",
                )
        runs = self._all_runs()
        ran_after_their_inputs(history, lambda target: runs.get(target, []))
        self.starts += sum(counted.values())
        self.begin_anew()

    def begin_anew(self) -> None:
        """Count from here on."""
        history = self._stage.history
        self._facts = Facts.of(history)
        self.requests_before = Counter(history.requests)
        self._seen = len(history.events)

    def _declare(self, name: str, *, takes: float | None) -> None:
        pipeline = PipelineRef.parse(name)
        self._stage.airflows[pipeline.environment].dag(pipeline.dag_id, auto=takes)

    def _sources(self) -> Iterator[Target]:
        for name in self.graph.sources:
            for partition in self._partitions:
                yield Target(PipelineRef.parse(name), partition)

    def _is_known(self, target: Target) -> bool:
        return self._stage.knows(target, self._newest(target))

    def _airflow(self, target: Target) -> StandInAirflow:
        return self._stage.airflows[target.pipeline.environment]

    def _newest(self, target: Target) -> ObservedRun:
        return self._runs(target)[0]

    def _all_runs(self) -> dict[Target, list[ObservedRun]]:
        """Newest first."""
        found: dict[Target, list[ObservedRun]] = {}
        for environment, airflow in self._stage.airflows.items():
            for dag_id in airflow.model.dag_ids:
                for run in airflow.runs(dag_id):
                    found.setdefault(Target(PipelineRef(environment, dag_id), partition_of(run)), []).append(run)
        for runs in found.values():
            runs.sort(key=lambda run: str(run.queued_at), reverse=True)
        return found

    def _runs(self, target: Target) -> list[ObservedRun]:
        """Newest first."""
        found = self._airflow(target).runs(target.pipeline.dag_id)
        in_partition = (run for run in found if partition_of(run) == target.partition)
        return sorted(in_partition, key=lambda run: str(run.queued_at), reverse=True)
