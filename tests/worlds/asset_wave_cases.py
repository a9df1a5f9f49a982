"""Waves that go over assets, as scripts: a pipeline waits for what the runs of others emit."""

from __future__ import annotations

import pytest

from coordinator.model.runstate import State
from tests.worlds.cases import Case
from tests.worlds.world import PARTITION, World

ORDERS = "s3://lake/orders/eu"
X = {"asset": ORDERS, "environment": "default"}
"""U, in the environment ``default``, emits it."""

NEXT_DAY = "2026-11-21T00:00:00Z"


def _waits(world: World, upstream: object = None, **more: object) -> None:
    """D waits for the asset that U emits, or for this."""
    world.dependencies({"D": {"upstream": X if upstream is None else upstream, **more}})
    world.by_hand("U")


def _begun(world: World, upstream: object = None, **more: object) -> None:
    """... and a run of U goes on."""
    _waits(world, upstream, **more)
    world.trigger("U")
    world.start("U")
    world.settle()
    assert world.runs("D") == 0


def diamond(world: World) -> None:
    """R is above D, and above U, which emits what D waits for, too. A wave has ended."""
    world.dependencies({"U": "R", "D": {"upstream": ["R", X]}})
    world.by_hand("R", "U")
    world.trigger("R")
    world.run("R")
    world.settle()
    world.start("U")
    world.emit("U", ORDERS)
    world.finish("U")
    world.settle()
    assert world.runs("D") == 1


@pytest.mark.promise("once", "not-early")
def case_asset_once_its_run_has_ended(world: World) -> None:
    """D runs once the run that has emitted the asset has ended, in the partition of that run."""
    _begun(world)
    world.emit("U", ORDERS)
    world.settle()
    assert world.runs("D") == 0, "the run may emit it again"
    world.finish("U")
    world.settle()
    assert world.runs("D") == 1


@pytest.mark.promise("once")
def case_asset_emitted_several_times(world: World) -> None:
    """A run emits the asset three times, the last event arrives late: D runs once."""
    _begun(world)
    world.emit("U", ORDERS)
    world.emit("U", ORDERS)
    world.settle()
    world.finish("U")
    world.settle()
    assert world.runs("D") == 1
    world.emit("U", ORDERS)
    world.settle()
    assert world.runs("D") == 1


def case_asset_directly(world: World) -> None:
    """With ``settle: direct`` D runs at once, and once for each attempt of the run."""
    _begun(world, settle="direct")
    world.emit("U", ORDERS)
    world.settle()
    assert world.runs("D") == 1
    world.emit("U", ORDERS)
    world.finish("U")
    world.settle()
    assert world.runs("D") == 1


@pytest.mark.promise("once")
def case_asset_of_a_cleared_run(world: World) -> None:
    """U is cleared and emits again: D runs once more; where U emits nothing, it does not."""
    _begun(world)
    world.emit("U", ORDERS)
    world.finish("U")
    world.settle()
    world.clear("U")
    world.start("U")
    world.settle()
    assert world.runs("D") == 1
    world.emit("U", ORDERS)
    world.emit("U", ORDERS)
    world.finish("U")
    world.settle()
    assert world.runs("D") == 2
    world.rerun("U")
    world.settle()
    assert world.runs("D") == 2


@pytest.mark.promise("once", "not-early")
def case_asset_in_a_diamond(world: World) -> None:
    """R is above D, and above U, which emits what D waits for: a clear of R runs D once more, after U."""
    diamond(world)
    world.rerun("R")
    world.settle()
    assert world.runs("D") == 1, "U is due, and emits what D waits for"
    world.start("U")
    world.settle()
    assert world.runs("D") == 1
    world.emit("U", ORDERS)
    world.finish("U")
    world.settle()
    assert world.runs("D") == 2


@pytest.mark.promise("once")
def case_asset_whose_event_comes_after_the_end_of_its_run(world: World) -> None:
    """The end of U is heard of before its event is: D, which is due because of R too, waits for that, and runs once."""
    diamond(world)
    world.rerun("R")
    world.settle()
    world.start("U")
    world.settle()
    world.finish("U")
    world.pass_time()
    assert world.runs("D") == 1
    world.emit("U", ORDERS)
    world.settle_until(lambda: world.runs("D") == 2, "D runs")
    world.settle()
    assert world.runs("D") == 2


@pytest.mark.promise("asset-upstreams")
def case_asset_whose_run_is_heard_of_later(world: World) -> None:
    """The event arrives before anything is known of its run: it counts once that is."""
    _waits(world)
    world.delay_reports("U")
    world.trigger("U")
    world.start("U")
    world.emit("U", ORDERS)
    world.settle()
    world.finish("U")
    world.settle()
    assert world.runs("D") == 0
    world.deliver_reports("U")
    world.settle()
    assert world.runs("D") == 1


@pytest.mark.promise("once", "asset-upstreams")
def case_asset_of_a_cleared_run_that_is_heard_of_later(world: World) -> None:
    """U is cleared and emits again while its reports are delayed: D runs once more when they come."""
    _begun(world)
    world.emit("U", ORDERS)
    world.finish("U")
    world.settle()
    assert world.runs("D") == 1
    world.delay_reports("U")
    world.clear("U")
    world.start("U")
    world.emit("U", ORDERS)
    world.settle()
    assert world.runs("D") == 1
    world.finish("U")
    world.deliver_reports("U")
    world.settle()
    assert world.runs("D") == 2


@pytest.mark.promise("once", "asset-upstreams")
def case_asset_while_no_watcher_ran(world: World) -> None:
    """U emits, ends, is cleared and emits again while no watcher runs: D runs once."""
    _waits(world)
    world.stop_watcher()
    world.trigger("U")
    world.start("U")
    world.emit("U", ORDERS)
    world.finish("U")
    world.clear("U")
    world.start("U")
    world.emit("U", ORDERS)
    world.finish("U")
    world.start_watcher()
    world.settle_until(lambda: world.runs("D") == 1, "D runs")
    world.settle()
    assert world.runs("D") == 1


@pytest.mark.promise("once")
def case_asset_and_a_watcher_that_is_killed(world: World) -> None:
    """A watcher is killed before it requests D: another one starts it, once."""
    _begun(world)
    world.kill_before_request("D")
    world.emit("U", ORDERS)
    world.finish("U")
    world.settle()
    world.start_watcher()
    world.settle_until(lambda: world.runs("D") == 1, "D runs")
    world.settle()
    assert world.runs("D") == 1


@pytest.mark.promise("not-for-the-past")
def case_asset_of_the_past(world: World) -> None:
    """What was emitted before the dependency was published starts nothing; it counts once something else starts D."""
    world.dependencies({"other": ["nothing"]})
    world.by_hand("U", "A")
    world.trigger("U")
    world.start("U")
    world.emit("U", ORDERS)
    world.finish("U")
    world.settle()
    world.dependencies({"D": {"upstream": ["A", X]}})
    world.settle()
    assert world.runs("D") == 0
    world.trigger("A")
    world.run("A")
    world.settle()
    assert world.runs("D") == 1


def case_asset_or_its_run(world: World) -> None:
    """``any`` of U and of what it emits starts D once."""
    _begun(world, {"any": ["U", X]})
    world.emit("U", ORDERS)
    world.settle()
    world.finish("U")
    world.settle()
    assert world.runs("D") == 1


def case_asset_emitted_by_a_run_that_fails(world: World) -> None:
    """U emits, and fails elsewhere: D runs, as it asks for the event and not for U."""
    _begun(world)
    world.emit("U", ORDERS)
    world.finish("U", "failed")
    world.settle()
    assert world.runs("D") == 1


@pytest.mark.promise("not-early")
def case_asset_of_a_run_that_fails_before_it_emits_again(world: World) -> None:
    """U is due again because of R, and fails before it has emitted: D waits until it has been repaired."""
    diamond(world)
    world.rerun("R")
    world.settle()
    world.run("U", "failed")
    world.settle()
    assert world.runs("D") == 1
    world.clear("U")
    world.start("U")
    world.emit("U", ORDERS)
    world.finish("U")
    world.settle()
    assert world.runs("D") == 2


def case_asset_with_a_partition_key(world: World) -> None:
    """An event that has a partition_key is about that partition, and waits for the run that has emitted it."""
    _begun(world)
    world.emit("U", ORDERS, key="eu")
    world.settle()
    assert world.runs("D", partition="eu") == 0
    world.finish("U")
    world.settle()
    assert [world.runs("D", partition=one) for one in ("eu", PARTITION)] == [1, 0]


def case_asset_emitted_by_hand(world: World) -> None:
    """A person emits an event with a key: nothing is waited for. Each event is another completion."""
    _waits(world)
    world.emit("U", ORDERS, key="eu", by_hand=True)
    world.settle()
    assert world.runs("D", partition="eu") == 1
    world.emit("U", ORDERS, key="eu", by_hand=True)
    world.settle()
    assert world.runs("D", partition="eu") == 2


def case_asset_told_again(world: World) -> None:
    """A sender tells an event again: it is the same one."""
    _begun(world)
    again = world.emit("U", ORDERS)
    world.finish("U")
    world.settle()
    again()
    world.settle()
    assert world.runs("D") == 1


def case_asset_of_two_pipelines(world: World) -> None:
    """U and V emit the asset in one partition: each is waited for, once it is known to."""
    _begun(world)
    world.by_hand("V")
    world.trigger("V")
    world.start("V")
    world.emit("V", ORDERS)
    world.emit("U", ORDERS)
    world.finish("U")
    world.settle()
    assert world.runs("D") == 0
    world.finish("V")
    world.settle()
    assert world.runs("D") == 1
    world.clear("V")
    world.clear("U")
    world.start("U")
    world.start("V")
    world.emit("U", ORDERS)
    world.finish("U")
    world.settle()
    assert world.runs("D") == 1
    world.emit("V", ORDERS)
    world.finish("V")
    world.settle()
    assert world.runs("D") == 2


@pytest.mark.promise("asset-upstreams")
def case_asset_of_two_runs_of_one_name(world: World) -> None:
    """U and V emit the asset, each in a run of the same name, one after the other: D runs for each."""
    _begun(world)
    world.by_hand("V")
    world.emit("U", ORDERS)
    world.finish("U")
    world.settle()
    assert world.runs("D") == 1
    assert world.trigger("V") == world.all_runs("U")[0].run_id
    world.start("V")
    world.emit("V", ORDERS)
    world.finish("V")
    world.settle()
    assert world.runs("D") == 2


@pytest.mark.promise("once")
def case_asset_that_its_own_downstream_emits(world: World) -> None:
    """D emits what it waits for: that does not start it again. What U emits does."""
    _begun(world)
    world.by_hand("D")
    world.emit("U", ORDERS)
    world.finish("U")
    world.settle_until(lambda: len(world.all_runs("D")) == 1, "D is started")
    world.start("D")
    world.emit("D", ORDERS)
    world.finish("D")
    world.settle()
    assert world.runs("D") == 1
    world.clear("U")
    world.start("U")
    world.emit("U", ORDERS)
    world.finish("U")
    world.settle()
    assert world.all_runs("D")[-1].state is State.QUEUED


def case_asset_of_the_day_before(world: World) -> None:
    """Mappings are those of pipelines: D waits for what U has emitted for the day before."""
    _begun(world, {**X, "partition": "-1 day"})
    world.emit("U", ORDERS)
    world.finish("U")
    world.settle()
    assert [world.runs("D", partition=one) for one in (PARTITION, NEXT_DAY)] == [0, 1]


def case_asset_as_a_gate(world: World) -> None:
    """An asset may be a gate: its events start nothing."""
    _begun(world, ["A", {**X, "trigger": False}])
    world.emit("U", ORDERS)
    world.finish("U")
    world.settle()
    assert world.runs("D") == 0
    world.by_hand("A")
    world.trigger("A")
    world.run("A")
    world.settle()
    assert world.runs("D") == 1


def case_asset_that_was_handed_on(world: World) -> None:
    """An event of ``team_b`` that was handed on from ``default`` is about the partition of its run there."""
    _begun(world, {**X, "environment": "team_b"})
    world.emit("U", ORDERS, handed_on_to="team_b")
    world.finish("U")
    world.settle()
    assert world.runs("D") == 1


CASES: dict[str, Case] = {name: script for name, script in globals().items() if name.startswith("case_")}
