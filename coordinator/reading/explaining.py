"""The explanation of a pipeline in a partition, from one reading of etcd, with what else a reader should know."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coordinator.controller.dispatch.dispatcher import EnvironmentLimits
from coordinator.controller.leading import paused_dags, unknown_dags
from coordinator.controller.state.problems import shown
from coordinator.model.assets.names import is_of_assets
from coordinator.model.dependencies import Downstream
from coordinator.model.explanation import Explanation, Kind, as_json, explain
from coordinator.model.explanation.words import LISTED, listed, sensor_name
from coordinator.model.named_partitions import NamedPartition
from coordinator.model.partitions.instants import format_instant
from coordinator.model.publishing.publication import Publication
from coordinator.model.publishing.unmet_lately import seen_in, untouched
from coordinator.model.references import PipelineRef, Target
from coordinator.model.waits import unresumed_place
from coordinator.model.who_waits import sensors_on
from coordinator.reading.limit_reasons import limits_reached
from coordinator.reading.naming import read_target, unknown_partition
from coordinator.reading.reading import NOBODY_LEADS, Reading
from coordinator.reading.unmet_notes import unmet_notes
from coordinator.reading.unresumed_sensors import unresumed_in
from coordinator.reading.waiting_sensors import is_no_environment, waiting_sensors
from coordinator.store.keys import Keys
from coordinator.store.port import Store
from coordinator.store.presence import place_of, read_presence


@dataclass(frozen=True, slots=True)
class Explained:
    """An explanation, and the reading that it was made of.

    :ivar named: the meaning of the partition that was asked for.
    :ivar notes: what else the reader should know, besides the rule.
    """

    reading: Reading
    named: NamedPartition
    explanation: Explanation
    notes: Sequence[str]

    def as_json(self) -> dict[str, Any]:
        """For programs: what ``coordinator explain --json`` prints."""
        return (
            as_json(self.explanation)
            | {"revision": self.reading.cache.revision, "notes": list(self.notes)}
            | shown(self.reading.problems, self.reading.cache.problems).as_json()
        )


def explained(
    store: Store,
    keys: Keys,
    pipeline: PipelineRef,
    partition: str,
    *,
    revision: int = 0,
    limits: Mapping[str, EnvironmentLimits],
) -> Explained:
    """Read the keys that a decision about a partition needs, and explain it.

    :param partition: in any spelling.
    :param revision: of etcd; 0: the present.
    :param limits: of the environments, as far as they are known here.
    :raises UnknownPipeline: no document names the pipeline, and it has no keys.
    :raises NoSuchRevision: the revision is compacted, or lies in the future.
    """
    reading, target, named = read_target(
        store, keys, pipeline, partition, revision=revision, below=False, new_pipeline=True
    )
    reading.require(pipeline)
    waits = tuple(limits_reached(store, keys, reading, target, limits))
    waiting = (seen for seen in reading.cache.waits if seen.ref.run == target)
    sensors = tuple(waiting_sensors(reading, waiting, environments=limits))
    explanation = explain(reading.propagation, target, known=named.known, waiting=sensors)
    notes = tuple(_notes(reading, explanation, named, waits, limits, past=bool(revision)))
    return Explained(reading, named, explanation, notes)


def _notes(
    reading: Reading,
    explanation: Explanation,
    named: NamedPartition,
    waits: Sequence[str],
    environments: Collection[str],
    *,
    past: bool,
) -> Iterator[str]:
    """Further notes for the reader, besides the rule."""
    target = explanation.decision.target
    if past:
        newest = reading.newest_time
        when = f", about {format_instant(newest)}" if newest is not None else ""
        yield f"this is how it stood at etcd revision {reading.cache.revision}{when}"
    if not named.known:
        yield unknown_partition(target, named)
    if reading.propagation.graph.node(target.pipeline) is None and not is_of_assets(target.pipeline):
        own = "its own schedule, or a person, starts it"
        yield f"{target.pipeline} waits for nothing in the published documents: {own}"
    yield from unmet_notes(reading, target.pipeline, seen_in(reading.cache.targets()))
    unaffected = untouched(target, _published_entries(reading))
    for waiting, dependency in unaffected[:LISTED]:
        yield f"{waiting} does not see this partition: '{dependency}' is about others"
    if len(unaffected) > LISTED:
        yield f"{len(unaffected) - LISTED} more pipelines that wait for it do not see this partition"
    to_be_started = explanation.decision.fires or any(cause.kind is Kind.STARTING for cause in explanation.causes)
    if reading.cache.leader is None and not past:
        if to_be_started:
            yield "no watcher leads, so nothing is started; start one: coordinator watch"
        elif explanation.causes or explanation.waiting:
            yield NOBODY_LEADS
    if sensors := sorted({one.ref.sensor for one in sensors_on(reading.cache.waits, target)}):
        yield f"{listed(sensors)} {'waits' if len(sensors) == 1 else 'wait'} for it, inside a run"
    yield from waits
    yield from _unresumed(reading, target)
    yield from _no_environments(reading, explanation, environments)
    if named.known and not past:
        yield from _about_dags(reading, explanation)
    of_dependencies = {place: what for place, what in reading.problems.items() if place.startswith("dependencies")}
    yield from (f"problem: {one}" for one in shown(of_dependencies).in_words())


def _unresumed(reading: Reading, run: Target) -> Iterator[str]:
    """The sensors of a run that have passed, and whose tasks have not resumed."""
    told = unresumed_in(reading)
    for seen in reading.cache.waits:
        if seen.ref.run == run and (problem := told.get(unresumed_place(seen.ref))) is not None:
            yield f"its sensor {sensor_name(seen.ref)} {problem}"


def _no_environments(reading: Reading, explanation: Explanation, environments: Collection[str]) -> Iterator[str]:
    """The environments of missing inputs that are not configured, and under whose names nothing is reported."""
    missing = {cause.target.pipeline.environment for cause in explanation.causes if cause.kind is Kind.NOT_YET}
    reported = {target.pipeline for target in reading.cache.targets()}
    for name in sorted(missing):
        if is_no_environment(name, reported, environments):
            configured = ", ".join(sorted(environments))
            yield f"environment {name!r} is not configured (configured are {configured}), and nothing reports in it"


def _about_dags(reading: Reading, explanation: Explanation) -> Iterator[str]:
    """What is known of the DAGs without asking an Airflow, and who asks."""
    concerned = {explanation.decision.target.pipeline, *(cause.target.pipeline for cause in explanation.causes)}
    for presence in map(read_presence, reading.cache.watchers.values()):
        for place in (unknown_dags.PLACE, paused_dags.PLACE):
            told = (presence.problems or {}).get(place)
            if told is not None and any(unknown_dags.names(told, pipeline) for pipeline in concerned):
                yield f"the watcher {presence.id} says: {told}"
        for target in (explanation.decision.target, *(cause.target for cause in explanation.causes)):
            if (told := (presence.problems or {}).get(f"start of {target}")) is not None:
                yield f"the watcher {presence.id} says of {target}: {told}"
        for environment in sorted({one.environment for one in concerned}):
            if (told := (presence.problems or {}).get(place_of(environment))) is not None:
                yield f"the watcher {presence.id} says of {environment}: {told}"
    if any(cause.kind is Kind.NOT_YET for cause in explanation.causes):  # of queued runs the cause says it
        yield "explain does not ask Airflow; 'coordinator doctor' tells whether these DAGs exist and are not paused"


def _published_entries(reading: Reading) -> Iterator[Downstream]:
    """All published entries, including those of pipelines that the reading does not cover."""
    for published in reading.cache.published.values():
        if isinstance(published.value, Publication):
            yield from published.value.document.values()
