"""Notes about dependencies that can hardly be met, from what is known of their upstreams."""

from __future__ import annotations

from collections.abc import Iterator

from coordinator.model.apart import apart
from coordinator.model.publishing.unmet_lately import Seen, unmet_lately
from coordinator.model.references import PipelineRef
from coordinator.reading.reading import Reading


def unmet_notes(reading: Reading, pipeline: PipelineRef, seen: Seen) -> Iterator[str]:
    """Dependencies of a pipeline that the known partitions of its upstreams do not meet."""
    node = reading.propagation.graph.node(pipeline)
    if node is not None:
        entry = [node.downstream]
        for unmet in list(apart(entry, seen)) or unmet_lately(entry, seen):
            yield f"{unmet.reason}; {unmet.remedy}"
