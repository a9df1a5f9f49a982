"""``python -m tests.faults.listener``: in place of an Airflow's scheduler, with the listener in it.

Reads a line of JSON for each run that has changed, does with it what the plugin's hooks do, and answers whether it
could be kept, or why not.
"""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import dataclass
from datetime import datetime

import structlog

from coordinator.airflow_plugin.reporter import Reporter
from coordinator.runners.port import ObservedRun

KEPT, LOST = "kept", "lost"

_DATES = ("queued_at", "logical_date", "start_date", "end_date")

log = logging.getLogger(__name__)


@dataclass
class _DagRun:
    """The columns of a run that the listener reads."""

    dag_id: str
    run_id: str
    queued_at: datetime | None
    logical_date: datetime | None
    start_date: datetime | None
    end_date: datetime | None
    conf: object
    partition_key: str | None = None
    data_interval_start: datetime | None = None
    data_interval_end: datetime | None = None


def line_about(run: ObservedRun) -> str:
    """What to tell the process of a run that has changed."""
    said: dict[str, object] = {
        "dag_id": run.dag_id,
        "run_id": run.run_id,
        "partition_key": run.partition_key,
        "conf": run.conf,
        "state": run.state,
    }
    for name in _DATES:
        instant = getattr(run, name)
        said[name] = instant.isoformat() if instant else None
    return json.dumps(said) + "\n"


def main() -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # stdout is for answers
    reporter = Reporter()
    for line in sys.stdin:
        said = json.loads(line)
        state = said.pop("state")
        said |= {name: datetime.fromisoformat(said[name]) if said[name] else None for name in _DATES}
        try:
            reporter.report(_DagRun(**said), state)
        except Exception as error:  # as the plugin: it must not break the scheduler
            log.exception("coordinator.report_lost: the state %r of a DAG run was not reported", state)
            print(f"{LOST} {error!r}", flush=True)
        else:
            print(KEPT, flush=True)


if __name__ == "__main__":
    main()
