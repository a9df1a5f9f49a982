"""The impact of a proposal on waiting work: what it takes away, and what it may start by resuming.

``apply`` and the watcher both use this.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from coordinator.commands.proposal import Proposal
from coordinator.model.phrases import some_of
from coordinator.model.publishing.guard import too_much_resumed
from coordinator.model.publishing.publication import DependencyName
from coordinator.model.publishing.unconsumed import in_flight_of, unconsumed
from coordinator.model.references import Target
from coordinator.model.view import Facts


@dataclass(frozen=True, slots=True)
class Effects:
    """:ivar taken_away: partitions that are due, waiting or in flight, by the dependency that is taken out.
    :ivar may_start: partitions that dependencies that resume may start.
    """

    taken_away: dict[DependencyName, list[str]] = field(default_factory=dict)
    may_start: frozenset[Target] = frozenset()

    def concerns(self, resume_limit: int) -> list[str]:
        """The guard's reasons to refuse them."""
        found = too_much_resumed(self.may_start, resume_limit)
        return [found] if found is not None else []

    def taken_away_in_words(self, *, named: int = 3) -> list[str]:
        """Like ``D <- A: 2026-11-20T05:00:00Z and 2 more``."""
        words = []
        for (pipeline, dependency), partitions in sorted(self.taken_away.items()):
            words.append(f"{pipeline} <- {dependency}: {some_of(partitions, named)}")
        return words


NO_EFFECTS = Effects()


def effects_of(proposal: Proposal, facts: Facts, targets: Iterable[Target]) -> Effects:
    """The effects of a proposal. Goes through all targets only if a dependency is taken out or resumes.

    :param targets: all targets that have a state or a record.
    """
    removed = proposal.removed()
    resumed = {name: retired.activation for name, retired in proposal.resumed().items()}
    if not (removed or resumed):
        return NO_EFFECTS
    targets = tuple(targets)
    taken: dict[DependencyName, set[str]] = {}
    for target, dependencies in unconsumed(facts, targets, removed).items():
        for dependency in dependencies:
            taken.setdefault((target.pipeline, str(dependency)), set()).add(target.partition)
    for target in in_flight_of(facts, targets, {pipeline for pipeline, _ in removed}):
        for pipeline, dependency in removed:
            if pipeline == target.pipeline:
                taken.setdefault((pipeline, str(dependency)), set()).add(target.partition)
    return Effects(
        {name: sorted(partitions) for name, partitions in taken.items()},
        frozenset(unconsumed(facts, targets, resumed)),
    )
