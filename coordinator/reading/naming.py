"""Resolving a typed pipeline and partition by what is in etcd; commands do not act on unknown ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from coordinator.controller.state.publications import Publications
from coordinator.errors import CoordinatorError
from coordinator.model.named_partitions import NamedPartition, named_partition, spellings
from coordinator.model.references import PipelineRef, Target
from coordinator.model.shell import command
from coordinator.reading.reading import Reading, UnknownPipeline, read, read_names
from coordinator.reading.wanted_keys import About
from coordinator.store.keys import Keys
from coordinator.store.port import Store


class UnknownPartition(CoordinatorError):
    """A partition in which neither the pipeline nor an upstream of it has a key.

    :ivar named: what may have been meant; ``None``: it was not looked for.
    """

    def __init__(self, message: str, *, named: NamedPartition | None = None) -> None:
        super().__init__(message)
        self.named = named


def read_target(
    store: Store,
    keys: Keys,
    pipeline: PipelineRef,
    typed: str,
    *,
    revision: int = 0,
    below: bool = True,
    new_pipeline: bool = False,
) -> tuple[Reading, Target, NamedPartition]:
    """Read only the keys that decisions about a typed partition need, and resolve the partition.

    :param revision: of etcd; 0: the present.
    :param below: also read everything that can run because of it.
    :param new_pipeline: the person has confirmed that the pipeline is new.
    :raises UnknownPipeline: it is unknown, and the person has not confirmed that it is new.
    """
    about = About(pipeline, tuple(sorted(spellings(typed))), below)
    publications = Publications(keys)
    reading = read(store, keys, revision=revision, about=about, publications=publications)
    known: Sequence[str] = reading.partitions_of(pipeline)
    if set(about.partitions).isdisjoint(known):
        known = read_names(store, keys, pipeline, revision=revision, publications=publications).newest
    if not known and not new_pipeline:
        require_pipeline(reading, pipeline)
    named = named_partition(typed, known)
    if named.partition not in about.partitions:
        about = replace(about, partitions=(named.partition,))
        reading = read(store, keys, revision=revision, about=about, publications=publications)
    return reading, Target(pipeline, named.partition), named


def name_target(reading: Reading, pipeline: PipelineRef, typed: str) -> tuple[Target, NamedPartition]:
    """Resolve the pipeline and the partition. :raises UnknownPipeline: the pipeline is unknown."""
    require_pipeline(reading, pipeline)
    named = named_partition(typed, reading.partitions_of(pipeline))
    return Target(pipeline, named.partition), named


def require_pipeline(reading: Reading, pipeline: PipelineRef) -> None:
    """Refuse to act on an unknown pipeline.

    :raises UnknownPipeline: with the nearest names, and how to act nevertheless.
    """
    try:
        reading.require(pipeline)
    except UnknownPipeline as error:
        raise UnknownPipeline(
            f"nothing was done: {error}; --new-pipeline says that it is meant", near=error.near
        ) from None


def unknown_partition(target: Target, named: NamedPartition) -> str:
    """The message about an unknown partition."""
    lists = f"'{command('explain', target.pipeline)}' lists them"
    if named.near:
        hint = f"did you mean {' or '.join(named.near)}? {lists}"
    else:
        hint = (
            f"the newest known: {', '.join(named.newest)}; {lists}" if named.newest else "no partition of it is known"
        )
    return f"nothing is known of {target.pipeline} in partition {target.partition}; {hint}"
