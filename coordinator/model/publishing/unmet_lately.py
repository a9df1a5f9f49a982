"""Dependencies that were not met lately: the newest partitions of the upstream are inputs of no partition.

``never_met`` uses the document alone. This module uses what has really run: an upstream that runs by its own schedule,
or was triggered by hand, has partitions that no document names.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping

from coordinator.model.conditions import Condition, Dependency, leaves
from coordinator.model.dependencies import Downstream
from coordinator.model.partitions import AllowedKey, FixedKey, Identity, Latest, Segments
from coordinator.model.partitions.instants import partition_order
from coordinator.model.publishing.never_met import NeverMet
from coordinator.model.references import PipelineRef, Target

LATELY = 5
"""How many of the newest partitions of an upstream are checked: older ones may be from before a change of its time
zone."""

Seen = Mapping[PipelineRef, Collection[str]]
"""The partitions of each pipeline that have a key."""


def seen_in(targets: Iterable[Target]) -> dict[PipelineRef, set[str]]:
    """The partitions of each pipeline."""
    seen: dict[PipelineRef, set[str]] = {}
    for target in targets:
        seen.setdefault(target.pipeline, set()).add(target.partition)
    return seen


def unmet_lately(entries: Iterable[Downstream], seen: Seen) -> Iterator[NeverMet]:
    """The dependencies of these entries that their upstreams' partitions do not meet.

    An upstream without any known partition is not reported: it may have any partition later.
    """
    for entry in entries:
        unmet = [one for one in dict.fromkeys(leaves(entry.condition)) if _is_unmet(one, seen)]
        for leaf in unmet:
            lately = newest(seen[leaf.pipeline])
            reason = (
                f"'{leaf}' has not been met lately: none of the newest partitions of {leaf.pipeline} "
                f"is an input of any partition: {', '.join(lately)}"
            )
            yield NeverMet(entry.pipeline, reason, _REMEDY)
        if not unmet and all(leaf.pipeline in seen for leaf in leaves(entry.condition)):
            touched = _touched(entry.condition, seen)
            if touched is not None and not touched and not _may_be_too_early(entry.condition, seen):
                yield NeverMet(entry.pipeline, _nothing_in_common(entry, seen), _REMEDY)


def untouched(target: Target, entries: Iterable[Downstream]) -> list[tuple[PipelineRef, Dependency]]:
    """The downstreams to which this partition is no input: for example a rollup of hours, and the partition
    08:01:58."""
    return [
        (entry.pipeline, leaf)
        for entry in entries
        for leaf in dict.fromkeys(leaves(entry.condition))
        if leaf.pipeline == target.pipeline
        and not isinstance(leaf.mapping, Latest)
        and not leaf.mapping.downstreams(target.partition)
    ]


_REMEDY = "let both name the same partitions: 'timezone' and formats here, the schedule or the trigger there"


def newest(partitions: Collection[str]) -> list[str]:
    """The newest ones, the newest first."""
    return heapq.nlargest(LATELY, partitions, key=partition_order)


def _is_unmet(leaf: Dependency, seen: Seen) -> bool:
    mapping = leaf.mapping
    if isinstance(mapping, Identity | FixedKey | Latest) or not seen.get(leaf.pipeline):
        return False
    there = seen[leaf.pipeline]
    named = isinstance(mapping, AllowedKey | Segments)  # which may be few of many, and not the newest
    return not any(mapping.downstreams(one) for one in (there if named else newest(there)))


def _touched(condition: Condition, seen: Seen) -> set[str] | None:
    """The partitions in which every needed part has at least one input; ``None``: any partition."""
    if isinstance(condition, Dependency):
        if isinstance(condition.mapping, Latest):
            return None
        return {down for up in seen[condition.pipeline] for down in condition.mapping.downstreams(up)}
    found = [_touched(branch, seen) for branch in condition.of]
    needed = condition.n - found.count(None)
    if needed <= 0:
        return None
    counted = Counter(partition for touched in found if touched is not None for partition in touched)
    return {partition for partition, branches in counted.items() if branches >= needed}


def _may_be_too_early(condition: Condition, seen: Seen) -> bool:
    """Whether what is mapped has only brought partitions before or after those of another part so far: as
    ``["report", {"pipeline": "report", "partition": "-1 day"}]`` on its first day."""
    mapped = [(leaf.pipeline, leaf.mapping) for leaf in leaves(condition) if not isinstance(leaf.mapping, Latest)]
    if all(isinstance(mapping, Identity) for _, mapping in mapped):
        return False
    found = [
        [partition_order(down) for up in seen[pipeline] for down in mapping.downstreams(up)]
        for pipeline, mapping in mapped
    ]
    brought = [some for some in found if some]
    return max(map(min, brought)) > min(map(max, brought)) if brought else False


def _nothing_in_common(entry: Downstream, seen: Seen) -> str:
    named = [
        f"{leaf.pipeline} has {', '.join(newest(seen[leaf.pipeline])[:2])}"
        for leaf in dict.fromkeys(leaves(entry.condition))
        if not isinstance(leaf.mapping, Latest)
    ]
    return f"no partition has enough of what it waits for in all that has been seen: {'; '.join(named[:LATELY])}"
