"""A report that etcd denies, before others in the same outbox that it allows."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from coordinator.airflow_plugin.outbox import Event
from coordinator.airflow_plugin.probing import FIRST_PAUSE
from coordinator.model.runstate import RunStateDocument, State
from coordinator.store.roles import Access, KeyRange, Permission, reporter
from tests.faults.guarded import GuardedStage
from tests.faults.registry import Struck, fault
from tests.integration.controller.waiting import until

pytestmark = pytest.mark.promise("reporting")

DENIED = "denied"
"""A DAG outside of what is still granted: those of the graph begin with :data:`GRANTED`."""
GRANTED = "g"
IS_TRIED_AGAIN = 4 * FIRST_PAUSE


@fault(
    "etcd denies the first report of an outbox",
    group="reporters",
    asserts="those behind it are delivered; it is parked with the reason, and delivered once etcd allows it",
    kind=GuardedStage,
    behind=4.0,
    at_most=1,
)
def deny_the_first(struck: Struck) -> None:
    stage, workload = struck.stage, struck.workload
    assert isinstance(stage, GuardedStage)
    assert all(dag_id.startswith(GRANTED) for dag_id in stage.airflows["default"].model.dag_ids)
    states = stage.keys.every("state", "default")
    all_of_them = KeyRange.below(states)
    some_of_them = KeyRange(f"{states}{GRANTED}", f"{states}{chr(ord(GRANTED) + 1)}")
    role, outbox = reporter(stage.keys, "default").name, stage.outboxes["default"]
    with stage.users() as users:
        users.grant(role, Permission(some_of_them, Access.READ_WRITE))
        users.revoke(role, all_of_them)
        outbox.put(
            Event(
                environment="default",
                dag_id=DENIED,
                partition="2026-11-01T00:00:00Z",
                document=RunStateDocument(state=State.SUCCESS, run_id="r", observed_at=datetime.now(UTC)),
            )
        )
        workload.end_sources()
        stage.await_rest()
        until(lambda: bool(outbox.parked.names()), "it is parked")
        (parked,) = outbox.parked.all()
        assert "permission denied" in parked.why.reason, parked
        users.grant(role, Permission(all_of_them, Access.READ_WRITE))
        users.revoke(role, some_of_them)
    until(lambda: not outbox.parked.names(), "it is delivered after all", limit=IS_TRIED_AGAIN)
