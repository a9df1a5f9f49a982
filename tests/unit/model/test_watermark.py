"""What a watermark tells of a partition without a state."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from coordinator.model.retention.watermark import Watermark


@pytest.mark.parametrize(
    ("partition", "may"),
    [
        ("2026-11-20T00:00:00Z", True),
        ("2026-11-20T06:00:00Z", True),
        ("2026-11-20T06:00:01Z", False),
        ("2026-11-20", True),
        ("2026-11-21", False),
        ("eu", False),
        ("2026-13-45", False),
    ],
)
def test_only_a_partition_whose_time_the_watermark_covers_may_have_been_removed(partition: str, may: bool) -> None:
    assert Watermark(queued_at=datetime(2026, 11, 20, 6, tzinfo=UTC)).may_have_removed(partition) is may
    assert not Watermark(revision=7).may_have_removed(partition)
