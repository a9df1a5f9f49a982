"""The result of the last sweep of retention: the value of the key ``retention``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, FailFast

from coordinator.model import bounds
from coordinator.model.references import PipelineRef, Target
from coordinator.model.stored import Instant, Unreadable, read_stored

NAMED = 20
"""Pipelines that are held back which are named."""


@dataclass(frozen=True, slots=True)
class HeldBack:
    """A partition that is old enough and cannot be removed, so that the later ones of its pipeline stay, too."""

    target: Target
    reason: str


@dataclass(frozen=True, slots=True)
class Sweep:
    """:ivar when: when it ended.
    :ivar removed: partitions that were removed.
    :ivar kept: partitions that remain.
    :ivar expired: states that were put again after their removal, and were deleted.
    :ivar acts: acts of people that were deleted.
    :ivar held_back_pipelines: how many pipelines have partitions that are old enough and cannot be removed.
    :ivar held_back: the first of them.
    """

    when: datetime
    removed: int = 0
    kept: int = 0
    expired: int = 0
    acts: int = 0
    held_back_pipelines: int = 0
    held_back: tuple[HeldBack, ...] = ()


class _HeldBackDocument(BaseModel):
    model_config = ConfigDict(extra="ignore")

    pipeline: str
    partition: str
    reason: str


class _SweepDocument(BaseModel):
    model_config = ConfigDict(extra="ignore")

    when: Instant
    removed: int = 0
    kept: int = 0
    expired: int = 0
    acts: int = 0
    held_back_pipelines: int = 0
    held_back: Annotated[list[_HeldBackDocument], FailFast()] = []


def dump_sweep(sweep: Sweep) -> bytes:
    """The bytes for etcd."""
    document = _SweepDocument(
        when=sweep.when,
        removed=sweep.removed,
        kept=sweep.kept,
        expired=sweep.expired,
        acts=sweep.acts,
        held_back_pipelines=sweep.held_back_pipelines,
        held_back=[
            _HeldBackDocument(
                pipeline=f"{one.target.pipeline.environment}/{one.target.pipeline.dag_id}",
                partition=one.target.partition,
                reason=one.reason,
            )
            for one in sweep.held_back[:NAMED]
        ],
    )
    return document.model_dump_json().encode()


def read_sweep(value: bytes) -> Sweep | Unreadable:
    """Read the value of ``retention``. Never raises."""
    return read_stored(value, _sweep_of, most=bounds.SMALL_VALUE, what="what a sweep did")


def _sweep_of(value: bytes) -> Sweep:
    found = _SweepDocument.model_validate_json(value)
    return Sweep(
        when=found.when,
        removed=found.removed,
        kept=found.kept,
        expired=found.expired,
        acts=found.acts,
        held_back_pipelines=found.held_back_pipelines,
        held_back=tuple(
            HeldBack(Target(PipelineRef.parse(one.pipeline), one.partition), one.reason) for one in found.held_back
        ),
    )
