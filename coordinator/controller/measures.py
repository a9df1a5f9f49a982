"""Measures: how a watcher is doing, in numbers, for ``/metrics``.

The thread that answers reads them from the state of the service. Each is one number, or copied in one go; together
they need not be of one moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EnvironmentMeasures:
    """An environment.

    :ivar waiting: targets and requests that wait for their turn.
    :ivar in_flight: requests that are on their way.
    :ivar failures: requests in a row without an answer.
    :ivar answers: since this watcher started, by what was done and how it ended.
    """

    waiting: int
    in_flight: int
    failures: int
    answers: Mapping[tuple[str, str], int]


@dataclass(frozen=True, slots=True)
class Measures:
    """The reconciler.

    :ivar queue: entries of the work queue: of either priority, and those that wait for a time or a revision.
    :ivar queue_age: seconds since there was last nothing to examine: nothing in the queue is older.
    :ivar unsettled: partitions that are not settled, by their readiness.
    :ivar blocked: partitions whose environment refuses their request.
    :ivar late: partitions whose deadline has passed before they were started.
    :ivar held: pipelines that a person holds.
    :ivar publications: the version of each published document that can be read, by owner.
    :ivar sensors: by what has become of their waits.
    :ivar longest_wait: seconds for which a sensor has waited; 0: none waits.
    :ivar unobserved: of each observed environment, seconds since the moment up to which its runs are known.
    """

    queue: Mapping[str, int]
    queue_age: float
    unsettled: Mapping[str, int]
    blocked: int
    late: int
    held: int
    publications: Mapping[str, int]
    sensors: Mapping[str, int]
    longest_wait: float
    unobserved: Mapping[str, float]
    environments: Mapping[str, EnvironmentMeasures]
