"""A dry run lists what happens then, and nothing else: the cascade held against the coordinator itself.

Random graphs over conditions, mappings and policies, brought to rest in the simulated world; then somebody orders a
rerun, releases a partition or marks a run.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, event, given, note, settings
from hypothesis import strategies as st

from coordinator.controller.state.cache import Cache
from coordinator.model.cascade import Change, How, Step, cascade
from coordinator.model.documents import DependenciesError, parse_document
from coordinator.model.order import Order
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunState, State
from coordinator.model.view import Readiness
from coordinator.store.keys import TriggerKey
from tests.worlds.simulated import SimulatedWorld
from tests.worlds.simulated_airflow import partition_of

PARTITIONS = ("2026-11-20T00:00:00Z", "2026-11-20T01:00:00Z", "2026-11-21T00:00:00Z", "all")
ACTS: tuple[Order | State, ...] = (*(Order.RERUN,) * 3, Order.RELEASE, State.SUCCESS, State.FAILED)
MAPPINGS: tuple[Any, ...] = (
    None,
    None,
    None,
    "start_of_day",
    {"mapper": "rollup", "window": "day", "wait": 1},
    {"mapper": "rollup", "window": "day", "wait": 2},
    "-1 day",
    {"mapper": "fixed_key", "downstream_key": "all"},
    "latest",
)


def leaves(upstreams: list[str]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(
        {"pipeline": st.sampled_from(upstreams)},
        optional={
            "on": st.sampled_from(("success", "done", "failure")),
            "partition": st.sampled_from(MAPPINGS),
            "trigger": st.sampled_from((True, True, True, False)),
            "max_age": st.just("3 days"),
        },
    ).map(lambda leaf: {key: value for key, value in leaf.items() if value is not None})


def conditions(upstreams: list[str]) -> st.SearchStrategy[Any]:
    def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        several = st.lists(inner, min_size=1, max_size=3)
        at_least = several.flatmap(lambda of: st.integers(1, len(of)).map(lambda n: {"at_least": n, "of": of}))
        return several.map(lambda of: {"all": of}) | several.map(lambda of: {"any": of}) | at_least

    return st.recursive(leaves(upstreams), nested, max_leaves=3)


@dataclass
class Story:
    """What was there before, and what somebody does then."""

    document: dict[str, Any]
    sources: list[str]
    came: list[tuple[str, str, str]]
    failing: set[str]
    cleared: list[tuple[str, str]]
    held: set[str]
    chosen: int
    what: Order | State


def find_mistakes(document: dict[str, Any]) -> list[str]:
    """What ``validate`` says, such as that nothing would ever start a pipeline."""
    try:
        parse_document(json.dumps(document), source="drawn")
    except DependenciesError as error:
        return [str(error)]
    return []


@st.composite
def stories(draw: st.DrawFn) -> Story:
    names = [f"p{number}" for number in range(draw(st.integers(2, 6)))]
    document = {}
    for number, name in enumerate(names[1:], 1):
        if number == 1 or draw(st.sampled_from((True, True, False))):
            entry = {"upstream": draw(conditions(names[:number]))}
            entry["rerun"] = draw(st.sampled_from(("clear", "clear", "clear", "new_run", "ignore", "hold")))
            # Who waits for nothing to settle runs with whichever "latest" there is at that moment: nobody can tell.
            direct = () if '"latest"' in json.dumps(entry) else ("direct",)
            entry["settle"] = draw(st.sampled_from(("wave", "wave", *direct)))
            document[name] = entry
    assume(not find_mistakes(document))
    sources = [name for name in names if name not in document]
    where = st.tuples(st.sampled_from(sources), st.sampled_from(PARTITIONS))
    came = draw(st.lists(where, min_size=1, max_size=5, unique=True))
    ends = st.sampled_from(("success", "success", "success", "failed"))
    return Story(
        document,
        sources,
        [(name, partition, draw(ends)) for name, partition in came],
        failing=draw(st.sets(st.sampled_from(sorted(document)), max_size=1)),
        cleared=draw(st.lists(st.sampled_from(came), max_size=2)),
        held=draw(st.sets(st.sampled_from(names), max_size=1)),
        chosen=draw(st.integers(0, 100)),
        what=draw(st.sampled_from(ACTS)),
    )


def at_rest(story: Story) -> SimulatedWorld:
    """The world before the act: some failed, some waiting for a person, nothing on its way."""
    world = SimulatedWorld()
    world.by_hand(*story.sources)
    world.dependencies(story.document)
    world.by_hand(*story.failing)

    def settle() -> None:
        world.settle()
        while waiting := world.airflows["default"].unfinished():
            for run in waiting:
                world.airflows["default"].begin(run.dag_id, run.run_id)
                world.airflows["default"].end(run.dag_id, run.run_id, State.FAILED)
            world.settle()

    for name, partition, state in story.came:
        run_id = world.trigger(name, partition=partition, run_id=None if partition != "all" else "all")
        world.start(name, run_id=run_id)
        world.finish(name, state, run_id=run_id)
        settle()
    for name in story.held:
        world.hold(name)
    for name, partition in story.cleared:
        world.rerun(name, partition=partition)
        settle()
    world.by_itself(*story.sources, *story.failing)
    world.settle()
    return world


def ran(world: SimulatedWorld) -> Counter[Target]:
    """How many attempts have been started."""
    started = world.airflows["default"].started
    return Counter(Target(PipelineRef("default", dag_id), partition) for dag_id, partition in started)


def records(world: SimulatedWorld) -> dict[Target, int]:
    """The etcd revision of every trigger record."""
    found = world.store.list(world.keys.root + "trigger/").items
    return {
        key.target: item.mod_revision for item in found if isinstance(key := world.keys.parse(item.key), TriggerKey)
    }


def runs(world: SimulatedWorld) -> Counter[Target]:
    """How many runs there are; a cleared one is the same run."""
    there = world.airflows["default"].runs.values()
    return Counter(Target(PipelineRef("default", run.dag_id), partition_of(run)) for run in there)


@pytest.mark.promise("orders")
@pytest.mark.slow
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(stories())
def test_what_a_dry_run_lists_is_what_runs(story: Story) -> None:
    world = at_rest(story)
    assert world.watcher is not None
    propagation = world.watcher.reconciler.propagation
    listing = world.store.list(world.keys.root)
    cache = Cache(world.keys)
    cache.replace(listing)
    targets = sorted(cache.targets())
    target = targets[story.chosen % len(targets)]
    change: Change = {target: story.what}
    seen = cache.state(target)
    if isinstance(story.what, State) and seen is not None and isinstance(seen.value, RunState):
        story.what = State.FAILED if seen.value.state is State.SUCCESS else State.SUCCESS
        change = {target: story.what}
    listed = cascade(
        propagation.graph,
        cache,
        change,
        known=targets,
        revision=world.store.list(world.keys.root).revision,
        now=world.clock.now(),
    )
    before, runs_before, records_before = ran(world), runs(world), records(world)
    note(f"{story.document}\n{story.what} {target}\n{[f'{step.target} {step.how}' for step in listed]}")
    if isinstance(story.what, Order):
        world.order(str(target.pipeline), story.what, partition=target.partition)
    else:
        world.mark(str(target.pipeline), story.what, partition=target.partition)
    world.settle()
    after = ran(world) - before
    _tell(listed)
    assert {step.target for step in listed if step.how.runs} == set(after)
    without_run = {one for one, revision in records(world).items() if records_before.get(one) != revision} - set(after)
    assert {step.target for step in listed if step.how is How.IGNORED} - set(after) == without_run
    for step in listed:
        more = runs(world)[step.target] - runs_before[step.target]
        assert (more > 0) == (step.how in (How.CREATE, How.NEW_RUN)), step
    waiting = {step.target for step in listed if not step.how.runs and step.how is not How.IGNORED}
    assert all(propagation.readiness(one) is Readiness.STUCK for one in waiting)


def _tell(listed: tuple[Step, ...]) -> None:
    """What was seen, for ``pytest --hypothesis-show-statistics``."""
    for how in {step.how for step in listed}:
        event(f"listed: {how}")
    event(f"{min(4, sum(step.how.runs for step in listed))} run")
