"""Reports that arrive long after what they tell of, and a clear that nobody has reported in between."""

from __future__ import annotations

import signal
from datetime import timedelta

import pytest

from tests.faults.registry import Struck, fault
from tests.faults.stage import WATCHER, pause
from tests.faults.strikes.people import LONG_ENOUGH
from tests.integration.controller.waiting import until

pytestmark = pytest.mark.promise("not-early")

LATE = timedelta(minutes=10)
"""Nobody waits for so long: the reports say when they were observed."""


@fault(
    "reports arrive ten minutes late, and people have cleared meanwhile",
    group="reporters",
    asserts="what needs a cleared one is not started by its late report: it waits for the new run",
    # A look that is not answered in time holds nothing back, which is another promise.
    watcher=WATCHER.model_copy(update={"look_timeout": 10.0}),
    behind=4.0,
    in_every_test_run=True,
)
def late(struck: Struck) -> None:
    stage, workload = struck.stage, struck.workload
    processes = [stage.sender_process(name) for name in stage.senders]
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    stage.observed_ago = LATE
    workload.end_sources()
    stage.observed_ago = timedelta()
    cleared = workload.clear_some_that_ended()
    for process in processes:
        process.send_signal(signal.SIGCONT)
    until(lambda: not any(outbox.pending() for outbox in stage.outboxes.values()), "the late reports have arrived")
    pause(LONG_ENOUGH)
    workload.run(cleared)
