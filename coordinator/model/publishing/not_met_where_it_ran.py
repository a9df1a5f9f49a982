"""Partitions in which a pipeline has run, and which lack what it waits for from now on.

What completes again above it does not start it there until that has completed, too: a clear ends at it, without a word.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from coordinator.model.conditions import Dependency
from coordinator.model.evaluation import all_inputs
from coordinator.model.partitions.instants import partition_order
from coordinator.model.phrases import counted, some_of
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.references import PipelineRef, Target

_NAMED = 3


def not_met_where_it_ran(
    propagation: Propagation, recorded: Iterable[Target], added: Mapping[PipelineRef, Sequence[Dependency]]
) -> Iterator[str]:
    """What a person should know, in words.

    :param propagation: with the dependencies that are to be published.
    :param recorded: all targets that the coordinator has started.
    :param added: for each pipeline that had an entry, the dependencies that are new in it.
    """
    lacking: dict[tuple[PipelineRef, Dependency], list[str]] = {}
    for target in recorded:
        if not (new := added.get(target.pipeline)):
            continue
        evaluated = propagation.decide(target).evaluated
        if evaluated is None or evaluated.would_hold:
            continue
        unmet = {one.dependency for one in all_inputs(evaluated) if not one.would_hold}
        for dependency in new:
            if dependency in unmet:
                lacking.setdefault((target.pipeline, dependency), []).append(target.partition)
    for (pipeline, dependency), partitions in sorted(lacking.items(), key=str):
        newest = sorted(partitions, key=partition_order, reverse=True)
        yield (
            f"{pipeline} has run in {counted(len(newest), 'partition')} in which '{dependency}' is not met "
            f"({some_of(newest, _NAMED)}): there, nothing that completes again above it starts it, until that is met"
        )
