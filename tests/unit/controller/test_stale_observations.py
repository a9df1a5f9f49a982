"""An answer of an observed environment that is older than what is known replaces nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from coordinator.controller.dispatch.dispatchers import Dispatchers
from coordinator.controller.dispatch.jobs import ChangesSeen
from coordinator.controller.reconcile.environment_poller import OVERLAP, EnvironmentPoller, Polling
from coordinator.controller.reconcile.ledger import Ledger
from coordinator.controller.state.cache import Cache
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunState, RunStateDocument, State
from coordinator.runners.port import Changed, ListPlace, ObservedRun
from coordinator.store.keys import Keys
from coordinator.store.memory import MemoryStore
from coordinator.store.memory_etcd import MemoryEtcd
from coordinator.store.port import CreateRevisionIs, Put, Transaction

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
UPSTREAM = Target(PipelineRef("old", "U"), "p")


def seconds(number: float) -> datetime:
    return NOON + timedelta(seconds=number)


class _Asked:
    """The part of a dispatcher that is asked about changes."""

    def observe(self, since: datetime | None, place: ListPlace) -> None:
        del since, place


class _Environment:
    """An observed Airflow 2, and a watcher that follows it."""

    def __init__(self) -> None:
        keys = Keys("/coordinator")
        self.keys, self.store = keys, MemoryStore(MemoryEtcd())
        self.cache = Cache(keys)
        self.ledger = Ledger(self.store, keys, self.cache, who="w")
        asked: Any = {"old": _Asked()}
        self.poller = EnvironmentPoller(
            self.cache,
            store=self.store,
            keys=keys,
            dispatchers=Dispatchers(asked),
            ledger=self.ledger,
            polling=Polling({"old"}, every=2.0, idle=30.0),
        )
        self.term = self.store.commit(
            Transaction((CreateRevisionIs(keys.leader, 0),), (Put(keys.leader, b"w"),))
        ).revision
        self.poller.begin_term(0.0)
        self.at = 0.0
        self.answers("nothing yet", 0.0)

    def put(self, document: RunStateDocument) -> None:
        self.store.commit(Transaction((), (Put(self.keys.state(UPSTREAM), document.to_value()),)))
        self._read()

    def answers(
        self,
        state: str,
        asked_at: float,
        *,
        start: float = 0.0,
        is_estimated: bool = False,
        meanwhile: RunStateDocument | None = None,
    ) -> None:
        """The environment answers a question that was sent then. :param meanwhile: what was reported since."""
        self.at += 60.0
        self.poller.ask(self.at)
        if meanwhile is not None:
            self.put(meanwhile)
        poll = self.poller._polls["old"]
        runs: tuple[ObservedRun, ...] = ()
        if state != "nothing yet":
            runs = (ObservedRun("U", "r", State(state), seconds(start), partition_key="p", is_estimated=is_estimated),)
        changed = Changed(runs, made_at=seconds(asked_at))
        self.poller.take(ChangesSeen("old", poll.cursor, seconds(asked_at), changed), self.at)
        for _ in self.ledger.flush(self.term):
            pass
        self._read()

    def state(self) -> RunState:
        seen = self.cache.state(UPSTREAM)
        assert seen is not None
        assert isinstance(seen.value, RunState)
        return seen.value

    def _read(self) -> None:
        self.cache.replace(self.store.list(self.keys.root))


def test_a_late_answer_does_not_queue_a_run_that_has_ended_since() -> None:
    """The run was queued at the question, and has ended before its answer arrives: it would be queued for ever."""
    environment = _Environment()
    end = RunStateDocument(state=State.SUCCESS, run_id="r", queued_at=seconds(100.5), observed_at=seconds(120))
    environment.answers("queued", 100, start=99, is_estimated=True, meanwhile=end)
    environment.answers("success", 200, start=100.5)
    assert environment.state().state is State.SUCCESS
    assert environment.poller._polls["old"].cursor == seconds(100) - OVERLAP, "the late answer holds nothing up"


@pytest.mark.promise("following")
def test_a_clock_there_that_was_ahead_and_is_set_right_hides_nothing() -> None:
    """Everything would be before the cursor until the clock has caught up with it."""
    environment = _Environment()
    for at in (18_000, 18_030):
        environment.answers("nothing yet", at)
    assert environment.poller._polls["old"].cursor == seconds(18_000) - OVERLAP
    environment.answers("nothing yet", 100)
    assert environment.poller._polls["old"].cursor == seconds(100) - OVERLAP
    environment.poller.write_cursors(environment.term, environment.at)
    environment._read()
    assert environment.cache.cursors["old"] == seconds(100) - OVERLAP


@pytest.mark.promise("clock-steps")
@pytest.mark.parametrize("ahead", [0, 3600])
def test_a_run_that_is_queued_again_is_queued(ahead: int) -> None:
    """Whether or not the clock of who has seen the end was ahead."""
    environment = _Environment()
    end = RunStateDocument(state=State.SUCCESS, run_id="r", queued_at=seconds(10.5), observed_at=seconds(12 + ahead))
    environment.put(end)
    environment.answers("queued", 12.5, start=10, is_estimated=True)
    assert environment.state().state is State.QUEUED
    environment.answers("success", 15, start=13)
    assert environment.state().state is State.SUCCESS
