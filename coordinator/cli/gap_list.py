"""The gaps that ``gaps`` lists and ``fill`` orders, for people and programs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from coordinator.cli.output import people, say, table
from coordinator.model.gaps import Gap
from coordinator.model.phrases import counted, some_of
from coordinator.reading.gaps import IN_WORDS

if TYPE_CHECKING:
    from coordinator.model.references import Target

_NAMED = 3
"""Completions in a row of the table; a window may have hundreds."""


def gap_as_json(gap: Gap) -> dict[str, Any]:
    return {
        "pipeline": str(gap.target.pipeline),
        "partition": gap.target.partition,
        "cause": str(gap.cause),
        "has_run": gap.has_run,
        "inputs": [{"pipeline": str(one.pipeline), "partition": one.partition} for one in gap.inputs],
        "note": gap.note or None,
    }


def show_gaps(gaps: list[Gap]) -> None:
    """Every gap for people."""
    rows = (
        (
            str(gap.target.pipeline),
            gap.target.partition,
            "ran on older completions" if gap.has_run else "never ran",
            IN_WORDS[gap.cause] + (f": {gap.note}" if gap.note else ""),
            _named(gap.inputs),
        )
        for gap in gaps
    )
    people().print(table("pipeline", "partition", "gap", "cause", "completions", rows=rows))
    pipelines = {gap.target.pipeline for gap in gaps}
    say(f"{counted(len(gaps), 'gap')} in {counted(len(pipelines), 'pipeline')}")


def _named(inputs: Iterable[Target]) -> str:
    return some_of([str(one) for one in inputs], _NAMED)
