"""The pipelines that stand for asset events and for their deliveries. Airflow allows no blank in the id of a DAG, so no
DAG has such a name."""

from __future__ import annotations

from coordinator.model import bounds
from coordinator.model.references import PipelineRef

EVENTS = "asset events"
_ASSET = "asset at "
LONGEST_URI = bounds.NAME - len(_ASSET)
"""Characters of the URI of an asset that is an upstream: it stands in keys."""

_FORWARD = "assets from "
_ONCE = "assets once from "


def events_of(environment: str) -> PipelineRef:
    """The asset events of an environment. Each is a partition of it, which has succeeded."""
    return PipelineRef(environment, EVENTS)


def asset_of(environment: str, uri: str) -> PipelineRef:
    """An asset, as an upstream. Its events are its completions, in their partitions."""
    return PipelineRef(environment, _ASSET + uri)


def is_asset(pipeline: PipelineRef) -> bool:
    """Whether it stands for an asset, as an upstream."""
    return pipeline.dag_id.startswith(_ASSET)


def uri_of(pipeline: PipelineRef) -> str:
    """The URI of an asset that is an upstream."""
    return pipeline.dag_id.removeprefix(_ASSET)


def deliveries(source: str, consumer: str, *, once: bool) -> PipelineRef:
    """The deliveries of events to an environment: a pipeline of the consumer, with a partition for each.

    :param once: those in which events of one origin share a partition.
    """
    return PipelineRef(consumer, f"{_ONCE if once else _FORWARD}{source}")


def is_of_assets(pipeline: PipelineRef) -> bool:
    """Whether it stands for assets, their events or deliveries, and is no DAG."""
    return pipeline.dag_id == EVENTS or is_asset(pipeline) or is_delivery(pipeline)


def is_delivery(pipeline: PipelineRef) -> bool:
    """Whether it stands for deliveries."""
    return pipeline.dag_id.startswith((_FORWARD, _ONCE))


def source_of(pipeline: PipelineRef) -> str:
    """The environment whose events these deliveries hand on."""
    return pipeline.dag_id.removeprefix(_FORWARD).removeprefix(_ONCE)
