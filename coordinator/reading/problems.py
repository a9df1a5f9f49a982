"""Everything that is wrong in a reading, besides the concerns: with keys, watchers, files, reporters, environments."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from coordinator.controller.state.problems import ProblemsShown, shown
from coordinator.reading.misplaced_states import misplaced_states
from coordinator.reading.reading import Reading
from coordinator.reading.replicas import Replicas
from coordinator.reading.reporters_heard import ReportersHeard
from coordinator.reading.stale_requests import stale_requests


def problems_in(
    reading: Reading,
    replicas: Replicas,
    reporters: ReportersHeard,
    *,
    environments: Collection[str],
    now: datetime,
    most: int,
) -> ProblemsShown:
    """The problems that need somebody's action.

    :param environments: the configured ones. :param now: the time by which ages are computed.
    :param most: how many of each kind.
    """
    own = (
        replicas.problems
        | reading.problems
        | stale_requests(reading, now)
        | reporters.problems
        | misplaced_states(reading, environments)
    )
    return shown(own, reading.cache.problems, most=most)
