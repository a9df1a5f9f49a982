"""Random plays of a pipeline that fans out, with faults, on virtual time: what must hold at any moment, and at rest.

The oracle is of one line for each act: an item runs as often as rows that name it were read, and people ran it again;
what is below runs once after each act, if all items have succeeded then.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import State
from coordinator.model.trigger import read_record
from tests.worlds.item_cases import FROM_FILE, table
from tests.worlds.simulated import SimulatedWorld
from tests.worlds.simulated_airflow import name_of, partition_of
from tests.worlds.world import PARTITION

KEYS = ("a", "b", "c", "d", "e")

LOAD = PipelineRef.parse("load")


class Play:
    """One play. :ivar story: what was done, for a failure."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(f"items {seed}")
        self.world = SimulatedWorld(observed=self.dice.random() < 0.3)
        self.story: list[str] = []
        self.expected: Counter[str] = Counter()
        self.rows: dict[str, int] = {}
        self.failing: set[str] = set()
        self.succeeded: dict[str, bool] = {}
        self.below = 0
        self.ended: list[bool] = []
        self.limit = self.dice.choice((None, 1, 2))
        self.world.by_hand("U", "load")
        self.on_empty = self.dice.choice(("fail", "success", "skip"))
        entry: dict[str, Any] = {"upstream": "U", "items": {**FROM_FILE, "on_empty": self.on_empty}}
        if self.limit is not None:
            entry["max_in_flight"] = self.limit
        self.world.dependencies({"load": entry, "D": {"upstream": ["load", "U"]}})
        self.world.checks.append(self._check)

    def play(self) -> None:
        self._read_anew()
        for _ in range(self.dice.randint(2, 5)):
            self.dice.choice((self._read_anew, self._clear_one, self._order_one, self._order_all))()

    # -- what people do --------------------------------------------------------------------------------------------

    def _read_anew(self) -> None:
        self._draw_rows()
        if self.world.runs("U"):
            self.world.rerun("U")
        else:
            self.world.trigger("U")
            self.world.run("U")
        self._all_run()
        self._rest("U completes")

    def _order_all(self) -> None:
        self._draw_rows()
        self.world.order("load", "rerun")
        self._all_run()
        self._rest("the whole is ordered")

    def _clear_one(self) -> None:
        if (key := self._some_item()) is not None:
            self.world.clear(f"load[{key}]")
            self._runs(key)
            self._rest(f"{key} is cleared")

    def _order_one(self) -> None:
        if (key := self._some_item()) is not None:
            self.world.order(f"load[{key}]", "rerun")
            self._runs(key)
            self._rest(f"{key} is ordered")

    def _draw_rows(self) -> None:
        keys = self.dice.sample(KEYS, self.dice.choice((0, 1, 2, 3, 5)))
        self.rows = {key: self.dice.choice((1, 1, 2)) for key in keys}
        self.world.rows([table(key, version=version) for key, version in self.rows.items()])

    def _some_item(self) -> str | None:
        self.failing = {key for key in KEYS if self.dice.random() < 0.2}
        return self.dice.choice(sorted(self.rows)) if self.rows else None

    def _all_run(self) -> None:
        self.failing = {key for key in KEYS if self.dice.random() < 0.15}
        self.succeeded = {}
        for key in self.rows:
            self._runs(key)

    def _runs(self, key: str) -> None:
        self.expected[key] += 1
        self.succeeded[key] = key not in self.failing

    # -- faults, and the way to rest -------------------------------------------------------------------------------

    def _rest(self, what: str) -> None:
        world, dice = self.world, self.dice
        self.story.append(f"{what}; rows {self.rows}, failing {sorted(self.failing)}")
        fault = dice.choice(("", "", "kill", "kill", "standby", "down", "frozen", "list"))
        strikes, repaired = dice.randint(0, 40), dice.randint(41, 80)
        for turn in range(160):
            if turn == strikes:
                self._strike(fault)
            if turn == repaired:
                self._repair(fault)
            if not self._goes_on() or turn % 3:
                world.tick_once()
        for _ in range(50):
            world.settle()
            if not self._goes_on():
                break
        self._check_at_rest()

    def _strike(self, fault: str) -> None:
        self.story.append(f"  {fault}")
        match fault:
            case "kill":
                self.world.stop_watcher()
            case "standby":
                self.world.start_standby()
                self.world.stop_watcher()
            case "down":
                self.world.down("default")
            case "frozen" if self.world.watcher is not None:
                self.world.watcher.frozen = True
                self.world.start_standby()
            case "list" if self.world.watcher is not None:
                self.world.watcher.list_again()

    def _repair(self, fault: str) -> None:
        match fault:
            case "kill" | "standby":
                self.world.start_watcher()
            case "down":
                self.world.up("default")
            case "frozen" if self.world.watcher is not None:
                self.world.watcher.frozen = False

    def _goes_on(self) -> bool:
        """One run of an item begins or ends."""
        airflow = self.world.airflows["default"]
        runs = [run for run in airflow.unfinished() if run.dag_id == "load"]
        if not runs or airflow.is_down:
            return False
        run = self.dice.choice(runs)
        if run.state is State.QUEUED:
            airflow.begin("load", run.run_id)
        else:
            key = PipelineRef("default", name_of(run)).item
            airflow.end("load", run.run_id, State.FAILED if key in self.failing else State.SUCCESS)
        return True

    # -- what must hold --------------------------------------------------------------------------------------------

    def _check(self) -> None:
        """At any moment."""
        unfinished = [run for run in self.world.airflows["default"].unfinished() if run.dag_id == "load"]
        twice = [name for name, count in Counter(map(name_of, unfinished)).items() if count > 1]
        assert not twice, (twice, self.story)
        assert all(PipelineRef("default", name_of(run)).item for run in unfinished), self.story
        started = self.world.airflows["default"].started.count(("D", PARTITION))
        if started > self.below:
            self.below = started
            assert not unfinished, ("D began while an item ran", self.story)
            found = self.world.store.get(self.world.keys.trigger(Target(LOAD, PARTITION)))
            record = read_record(found.value) if found is not None else None
            assert record is not None
            rows = record.rows  # type: ignore[union-attr]
            assert rows is not None
            assert rows.by_key.keys() == self.rows.keys(), self.story

    def _check_at_rest(self) -> None:
        runs = self.world.airflows["default"].runs.values()
        begun = Counter(
            PipelineRef("default", dag_id).item
            for dag_id, partition in self.world.airflows["default"].started
            if dag_id.startswith("load") and partition == PARTITION
        )
        assert begun == self.expected, (begun, self.expected, self.story)
        assert all(partition_of(run) == PARTITION for run in runs if run.dag_id == "load"), self.story
        state = self.world.state("load")
        said = state.state if state is not None else None  # type: ignore[union-attr]
        if not self.rows:
            expected = {"success": State.SUCCESS, "fail": State.FAILED, "skip": None}[self.on_empty]
        else:
            expected = State.SUCCESS if all(self.succeeded.values()) else State.FAILED
        assert said == expected, (said, expected, self.story)
        self.ended.append(expected is State.SUCCESS)
        assert self.world.runs("D") == sum(self.ended), (self.world.runs("D"), self.ended, self.story)
