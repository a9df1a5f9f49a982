"""What a typed pipeline and partition name, on what stands in etcd; what is known of neither is not acted upon."""

from __future__ import annotations

from coordinator.errors import CoordinatorError
from coordinator.model.named_partitions import NamedPartition, named_partition
from coordinator.model.references import PipelineRef, Target
from coordinator.watcher.reading import Reading, UnknownPipeline

_NEWEST = 3


class UnknownPartition(CoordinatorError):
    """A partition in which neither the pipeline nor an upstream of it has been heard of."""


def name_target(
    reading: Reading, pipeline: PipelineRef, typed: str, *, new_pipeline: bool = False
) -> tuple[Target, NamedPartition]:
    """The pipeline and the partition that are meant.

    :param new_pipeline: the person says that the pipeline is new.
    :raises UnknownPipeline: nothing is known of it, and nobody says that it is new.
    """
    if not new_pipeline:
        require_pipeline(reading, pipeline)
    named = named_partition(typed, reading.partitions_of(pipeline))
    return Target(pipeline, named.partition), named


def require_pipeline(reading: Reading, pipeline: PipelineRef) -> None:
    """Refuse to act on a pipeline of which nothing is known.

    :raises UnknownPipeline: with the nearest names, and how to act all the same.
    """
    try:
        reading.require(pipeline)
    except UnknownPipeline as error:
        raise UnknownPipeline(f"nothing was done: {error}; --new-pipeline says that it is meant") from None


def unknown_partition(reading: Reading, target: Target, named: NamedPartition) -> str:
    """What to say of a partition that is not known."""
    if named.near:
        hint = f"did you mean {' or '.join(named.near)}?"
    else:
        newest = reading.partitions_of(target.pipeline)[:_NEWEST]
        hint = f"the newest known: {', '.join(newest)}" if newest else "no partition of it is known"
    return f"nothing is known of {target.pipeline} in partition {target.partition}; {hint}"
