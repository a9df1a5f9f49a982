"""Reporting in the scheduler: from a DAG run's columns to an event in the outbox.

It reads columns only: an ORM helper that queries would make the scheduler exit with "UNEXPECTED COMMIT". It opens no
connection, imports no gRPC, and waits for nothing but the local disk.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from coordinator.airflow_plugin.identity import NO_AIRFLOW, AirflowIdentity
from coordinator.airflow_plugin.outbox import AnyEvent, EmittedEvent, Event, Outbox, default_outbox
from coordinator.airflow_plugin.spawning import SenderProcess
from coordinator.config import CONFIG_VARIABLE
from coordinator.errors import ConfigurationError
from coordinator.model.assets.events import AssetEventDocument, new_event_id
from coordinator.model.partitions.instants import dag_or_item, partition_of_run
from coordinator.model.runstate import RunStateDocument, State, shown_queued_at

if TYPE_CHECKING:
    from coordinator.config.reporter import ReporterSettings

log = structlog.get_logger(__name__)

ENDPOINTS_VARIABLE = "COORDINATOR_ETCD__ENDPOINTS"
_READ_CONFIGURATION_AGAIN_AFTER = 30.0
"""Seconds between two attempts to read a broken configuration."""
_COUNT_EVERY = 1000
"""Events between two checks of how many wait."""
MANY = 10_000
"""Waiting events from which on there is a warning."""


class DagRunColumns(Protocol):
    """The columns of Airflow's ``DagRun`` that are read."""

    dag_id: str
    run_id: str
    queued_at: datetime | None
    logical_date: datetime | None
    partition_key: str | None
    data_interval_start: datetime | None
    data_interval_end: datetime | None
    start_date: datetime | None
    end_date: datetime | None
    conf: object


def event_of(
    dag_run: DagRunColumns,
    state: State,
    *,
    environment: str | None,
    observed_at: datetime,
    airflow: AirflowIdentity = NO_AIRFLOW,
) -> Event:
    """The event about a run.

    Attempts are told apart by ``queued_at``. The REST API of Airflow 2 does not show it, so there the start stands for
    it, here as in :mod:`coordinator.runners.airflow.dialect`.

    :param state: from the hook, not from ``dag_run.state``: Airflow guarantees the name of the hook.
    :param environment: this environment's name; ``None`` when it is not known yet.
    """
    partition_key = getattr(dag_run, "partition_key", None)  # Airflow 2 has none
    if airflow.is_old:
        queued_at = dag_run.start_date or dag_run.end_date
    else:
        queued_at = shown_queued_at(dag_run.queued_at, dag_run.end_date)
    return Event(
        environment=environment,
        dag_id=dag_or_item(dag_run.dag_id, dag_run.run_id, dag_run.conf),
        partition=partition_of_run(
            run_id=dag_run.run_id,
            logical_date=dag_run.logical_date,
            partition_key=partition_key,
            conf=dag_run.conf,
        ),
        document=RunStateDocument(
            state=state,
            run_id=dag_run.run_id,
            queued_at=queued_at,
            logical_date=dag_run.logical_date,
            partition_key=partition_key,
            data_interval_start=dag_run.data_interval_start,
            data_interval_end=dag_run.data_interval_end,
            start_date=dag_run.start_date,
            end_date=dag_run.end_date,
            observed_at=observed_at,
            reported_by=f"airflow-listener/{environment}" if environment else "airflow-listener",
        ),
    )


class NamedAsset(Protocol):
    """What is read of an asset."""

    name: str
    uri: str
    group: str


class EmittedAsset(Protocol):
    """What is read of Airflow's ``AssetEvent`` (``airflow/listeners/types.py``). It has no id and no time."""

    asset: NamedAsset
    extra: dict[str, Any]
    source_dag_id: str | None
    source_task_id: str | None
    source_run_id: str | None
    source_map_index: int | None
    partition_key: str | None


def emitted_event_of(emitted: EmittedAsset, *, environment: str | None, observed_at: datetime) -> EmittedEvent:
    """The event about an asset event. Each call makes another id. Parameters as of :func:`event_of`."""
    document = AssetEventDocument(
        uri=emitted.asset.uri,
        name=emitted.asset.name,
        group=emitted.asset.group,
        dag_id=emitted.source_dag_id,
        run_id=emitted.source_run_id,
        task_id=emitted.source_task_id,
        map_index=emitted.source_map_index,
        partition_key=emitted.partition_key,
        extra=dict(emitted.extra or {}),
        timestamp=observed_at,
        reported_by=f"airflow-listener/{environment}" if environment else "airflow-listener",
    )
    return EmittedEvent(asset=document, event_id=new_event_id(document), environment=environment)


@dataclass(frozen=True, slots=True)
class _Place:
    """An outbox, and its sender."""

    outbox: Outbox
    sender: SenderProcess

    @classmethod
    def at(cls, directory: Path, airflow: AirflowIdentity) -> _Place:
        return cls(Outbox(directory), SenderProcess(directory, airflow))


class Reporter:
    """One per process of Airflow. It is inactive, and logs that once, if no etcd is configured.

    With a broken configuration, events are kept in the default outbox without an environment until somebody repairs it:
    losing them, or stopping the scheduler, would both be worse.

    :param airflow: the Airflow that this process belongs to.
    """

    def __init__(self, airflow: AirflowIdentity = NO_AIRFLOW) -> None:
        self._airflow = airflow
        self._active = bool(os.environ.get(CONFIG_VARIABLE) or os.environ.get(ENDPOINTS_VARIABLE))
        self._settings: ReporterSettings | None = None
        self._read_again_at = 0.0
        self._default = _Place.at(default_outbox(), airflow)
        self._place = self._default
        self._reported = 0
        if not self._active:
            log.warning(
                "reporter.inactive",
                reason=f"neither {CONFIG_VARIABLE} nor {ENDPOINTS_VARIABLE} is set",
                consequence="this Airflow reports no run states",
            )

    def report(self, dag_run: DagRunColumns, state: str) -> None:
        """Write a run's state to the outbox, and make sure that a sender delivers it.

        :raises OSError: it could not be written (a full disk): the watcher's own questions to Airflow make up for it.
        """
        if not self._active:
            return
        began = time.perf_counter()
        event = event_of(
            dag_run,
            State(state),
            environment=self._environment(),
            observed_at=datetime.now(UTC),
            airflow=self._airflow,
        )
        self._keep(event, began)

    def emitted(self, asset_event: EmittedAsset) -> None:
        """Write an asset event to the outbox, with the id that every delivery of it carries. Raises as :meth:`report`
        does."""
        if not self._active:
            return
        began = time.perf_counter()
        event = emitted_event_of(asset_event, environment=self._environment(), observed_at=datetime.now(UTC))
        self._keep(event, began)

    def keep(self, event_id: str, document: AssetEventDocument) -> None:
        """Write an asset event that a task emits to the outbox. Raises as :meth:`report` does."""
        began = time.perf_counter()
        self._keep(EmittedEvent(asset=document, event_id=event_id, environment=self._environment()), began)

    def _environment(self) -> str | None:
        settings = self._read_settings()
        return settings.environment if settings else None

    def _keep(self, event: AnyEvent, began: float) -> None:
        try:
            name = self._place.outbox.put(event)
        finally:
            self._place.sender.wake()  # also on a full disk: delivering frees space
        log.info(
            "event.kept",
            environment=event.environment,
            **event.about,
            file=name,
            milliseconds=round((time.perf_counter() - began) * 1000, 2),
        )
        self._reported += 1
        if self._reported % _COUNT_EVERY == 0:
            warn_of_many(self._place.outbox)

    def resume(self, *, stays: bool) -> None:
        """Start a sender for every outbox that contains earlier events.

        :param stays: this process will report runs for as long as it lives: start a sender in any case, which shows
            that this Airflow reports.
        """
        if not self._active:
            return
        self._read_settings()
        for place in {id(place): place for place in (self._default, self._place)}.values():
            if place.outbox.pending():
                warn_of_many(place.outbox)
            elif not (stays and place is self._place):
                continue
            place.sender.renew()

    def _read_settings(self) -> ReporterSettings | None:
        if self._settings is None and time.monotonic() >= self._read_again_at:
            from coordinator.config.loading import load_settings

            try:
                self._settings = load_settings().reporter
            except ConfigurationError as error:
                self._read_again_at = time.monotonic() + _READ_CONFIGURATION_AGAIN_AFTER
                log.error(
                    "reporter.misconfigured",
                    error=str(error),
                    consequence="run states are kept, and delivered once it is repaired",
                    outbox=str(self._place.outbox.directory),
                )
            else:
                if self._settings.outbox is not None:
                    directory = self._settings.outbox.expanduser().absolute()
                    if directory != self._default.outbox.directory:
                        self._place = _Place.at(directory, self._airflow)
        return self._settings


def warn_of_many(outbox: Outbox) -> None:
    """Warn when events pile up: etcd is down, or the sender does not run."""
    waiting = len(outbox.pending())
    if waiting >= MANY:
        log.warning("outbox.grows", outbox=str(outbox.directory), waiting=waiting, see="sender.log there")
