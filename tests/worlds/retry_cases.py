"""Cases of runs that fail and are started again, and of runs that take too long."""

from __future__ import annotations

from typing import Any

import pytest

from coordinator.model.trigger import Status
from tests.worlds.cases import Case
from tests.worlds.world import World

OTHER = "2026-11-21T00:00:00Z"


def _with_retries(retries: int = 2, **more: Any) -> dict[str, Any]:
    """A -> D, with retries; S on success of D, F on failure, E on either."""
    return {
        "D": {"upstream": "A", "retries": retries, **more},
        "S": "D",
        "F": {"upstream": {"pipeline": "D", "on": "failure"}},
        "E": {"upstream": {"pipeline": "D", "on": "done"}},
    }


def _below(world: World) -> tuple[int, int, int]:
    """How often what waits for success, for failure and for either has run."""
    return world.runs("S"), world.runs("F"), world.runs("E")


def _fail(world: World, name: str = "D") -> None:
    world.run(name, "failed")
    world.settle()


@pytest.mark.promise("retries")
def case_retry_succeeds(world: World) -> None:
    """A -> D (2 retries). D fails, is started again by itself, in the same run, and succeeds: below, success alone is
    seen, once. The next wave begins to count anew."""
    world.dependencies(_with_retries())
    world.by_hand("D")
    world.first_run("A")
    _fail(world)
    assert (world.requests("D"), _below(world)) == (2, (0, 0, 0))
    record = world.record("D")
    assert record is not None
    assert (record.retrying, record.retried, record.status) == (True, 1, Status.SENT)
    wave = record.wave
    world.run("D")
    world.settle()
    assert (world.runs("D"), len(world.all_runs("D")), _below(world)) == (2, 1, (1, 0, 1))
    after = world.record("S")
    assert after is not None
    assert after.wave == wave
    world.rerun("A")
    world.settle()
    record = world.record("D")
    assert record is not None
    assert (record.retrying, record.retried, record.wave > wave) == (False, 0, True)
    _fail(world)
    _fail(world)
    world.run("D")
    world.settle()
    assert (world.runs("D"), _below(world)) == (5, (2, 0, 2))


@pytest.mark.promise("retries")
def case_retries_exhausted(world: World) -> None:
    """A -> D (2 retries). D fails three times: it is started no more, and only then does its failure count, once."""
    world.dependencies(_with_retries())
    world.by_hand("D")
    world.first_run("A")
    _fail(world)
    _fail(world)
    assert (world.runs("D"), world.requests("D"), _below(world)) == (2, 3, (0, 0, 0))
    _fail(world)
    assert (world.runs("D"), world.requests("D"), _below(world)) == (3, 3, (0, 1, 1))


@pytest.mark.promise("retries")
def case_retry_in_one_arm(world: World) -> None:
    """R -> A, R -> B (1 retry), D = all(A, B), X = any(A, B). B fails once: D and X wait for its retry, and run
    once."""
    world.dependencies(
        {"A": "R", "B": {"upstream": "R", "retries": 1}, "D": ["A", "B"], "X": {"upstream": {"any": ["A", "B"]}}}
    )
    world.by_hand("B")
    world.first_run("R")
    _fail(world, "B")
    assert (world.runs("A"), world.runs("D"), world.runs("X")) == (1, 0, 0)
    world.run("B")
    world.settle()
    assert (world.runs("B"), world.runs("D"), world.runs("X")) == (2, 1, 1)


@pytest.mark.promise("retries")
def case_retry_killed_before_its_request(world: World) -> None:
    """The coordinator is killed between the intent of a retry and its request: its successor starts D again, once, and
    counts one retry."""
    world.dependencies(_with_retries(1))
    world.by_hand("D")
    world.first_run("A")
    world.start("D")
    world.kill_before_request("D")
    world.finish("D", "failed")
    world.settle()
    assert world.requests("D") == 1
    world.start_watcher()
    world.settle()
    assert (world.requests("D"), _below(world)) == (2, (0, 0, 0))
    _fail(world)
    assert (world.runs("D"), world.requests("D"), _below(world)) == (2, 2, (0, 1, 1))


@pytest.mark.promise("retries")
def case_retry_by_a_frozen_leader(world: World) -> None:
    """The leader is frozen between the intent of a retry and its request; its successor sends it; the old leader wakes:
    D was started again once."""
    world.dependencies(_with_retries(1))
    world.by_hand("D")
    world.first_run("A")
    world.start("D")
    world.freeze_before_request("D")
    world.finish("D", "failed")
    world.settle()
    world.start_watcher()
    world.settle()
    world.run("D")
    world.settle()
    world.thaw()
    world.settle()
    assert (world.runs("D"), world.requests("D"), _below(world)) == (2, 2, (1, 0, 1))


@pytest.mark.promise("retries")
def case_retry_while_away(world: World) -> None:
    """A -> D (1 retry), whose environment goes away once D has failed, and comes back: D is started again once, and
    nothing below sees the failure meanwhile."""
    world.dependencies(
        {"team_b/D": {"upstream": "A", "retries": 1}, "F": {"upstream": {"pipeline": "team_b/D", "on": "failure"}}}
    )
    world.by_hand("team_b/D")
    world.first_run("A")
    world.start("team_b/D")
    world.stop_watcher()
    world.finish("team_b/D", "failed")
    world.down("team_b")
    world.start_watcher()
    world.settle()
    assert (world.requests("team_b/D"), world.runs("F")) == (1, 0)
    world.up("team_b")
    world.settle()
    assert (world.requests("team_b/D"), world.runs("F")) == (2, 0)


@pytest.mark.promise("retries")
def case_new_input_instead_of_a_retry(world: World) -> None:
    """A -> D (1 retry, after a long delay). While D waits for it, A completes again: D is started at once for that, and
    not once more when the delay is over; the count begins anew."""
    world.dependencies(_with_retries(1, retry_delay="5 minutes"))
    world.by_hand("D")
    world.first_run("A")
    _fail(world)
    assert world.requests("D") == 1
    world.rerun("A")
    world.settle()
    record = world.record("D")
    assert record is not None
    assert (world.requests("D"), record.retrying, record.retried) == (2, False, 0)
    world.run("D")
    world.settle()
    assert (world.runs("D"), _below(world)) == (2, (1, 0, 1))


@pytest.mark.promise("retries")
def case_rerun_ordered_instead_of_a_retry(world: World) -> None:
    """A -> D (1 retry, after a long delay). A person orders a rerun while D waits: it starts at once, once."""
    world.dependencies(_with_retries(1, retry_delay="5 minutes"))
    world.by_hand("D")
    world.first_run("A")
    _fail(world)
    world.order("D", "rerun")
    world.settle()
    record = world.record("D")
    assert record is not None
    assert (world.requests("D"), record.retrying, record.retried) == (2, False, 0)
    assert _below(world) == (0, 0, 0)


@pytest.mark.promise("retries")
def case_retry_of_a_held_pipeline(world: World) -> None:
    """A -> D (1 retry), held while it runs. It fails: it is started again when the hold is released, and nothing below
    sees the failure until then."""
    world.dependencies(_with_retries(1))
    world.by_hand("D")
    world.first_run("A")
    world.start("D")
    world.hold("D")
    world.finish("D", "failed")
    world.settle()
    assert (world.requests("D"), _below(world)) == (1, (0, 0, 0))
    world.release("D")
    world.settle()
    assert (world.requests("D"), _below(world)) == (2, (0, 0, 0))


@pytest.mark.promise("retries")
def case_retry_is_no_rerun(world: World) -> None:
    """Rerun ``ignore``, ``hold`` and ``new_run`` are about what is new: a retry is of the same run, whatever they
    say."""
    world.dependencies({f"D_{rerun}": {"upstream": "A", "retries": 1, "rerun": rerun} for rerun in _POLICIES})
    world.by_hand(*(f"D_{rerun}" for rerun in _POLICIES))
    world.first_run("A")
    for rerun in _POLICIES:
        _fail(world, f"D_{rerun}")
        assert (rerun, world.requests(f"D_{rerun}"), len(world.all_runs(f"D_{rerun}"))) == (rerun, 2, 1)


_POLICIES = ("ignore", "hold", "new_run")


@pytest.mark.promise("retries")
def case_retry_where_news_is_ignored_or_held(world: World) -> None:
    """A -> D (1 retry, rerun ``ignore``), A -> H (the same, ``hold``). A completes again while both run; both fail:
    they are started again all the same, and what is new waits as ever."""
    policies = {"D": "ignore", "H": "hold"}
    world.dependencies({name: {"upstream": "A", "retries": 1, "rerun": rerun} for name, rerun in policies.items()})
    world.by_hand("D", "H")
    world.first_run("A")
    world.start("D")
    world.start("H")
    world.rerun("A")
    world.settle()
    for name in policies:
        world.finish(name, "failed")
        world.settle()
        assert (name, world.requests(name)) == (name, 2)
        world.run(name)
        world.settle()
    assert (world.requests("D"), world.requests("H")) == (2, 2)
    world.order("H", "release")
    world.settle()
    assert (world.requests("D"), world.requests("H")) == (2, 3)


@pytest.mark.promise("retries")
def case_people_and_retries(world: World) -> None:
    """A -> D (1 retry, after a long delay). A person clears the failed run meanwhile: that is one more attempt, and no
    retry is used. It fails, too, and is marked as failed: that stands, and is seen below."""
    world.dependencies(_with_retries(1, retry_delay="5 minutes"))
    world.by_hand("D")
    world.first_run("A")
    _fail(world)
    world.clear("D")
    world.start("D")
    world.settle()
    assert _below(world) == (0, 0, 0)
    world.finish("D", "failed")
    world.settle()
    record = world.record("D")
    assert record is not None
    assert (record.retried, world.requests("D"), _below(world)) == (0, 1, (0, 0, 0))
    world.mark("D", "failed")
    world.settle()
    assert (world.requests("D"), _below(world)) == (1, (0, 1, 1))


@pytest.mark.promise("retries")
def case_cleared_by_hand_just_before_a_retry(world: World) -> None:
    """A -> D (1 retry). While no watcher runs, D fails, a person clears it, and it waits silently in Airflow's queue:
    it is not started once more by the coordinator."""
    world.dependencies(_with_retries(1))
    world.by_hand("D")
    world.first_run("A")
    world.start("D")
    world.stop_watcher()
    world.finish("D", "failed")
    world.clear("D")
    world.start_watcher()
    world.settle()
    assert (world.requests("D"), _below(world)) == (1, (0, 0, 0))
    world.run("D")
    world.settle()
    assert (world.requests("D"), world.runs("D"), _below(world)) == (1, 2, (1, 0, 1))


@pytest.mark.promise("retries")
def case_only_our_runs_are_retried(world: World) -> None:
    """A -> D (1 retry). A person runs D in a partition in which the coordinator has not: it fails, and stays so. So
    does a run that was deleted after it failed."""
    world.dependencies(_with_retries(1, retry_delay="5 minutes"))
    world.by_hand("D")
    world.trigger("D", partition=OTHER)
    world.run("D", "failed", partition=OTHER)
    world.settle()
    assert world.requests("D", partition=OTHER) == 0
    assert world.runs("F", partition=OTHER) == 1
    world.first_run("A")
    _fail(world)
    world.delete_run("D")
    world.delete_state("D")
    world.settle()
    assert (world.requests("D"), len(world.all_runs("D"))) == (1, 0)


@pytest.mark.promise("retries")
def case_withdrawn_news_before_a_retry(world: World) -> None:
    """A -> D (1 retry, after a long delay). A completes again while D waits, and the watcher is killed before the
    request; A fails now: the request is withdrawn, and D's retry is still to come."""
    world.dependencies({"team_b/D": {"upstream": "A", "retries": 1, "retry_delay": "5 minutes"}})
    world.by_hand("team_b/D")
    world.first_run("A")
    _fail(world, "team_b/D")
    world.kill_before_request("team_b/D")
    world.rerun("A")
    world.settle()
    world.rerun("A", "failed")
    world.start_watcher()
    world.settle()
    assert world.requests("team_b/D") == 1
    world.settle_until(lambda: world.requests("team_b/D") == 2, "the retry comes")
    record = world.record("team_b/D")
    assert record is not None
    assert (record.retrying, record.retried) == (True, 1)


@pytest.mark.promise("retries")
def case_leader_away_during_the_delay(world: World) -> None:
    """A -> D (1 retry, after a delay). No watcher runs when D fails, nor when the delay ends: the next one starts it at
    once. Where the delay has not ended, it waits for it."""
    world.dependencies(_with_retries(1, retry_delay="90 seconds"))
    world.by_hand("D")
    world.first_run("A")
    world.start("D")
    world.stop_watcher()
    world.finish("D", "failed")
    world.start_watcher()
    world.settle()
    assert (world.requests("D"), _below(world)) == (1, (0, 0, 0))
    world.stop_watcher()
    world.settle()
    world.start_watcher()
    world.settle_until(lambda: world.requests("D") == 2, "the retry comes")
    assert _below(world) == (0, 0, 0)


@pytest.mark.promise("timeouts")
def case_timeout_and_retry(world: World) -> None:
    """A -> D (1 retry, timeout). D goes on for too long: it is stopped, that counts as a failure, and it is started
    again. The second attempt is stopped, too: then its failure is seen below, once."""
    world.dependencies(_with_retries(1, timeout="100 seconds"))
    world.by_hand("D")
    world.first_run("A")
    world.start("D")
    world.settle_until(lambda: world.requests("D") == 2, "it is stopped, and started again")
    assert _below(world) == (0, 0, 0)
    world.start("D")
    world.settle_until(lambda: world.runs("E") == 1, "it is stopped again")
    world.settle()
    assert (world.runs("D"), world.requests("D"), _below(world)) == (2, 2, (0, 1, 1))


@pytest.mark.promise("timeouts")
def case_timeout_is_of_an_attempt(world: World) -> None:
    """A -> D (timeout). D ends in time, and runs again for another wave: the limit counts anew. What a person runs in
    another partition may take any time."""
    world.dependencies(_with_retries(0, timeout="150 seconds"))
    world.by_hand("D")
    world.first_run("A")
    world.run("D")
    world.settle()
    world.trigger("D", partition=OTHER)
    world.start("D", partition=OTHER)
    world.rerun("A")
    world.settle()
    world.start("D")
    world.settle()
    world.finish("D")
    world.settle()
    assert (world.runs("D"), _below(world)) == (2, (2, 0, 2))
    world.settle()
    world.finish("D", partition=OTHER)
    assert world.runs("D", partition=OTHER) == 1


@pytest.mark.promise("timeouts")
def case_timeout_passes_without_a_leader(world: World) -> None:
    """A -> D (timeout). No watcher runs when its time is over, and D's environment reports nothing: the next watcher
    stops it at once."""
    world.dependencies({"team_b/D": {"upstream": "A", "timeout": "90 seconds"}, "F": _on_failure("team_b/D")})
    world.silence("team_b")
    world.by_hand("team_b/D")
    world.first_run("A")
    world.start("team_b/D")
    world.stop_watcher()
    world.settle()
    world.settle()
    world.start_watcher()
    world.settle()
    assert (world.runs("team_b/D"), world.requests("team_b/D"), world.runs("F")) == (1, 1, 1)


@pytest.mark.promise("timeouts")
def case_timeout_of_a_queued_run(world: World) -> None:
    """A -> D (timeout). D waits in its queue for longer than that: it is stopped there, and its failure is seen."""
    world.dependencies(_with_retries(0, timeout="2 seconds"))
    world.by_hand("D")
    world.by_hand("A")
    world.trigger("A")
    world.run("A")
    world.settle_until(lambda: world.runs("F") == 1, "it is stopped")
    world.settle()
    assert (world.runs("D"), world.requests("D"), _below(world)) == (0, 1, (0, 1, 1))


def _on_failure(name: str) -> dict[str, Any]:
    return {"upstream": {"pipeline": name, "on": "failure"}}


CASES: dict[str, Case] = {name: script for name, script in globals().items() if name.startswith("case_")}

ON_REAL_ETCD = [
    "case_retry_succeeds",
    "case_retries_exhausted",
    "case_retry_killed_before_its_request",
    "case_retry_by_a_frozen_leader",
    "case_retry_while_away",
    "case_retry_of_a_held_pipeline",
    "case_timeout_of_a_queued_run",
]
