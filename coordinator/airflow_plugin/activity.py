"""What a sender has delivered last: the delivery writes it, the announcer reads it."""

from __future__ import annotations

import threading

from coordinator.airflow_plugin.outbox import AnyEvent, EmittedEvent
from coordinator.model.reporters import RECENT_RUNS, ReportedRun


class Activity:
    """The runs that were reported last, newest first. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._recent: tuple[ReportedRun, ...] = ()

    def note(self, event: AnyEvent) -> None:
        """An event has been delivered."""
        if isinstance(event, EmittedEvent):
            return  # its run reports itself
        document = event.document
        if document.run_id is None or document.observed_at is None:
            return
        run = ReportedRun(
            dag_id=event.dag_id, run_id=document.run_id, state=str(document.state), at=document.observed_at
        )
        with self._lock:
            others = (one for one in self._recent if (one.dag_id, one.run_id) != (run.dag_id, run.run_id))
            self._recent = (run, *others)[:RECENT_RUNS]

    @property
    def recent(self) -> tuple[ReportedRun, ...]:
        return self._recent
