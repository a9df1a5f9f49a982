"""The assets of one Airflow, and the events that were emitted of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class AssetEvent:
    """:ivar queued: a run that it has created is queued: Airflow 3.3 fails to show it.

    :ivar source: DAG, run and task that have emitted it; ``None``: the REST API has."""

    id: int
    asset_id: int
    extra: Mapping[str, Any]
    timestamp: datetime
    partition_key: str | None = None
    source: tuple[str, str, str] | None = None
    queued: bool = False


@dataclass(slots=True)
class Assets:
    """The assets of one Airflow, by id, and what was emitted of them.

    :ivar scheduled: the DAGs that have an asset in their schedule.
    :ivar told: is told of each event, as a listener is.
    """

    uris: dict[int, str] = field(default_factory=dict)
    events: list[AssetEvent] = field(default_factory=list)
    scheduled: dict[int, list[str]] = field(default_factory=dict)
    told: Callable[[str, AssetEvent], None] = lambda _, __: None

    def add(self, *uris: str, dag_id: str | None = None) -> None:
        """DAGs have these in their schedules, or as outlets. :param dag_id: a DAG that has them in its schedule."""
        for uri in uris:
            if uri not in self.uris.values():
                self.uris[len(self.uris) + 1] = uri
            if dag_id is not None:
                asset_id = next(one for one, known in self.uris.items() if known == uri)
                self.scheduled.setdefault(asset_id, []).append(dag_id)

    def of(self, uri: str) -> list[AssetEvent]:
        """The events of an asset, oldest first."""
        return [event for event in self.events if self.uris[event.asset_id] == uri]

    def emit(
        self,
        asset_id: int,
        *,
        at: datetime,
        extra: Mapping[str, Any] | None = None,
        partition_key: str | None = None,
        source: tuple[str, str, str] | None = None,
    ) -> AssetEvent:
        event = AssetEvent(len(self.events) + 1, asset_id, dict(extra or {}), at, partition_key, source)
        self.events.append(event)
        self.told(self.uris[asset_id], event)
        return event
