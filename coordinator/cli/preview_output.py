"""A preview in words, and as JSON."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from coordinator.cli.output import people, table
from coordinator.model.phrases import counted

if TYPE_CHECKING:
    from coordinator.controller.state.problems import ProblemsShown
    from coordinator.reading.preview import Preview
    from coordinator.store.presence import Presence

_SHOWN = 100
"""Rows of a table: after a long outage there may be thousands, which --json lists."""

_IN_WORDS = {
    "start": "would start at once",
    "wait": "would wait for a limit",
    "resume": "would be taken over from a predecessor",
    "block": "would be blocked",
    "skip": "would be given up",
    "consume": "would consume what is new without a run",
}


def preview_as_json(
    made: Preview, *, revision: int, leader: Presence | None, problems: ProblemsShown
) -> dict[str, Any]:
    """The whole preview for programs."""
    return {
        "revision": revision,
        "leader": asdict(leader) if leader is not None else None,
        "foreseen": [
            {
                "pipeline": str(one.target.pipeline),
                "partition": one.target.partition,
                "effect": str(one.effect),
                "action": str(one.action) if one.action is not None else None,
                "wave": one.wave or None,
                "why": one.why,
            }
            for one in made.foreseen
        ],
        "follow": len(made.follow),
        "if_failed": made.if_failed,
        "held_up": made.held_up,
        "stuck": made.stuck,
    } | problems.as_json()


def print_preview(made: Preview, *, revision: int, leader: Presence | None, problems: ProblemsShown) -> None:
    """For people: a table, its totals, and the problems that may make it wrong."""
    console = people()
    rows = [
        [
            str(one.target.pipeline),
            one.target.partition,
            str(one.effect),
            str(one.action or ""),
            str(one.wave or ""),
            one.why,
        ]
        for one in made.foreseen
    ]
    if rows:
        console.print(table("pipeline", "partition", "effect", "action", "wave", "why", rows=rows[:_SHOWN]))
    if len(rows) > _SHOWN:
        console.print(f"... and {len(rows) - _SHOWN} more; --json has them all", markup=False)
    counts = Counter(str(one.effect) for one in made.foreseen)
    told = [f"{counts[effect]} {words}" for effect, words in _IN_WORDS.items() if counts[effect]]
    console.print(f"{'; '.join(told) or 'nothing would start'} (etcd revision {revision})", markup=False)
    if made.follow:
        console.print(f"{len(made.follow)} more would start if these, and what runs now, succeed", markup=False)
    if made.if_failed:
        console.print(f"{made.if_failed} would start only if something of that fails (failure handlers)", markup=False)
    if made.held_up:
        held_up = counted(made.held_up, "waits", "wait")
        console.print(f"{held_up} for what cannot be started", markup=False)
    if made.stuck:
        stuck = counted(made.stuck, "is stuck", "are stuck")
        console.print(f"{stuck} and would stay so: coordinator status", markup=False)
    if leader is not None:
        console.print(f"{leader} leads now, and decides by itself: another watcher would only stand by", markup=False)
    for problem in problems.in_words():
        console.print(f"problem: {problem}", markup=False)
