"""The last sweep of retention, and what it could not remove: a part of ``status``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from coordinator.model.partitions.instants import format_instant
from coordinator.model.phrases import counted

if TYPE_CHECKING:
    from coordinator.reading.reading import Reading

NAMED = 3
"""Partitions that cannot be removed which are shown to people; programs get all that are known."""


def retention_as_json(reading: Reading) -> dict[str, Any]:
    """How many partitions there are, how many states have expired, and the last sweep."""
    swept = reading.cache.swept
    return {
        "partitions": len(set(reading.cache.targets())),
        "expired": len(reading.cache.expired),
        "swept": None
        if swept is None
        else {
            "when": format_instant(swept.when),
            "removed": swept.removed,
            "kept": swept.kept,
            "held_back_pipelines": swept.held_back_pipelines,
            "held_back": [
                {"pipeline": str(one.target.pipeline), "partition": one.target.partition, "reason": one.reason}
                for one in swept.held_back
            ],
        },
    }


def retention_in_words(reading: Reading, *, everything: bool) -> Iterator[str]:
    """Lines for people: those that may need action, and the rest if everything is asked for."""
    swept, expired = reading.cache.swept, len(reading.cache.expired)
    if everything:
        count = len(set(reading.cache.targets()))
        kept = f"{counted(count, 'partition is', 'partitions are')} kept, all pipelines together"
        last = f"; swept at {swept.when:%Y-%m-%dT%H:%M:%SZ}, {swept.removed} removed" if swept is not None else ""
        yield kept + last
    if expired:
        have = counted(expired, "state has", "states have")
        yield f"{have} come back after retention had removed what was as old; ignored"
    if swept is not None and swept.held_back_pipelines:
        for one in swept.held_back[:NAMED]:
            yield f"kept by retention though it is time: {one.target}: {one.reason}"
        if (more := swept.held_back_pipelines - len(swept.held_back[:NAMED])) > 0:
            yield f"and {counted(more, 'more pipeline')} that retention cannot shorten"
