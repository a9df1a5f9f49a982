"""Measures: how a watcher is doing, in numbers, for ``/metrics``.

The thread that answers reads them from the state of the service. Each is one number, or copied in one go; together
they need not be of one moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from coordinator.store.timings import Labels, Timing


@dataclass(frozen=True, slots=True)
class EnvironmentMeasures:
    """An environment.

    :ivar waiting: targets and requests that wait for their turn.
    :ivar in_flight: requests that are on their way.
    :ivar failures: requests in a row without an answer.
    :ivar answers: since this watcher started, by what was done and how it ended.
    :ivar seconds: how long requests took that went out, by what was done.
    """

    waiting: int
    in_flight: int
    failures: int
    answers: Mapping[tuple[str, str], int]
    seconds: Mapping[Labels, Timing]


@dataclass(frozen=True, slots=True)
class Measures:
    """The reconciler. What is told by environment is 0 where there is nothing, for each configured one; the others are
    counted together, as ``""``.

    :ivar queue: entries of the work queue: of either priority, and those that wait for a time or a revision.
    :ivar queue_age: seconds since there was last nothing to examine: nothing in the queue is older.
    :ivar unsettled: partitions that are not settled, by environment and readiness.
    :ivar due: partitions that are due and not started, by environment; ``oldest_due``: seconds since the oldest is.
    :ivar blocked: partitions whose environment refuses their request, by environment.
    :ivar late: partitions whose deadline has passed before they were started, by environment.
    :ivar held: pipelines that a person holds.
    :ivar publications: the version of each published document that can be read, by owner.
    :ivar sensors: by what has become of their waits.
    :ivar longest_wait: seconds for which a sensor has waited; 0: none waits.
    :ivar differing_files: owners for whose document the watchers have different files.
    :ivar unobserved: of each observed environment, seconds since the moment up to which its runs are known.
    """

    queue: Mapping[str, int]
    queue_age: float
    unsettled: Mapping[tuple[str, str], int]
    due: Mapping[str, int]
    oldest_due: Mapping[str, float]
    blocked: Mapping[str, int]
    late: Mapping[str, int]
    held: int
    publications: Mapping[str, int]
    sensors: Mapping[str, int]
    longest_wait: float
    differing_files: int
    unobserved: Mapping[str, float]
    environments: Mapping[str, EnvironmentMeasures]
