"""The concerns that need a person: the first part of ``coordinator status``."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from coordinator.cli.output import roughly, table
from coordinator.model.durations import age_of
from coordinator.model.phrases import counted

if TYPE_CHECKING:
    from coordinator.cli.tables import Table
    from coordinator.reading.attention import Attention, Concern

NAMED = 3
"""Partitions behind a concern that are shown to people."""


def attention_in_words(attention: Attention, problems: int) -> str:
    """How many concerns need a person, and how many partitions wait behind them: the first words of ``status``."""
    counts = {matter: count for matter, count in attention.counts.items() if matter.needs_person}
    parts = [f"{count} {matter}" for matter, count in counts.items()]
    if problems:
        parts.append(counted(problems, "problem"))
    held = [f"{count} held" for matter, count in attention.counts.items() if not matter.needs_person]
    stuck = [f"{counted(attention.waiting, 'partition')} stuck"] if attention.waiting else []
    return "; ".join([f"needs a person: {', '.join(parts)}" if parts else "all is well", *stuck, *held])


def attention_table(attention: Attention, now: datetime) -> Table:
    """Each concern for people."""
    columns = ("what", "pipeline", "partition", "age", "waiting behind it", "why", "what to do")
    return table(*columns, rows=[_cells(one, now) for one in attention.concerns])


def more_in_words(attention: Attention) -> Iterator[str]:
    """How many of each matter are not shown."""
    for matter, count in attention.counts.items():
        more = count - sum(one.place.matter is matter for one in attention.concerns)
        if more:
            yield f"{more} more {matter}: see them with --limit or --pipeline"


def _cells(concern: Concern, now: datetime) -> list[str]:
    place, cause, age = concern.place, concern.cause, age_of(concern.cause.since, now)
    return [
        str(place.matter),
        str(place.pipeline),
        place.partition or "",
        roughly(age) if age is not None else "",
        _waiting(concern),
        cause.says,
        cause.remedy,
    ]


def _waiting(concern: Concern) -> str:
    from coordinator.model.explanation.words import named

    nearest = ", ".join(named(one, concern.cause.target) for one in concern.waiting[:NAMED])
    if len(concern.waiting) <= NAMED:
        return nearest
    pipelines = len({one.pipeline for one in concern.waiting})
    every = f"{counted(len(concern.waiting), 'partition')} of {counted(pipelines, 'pipeline')}"
    return f"{nearest} and more: {every}"
