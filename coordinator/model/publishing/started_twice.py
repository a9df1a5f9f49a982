"""Pipelines that one asset event would start twice: through a bridge, as their own schedule may name the asset, and
through a dependency on the asset."""

from __future__ import annotations

from collections.abc import Iterator

from coordinator.model.assets.bridges import bridges_in
from coordinator.model.assets.names import is_asset, uri_of
from coordinator.model.conditions import leaves
from coordinator.model.dependencies import Document
from coordinator.model.partitions import Assets
from coordinator.model.publishing.never_met import NeverMet
from coordinator.model.references import PipelineRef


def started_twice(document: Document) -> Iterator[NeverMet]:
    """The pipelines of a document that wait for an asset which a bridge hands on to their own environment.

    Whether their schedule names it, only their Airflow knows.
    """
    handed_on: dict[tuple[str, str], list[Assets]] = {}
    for bridge in bridges_in(document):
        given = handed_on.setdefault((bridge.source, bridge.consumer), [])
        given += (Assets(pattern, bridge.but) for pattern in bridge.match)
    for pipeline, entry in document.items():
        for asset in dict.fromkeys(leaf.upstream for leaf in leaves(entry.condition) if is_asset(leaf.upstream)):
            given = handed_on.get((asset.environment, pipeline.environment), [])
            if any(mapping.takes(uri_of(asset)) for mapping in given):
                yield _told(pipeline, asset)


def _told(pipeline: PipelineRef, asset: PipelineRef) -> NeverMet:
    uri = uri_of(asset)
    reason = (
        f"it waits for {uri} of {asset.environment}, and a bridge hands that on to {pipeline.environment}: if the "
        "schedule of the DAG names the asset, each event starts it twice"
    )
    remedy = (
        "give the DAG schedule=None, or take one of the two out: the dependency, or the asset, by 'match' and "
        "'except' of the bridge (coordinator doctor asks its Airflow)"
    )
    return NeverMet(pipeline, reason, remedy)
