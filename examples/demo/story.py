"""What the demo does: it triggers a pipeline, clears a run, and waits until all that follows has run, exactly once."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from coordinator.errors import ConfigurationError
from coordinator.model.conditions import leaves
from coordinator.model.documents import parse_document
from coordinator.model.partitions.instants import format_instant
from coordinator.model.references import PipelineRef
from coordinator.store.connection import connect
from coordinator.store.port import Store
from examples.demo.checks import Run, what_does_not_hold
from examples.demo.news import RUNS_WITHIN, DemoFailed, News
from examples.demo.parts import Parts

ENVIRONMENTS = ("default", "team_b")
"""Pipelines are dealt out to the first of these, or to both in turn."""

_TRIGGERED, _CLEARED = "01_pipeline", "03_pipeline"

Upstreams = Mapping[PipelineRef, Sequence[PipelineRef]]


def read_dependencies(file: Path, environments: int) -> tuple[str, Upstreams]:
    """The dependencies as the watcher is to publish them, and for every pipeline what it waits for.

    :raises ConfigurationError: the file cannot be read, or has nothing for the demo to show.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be read: {error.strerror}; expected a dependencies.json") from error
    stated = {
        pipeline.dag_id: [leaf.upstream.dag_id for leaf in leaves(downstream.condition)]
        for pipeline, downstream in parse_document(text, source=str(file), environments=ENVIRONMENTS[:1]).items()
    }
    names = sorted({*stated, *(name for waits_for in stated.values() for name in waits_for)})
    known = {name: PipelineRef(ENVIRONMENTS[index % environments], name) for index, name in enumerate(names)}
    upstreams = {known[name]: [known[one] for one in stated.get(name, ())] for name in names}
    if _TRIGGERED not in known or known.get(_CLEARED) not in below(known[_TRIGGERED], upstreams):
        raise ConfigurationError(
            f"{file}: the demo triggers {_TRIGGERED} and clears {_CLEARED}: expected the latter to depend on the former"
        )
    if environments > 1:
        text = json.dumps({str(one): list(map(str, above)) for one, above in upstreams.items() if above}, indent=2)
    return text, upstreams


def below(top: PipelineRef, upstreams: Upstreams) -> set[PipelineRef]:
    """A pipeline and everything that depends on it."""
    found = {top}
    while more := {one for one, waits_for in upstreams.items() if found.intersection(waits_for)} - found:
        found |= more
    return found


class Story:
    """Plays the wave and the cascade.

    :ivar partition: yesterday, which no schedule comes back to.
    """

    def __init__(self, parts: Parts, upstreams: Upstreams, store: Store) -> None:
        today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        self.partition = format_instant(today - timedelta(days=1))
        self._parts = parts
        self._upstreams = upstreams
        self._news = News(parts, store)

    def play(self) -> None:
        """:raises DemoFailed: with what did not hold."""
        self._news.await_leader()
        triggered, cleared = (self._named(name) for name in (_TRIGGERED, _CLEARED))
        expected = dict.fromkeys(sorted(below(triggered, self._upstreams), key=lambda one: one.dag_id), 1)

        api = self._parts.airflows[triggered.environment].api
        print(f"\nThe wave: {triggered} is triggered for {self.partition}", flush=True)
        self._act(expected, expected, lambda: api.trigger(triggered.dag_id, self.partition))
        print(f"✓ {len(expected)} pipelines ran exactly once, each after all that it waits for", flush=True)

        api = self._parts.airflows[cleared.environment].api
        again = below(cleared, self._upstreams)
        (run,) = self._runs(cleared)
        print(f"\nThe cascade: the run of {cleared} is cleared", flush=True)
        expected |= dict.fromkeys(again, 2)
        self._act(again, expected, lambda: api.clear(cleared.dag_id, run.run_id))
        print(f"✓ {', '.join(map(str, sorted(again)))} ran once more, as the same runs; nothing else ran", flush=True)

    def explained(self) -> list[str]:
        """The arguments of ``explain`` for a pipeline that ran twice."""
        cleared = self._named(_CLEARED)
        return [str(min(below(cleared, self._upstreams) - {cleared} or {cleared})), self.partition]

    def _named(self, dag_id: str) -> PipelineRef:
        return next(pipeline for pipeline in self._upstreams if pipeline.dag_id == dag_id)

    def _act(
        self, run: Collection[PipelineRef], expected: Mapping[PipelineRef, int], begin: Callable[[], object]
    ) -> None:
        """Begin something, and wait until all that it makes run has run and the coordinator has nothing left to do."""
        before = self._news.revision
        begin()

        def ended() -> bool:
            states = [self._news.states.get(pipeline) for pipeline in run]
            return all(one is not None and one[0].is_terminal and one[1] > before for one in states)

        def problems() -> list[str]:
            runs = {pipeline: self._runs(pipeline) for pipeline in self._upstreams}
            return [*what_does_not_hold(expected, self._upstreams, runs), *self._parts.busy()]

        # Airflow tells the plugin of the end of a run before it has written it down, so it may show it a little later.
        self._news.wait(lambda: ended() and not problems(), RUNS_WITHIN, problems)

    def _runs(self, pipeline: PipelineRef) -> list[Run]:
        """The runs in the partition, as Airflow shows them."""
        api = self._parts.airflows[pipeline.environment].api
        day = datetime.fromisoformat(self.partition)
        found = []
        for run in api.runs(pipeline.dag_id):
            if run["logical_date"] and datetime.fromisoformat(run["logical_date"]) == day:
                tasks = api.call("GET", f"/dags/{pipeline.dag_id}/dagRuns/{run['dag_run_id']}/taskInstances")
                tries = max((task["try_number"] for task in tasks["task_instances"]), default=0)
                found.append(
                    Run(run["dag_run_id"], run["state"], tries, _instant(run["start_date"]), _instant(run["end_date"]))
                )
        return found


def play(parts: Parts, upstreams: Upstreams) -> None:
    """The whole story, and what the coordinator says of it in the end. :raises DemoFailed: what did not hold."""
    with closing(connect(parts.etcd.settings)) as store:
        story = Story(parts, upstreams, store)
        try:
            story.play()
        except DemoFailed:
            _show(parts, "status", "--all")
            raise
    _show(parts, "status", "--all")
    _show(parts, "explain", *story.explained())


def _show(parts: Parts, *arguments: str) -> None:
    print(f"\n$ coordinator {' '.join(arguments)}", flush=True)
    parts.coordinator(*arguments)


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
