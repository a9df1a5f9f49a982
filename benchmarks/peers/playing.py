"""Plays waves, clears and fan-outs by one of the means, each with a limit in seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from benchmarks.peers.graph import Graph
from benchmarks.peers.judging import Again, FanOut, Wave, is_whole, judge_fan_out, judge_wave, ran_again
from benchmarks.peers.means import Means
from benchmarks.peers.observed import ENDED, Run
from benchmarks.peers.stand import Stand

FIRST_DATE = datetime(2026, 2, 1, tzinfo=UTC)
LOOK_EVERY = 0.25
EVER = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Limits:
    """Seconds.

    :ivar wave: after which a wave counts as not ended; also a clear.
    :ivar fan_out: the same.
    :ivar rest: without any change, before something counts as over: what comes later is not seen.
    """

    wave: float
    fan_out: float
    rest: float


class Player:
    def __init__(self, stand: Stand, limits: Limits) -> None:
        self._stand = stand
        self._limits = limits

    def wave(self, means: Means, graph: Graph, number: int) -> Wave:
        """One wave through the graph, in a logical date of its own."""
        runs = self._play(means, graph, number, self._limits.wave)
        return judge_wave(graph, means.dag_ids(graph), runs)

    def fan_out(self, means: Means, graph: Graph, number: int) -> FanOut:
        runs = self._play(means, graph, number, self._limits.fan_out)
        return judge_fan_out(graph, means.dag_ids(graph), runs)

    def clear(self, means: Means, graph: Graph, pipeline: str) -> dict[str, Again]:
        """Clear the newest run of a pipeline. Returns what ran again."""
        dag_ids = means.dag_ids(graph)
        before = self._stand.database.runs(dag_ids.values(), EVER)
        newest = max((run for run in before if run.dag_id == dag_ids[pipeline]), key=lambda run: _moment(run.ended))
        self._stand.api.clear(newest.dag_id, newest.run_id)

        def has_run(runs: Sequence[Run]) -> bool:
            tries = {(run.dag_id, run.run_id): run.tries for run in runs}
            return tries[newest.dag_id, newest.run_id] > newest.tries and all(run.state in ENDED for run in runs)

        after = self._until_rest(lambda: self._stand.database.runs(dag_ids.values(), EVER), has_run, self._limits.wave)
        return ran_again(dag_ids, before, after)

    def _play(self, means: Means, graph: Graph, number: int, limit: float) -> list[Run]:
        dag_ids = means.dag_ids(graph)
        since, date = datetime.now(UTC), (FIRST_DATE + timedelta(hours=number)).isoformat()
        if means.starts_all:
            for pipeline, upstreams in graph.upstreams.items():
                if upstreams:
                    self._stand.api.trigger(dag_ids[pipeline], date)
            self._until_deferred(list(dag_ids.values()), since, graph.dependencies, limit)
        self._stand.api.trigger(dag_ids[graph.root], date)
        runs = self._until_rest(
            lambda: self._stand.database.runs(dag_ids.values(), since),
            lambda runs: is_whole(graph, dag_ids, runs),
            limit,
        )
        for run in runs:
            if run.state not in ENDED:  # what is left over must not disturb what comes next
                self._stand.api.set_state(run.dag_id, run.run_id, "failed")
        return runs

    def _until_deferred(self, dag_ids: list[str], since: datetime, count: int, limit: float) -> None:
        """The root of a schedule works for a while; until it has ended, its sensors wait."""
        until = time.monotonic() + limit
        while self._stand.database.deferred(dag_ids, since) < count and time.monotonic() < until:
            time.sleep(LOOK_EVERY)

    def _until_rest(
        self, look: Callable[[], list[Run]], holds: Callable[[Sequence[Run]], bool], limit: float
    ) -> list[Run]:
        """What is there once that holds and nothing has changed for a while, or when the limit is reached."""
        until = time.monotonic() + limit
        runs, changed_at = look(), time.monotonic()
        while time.monotonic() < until:
            time.sleep(LOOK_EVERY)
            now = look()
            if set(now) != set(runs):
                runs, changed_at = now, time.monotonic()
            elif holds(runs) and time.monotonic() - changed_at >= self._limits.rest:
                break
        return runs


def _moment(ended: datetime | None) -> datetime:
    return ended or EVER
