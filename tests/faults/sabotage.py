"""Watchers broken on purpose, as patches: a drill that does not notice its patch is worthless.

``python -m tests.faults.sabotage NAME watch ...`` is the command line with something broken in its process: a drill
starts its watchers with it. ``tests.faults.noticing`` plays the drills that must fail then.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from msgspec.structs import replace

from coordinator.cli import main as command_line
from coordinator.controller import service, writes
from coordinator.controller.reconcile.reconcile import Reconcile
from coordinator.controller.state.cache import Cache
from coordinator.controller.state.changed import Replaced
from coordinator.controller.writes import RecordWrite, Write
from coordinator.model.consumption import NOTHING
from coordinator.model.references import Target
from coordinator.model.trigger import Status
from coordinator.store.keys import TriggerKey
from coordinator.store.port import Listing, Transaction
from tests.simulation import mutations


def no_fence_and_no_guard() -> AbstractContextManager[Any]:
    """Records are written whoever leads and whatever stands there, and requests sent however long ago it led."""

    def bare(compares: tuple[Any, ...], then: tuple[Any, ...], otherwise: tuple[str, ...] = ()) -> Transaction:
        del compares
        return Transaction((), then, otherwise)

    stack = ExitStack()
    stack.enter_context(patch.object(writes, "Transaction", bare))
    stack.enter_context(patch.object(service, "refuse_unless_leading", lambda *_, **__: None))
    stack.enter_context(mutations.leases_that_never_end())
    return stack


def sent_written_before_the_request() -> AbstractContextManager[Any]:
    """A request counts as sent before it is sent."""
    real = Reconcile.written

    def written(self: Reconcile, target: Target, write: RecordWrite, revision: int, now: float) -> None:
        real(self, target, write, revision, now)
        record = write.record
        if record.status is Status.INTENT:
            done = replace(record, status=Status.SENT, consumed=record.consumed.and_then(record.inputs), inputs=NOTHING)
            self._ledger.record(target, done)

    return patch.object(Reconcile, "written", written)


def records_forgotten_by_a_restart() -> AbstractContextManager[Any]:
    """A watcher that lists everything ignores trigger records, and overwrites them."""
    real, compares = Cache.replacing, Write.compares.fget  # type: ignore[attr-defined]

    def without_records(self: Cache, listing: Listing, replaced: Replaced) -> Iterator[None]:
        listing.items[:] = [one for one in listing.items if not isinstance(self._keys.parse(one.key), TriggerKey)]
        return real(self, listing, replaced)

    stack = ExitStack()
    stack.enter_context(patch.object(Cache, "replacing", without_records))
    stack.enter_context(patch.object(Write, "compares", property(lambda self: compares(self)[1:])))
    return stack


@dataclass(frozen=True)
class Sabotage:
    """:ivar fault: the one whose drill is to notice it."""

    breaks: Callable[[], AbstractContextManager[Any]]
    fault: str

    @property
    def name(self) -> str:
        return self.breaks.__name__


SABOTAGES: dict[str, Sabotage] = {
    one.name: one
    for one in (
        Sabotage(no_fence_and_no_guard, "leader: SIGSTOP while its requests wait for their turn"),
        Sabotage(mutations.repeated_without_asking, "Airflow: cuts the line after it has acted, clearing"),
        Sabotage(mutations.look_ignored, "people: clear what then waits in a queue"),
        Sabotage(mutations.missed_while_disconnected, "every watcher and etcd: silent"),
        Sabotage(sent_written_before_the_request, "leader: kill -9"),
        Sabotage(records_forgotten_by_a_restart, "every watcher: kill -9"),
        Sabotage(mutations.repeated_without_thinking, "Airflow: 503 while people clear what it is to run for"),
        Sabotage(mutations.consumed_at_the_intent, "Airflow: refuses requests with 403 for a while"),
        Sabotage(
            mutations.fresh_by_arrival_alone, "reports arrive ten minutes late, and people have cleared meanwhile"
        ),
        Sabotage(
            mutations.publications_forget_who_waits,
            "something else is published while 50 partitions wait at max_in_flight",
        ),
        Sabotage(mutations.refusals_never_tried_again, "Airflow: refuses requests with 404 for a while"),
        Sabotage(mutations.sensors_cleared_again, "leader: kill -9, with tasks"),
        Sabotage(mutations.tasks_of_earlier_attempts_used, "answers to clears are lost, with tasks"),
        Sabotage(mutations.observed_runs_not_written, "observed environment: away, with tasks"),
        Sabotage(mutations.assets_used_while_runs_emit_them, "leader: kill -9, with assets"),
        Sabotage(mutations.events_sent_again_without_asking, "answers to events and runs are lost, with assets"),
    )
}


def main(name: str, *arguments: str) -> None:
    sys.argv[1:] = arguments
    with SABOTAGES[name].breaks():
        command_line()


if __name__ == "__main__":
    main(*sys.argv[1:])
