"""What was played: counts, so that one sees that nothing is vacuous."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from tests.simulation.playing import Outcome


def coverage_of(outcome: Outcome) -> Counter[str]:
    """What happened in a play: steps, faults that struck, runs, records; and what the graph was made of."""
    counts = Counter(outcome.history.counts)
    for entry in outcome.plan.document.values():
        counts[f"policy: rerun {entry.get('rerun', 'clear')}"] += 1
        counts[f"policy: settle {entry.get('settle', 'wave')}"] += 1
        if "deadline" in entry:
            counts[f"policy: on_late {entry['on_late']}"] += 1
        for word in _words(entry["upstream"]):
            counts[f"condition: {word}"] += 1
    return counts


def _words(upstream: Any) -> Iterator[str]:
    match upstream:
        case str():
            yield "on success"
        case {"pipeline": _, **more}:
            yield f"on {more.get('on', 'success')}"
            if "task" in more:
                yield "task"
            mapping: Any = more.get("partition", "identity")
            yield f"mapping {mapping if isinstance(mapping, str) else mapping['mapper']}"
            if isinstance(mapping, dict) and "wait" in mapping:
                yield "mapping rollup with wait"
            if "max_age" in more:
                yield "max_age"
            if not more.get("trigger", True):
                yield "gate"
        case {"at_least": _, "of": of} | {"any": of} | {"all": of}:
            yield str(next(iter(upstream)))
            for branch in of:
                yield from _words(branch)
        case list():
            yield "all"
            for branch in upstream:
                yield from _words(branch)


def table(counts: Counter[str]) -> str:
    """Two columns, sorted by name."""
    names = sorted(counts)
    half = (len(names) + 1) // 2
    rows = []
    for left, right in zip(names[:half], [*names[half:], ""], strict=False):
        row = f"{counts[left]:>9}  {left:<42}"
        rows.append(row + (f"{counts[right]:>9}  {right}" if right else ""))
    return "\n".join(row.rstrip() for row in rows)
