"""Sensors that have passed, and whose tasks have not resumed, as the leader has found out."""

from __future__ import annotations

from coordinator.model.waits import SENSORS
from coordinator.reading.reading import Reading
from coordinator.store.presence import read_presence


def unresumed_in(reading: Reading) -> dict[str, str]:
    """What the leader says of them in its presence, by place (:func:`~coordinator.model.waits.unresumed_place`)."""
    presences = map(read_presence, reading.cache.watchers.values())
    told = (problem for presence in presences for problem in (presence.problems or {}).items())
    return {place: problem for place, problem in told if place.startswith(SENSORS)}
