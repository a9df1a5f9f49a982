"""Assets as upstreams: the newest event of an asset in a partition is its completion (docs/architecture.md#assets).

The leader writes it, as it writes what becomes of tasks: an event names its run, and only somebody who knows the runs
knows the partition of that. An asset has no readiness of its own. While a run that emits it goes on, or is due, more of
its events may come; so it is as ready as its producers are.
"""

from __future__ import annotations

from collections.abc import Container
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from coordinator.model import bounds
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import Attempt, RunState, State
from coordinator.model.stored import Unreadable, WrittenRevision, WrittenTime, as_utc, read_stored
from coordinator.model.view import Facts, Readiness, SeenState, View, readable_state

MOST_PRODUCERS = 16
"""Pipelines that are known to emit one asset in one partition; the one that emitted it longest ago is forgotten."""


ON_THE_WAY = timedelta(seconds=10)
"""Events and the ends of runs come from different processes. So an event may come so long after the end of its run."""


class Emission(msgspec.Struct, frozen=True, gc=False):
    """What a pipeline has emitted, in the newest attempt of its run that has emitted anything.

    :ivar producer: the pipeline, and the partition of its run.
    :ivar since: the first of these events by which the asset has completed, by the clock of the listener.
    :ivar newest: the newest one.
    """

    producer: Target
    run_id: str
    since: datetime
    newest: datetime


class AssetCompletion(RunState, frozen=True, gc=False):
    """The newest completion of an asset in a partition.

    A run may emit an asset several times, and one of these events may arrive late. Together they are one completion: so
    what waits for it starts once. ``attempt`` is the run, and when the first of them was emitted.

    :ivar event: the id of its newest event, in the environment of the asset.
    :ivar event_revision: the etcd revision of that: what came before a dependency starts nothing.
    :ivar emissions: by whom it has been emitted in this partition, the newest first.
    """

    event: str = ""
    event_revision: int = 0
    emissions: tuple[Emission, ...] = ()

    @property
    def producers(self) -> tuple[Target, ...]:
        """The pipelines that have emitted it in this partition, in the partitions of their runs."""
        return tuple(one.producer for one in self.emissions)


class Told(NamedTuple):
    """An event, as far as it concerns the completion of its asset.

    :ivar run_id: of the run that has emitted it; ``None``: none has.
    :ivar producer: the pipeline and the partition of that run; ``None``: there is none, or it is unknown.
    :ivar is_late: it waited until its run was known, while others came.
    """

    event: str
    revision: int
    emitted_at: datetime
    run_id: str | None
    producer: Target | None
    is_late: bool = False


def with_event(known: AssetCompletion | None, told: Told, run: RunState | None) -> AssetCompletion:
    """What an asset's completion is once an event is known. An event that is known already changes nothing.

    :param run: the state of its producer.
    """
    before = known.emissions if known is not None else ()
    own = next((one for one in before if one.producer == told.producer), None)
    began = run.attempt.queued_at if run is not None and run.attempt.run_id == told.run_id else None
    is_known = known is not None and told.revision <= known.event_revision
    if is_known and (not told.is_late or (began is not None and told.emitted_at < began)):
        assert known is not None
        if told.producer is None or own is not None or told.run_id is None:
            return known
        known_since = Emission(told.producer, told.run_id, told.emitted_at, told.emitted_at)
        return msgspec.structs.replace(known, emissions=(*before, known_since)[:MOST_PRODUCERS])
    is_same = own is not None and own.run_id == told.run_id and began is not None and began <= own.since
    emissions = before
    if told.producer is not None and told.run_id is not None:
        since = own.since if own is not None and is_same else told.emitted_at
        newest = max(own.newest, told.emitted_at) if own is not None and is_same else told.emitted_at
        others = (one for one in before if one is not own)
        emissions = (Emission(told.producer, told.run_id, since, newest), *others)[:MOST_PRODUCERS]
    attempt = Attempt(told.run_id, told.emitted_at) if known is None or not is_same else known.attempt
    if is_known:
        assert known is not None
        return msgspec.structs.replace(known, attempt=attempt, emissions=emissions)
    return AssetCompletion(
        State.SUCCESS, attempt, told.emitted_at, event=told.event, event_revision=told.revision, emissions=emissions
    )


def with_run(known: AssetCompletion, producer: Target, run: RunState | None) -> AssetCompletion:
    """What an asset's completion is, now that a run of its producer has another state.

    An event may come before its listener's environment has told that the run was cleared. Then it has been taken for
    one of the attempt before, and is another completion.
    """
    began = run.attempt.queued_at if run is not None else None
    for number, one in enumerate(known.emissions):
        if one.producer != producer or run is None or began is None or one.run_id != run.attempt.run_id:
            continue
        if one.since < began <= one.newest:
            opened = msgspec.structs.replace(one, since=one.newest)
            others = (*known.emissions[:number], *known.emissions[number + 1 :])
            attempt = Attempt(one.run_id, one.newest)
            return msgspec.structs.replace(known, attempt=attempt, emissions=(opened, *others))
    return known


class _EmissionDocument(msgspec.Struct):
    pipeline: str
    partition: str
    run_id: str
    since: WrittenTime
    newest: WrittenTime


class _CompletionDocument(msgspec.Struct, omit_defaults=True, gc=False):
    """The JSON of a completion. Only the coordinator writes them, so each field has one form."""

    state: State
    event: str
    event_revision: WrittenRevision
    since: WrittenTime
    observed_at: WrittenTime
    run_id: str | None = None
    emissions: tuple[_EmissionDocument, ...] = ()
    reported_by: str = ""


_decode = msgspec.json.Decoder(_CompletionDocument).decode
_encode = msgspec.json.Encoder().encode


def dump_completion(completion: AssetCompletion, *, reported_by: str) -> bytes:
    """The bytes for etcd."""
    assert completion.attempt.queued_at is not None
    assert completion.observed_at is not None
    return _encode(
        _CompletionDocument(
            state=completion.state,
            event=completion.event,
            event_revision=completion.event_revision,
            since=completion.attempt.queued_at,
            observed_at=completion.observed_at,
            run_id=completion.attempt.run_id,
            emissions=tuple(
                _EmissionDocument(str(one.producer.pipeline), one.producer.partition, one.run_id, one.since, one.newest)
                for one in completion.emissions
            ),
            reported_by=reported_by,
        )
    )


def read_completion(value: bytes) -> AssetCompletion | Unreadable:
    """Read the value of the state of an asset. Never raises."""
    return read_stored(value, _completion_of, most=bounds.RUN_STATE, what="the state of an asset")


def _completion_of(value: bytes) -> AssetCompletion:
    found = _decode(value)
    return AssetCompletion(
        State.SUCCESS,
        Attempt(found.run_id, as_utc(found.since)),
        as_utc(found.observed_at),
        event=found.event,
        event_revision=found.event_revision,
        emissions=tuple(
            Emission(
                Target(PipelineRef.parse(one.pipeline), one.partition),
                one.run_id,
                as_utc(one.since),
                as_utc(one.newest),
            )
            for one in found.emissions
        ),
    )


def readiness_of(view: View, asset: Target, *, without: Container[Target] = ()) -> tuple[Readiness, datetime | None]:
    """How ready an asset is in a partition: as its producers are; and when that changes by itself.

    Where a producer has run again, and no event of that has come, it is one of three: the event is still on its way
    (:data:`ON_THE_WAY`), the run has failed before it emitted any, so that the asset is out of date, or it emits none.

    :param asset: the pipeline that stands for it, in the partition.
    :param without: producers that do not count.
    """
    known = readable_state(view.state(asset))
    if not isinstance(known, AssetCompletion):
        return Readiness.SETTLED, None  # nobody knows who will emit it
    found = {view.readiness(producer) for producer in known.producers if producer not in without}
    if Readiness.BUSY in found:
        return Readiness.BUSY, None
    run = _run_since(view, known)
    if Readiness.STUCK in found or (run is not None and run.state is State.FAILED):
        return Readiness.STUCK, None
    ended_at = run.completed_at if run is not None else None
    if ended_at is not None and view.now < ended_at + ON_THE_WAY:
        return Readiness.BUSY, ended_at + ON_THE_WAY
    return Readiness.SETTLED, None


def producer_of(seen: SeenState | None) -> Target | None:
    """The pipeline, and the partition of its run, that has emitted the newest event of an asset; ``None``: no run has,
    or nobody knows which, or it is the state of no asset."""
    completion = readable_state(seen)
    return completion.producers[0] if isinstance(completion, AssetCompletion) and completion.producers else None


def _run_since(facts: Facts, completion: AssetCompletion) -> RunState | None:
    """The run of its newest producer that has ended, and began after the event; ``None``: there is none."""
    newest = completion.emissions[0] if completion.emissions else None
    run = readable_state(facts.state(newest.producer)) if newest is not None else None
    if newest is None or run is None or not run.state.is_terminal or run.attempt.queued_at is None:
        return None
    return run if newest.newest < run.attempt.queued_at else None
