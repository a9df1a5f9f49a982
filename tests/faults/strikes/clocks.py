"""Wall clocks that are stepped by an hour: of watchers, and where the listeners are. The machine's stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from coordinator.airflow_plugin import outbox
from coordinator.airflow_plugin.outbox import Outbox
from coordinator.model.trigger import TriggerRecord
from coordinator.reading.reading import read
from tests.faults import stage as stage_module
from tests.faults.line import Way
from tests.faults.registry import Struck, fault
from tests.faults.stage import Stage, pause
from tests.faults.strikes.lines import broken
from tests.faults.wall_clock import stepped
from tests.integration.controller.waiting import until

pytestmark = pytest.mark.promise("reporting", "clock-steps")

HOUR = 3600.0
SOON = 60.0
GROUP = "clocks"


class SteppableStage(Stage):
    """A stage on which each watcher has a wall clock of its own."""

    def step(self, watcher: str, seconds: float) -> None:
        """From now on its clock is so many seconds ahead of the true time."""
        beside = self._clock(watcher).with_suffix(".new")
        beside.write_text(str(seconds))
        beside.replace(self._clock(watcher))

    def _clock(self, watcher: str) -> Path:
        return self.directory / f"{watcher}.clock"

    def _module(self, watcher: str) -> Sequence[str]:
        if not self._clock(watcher).exists():
            self.step(watcher, 0.0)
        return "tests.faults.wall_clock", str(self._clock(watcher))


def _steppable(stage: Stage) -> SteppableStage:
    assert isinstance(stage, SteppableStage)
    return stage


def _leader(seconds: float) -> Callable[[Struck], None]:
    def strike(struck: Struck) -> None:
        stage, leader, dice = _steppable(struck.stage), struck.stage.leader(), struck.workload.dice
        stage.step(leader.name, 0.0)  # from where the strike before has left it: a step as well
        if dice.random() < 0.5:
            stage.step(leader.name, seconds)
            struck.workload.end_sources()
            until(lambda: _has_written_at(stage, seconds), "it writes down the time of its clock")
        else:
            struck.workload.end_sources()
            pause(dice.uniform(0.0, 0.8))
            stage.step(leader.name, seconds)
        pause(dice.uniform(0.5, 1.5))
        assert stage.leader() is leader

    return strike


def _has_written_at(stage: Stage, seconds: float) -> bool:
    """Whether a record was written just now, by a clock that is so many seconds ahead."""
    now = datetime.now(UTC) + timedelta(seconds=seconds)
    cache = read(stage.store, stage.keys).cache
    found = (recorded.value for target in cache.targets() if (recorded := cache.record(target)) is not None)
    times = (record.when for record in found if isinstance(record, TriggerRecord) and record.when is not None)
    return any(abs((when - now).total_seconds()) < SOON for when in times)


def _listeners(seconds: float) -> Callable[[Struck], None]:
    def strike(struck: Struck) -> None:
        stage, dice = struck.stage, struck.workload.dice
        with broken(stage.reporters_to_etcd, Way.CUT), ExitStack() as stack:
            struck.workload.end_sources()
            pause(dice.uniform(0.0, 1.0))
            before = _waiting(stage)
            for module in (outbox, stage_module):
                stack.enter_context(stepped(module, seconds))
            for name, kept in stage.outboxes.items():
                stage.outboxes[name] = Outbox(kept.directory)  # as a scheduler that is started again has it
            until(lambda: len(_waiting(stage)) > len(before), "reports are kept under the new time")
            after = [name for name in _waiting(stage) if name not in before]
            assert all((name > max(before)) is (seconds > 0) for name in after)
            pause(dice.uniform(0.0, 1.0))

    return strike


def _waiting(stage: Stage) -> list[str]:
    return [name for kept in stage.outboxes.values() for name in kept.pending()]


for _words, _seconds in (("forward", HOUR), ("back", -HOUR)):
    fault(
        f"the leader's clock steps an hour {_words}",
        group=GROUP,
        asserts="it goes on leading",
        kind=SteppableStage,
    )(_leader(_seconds))
    fault(
        f"the listeners' clocks step an hour {_words}, with reports waiting",
        group=GROUP,
        asserts="the reports that wait are those from before and after the step, in the order of that clock",
    )(_listeners(_seconds))


@fault(
    "the watchers' clocks are two hours apart, and the leader is killed",
    group=GROUP,
    asserts="the other one leads, with whatever its clock says",
    kind=SteppableStage,
)
def apart(struck: Struck) -> None:
    stage, leader, standby = _steppable(struck.stage), struck.stage.leader(), struck.stage.standby()
    first = struck.workload.dice.choice((HOUR, -HOUR))
    stage.step(leader.name, first)
    stage.step(standby.name, -first)
    struck.workload.end_sources()
    pause(struck.workload.dice.uniform(0.0, 0.8))
    leader.service.kill()
    assert stage.leader_besides(leader) is standby
    stage.restart(leader)
