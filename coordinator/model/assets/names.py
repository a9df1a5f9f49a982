"""The pipelines that stand for asset events, for their deliveries, and for assets that others wait for. Airflow allows
no blank in the id of a DAG, so no DAG has such a name."""

from __future__ import annotations

from coordinator.model import bounds
from coordinator.model.references import PipelineRef

EVENTS = "asset events"
_FORWARD = "assets from "
_ONCE = "assets once from "
_ASSET = "asset at "

LONGEST_URI = bounds.NAME - len(_ASSET)
"""Characters of the URI of an asset that is an upstream: it stands in keys."""


def events_of(environment: str) -> PipelineRef:
    """The asset events of an environment. Each is a partition of it, which has succeeded."""
    return PipelineRef(environment, EVENTS)


def deliveries(source: str, consumer: str, *, once: bool) -> PipelineRef:
    """The deliveries of events to an environment: a pipeline of the consumer, with a partition for each.

    :param once: those in which events of one origin share a partition.
    """
    return PipelineRef(consumer, f"{_ONCE if once else _FORWARD}{source}")


def is_of_assets(pipeline: PipelineRef) -> bool:
    """Whether it stands for asset events, deliveries or an asset, and is no DAG."""
    return pipeline.dag_id == EVENTS or is_delivery(pipeline) or is_asset(pipeline)


def is_delivery(pipeline: PipelineRef) -> bool:
    """Whether it stands for deliveries."""
    return pipeline.dag_id.startswith((_FORWARD, _ONCE))


def asset_of(environment: str, uri: str) -> PipelineRef:
    """An asset, as an upstream: its completion in a partition is its newest event there."""
    return PipelineRef(environment, f"{_ASSET}{uri}")


def is_asset(pipeline: PipelineRef) -> bool:
    """Whether it stands for an asset."""
    return pipeline.dag_id.startswith(_ASSET)


def uri_of(asset: PipelineRef) -> str:
    """The URI of an asset."""
    return asset.dag_id.removeprefix(_ASSET)


def source_of(pipeline: PipelineRef) -> str:
    """The environment whose events these deliveries hand on."""
    return pipeline.dag_id.removeprefix(_FORWARD).removeprefix(_ONCE)


def part_of(pipeline: PipelineRef) -> dict[str, str]:
    """What a reference says besides the pipeline, for programs: its task, or the URI of the asset."""
    if pipeline.task:
        return {"task": pipeline.task}
    return {"asset": uri_of(pipeline)} if is_asset(pipeline) else {}
