"""The states of pipelines that fan out: the leader writes what follows from their items.

See docs/architecture.md#items.
"""

from __future__ import annotations

import structlog

from coordinator.controller.clock import Clock
from coordinator.controller.reconcile.ledger import Ledger
from coordinator.model.decide import Decision
from coordinator.model.runstate import RunStateDocument

_log = structlog.get_logger(__name__)


class WholeStates:
    """Used by the deciding thread only."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    def write(self, decision: Decision) -> None:
        """Write the state that follows from the items of a pipeline. If it is written twice, the second one is lost.

        :param decision: about the pipeline as a whole.
        """
        assert decision.items is not None
        target, state = decision.target, decision.items.state
        value = None
        if state is not None:
            document = RunStateDocument(
                state=state.state,
                run_id=state.attempt.run_id,
                attempt=state.attempt.number,
                observed_at=self._clock.now(),
                reported_by=self._ledger.reported_by,
                note=state.note,
            )
            value = document.to_value()
        items = decision.items
        _log.info(
            "items.state",
            pipeline=str(target.pipeline),
            partition=target.partition,
            state=str(state.state) if state is not None else "none",
            items=items.items,
            busy=items.busy,
            stuck=items.stuck,
            not_succeeded=items.failed,
        )
        self._ledger.state(target, value, askers=frozenset())
