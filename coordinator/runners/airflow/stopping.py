"""Stopping a run that takes too long: a look, and then its state is set to failed, as a person does in the UI.

Airflow ends the tasks that run, and lets no others begin (``set_dag_run_state_to_failed``). It has no request that is
conditional on an attempt: what happens to the run between the look and the request is not seen (docs/guarantees.md).
"""

from __future__ import annotations

from datetime import datetime

from coordinator.model import bounds
from coordinator.model.printable import printable
from coordinator.runners.airflow.client import AirflowClient
from coordinator.runners.airflow.deadline import Deadline
from coordinator.runners.airflow.runs import find_run, read_run, run_path
from coordinator.runners.airflow.sending import patch, refused
from coordinator.runners.port import Happened, NotHappened, Outcome, Permit, Refused, RequestRefused, RunRef


def stop(
    client: AirflowClient, ref: RunRef, before: datetime | None, deadline: Deadline, permit: Permit | None = None
) -> Outcome:
    """Raises and returns as ``port.Runner.stop`` does."""
    try:
        run = find_run(client, ref.dag_id, ref.run_id, deadline)
    except RequestRefused as refusal:
        return Refused(refusal.status, str(refusal))
    named = printable(f"{ref.dag_id}/{ref.run_id}", limit=bounds.DETAIL)
    if run is None:
        return NotHappened(f"there is no run {named} to stop", run_missing=True)
    if run.queued_at != before:
        return NotHappened(f"{named} is in another attempt by now")
    if run.state.is_terminal:
        return Happened(run)
    answer = patch(client, run_path(ref.dag_id, ref.run_id), {"state": "failed"}, deadline, permit)
    if isinstance(answer, Refused):
        return answer
    if answer.status == 200:
        return Happened(read_run(client, answer, ref.dag_id, ref.run_id))
    return refused(answer)
