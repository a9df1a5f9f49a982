"""A request that changes something: sent once, and what its refusal says."""

from __future__ import annotations

from typing import Any

from coordinator.runners.airflow.answers import Answer
from coordinator.runners.airflow.client import AirflowClient
from coordinator.runners.airflow.deadline import Deadline
from coordinator.runners.port import Permit, Refused, RequestRefused


def post(
    client: AirflowClient, path: str, body: dict[str, Any], deadline: Deadline, permit: Permit | None
) -> Answer | Refused:
    """The answer; ``Refused`` if the credentials were not accepted, so that nothing was sent."""
    try:
        return client.post(path, body, deadline=deadline, permit=permit)
    except RequestRefused as refusal:
        return Refused(refusal.status, str(refusal))


def patch(
    client: AirflowClient, path: str, body: dict[str, Any], deadline: Deadline, permit: Permit | None
) -> Answer | Refused:
    """As :func:`post`, with PATCH."""
    try:
        return client.patch(path, body, deadline=deadline, permit=permit)
    except RequestRefused as refusal:
        return Refused(refusal.status, str(refusal))


def refused(answer: Answer) -> Refused:
    answer.raise_if_unsettled()
    return Refused(answer.status, answer.detail())
