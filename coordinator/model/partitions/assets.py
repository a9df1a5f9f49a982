"""The mapping of asset events: which events a delivery is about (docs/architecture.md#assets)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from coordinator.model.partitions.patterns import covers, matches, overlap


def identity_in(event_id: str) -> str:
    """The part of an event's id that events of one (uri, DAG, run, task, map index, partition key) share; an id of
    another form is its own."""
    parts = event_id.split("-")
    return parts[1] if len(parts) == 3 else event_id


@dataclass(frozen=True, slots=True)
class Assets:
    """Open towards upstream, like ``StartOf``: which events come is not known beforehand.

    :ivar match: a pattern of URIs; other events are no inputs.
    :ivar but: patterns of URIs that are left out. They may be changed while events wait.
    :ivar once: events of the same origin, such as those of a run that was cleared, are inputs of one delivery.
        Otherwise each event has its own.
    :ivar explicit: only events that name the consumer are inputs.
    """

    match: str
    but: tuple[str, ...] = field(default=())
    once: bool = False
    explicit: bool = False

    def downstreams(self, upstream: str) -> tuple[str, ...]:
        """The one partition that an event feeds."""
        return (identity_in(upstream) if self.once else upstream,)

    def feeds(self, upstream: str, downstream: str) -> bool:
        """Whether an event is among the inputs of a partition."""
        return downstream in self.downstreams(upstream)

    def takes(self, uri: str) -> bool:
        """Whether events of this URI are inputs."""
        return matches(self.match, uri) and not any(matches(pattern, uri) for pattern in self.but)

    def shares(self, other: Assets) -> bool:
        """Whether both may take events of one URI. In doubt they may."""
        excluded: Sequence[str] = (*self.but, *other.but)
        if any(covers(pattern, self.match) or covers(pattern, other.match) for pattern in excluded):
            return False
        return overlap(self.match, other.match)

    def __str__(self) -> str:
        but = f" but {', '.join(self.but)}" if self.but else ""
        words = f"{', once' if self.once else ''}{', explicit' if self.explicit else ''}"
        return f"uri {self.match}{but}{words}"
