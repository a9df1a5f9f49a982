"""The canonical JSON of a document: shortest forms, entries in order, so that equal documents read equal."""

from __future__ import annotations

from typing import Any

from coordinator.model.assets.bridges import without_bridges
from coordinator.model.assets.names import is_asset, uri_of
from coordinator.model.conditions import Condition, Dependency, On
from coordinator.model.dependencies import Catchup, Document, Downstream, OnLate, Rerun, Settle
from coordinator.model.documents.bridges import ASSETS_KEY, dump_bridges
from coordinator.model.documents.deadlines import dump_deadline
from coordinator.model.documents.document import TOP_LEVEL
from coordinator.model.documents.items import dump_items
from coordinator.model.documents.mappings import dump_mapping
from coordinator.model.durations import format_duration
from coordinator.model.partitions import Identity
from coordinator.model.references import PipelineRef


def dump_document(document: Document) -> dict[str, Any]:
    """A document as JSON values; ``parse_document`` makes an equal document of them."""
    entries = without_bridges(document)
    dumped = {_key(pipeline): _entry(entries[pipeline]) for pipeline in sorted(entries)}
    bridges = dump_bridges(document)
    return {**dumped, ASSETS_KEY: bridges} if bridges else dumped


def _key(pipeline: PipelineRef) -> str:
    text = str(pipeline)
    return f"{pipeline.environment}/{pipeline.dag_id}" if text in TOP_LEVEL else text


def _entry(downstream: Downstream) -> Any:
    upstream = _condition(downstream.condition)
    fields: dict[str, Any] = {"upstream": upstream}
    if downstream.rerun is not Rerun.CLEAR:
        fields["rerun"] = str(downstream.rerun)
    if downstream.settle is not Settle.WAVE:
        fields["settle"] = str(downstream.settle)
    if downstream.conf:
        fields["conf"] = dict(downstream.conf)
    if downstream.catchup is not Catchup.ALL:
        fields["catchup"] = str(downstream.catchup)
    if downstream.max_in_flight is not None:
        fields["max_in_flight"] = downstream.max_in_flight
    if downstream.deadline is not None:
        fields["deadline"] = dump_deadline(downstream.deadline)
    if downstream.on_late is not OnLate.SHOW:
        fields["on_late"] = str(downstream.on_late)
    if downstream.retries:
        fields["retries"] = downstream.retries
        if downstream.retry_delay:
            fields["retry_delay"] = format_duration(downstream.retry_delay)
    if downstream.timeout is not None:
        fields["timeout"] = format_duration(downstream.timeout)
    if downstream.items is not None:
        fields["items"] = dump_items(downstream.items)
    # A condition that is an object stands under "upstream": an entry that is one is read as the entry's fields.
    return upstream if len(fields) == 1 and not isinstance(upstream, dict) else fields


def _dependency(dependency: Dependency) -> Any:
    upstream = dependency.upstream
    fields: dict[str, Any] = {"pipeline": str(upstream.whole)}
    if is_asset(upstream):
        fields = {"asset": uri_of(upstream), "environment": upstream.environment}
    if upstream.task:
        fields["task"] = upstream.task
    if dependency.on is not On.SUCCESS:
        fields["on"] = str(dependency.on)
    if not isinstance(dependency.mapping, Identity):
        fields["partition"] = dump_mapping(dependency.mapping)
    if not dependency.trigger:
        fields["trigger"] = False
    if dependency.max_age is not None:
        fields["max_age"] = format_duration(dependency.max_age)
    return fields["pipeline"] if fields.keys() == {"pipeline"} else fields


def _condition(condition: Condition) -> Any:
    if isinstance(condition, Dependency):
        return _dependency(condition)
    branches = [_condition(branch) for branch in condition.of]
    if condition.n == len(branches):
        return branches
    return {"any": branches} if condition.n == 1 else {"at_least": condition.n, "of": branches}
