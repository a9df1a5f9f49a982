"""What differs between Airflow 3's REST API (v2) and Airflow 2's (v1): addresses, fields and filters.

The rest of this package speaks either. Airflow 2 does not show when a run was queued, by which attempts are told apart.
Its start stands for that: it is new after every clear. Until the run has started, the moment at which Airflow answers
stands for it, by Airflow's own clock, less :data:`UNSURE`: later than the start of the attempt before, and earlier than
the start of this one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from coordinator.runners.airflow.answers import (
    Answer,
    DagAnswer,
    DagsAnswer,
    OldDagAnswer,
    OldDagsAnswer,
    OldRunAnswer,
    OldRunsAnswer,
    RunAnswer,
    RunsAnswer,
)
from coordinator.runners.airflow.listing import Page
from coordinator.runners.port import AssetDelivery, ObservedRun, RunRef

UNSURE = timedelta(seconds=1)
"""``Date`` has whole seconds, and the clocks of a web server and a scheduler may differ by some milliseconds."""


class Dialect(Protocol):
    """One version of the REST API."""

    @property
    def api(self) -> str:
        """The beginning of every path."""

    @property
    def health(self) -> str:
        """The path of the health check, from the root."""

    @property
    def has_login(self) -> bool:
        """Whether ``POST /auth/token`` exchanges a password for a token."""

    @property
    def has_prefix_filters(self) -> bool:
        """Whether lists can be asked for several names at once."""

    @property
    def sorts_tasks(self) -> bool:
        """Whether a list of task instances can be sorted, and leaves out silently what may not be read."""

    @property
    def takes_no_date(self) -> bool:
        """Whether runs without a logical date exist. Otherwise Airflow gives such a run the present time."""

    @property
    def spares_running_tasks(self) -> bool:
        """Whether a clear of tasks can be made conditional on none of them running."""

    @property
    def date_filters(self) -> tuple[str, str]:
        """The filters of runs by logical date: not before, not after."""

    @property
    def assets(self) -> str:
        """The path of the list of assets, below which that of their events is."""

    @property
    def asset_id(self) -> str:
        """The filter of events by asset."""

    def asset_event(self, asset_id: int, delivery: AssetDelivery) -> tuple[str, dict[str, Any]]:
        """The path and the body of a request that emits an event."""

    def run(self, answer: Answer) -> ObservedRun:
        """Raises as :meth:`Answer.read` does."""

    def runs(self, answer: Answer) -> Page[RunRef, ObservedRun]:
        """Raises as :meth:`Answer.read` does."""

    def dag(self, answer: Answer) -> DagAnswer:
        """Raises as :meth:`Answer.read` does."""

    def dags(self, answer: Answer) -> Page[str, DagAnswer]:
        """Raises as :meth:`Answer.read` does."""


def _by_ref(runs: list[ObservedRun], total: int) -> Page[RunRef, ObservedRun]:
    return Page({RunRef(run.dag_id, run.run_id): run for run in runs}, len(runs), total)


@dataclass(frozen=True, slots=True)
class Airflow3:
    """``/api/v2``, by ``api_fastapi/core_api/routes/public`` of Airflow 3.3."""

    api: str = "/api/v2"
    health: str = "/api/v2/monitor/health"
    has_login: bool = True
    has_prefix_filters: bool = True
    sorts_tasks: bool = True
    takes_no_date: bool = True
    spares_running_tasks: bool = True
    date_filters: tuple[str, str] = ("logical_date_gte", "logical_date_lte")
    assets: str = "/assets"
    asset_id: str = "asset_id"

    def asset_event(self, asset_id: int, delivery: AssetDelivery) -> tuple[str, dict[str, Any]]:
        key = {} if delivery.partition_key is None else {"partition_key": delivery.partition_key}
        return "/assets/events", {"asset_id": asset_id, "extra": dict(delivery.extra), **key}

    def run(self, answer: Answer) -> ObservedRun:
        return answer.read(RunAnswer).observed()

    def runs(self, answer: Answer) -> Page[RunRef, ObservedRun]:
        page = answer.read(RunsAnswer)
        return _by_ref([run.observed() for run in page.dag_runs], page.total_entries)

    def dag(self, answer: Answer) -> DagAnswer:
        return answer.read(DagAnswer)

    def dags(self, answer: Answer) -> Page[str, DagAnswer]:
        page = answer.read(DagsAnswer)
        return Page({dag.dag_id: dag for dag in page.dags}, len(page.dags), page.total_entries)


@dataclass(frozen=True, slots=True)
class Airflow2:
    """``/api/v1``, by ``api_connexion/endpoints`` of Airflow 2.11."""

    api: str = "/api/v1"
    health: str = "/api/v1/health"
    has_login: bool = False
    has_prefix_filters: bool = False
    sorts_tasks: bool = False
    takes_no_date: bool = False
    spares_running_tasks: bool = False
    date_filters: tuple[str, str] = ("execution_date_gte", "execution_date_lte")
    assets: str = "/datasets"
    asset_id: str = "dataset_id"

    def asset_event(self, asset_id: int, delivery: AssetDelivery) -> tuple[str, dict[str, Any]]:
        del asset_id  # and it knows no partition keys
        return "/datasets/events", {"dataset_uri": delivery.uri, "extra": dict(delivery.extra)}

    def run(self, answer: Answer) -> ObservedRun:
        return answer.read(OldRunAnswer).observed(unstarted=_unstarted(answer))

    def runs(self, answer: Answer) -> Page[RunRef, ObservedRun]:
        page, unstarted = answer.read(OldRunsAnswer), _unstarted(answer)
        return _by_ref([run.observed(unstarted=unstarted) for run in page.dag_runs], page.total_entries)

    def dag(self, answer: Answer) -> DagAnswer:
        return answer.read(OldDagAnswer).dag()

    def dags(self, answer: Answer) -> Page[str, DagAnswer]:
        page = answer.read(OldDagsAnswer)
        return Page({dag.dag_id: dag.dag() for dag in page.dags}, len(page.dags), page.total_entries)


def _unstarted(answer: Answer) -> datetime:
    """What stands for the start of a run that has not started."""
    return (answer.date or datetime.now(UTC)) - UNSURE
