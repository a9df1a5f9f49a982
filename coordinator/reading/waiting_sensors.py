"""The sensors that have no answer yet, and why; also where the name of what they wait for is the reason."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from functools import cache

from coordinator.model.explanation.causes import Cause, Kind
from coordinator.model.explanation.waits import WaitingSensor, causes_of_wait
from coordinator.model.named_partitions import named_partition
from coordinator.model.references import PipelineRef, Target
from coordinator.model.view import SeenWait
from coordinator.model.waits import Wait, WaitStatus
from coordinator.reading.reading import Reading


def waiting_sensors(reading: Reading, waits: Iterable[SeenWait]) -> Iterator[WaitingSensor]:
    """The sensors among these that have no answer yet.

    :param reading: everything, or what decisions about the runs of these sensors need.
    """

    @cache
    def known() -> set[PipelineRef]:
        return reading.known_pipelines()

    partitions = cache(reading.partitions_of)
    for seen in waits:
        wait = seen.value
        if not isinstance(wait, Wait) or wait.status is not WaitStatus.WAITING:
            continue
        causes = causes_of_wait(reading.propagation, seen.ref.run, wait)
        wrong = None
        if len(causes) == 1 and causes[0].kind is Kind.NOT_YET and reading.cache.state(wait.upstream.whole) is None:
            upstream = wait.upstream.whole
            if upstream.pipeline not in known():
                wrong = _unknown_pipeline(upstream, known())
            else:
                wrong = _other_spelling(upstream, partitions(upstream.pipeline))
        yield WaitingSensor(seen.ref, wait, causes if wrong is None else (wrong,), is_misnamed=wrong is not None)


def _unknown_pipeline(upstream: Target, known: Iterable[PipelineRef]) -> Cause:
    near = difflib.get_close_matches(str(upstream.pipeline), map(str, known), n=3, cutoff=0.6)
    meant = f" (did you mean {' or '.join(near)}?)" if near else ""
    says = "is unknown: no published document names it, and no run of it has ever been reported"
    remedy = (
        f"correct the sensor if its name is wrong{meant}, then clear the task; otherwise see that its environment "
        "reports, or is observed"
    )
    return Cause(upstream, Kind.NOT_YET, says, remedy)


def _other_spelling(upstream: Target, partitions: list[str]) -> Cause | None:
    named = named_partition(upstream.partition, partitions)
    if not named.known or named.partition == upstream.partition:
        return None
    says = f"has no partition {upstream.partition}, but {named.partition}"
    remedy = f'correct the sensor: it needs partition="{named.partition}"; then clear the task'
    return Cause(upstream, Kind.NOT_YET, says, remedy)
