"""Airflow as an environment: implements the port with the other modules of this package."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime

from coordinator.config.airflow import AirflowSettings
from coordinator.runners.airflow import assets, changes, checking, looking, starting, stopping
from coordinator.runners.airflow.assets import KnownAssets
from coordinator.runners.airflow.client import AirflowClient
from coordinator.runners.airflow.deadline import Deadline
from coordinator.runners.airflow.partitioned import PartitionedDags
from coordinator.runners.partitions import refusal_of_partitions
from coordinator.runners.port import (
    NO_TASKS,
    AnswerTooLarge,
    Changed,
    EnvironmentReport,
    ListPlace,
    Looked,
    Outcome,
    Permit,
    RequestRefused,
    RunOrTask,
    RunRef,
    StartRequest,
)


class AirflowRunner:
    """One Airflow, of the kind that its settings name (see ``port.Runner``). Used from several threads at once.

    ``settings.request_timeout`` bounds each ``start`` and ``ask`` as a whole: a login, connecting, sending, the whole
    answer, and the questions that resolve an ambiguous answer share one deadline (see ``deadline``), after which they
    raise ``EnvironmentUnavailable``. It bounds this side only: a request that Airflow has received may still take
    effect later.

    :param name: the environment's name, for messages.
    """

    def __init__(self, name: str, settings: AirflowSettings) -> None:
        self._name = name
        self._settings = settings
        self._request_timeout = settings.request_timeout
        self._assets = KnownAssets()
        self._client = AirflowClient(name, settings)
        self._partitioned = PartitionedDags()

    def __repr__(self) -> str:
        return f"<AirflowRunner {self._client!r}>"

    def start(self, request: StartRequest, *, permit: Permit | None = None) -> Outcome:
        if request.delivery is not None:
            return assets.send(self._client, request.delivery, Deadline(self._request_timeout), permit, self._assets)
        if (refused := refusal_of_partitions(self._name, self._settings, request)) is not None:
            return refused
        with _only_this_one():
            return starting.start(self._client, self._partitioned, request, Deadline(self._request_timeout), permit)

    def ask(self, request: StartRequest) -> Outcome:
        with _only_this_one():
            if request.delivery is not None:
                return assets.ask(self._client, request.delivery, Deadline(self._request_timeout), self._assets)
            return starting.ask(self._client, request, Deadline(self._request_timeout))

    def look(self, asked: Sequence[RunOrTask], *, timeout: float) -> Looked:
        return looking.look(self._client, asked, Deadline(timeout))

    def changed_runs(self, since: datetime | None, *, place: ListPlace, timeout: float) -> Changed:
        return changes.changed_runs(self._client, since, place, Deadline(timeout))

    def stop(self, ref: RunRef, *, before: datetime | None, permit: Permit | None = None) -> Outcome:
        with _only_this_one():
            return stopping.stop(self._client, ref, before, Deadline(self._request_timeout), permit)

    def check(self, dag_ids: Sequence[str], *, tasks: Mapping[str, Collection[str]] = NO_TASKS) -> EnvironmentReport:
        return checking.check(
            self._client, self._partitioned, dag_ids, tasks=tasks, request_timeout=self._request_timeout
        )

    def close(self) -> None:
        """Close the connections. To be called when no method is running."""
        self._client.close()


@contextlib.contextmanager
def _only_this_one() -> Iterator[None]:
    """A run whose conf is too large to read does not mean that its environment failed: ask about the others."""
    try:
        yield
    except AnswerTooLarge as large:
        raise RequestRefused(str(large), status=200) from None
