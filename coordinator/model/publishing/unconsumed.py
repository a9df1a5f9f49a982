"""The partitions in which a dependency has a completion that its downstream has not consumed.

For dependencies that are taken out, this is work that would be lost if they were not retired. For dependencies that
resume, it is what putting them back may start. Pure; goes through all targets once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from coordinator.model.assets.completions import AssetCompletion
from coordinator.model.conditions import Dependency
from coordinator.model.decide import in_flight
from coordinator.model.evaluation import is_consumed
from coordinator.model.partitions import Latest
from coordinator.model.publishing.publication import Activation
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunState
from coordinator.model.trigger import TriggerRecord
from coordinator.model.view import Facts, SeenState

Activated = Mapping[tuple[PipelineRef, Dependency], Activation]
"""Dependencies by downstream and identity, with their activations."""


def unconsumed(facts: Facts, targets: Iterable[Target], dependencies: Activated) -> dict[Target, set[Dependency]]:
    """The downstream partitions in which some of these dependencies have a new completion.

    They are more than would start, because other inputs may be missing. Gates are left out, because they start nothing.

    :param targets: all targets that have a state.
    """
    by_upstream: dict[PipelineRef, list[tuple[PipelineRef, Dependency, int]]] = {}
    for (downstream, dependency), activation in dependencies.items():
        if dependency.trigger:
            by_upstream.setdefault(dependency.upstream, []).append((downstream, dependency, activation.revision))
    newest: dict[tuple[PipelineRef, Dependency], tuple[int, Target]] = {}
    found: dict[Target, set[Dependency]] = {}
    for upstream in targets if by_upstream else ():
        for downstream, dependency, since in by_upstream.get(upstream.pipeline, ()):
            seen = facts.state(upstream)
            if seen is None or not _is_news(dependency, seen, since):
                continue
            if isinstance(dependency.mapping, Latest):
                known = newest.get((downstream, dependency))
                newest[downstream, dependency] = max(known or (0, upstream), (seen.came_at, upstream))
                continue
            for partition in dependency.mapping.downstreams(upstream.partition):
                target = Target(downstream, partition)
                if not _has_consumed(facts, target, upstream, _as_input(seen, since)):
                    found.setdefault(target, set()).add(dependency)
    for (downstream, dependency), (_, upstream) in newest.items():
        found.setdefault(Target(downstream, upstream.partition), set()).add(dependency)
    return found


def in_flight_of(facts: Facts, targets: Iterable[Target], pipelines: Collection[PipelineRef]) -> set[Target]:
    """The targets of these pipelines with a request under way, or a run of ours that has not ended."""
    found = set()
    for target in targets if pipelines else ():
        recorded = facts.record(target) if target.pipeline in pipelines else None
        record = recorded.value if recorded is not None else None
        if recorded is None or not isinstance(record, TriggerRecord):
            continue
        if in_flight(record, recorded.revision, facts.state(target)):
            found.add(target)
    return found


def _is_news(dependency: Dependency, seen: SeenState, since: int) -> bool:
    return isinstance(seen.value, RunState) and seen.told_at > since and dependency.on.satisfied_by(seen.value.state)


def _has_consumed(facts: Facts, target: Target, upstream: Target, seen: SeenState) -> bool:
    recorded = facts.record(target)
    if recorded is None or not isinstance(recorded.value, TriggerRecord):
        watermark = facts.watermark(target.pipeline)  # the record that used it may have been removed
        return watermark is not None and seen.came_at <= watermark.revision
    assert isinstance(seen.value, RunState)
    return is_consumed(recorded.value.consumed.get(upstream), seen.value, seen.came_at)


def _as_input(seen: SeenState, since: int) -> SeenState:
    """A completion as those see it that wait for it. What they emit themselves is not told from the rest."""
    if isinstance(seen.value, AssetCompletion):
        return SeenState(seen.value.as_input(without=(), after=since), seen.revision)
    return seen
