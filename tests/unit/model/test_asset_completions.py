"""The completion of an asset, as it is in etcd."""

from __future__ import annotations

from datetime import UTC, datetime

from coordinator.model import bounds
from coordinator.model.assets.completions import (
    MOST_EMISSIONS,
    AssetCompletion,
    Emission,
    completion_of,
    dump_completion,
    read_completion,
)
from coordinator.model.references import PipelineRef

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def test_as_many_emissions_as_are_kept_fit_into_etcd_whatever_their_names() -> None:
    longest = "\x01" * bounds.NAME  # six bytes each, as JSON
    pipeline = PipelineRef("\U0001f600" * bounds.AIRFLOW_NAME, longest)
    emissions = [
        Emission(pipeline, longest, longest, NOON, NOON, 2**62 + one, 2**62 + one, NOON)
        for one in range(MOST_EMISSIONS)
    ]
    value = dump_completion(completion_of(longest, emissions), reported_by="x" * 1000)
    assert len(value) <= bounds.ASSET_COMPLETION
    assert isinstance(read_completion(value), AssetCompletion)
