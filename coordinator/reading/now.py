"""Now: what needs a person first, with its causes; what is on its way; who leads, and who is heard from."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import chain
from typing import Any

from coordinator.config.settings import Settings
from coordinator.model.partitions.instants import partition_order
from coordinator.model.references import PipelineRef, Target
from coordinator.model.trigger import Status
from coordinator.model.view import Readiness, readable_record, readable_state
from coordinator.reading.attention import attention
from coordinator.reading.files import differing_files, taken_away_in_words
from coordinator.reading.problems import problems_in
from coordinator.reading.reading import Reading
from coordinator.reading.replicas import leader_as_json, replica_as_json, replicas_in
from coordinator.reading.reporters_heard import reporters_in
from coordinator.reading.status_json import attention_as_json, observed_as_json, partition_as_json

_CONCERNS = 50
"""Concerns of a kind that are shown."""

_SHOWN = 20
"""Problems of a kind, and runs on their way, that are shown."""


def now_as_json(reading: Reading, settings: Settings, now: datetime) -> dict[str, Any]:
    """What ``coordinator status`` knows, for the page; without gaps, which take seconds to find among many partitions.

    :param now: the time by which ages are computed.
    """
    replicas, reporters = replicas_in(reading, now), reporters_in(reading, settings, now)
    found = attention(reading, most=_CONCERNS, environments=settings.environments)
    problems = problems_in(reading, replicas, reporters, environments=settings.environments, now=now, most=_SHOWN)
    under_way, busy = _on_their_way(reading)
    notes: Iterable[str] = chain(
        replicas.unknown,
        reporters.notes,
        differing_files(replicas.presences),
        taken_away_in_words(reading.cache.published),
    )
    return {
        "revision": reading.cache.revision,
        "needs_person": found.needs_person or bool(problems.count),
        "attention": attention_as_json(found, now),
        "attention_counts": found.counts,
        "stuck": found.waiting,
        "stuck_pipelines": len(_stuck_pipelines(reading)),
        "pipelines": len(reading.known_pipelines()),
        "on_their_way": [partition_as_json(reading, target, now) for target in under_way[:_SHOWN]],
        "under_way": len(under_way),
        "busy": busy,
        "leader": leader_as_json(replicas),
        "watchers": [replica_as_json(replica) for replica in replicas.all[:_SHOWN]],
        "watchers_not_shown": max(0, len(replicas.all) - _SHOWN),
        "environments": [one | {"reporters": len(one["reporters"])} for one in reporters.as_json()],
        "environments_not_shown": reporters.not_shown,
        "observed": observed_as_json(settings.environments, reading.cache.cursors, now),
        "notes": list(notes),
    } | problems.as_json()


def _on_their_way(reading: Reading) -> tuple[list[Target], int]:
    """The targets with a run that goes on or was asked for, the newest partitions first; and how many are busy."""
    found, busy = [], 0
    for target, readiness in reading.propagation.unsettled_readiness():
        if readiness is not Readiness.BUSY:
            continue
        busy += 1
        state, record = readable_state(reading.cache.state(target)), readable_record(reading.cache.record(target))
        is_asked_for = record is not None and record.status in (Status.INTENT, Status.SENT)
        if is_asked_for or (state is not None and not state.state.is_terminal):
            found.append(target)
    found.sort(key=lambda one: (partition_order(one.partition), one.pipeline), reverse=True)
    return found, busy


def _stuck_pipelines(reading: Reading) -> set[PipelineRef]:
    unsettled = reading.propagation.unsettled_readiness()
    return {target.pipeline for target, readiness in unsettled if readiness is Readiness.STUCK}
