"""What differs between Airflow 3's REST API (v2) and Airflow 2's (v1): addresses, fields and filters.

The rest of this package speaks either. Airflow 2 does not show when a run was queued, by which attempts are told apart.
Its start stands for that: it is new after every clear. Until the run has started, the moment at which Airflow answers
stands for it, by Airflow's own clock, less :data:`UNSURE`: earlier than the start of this one. Where the attempt before
is known, the moment just after that stands for it (:meth:`~coordinator.runners.port.ObservedRun.after`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

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

UNSURE = timedelta(minutes=1)
"""So far the clock of a web server may be ahead of that of a scheduler."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """One version of the REST API. Each of the readers raises as :meth:`Answer.read` does.

    :ivar api: the beginning of every path.
    :ivar health: the path of the health check.
    :ivar has_login: ``POST /auth/token`` exchanges a password for a token.
    :ivar has_prefix_filters: lists can be asked for several names at once.
    :ivar sorts_tasks: a list of task instances can be sorted, and leaves out silently what may not be read.
    :ivar has_undated_runs: runs without a logical date exist. Otherwise Airflow gives such a run the present time.
    :ivar has_partition_keys: runs may have a ``partition_key``.
    :ivar can_protect_running_tasks: a clear of tasks can be made conditional on none of them running.
    :ivar date_filters: the filters of runs by logical date: not before, not after.
    :ivar assets: the path of the list of assets, below which that of their events is.
    :ivar asset_id: the filter of events by asset.
    :ivar asset_event: of an asset's id and a delivery: the path and the body of a request that emits an event.
    """

    api: str
    health: str
    has_login: bool
    has_prefix_filters: bool
    sorts_tasks: bool
    has_undated_runs: bool
    has_partition_keys: bool
    can_protect_running_tasks: bool
    date_filters: tuple[str, str]
    assets: str
    asset_id: str
    asset_event: Callable[[int, AssetDelivery], tuple[str, dict[str, Any]]]
    run: Callable[[Answer], ObservedRun]
    runs: Callable[[Answer], Page[RunRef, ObservedRun]]
    dag: Callable[[Answer], DagAnswer]
    dags: Callable[[Answer], Page[str, DagAnswer]]


def _by_ref(runs: list[ObservedRun], total: int) -> Page[RunRef, ObservedRun]:
    return Page({RunRef(run.dag_id, run.run_id): run for run in runs}, len(runs), total)


def _run(answer: Answer) -> ObservedRun:
    return answer.read(RunAnswer).observed()


def _runs(answer: Answer) -> Page[RunRef, ObservedRun]:
    page = answer.read(RunsAnswer)
    return _by_ref([run.observed() for run in page.dag_runs], page.total_entries)


def _dag(answer: Answer) -> DagAnswer:
    return answer.read(DagAnswer)


def _dags(answer: Answer) -> Page[str, DagAnswer]:
    page = answer.read(DagsAnswer)
    return Page({dag.dag_id: dag for dag in page.dags}, len(page.dags), page.total_entries)


def _asset_event(asset_id: int, delivery: AssetDelivery) -> tuple[str, dict[str, Any]]:
    key = {} if delivery.partition_key is None else {"partition_key": delivery.partition_key}
    return "/assets/events", {"asset_id": asset_id, "extra": dict(delivery.extra), **key}


def _old_run(answer: Answer) -> ObservedRun:
    return answer.read(OldRunAnswer).observed(unstarted=_unstarted(answer))


def _old_runs(answer: Answer) -> Page[RunRef, ObservedRun]:
    page, unstarted = answer.read(OldRunsAnswer), _unstarted(answer)
    return _by_ref([run.observed(unstarted=unstarted) for run in page.dag_runs], page.total_entries)


def _old_dag(answer: Answer) -> DagAnswer:
    return answer.read(OldDagAnswer).dag()


def _old_dags(answer: Answer) -> Page[str, DagAnswer]:
    page = answer.read(OldDagsAnswer)
    return Page({dag.dag_id: dag.dag() for dag in page.dags}, len(page.dags), page.total_entries)


def _old_asset_event(_: int, delivery: AssetDelivery) -> tuple[str, dict[str, Any]]:
    """Airflow 2 knows no partition keys."""
    return "/datasets/events", {"dataset_uri": delivery.uri, "extra": dict(delivery.extra)}


def _unstarted(answer: Answer) -> datetime:
    """What stands for the start of a run that has not started."""
    return (answer.date or datetime.now(UTC)) - UNSURE


AIRFLOW_3 = Dialect(
    api="/api/v2",
    health="/monitor/health",
    has_login=True,
    has_prefix_filters=True,
    sorts_tasks=True,
    has_undated_runs=True,
    has_partition_keys=True,
    can_protect_running_tasks=True,
    date_filters=("logical_date_gte", "logical_date_lte"),
    assets="/assets",
    asset_id="asset_id",
    asset_event=_asset_event,
    run=_run,
    runs=_runs,
    dag=_dag,
    dags=_dags,
)
"""``/api/v2``, by ``api_fastapi/core_api/routes/public`` of Airflow 3.3."""

AIRFLOW_2 = Dialect(
    api="/api/v1",
    health="/health",
    has_login=False,
    has_prefix_filters=False,
    sorts_tasks=False,
    has_undated_runs=False,
    has_partition_keys=False,
    can_protect_running_tasks=False,
    date_filters=("execution_date_gte", "execution_date_lte"),
    assets="/datasets",
    asset_id="dataset_id",
    asset_event=_old_asset_event,
    run=_old_run,
    runs=_old_runs,
    dag=_old_dag,
    dags=_old_dags,
)
"""``/api/v1``, by ``api_connexion/endpoints`` of Airflow 2.11."""

DIALECTS = {2: AIRFLOW_2, 3: AIRFLOW_3}
"""By the version of Airflow."""
