"""A report that waited in an outbox for long is no fresh one: its run may have been cleared silently meanwhile."""

from __future__ import annotations

from coordinator.model.references import Target
from coordinator.model.runstate import RunStateDocument, State
from tests.worlds.simulated import SimulatedWorld
from tests.worlds.world import PARTITION, target

TEN_MINUTES = 600.0


def reports_of(world: SimulatedWorld, name: str) -> list[tuple[Target, RunStateDocument]]:
    """What the outbox of the newest run's environment would hold: its start and its end, as they were observed."""
    airflow, dag_id = world._of(name)
    run = airflow.newest(dag_id, PARTITION)
    return [
        (
            target(name),
            RunStateDocument(state=state, run_id=run.run_id, queued_at=run.queued_at, observed_at=world._tick()),
        )
        for state in (State.RUNNING, State.SUCCESS)
    ]


def cleared_while_its_reports_wait() -> tuple[SimulatedWorld, list[tuple[Target, RunStateDocument]]]:
    """A ran, and nothing of it was reported; a person has cleared it, and it waits in Airflow's queue."""
    world = SimulatedWorld()
    world.dependencies({"D": "A"})
    world.by_hand("A")
    world.silence("default")
    world.trigger("A")
    world.start("A")
    world.finish("A")
    late = reports_of(world, "A")
    world.clear("A")
    return world, late


def test_a_late_report_starts_nothing_before_the_cleared_run_and_nothing_twice() -> None:
    world, late = cleared_while_its_reports_wait()
    world.clock.seconds += TEN_MINUTES
    world.settle()
    for upstream, document in late:
        world.report(upstream, document)
    world.settle()
    assert world.runs("D") == 0, "A is about to run again"
    world._silent.clear()
    world.run("A")
    world.settle()
    assert world.runs("D") == 1


def test_a_report_that_does_not_say_when_it_was_observed_is_looked_at() -> None:
    world, late = cleared_while_its_reports_wait()
    for upstream, document in late:
        world.report(upstream, document.model_copy(update={"observed_at": None}))
    world.settle()
    assert world.runs("D") == 0


def test_a_fresh_report_pays_no_look() -> None:
    world = SimulatedWorld()
    world.dependencies({"D": "A"})
    world.first_run("A")
    assert world.runs("D") == 1
    assert world.watcher is not None
    dispatcher = world.watcher.dispatchers.get("default")
    assert dispatcher is not None
    assert dispatcher.looks_sent == 0
