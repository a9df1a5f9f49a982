"""Environments that are sick for a while, and what they were asked for meanwhile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from tests.faults.chronicle import MADE
from tests.faults.registry import Struck
from tests.faults.stage import Stage
from tests.faults.witnessed_airflow import Happened
from tests.standin.airflow import Recorded, StandInAirflow
from tests.standin.faults import Fault

EFFECTS = ("trigger", "clear")
QUESTIONS = ("get", "list")
SAME = "the leader stays the same"
ONCE = "it is asked what became of it: no request is repeated"


@contextmanager
def sick(airflows: Iterable[StandInAirflow], kinds: Iterable[str], fault: Fault) -> Iterator[None]:
    """Every request of these kinds meets this, for a while."""
    airflows = list(airflows)
    for airflow in airflows:
        for kind in kinds:
            airflow.faults.always(kind, fault)
    try:
        yield
    finally:
        for airflow in airflows:
            airflow.faults.clear()


@contextmanager
def the_leader_stays(struck: Struck) -> Iterator[None]:
    leader = struck.stage.leader()
    yield
    present = struck.stage.leader()
    assert present is leader, f"{leader.name} led, {present.name} leads now: etcd was too slow for a lease"


class Since:
    """What the environments were asked for since then."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._before = {name: len(airflow.requests) for name, airflow in stage.airflows.items()}

    def requests(self, *kinds: str) -> dict[str, list[Recorded]]:
        return {
            name: [one for one in airflow.requests[self._before[name] :] if one.kind in kinds]
            for name, airflow in self._stage.airflows.items()
        }

    def count(self, *kinds: str, status: int | None) -> int:
        return sum(one.status == status for found in self.requests(*kinds).values() for one in found)

    def assert_none_was_repeated(self) -> None:
        """Each effect took one request."""
        asked = Counter(
            (name, one.dag_id, one.run_id) for name, found in self.requests(*EFFECTS).items() for one in found
        )
        repeated = {one: times for one, times in asked.items() if times > 1}
        assert not repeated, f"asked for again, though the first request had acted: {repeated}"


def made(stage: Stage) -> list[Happened]:
    """What requests of watchers have changed in this wave."""
    return [one for one in stage.chronicle.untold() if one.what in MADE and one.sender is not None]
