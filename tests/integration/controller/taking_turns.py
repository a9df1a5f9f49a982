"""A world with two watchers that take turns: one leads until it is told to stop at a point, then the other does."""

from __future__ import annotations

from pathlib import Path

import requests

from coordinator.config.etcd import EtcdSettings
from coordinator.config.retention import RetentionSettings
from coordinator.store.port import Changed, Put, Transaction
from tests.integration.controller.waiting import until
from tests.integration.controller.worlds import ServedWorld

CHAIN = {"A": "R", "team_b/B": "A"}
BELOW = ("A", "team_b/B")
LEASE = 3
"""Seconds. Etcd takes 2; a leader must not lose it for a slow machine's sake."""

LIMIT = 40.0
"""Seconds, for anything that is waited for."""


class Stoppable:
    """A watcher that can be told where to stop."""

    def __init__(self, world: ServedWorld, number: int) -> None:
        self._point = world.directory / f"point-{number}"
        self._point.write_text("")
        self.service = world.launch(
            "--max-runtime", "900", module=("tests.integration.controller.stopping", str(self._point))
        )

    def stop_at(self, point: str) -> None:
        self._point.write_text(point)

    def forget(self) -> None:
        self._point.write_text("")

    def is_stopped(self) -> bool:
        state = Path(f"/proc/{self.service.process.pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state == "T"

    def leads(self) -> bool:
        return not self.is_stopped() and self.service.is_ready() and self.service.leads()

    def follows(self) -> bool:
        """It knows that it does not lead, and nothing that it had begun is under way any more."""
        try:
            metrics = self.service.metrics()
        except requests.ConnectionError:
            return False
        return [metrics.value(one) for one in ("connected", "idle", "leader")] == [1, 1, 0]


class Stage:
    """A world with two watchers, which take turns at being the one that stops."""

    def __init__(self, etcd: EtcdSettings, directory: Path, *, retention: RetentionSettings | None = None) -> None:
        directory.mkdir()
        self.world = ServedWorld(etcd, directory)
        changes: dict[str, object] = {
            "watcher": self.world.settings.watcher.model_copy(update={"lease_ttl": LEASE, "reexamine_every": 3600.0})
        }
        if retention is not None:
            changes["retention"] = retention
        self.world.settings = self.world.settings.model_copy(update=changes)
        self.partitions = 0
        self.watchers: list[Stoppable] = []

    def __enter__(self) -> Stage:
        self.world.dependencies(CHAIN)
        self.watchers = [Stoppable(self.world, number) for number in range(2)]
        until(lambda: any(one.leads() for one in self.watchers), "one leads", limit=LIMIT)
        until(lambda: all(one.service.is_ready() for one in self.watchers), "the other is ready", limit=LIMIT)
        self.wave()
        self.until_ran({})
        return self

    def __exit__(self, *details: object) -> None:
        self.world.__exit__(*details)

    def roles(self) -> tuple[Stoppable, Stoppable]:
        """Who leads, and who would."""
        first, second = self.watchers
        until(lambda: first.leads() or second.leads(), "one leads", limit=LIMIT)
        return (first, second) if first.leads() else (second, first)

    def counts(self) -> dict[str, int]:
        return self.world.counts(*BELOW)

    def wave(self) -> None:
        """R runs: for the first time, or because a person has cleared it."""
        self.world.complete("R", wave=1 if not self.world.runs("R") else 2)

    def until_ran(self, before: dict[str, int]) -> None:
        """All below R has run once more, and nothing is due or under way."""
        world = self.world
        world.until_ran({name: before.get(name, 0) + 1 for name in BELOW}, limit=LIMIT)
        until(
            lambda: all((record := world.record(name)) is not None and record.status == "done" for name in BELOW),
            "all records say that it has ended",
            limit=LIMIT,
        )

    def sent(self) -> int:
        """Requests that change something, answered or not."""
        return sum(
            len(airflow.requests_of(kind))
            for airflow in self.world.airflows.values()
            for kind in ("trigger", "clear", "patch", "delete")
        )

    def changes_since(self, revision: int) -> list[Changed]:
        """All changes but watchers' words about themselves."""
        keys, store = self.world.keys, self.world.store
        marker = keys.watcher("marker")
        store.commit(Transaction((), (Put(marker, b"{}"),)))
        found: list[Changed] = []
        with store.watch(keys.root, from_revision=revision + 1) as watch:
            while (batch := watch.receive(5.0)) is not None:
                found += batch.changes
                if any(change.key == marker for change in batch.changes):
                    return [change for change in found if not change.key.startswith(keys.watchers)]
        raise AssertionError("the watch has ended")
