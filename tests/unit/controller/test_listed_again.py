"""What a listing leaves undecided, for it is plainly settled, is not acted upon as it stood before."""

from __future__ import annotations

from msgspec.structs import replace

from coordinator.model.consumption import Consumed
from coordinator.model.runstate import Attempt, State
from tests.worlds.simulated import SimulatedWorld
from tests.worlds.world import PARTITION, target


def test_no_decision_made_before_a_listing_counts_after_it() -> None:
    """A completion was to be consumed without a run, waited in the queue, and has gone by the time of the listing."""
    world = SimulatedWorld()
    world.dependencies({"D": {"upstream": "U", "rerun": "ignore"}})
    world.comes("U", PARTITION)
    world.settle()
    assert world.watcher is not None
    reconciler, key = world.watcher.reconciler, world.keys.trigger(target("D"))
    used = Consumed(reconciler.cache.revision + 1, Attempt("another", world.clock.now()), State.SUCCESS)
    decision = replace(reconciler.propagation.decide(target("D")), ignored=True, inputs={target("U"): used})
    reconciler.queue.add(target("D"), decision=decision)
    before = world.store.get(key)
    world.watcher.list_again()
    world.settle()
    assert world.store.get(key) == before
