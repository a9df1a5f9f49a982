"""Cutting a plan down to what still breaks the same promise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.simulation.plan import Episode, Plan

Breaks = Callable[[Plan], bool]


def shrink(plan: Plan, breaks: Breaks, *, tries: int = 600) -> Plan:
    """The smallest plan found that still breaks.

    :param breaks: plays a plan, and says whether the same promise is broken.
    :param tries: so many plays at most.
    """
    left = tries
    smaller = True
    while smaller and left > 0:
        smaller = False
        for candidate in _smaller(plan):
            left -= 1
            if breaks(candidate):
                plan, smaller = candidate, True
                break
            if left <= 0:
                break
    return plan


def _smaller(plan: Plan) -> Iterator[Plan]:
    """Plans with something less, the greatest cuts first."""
    for number in reversed(range(len(plan.episodes))):
        yield replace(plan, episodes=plan.episodes[:number] + plan.episodes[number + 1 :])
    for partition in plan.partitions:
        if len(plan.partitions) > 1:
            yield _without_partition(plan, partition)
    for name in reversed(plan.pipelines):
        if (without := plan.without(name)) is not None:
            yield without
    for number, episode in enumerate(plan.episodes):
        for less in _less(episode):
            yield replace(plan, episodes=(*plan.episodes[:number], less, *plan.episodes[number + 1 :]))
    for name, entry in plan.document.items():
        for key in entry.keys() - {"upstream"}:
            simpler = {field: value for field, value in entry.items() if field != key}
            yield replace(plan, document={**plan.document, name: simpler})
    if plan.watchers > 1:
        yield replace(plan, watchers=1)


def _less(episode: Episode) -> Iterator[Episode]:
    if len(episode.faults) > 1:
        yield replace(episode, faults=())
    for number in range(len(episode.faults)):
        yield replace(episode, faults=episode.faults[:number] + episode.faults[number + 1 :])
    for number in range(len(episode.acts)):
        yield replace(episode, acts=episode.acts[:number] + episode.acts[number + 1 :])
    for name in episode.fails:
        yield replace(episode, fails=tuple(other for other in episode.fails if other != name))


def _without_partition(plan: Plan, partition: str) -> Plan:
    episodes = tuple(
        replace(episode, acts=tuple(act for act in episode.acts if act.partition != partition))
        for episode in plan.episodes
    )
    left = tuple(other for other in plan.partitions if other != partition)
    return replace(plan, episodes=episodes, partitions=left)
