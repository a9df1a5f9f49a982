"""The sensors that have no answer yet, and why; also where the name of what they wait for is the reason."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from functools import cache

from coordinator.model.alike import alike
from coordinator.model.explanation.causes import Cause, Kind
from coordinator.model.explanation.waits import WaitingSensor
from coordinator.model.named_partitions import named_partition
from coordinator.model.references import PipelineRef, Target, WaitRef
from coordinator.model.view import SeenWait
from coordinator.model.waits import Wait, WaitStatus
from coordinator.reading.deadlocks import Deadlocks
from coordinator.reading.reading import Reading


def waiting_sensors(
    reading: Reading, waits: Iterable[SeenWait], *, environments: Collection[str] = ()
) -> Iterator[WaitingSensor]:
    """The sensors among these that have no answer yet.

    :param reading: everything, or what decisions about the runs of these sensors need.
    :param environments: those that are configured here; none: that is not known.
    """

    @cache
    def known() -> set[PipelineRef]:
        return reading.known_pipelines()

    partitions = cache(reading.partitions_of)
    deadlocks = Deadlocks(reading.propagation, reading.cache.waits)
    for seen in waits:
        wait = seen.value
        if not isinstance(wait, Wait) or wait.status is not WaitStatus.WAITING:
            continue
        if deadlocks.has(seen):
            yield WaitingSensor(seen.ref, wait, (_deadlock(seen.ref, wait.upstream),), is_deadlocked=True)
            continue
        causes = deadlocks.causes(seen)
        wrong = None
        if len(causes) == 1 and causes[0].kind is Kind.NOT_YET and reading.cache.state(wait.upstream.whole) is None:
            upstream = wait.upstream.whole
            if upstream.pipeline not in known():
                wrong = _unknown_pipeline(upstream, known(), environments)
            else:
                wrong = _other_spelling(upstream, partitions(upstream.pipeline))
        yield WaitingSensor(seen.ref, wait, causes if wrong is None else (wrong,), is_misnamed=wrong is not None)


def _deadlock(sensor: WaitRef, upstream: Target) -> Cause:
    says = f"waits for {sensor.sensor} in turn, so that neither goes on until a sensor times out"
    remedy = (
        f"mark {sensor.sensor} as failed or successful in its Airflow, so that its run goes on; then let only one of "
        "the two wait for the other"
    )
    return Cause(upstream, Kind.NOT_YET, says, remedy)


def is_no_environment(name: str, known: Iterable[PipelineRef], environments: Collection[str]) -> bool:
    """Whether a name is most likely mistyped: it is not configured, and nothing outside Airflow uses it either.

    :param known: the pipelines that are known.
    :param environments: those that are configured here; none: that is not known.
    """
    used = (one.environment for one in known)
    return bool(environments) and name not in environments and name not in used


def _unknown_pipeline(upstream: Target, known: Collection[PipelineRef], environments: Collection[str]) -> Cause:
    near = _near(upstream.pipeline, known)
    meant = f" (did you mean {' or '.join(near)}?)" if near else ""
    environment = upstream.pipeline.environment
    if is_no_environment(environment, known, environments):
        says = (
            f"is unknown: environment {environment!r} is not configured, and nothing is reported under that name; "
            f"configured are {', '.join(sorted(environments))}"
        )
        remedy = (
            f"correct the sensor if its name is wrong{meant}, then clear the task; otherwise configure "
            f"[environments.{environment}], or see that the pipeline outside Airflow reports"
        )
        return Cause(upstream, Kind.NOT_YET, says, remedy)
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


def _near(pipeline: PipelineRef, known: Iterable[PipelineRef]) -> list[str]:
    """Known pipelines that may be meant: their environment and their DAG are like those named."""
    known = {one.whole for one in known}
    environments = {one.environment for one in known}
    likely = {pipeline.environment, *alike(pipeline.environment, environments, cutoff=0.75)}
    there = [one for one in known if one.environment in likely]
    names = alike(pipeline.dag_id, {one.dag_id for one in there})
    return [str(one) for name in names for one in sorted(there) if one.dag_id == name][:3]
