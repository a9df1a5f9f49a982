"""What people do in the middle of a wave that nobody reports."""

from __future__ import annotations

import pytest

from coordinator.model.references import Target
from tests.faults.registry import Struck, fault
from tests.faults.stage import WATCHER, pause
from tests.faults.workload import Workload

pytestmark = pytest.mark.promise("not-early")

LONG_ENOUGH = 1.5
"""Seconds within which what does not look starts what it should hold back."""


@fault(
    "people: clear what then waits in a queue",
    group="people",
    asserts="what needs it waits for it, though nobody has reported the clear",
    # A look that is not answered in time holds nothing back, which is another promise.
    watcher=WATCHER.model_copy(update={"look_timeout": 10.0}),
)
def clear_silently(struck: Struck) -> None:
    workload = struck.workload
    queued = _clear_silently(workload)
    workload.end_sources()
    pause(LONG_ENOUGH)
    workload.run(queued)


@fault(
    "people: clear what then waits in a queue, and the leader is killed",
    group="people",
    asserts="what needs it waits for it, though nobody has reported the clear",
    watcher=WATCHER.model_copy(update={"look_timeout": 10.0}),
)
def clear_silently_and_kill(struck: Struck) -> None:
    workload, leader = struck.workload, struck.stage.leader()
    queued = _clear_silently(workload)
    workload.end_sources()
    pause(workload.dice.uniform(0.0, 0.5))
    leader.service.kill()
    struck.stage.leader_besides(leader)
    pause(LONG_ENOUGH)
    workload.run(queued)
    struck.stage.restart(leader)


def _clear_silently(workload: Workload) -> list[Target]:
    sources = workload.idle_sources()
    pause(WATCHER.fresh_for)  # one whose completion has just arrived is not looked at
    workload.clear_silently(sources)
    return sources
