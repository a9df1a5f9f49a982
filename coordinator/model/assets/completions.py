"""Assets as upstreams: what has been emitted in a partition is the completion there (docs/architecture.md#assets).

The leader writes it, as it writes what becomes of tasks: an event names its run, and only somebody who knows the runs
knows the partition of that. An asset has no readiness of its own. While a run that emits it goes on, or is due, more of
its events may come; so it is as ready as its producers are.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterator
from datetime import datetime
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from coordinator.model import bounds
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import Attempt, RunState, State
from coordinator.model.stored import Unreadable, WrittenRevision, WrittenTime, as_utc, read_stored
from coordinator.model.view import Facts, Readiness, SeenState, View, readable_state

MOST_EMISSIONS = 64
"""Emissions of one asset in one partition that are known; the oldest one is forgotten."""

MOST_OF_A_PRODUCER = 3
"""... and of one pipeline in one partition of its own, where each of its runs has another run_id."""


class Emission(msgspec.Struct, frozen=True, gc=False):
    """What one attempt of a run has emitted: all its events are one.

    :ivar pipeline: whose run it was; ``None``: no run has emitted it.
    :ivar partition: of that run; ``None``: unknown.
    :ivar run_id: of that run; where there is none, the id of the event.
    :ivar since: the first of these events by which the asset has completed, by the clock of the listener.
    :ivar newest: the newest one.
    :ivar told: the etcd revision of the newest one: what came before a dependency starts nothing.
    :ivar counted: the etcd revision that was known when the asset completed by it. A later completion has a greater
        one.
    :ivar silent: the ``queued_at`` of a later attempt of its run, of which it is known that it has emitted nothing.
    """

    pipeline: PipelineRef | None
    partition: str | None
    run_id: str
    since: datetime
    newest: datetime
    told: int
    counted: int
    silent: datetime | None = None

    @property
    def producer(self) -> Target | None:
        """The pipeline and the partition of its run; ``None``: there is none, or it is unknown."""
        known = self.pipeline is not None and self.partition is not None
        return Target(self.pipeline, self.partition) if known else None  # type: ignore[arg-type]

    @property
    def identity(self) -> str:
        """What distinguishes it from all others of its asset in its partition."""
        return f"{self.pipeline} {self.run_id} {self.since.timestamp()!r}"


class AssetCompletion(RunState, frozen=True, gc=False):
    """What has been emitted of an asset in a partition.

    ``attempt`` is the run of the newest emission, and when that began. As an input (:meth:`as_input`), its number is a
    digest of the emissions: made again from the events, they have the same one.

    :ivar event: the id of the newest event, in the environment of the asset.
    :ivar counted: the greatest one of the emissions that count.
    :ivar used: the greatest one of all: what uses it uses all that was counted up to there.
    :ivar emissions: by whom it has been emitted, the one that was counted last first.
    """

    event: str = ""
    counted: int = 0
    used: int = 0
    emissions: tuple[Emission, ...] = ()

    @property
    def producers(self) -> tuple[Target, ...]:
        """The pipelines that have emitted it in this partition, in the partitions of their runs."""
        return tuple(dict.fromkeys(one.producer for one in self.emissions if one.producer is not None))

    @property
    def completed_revision(self) -> int:
        return self.counted

    @property
    def used_revision(self) -> int:
        return self.used

    @property
    def told_revision(self) -> int:
        return max(one.told for one in self.emissions)

    def as_input(self, *, without: Container[Target], after: int) -> AssetCompletion:
        """What it is for a pipeline that waits for it. The digest is that of all emissions: what has used them has used
        all, whichever of them counted for it.

        :param without: producers that do not count, because the pipeline itself would start them.
        :param after: an etcd revision: emissions that were told of before do not count.
        """
        identities = "\n".join(sorted(one.identity for one in self.emissions))
        digest = int.from_bytes(blake2b(identities.encode(errors="surrogatepass"), digest_size=6).digest())
        newest = max(self.emissions, key=lambda one: (one.since, one.identity))
        others = tuple(one for one in self.emissions if one.producer not in without)
        return msgspec.structs.replace(
            self,
            attempt=Attempt(newest.run_id if newest.pipeline is not None else None, None, digest),
            observed_at=max(one.newest for one in others or self.emissions),
            counted=max((one.counted for one in others if one.told > after), default=0),
            emissions=others or self.emissions,
        )


def completion_of(event: str, emissions: Collection[Emission]) -> AssetCompletion:
    """A completion that consists of these emissions, of which there is at least one."""
    ordered = tuple(sorted(emissions, key=lambda one: (one.counted, one.newest), reverse=True))
    newest = max(one.newest for one in ordered)
    attempt = Attempt(ordered[0].run_id if ordered[0].pipeline is not None else None, ordered[0].since)
    return AssetCompletion(
        State.SUCCESS,
        attempt,
        newest,
        event=event,
        counted=ordered[0].counted,
        used=ordered[0].counted,
        emissions=ordered,
    )


class Told(NamedTuple):
    """An event, as far as it concerns the completion of its asset.

    :ivar event: its id.
    :ivar revision: the etcd revision of its key.
    :ivar emitted_at: by the clock of the listener.
    :ivar pipeline: whose run has emitted it; ``None``: none has.
    :ivar partition: of that run; ``None``: unknown.
    """

    event: str
    revision: int
    emitted_at: datetime
    pipeline: PipelineRef | None
    run_id: str | None
    partition: str | None


def with_event(known: AssetCompletion | None, told: Told, run: RunState | None, *, counted: int) -> AssetCompletion:
    """What an asset's completion is once an event is known. An event that is known already changes nothing, nor does
    one that is older than what its producer has emitted since.

    :param run: the state of its producer.
    :param counted: the etcd revision that is known now.
    """
    before = known.emissions if known is not None else ()
    fresh = Emission(
        told.pipeline,
        told.partition,
        told.run_id if told.run_id is not None else told.event,
        told.emitted_at,
        told.emitted_at,
        told.revision,
        max(told.revision, counted),
    )
    own = next((one for one in before if (one.pipeline, one.run_id) == (fresh.pipeline, fresh.run_id)), None)
    if own is None:
        if known is not None and _is_outdated(fresh, before):
            return known
        return _with(known, told, [fresh, *_kept_beside(fresh, before)])
    now = own
    if own.partition is None and told.partition is not None:
        now = msgspec.structs.replace(own, partition=told.partition)
    if told.emitted_at > own.newest:
        if _is_same_attempt(own, told, run):
            now = msgspec.structs.replace(now, newest=told.emitted_at, told=max(own.told, told.revision))
        else:
            now = msgspec.structs.replace(fresh, partition=now.partition)
    if now == own:
        assert known is not None
        return known
    return _with(known, told, [now, *(one for one in before if one is not own)])


def _is_outdated(fresh: Emission, before: tuple[Emission, ...]) -> bool:
    """Whether what waits has been told of something newer from the same place, or nobody knows any more."""
    if fresh.pipeline is None:
        return any(one.pipeline is None and fresh.told < one.told for one in before)
    if any(one.producer == fresh.producer and fresh.since < one.since for one in before if one.producer is not None):
        return True
    return len(before) >= MOST_EMISSIONS and fresh.told < min(one.told for one in before)


def _kept_beside(fresh: Emission, before: tuple[Emission, ...]) -> list[Emission]:
    """The emissions that are kept when another one comes: the newest ones."""
    same = [one for one in before if (one.pipeline, one.partition) == (fresh.pipeline, fresh.partition)]
    most = MOST_OF_A_PRODUCER if fresh.pipeline is not None else 1
    dropped = sorted(same, key=lambda one: one.told, reverse=True)[most - 1 :]
    kept = [one for one in before if one not in dropped]
    return sorted(kept, key=lambda one: one.told, reverse=True)[: MOST_EMISSIONS - 1]


def _is_same_attempt(own: Emission, told: Told, run: RunState | None) -> bool:
    """Whether a later event of a run is of the attempt that has emitted before: none that is known began in between.

    Where nobody knows of the run, nobody knows of its clears: it is not. Where another run has taken its place, it is:
    its clear would be known.
    """
    if told.partition is None:
        return False
    began = [own.silent]
    if run is not None:
        began += _beginnings(run, own.run_id)
        if run.attempt.run_id == own.run_id and run.attempt.queued_at in (None, run.ended_at):
            return False  # nothing tells its attempts apart
    return not any(own.since < one <= told.emitted_at for one in began if one is not None)


def _with(known: AssetCompletion | None, told: Told, emissions: list[Emission]) -> AssetCompletion:
    is_newest = known is None or told.revision > max(one.told for one in known.emissions)
    return completion_of(told.event if is_newest or known is None else known.event, emissions)


def with_run(known: AssetCompletion, producer: Target, run: RunState | None, *, counted: int) -> AssetCompletion:
    """What an asset's completion is, now that a run of its producer has another state.

    An event may come before its listener's environment has told that the run was cleared. Then it has been taken for
    one of the attempt before, and is another completion. Parameters as of :func:`with_event`.
    """
    if run is None:
        return known
    emissions = []
    for one in known.emissions:
        began = _beginnings(run, one.run_id) if one.producer == producer else ()
        if any(one.since < attempt <= one.newest for attempt in began):
            emissions.append(msgspec.structs.replace(one, since=one.newest, counted=counted))
        else:
            emissions.append(one)
    return known if tuple(emissions) == known.emissions else completion_of(known.event, emissions)


def _beginnings(run: RunState, run_id: str) -> list[datetime]:
    """When the attempts of a run began, as far as is known. :param run: the state that is in its partition."""
    attempts = [one for one in (run.attempt, *run.earlier) if one.run_id == run_id]
    return [one.queued_at for one in attempts if one.queued_at is not None]


def silent_since(facts: Facts, known: AssetCompletion, producer: Target) -> datetime | None:
    """The ``queued_at`` of the newest attempt of a producer if it has succeeded, and no event of it has come, and it is
    not known that none will; ``None``: it is not so."""
    run = _run_since(facts, known, producer)
    return run.attempt.queued_at if run is not None and run.state is not State.FAILED else None


def with_silence(known: AssetCompletion, producer: Target, attempt: datetime) -> AssetCompletion:
    """What an asset's completion is once it is known that an attempt of its producer has emitted nothing.

    :param attempt: its ``queued_at``.
    """
    return completion_of(
        known.event,
        [msgspec.structs.replace(one, silent=attempt) if one.producer == producer else one for one in known.emissions],
    )


class _EmissionDocument(msgspec.Struct, omit_defaults=True):
    run_id: str
    since: WrittenTime
    newest: WrittenTime
    told: WrittenRevision
    counted: WrittenRevision
    pipeline: str | None = None
    partition: str | None = None
    silent: WrittenTime | None = None


class _CompletionDocument(msgspec.Struct, omit_defaults=True, gc=False):
    """The JSON of a completion. Only the coordinator writes them, so each field has one form."""

    state: State
    event: str
    emissions: tuple[_EmissionDocument, ...]
    reported_by: str = ""


_decode = msgspec.json.Decoder(_CompletionDocument).decode
_encode = msgspec.json.Encoder().encode


def dump_completion(completion: AssetCompletion, *, reported_by: str) -> bytes:
    """The bytes for etcd."""
    return _encode(
        _CompletionDocument(
            state=completion.state,
            event=completion.event,
            emissions=tuple(
                _EmissionDocument(
                    one.run_id,
                    one.since,
                    one.newest,
                    one.told,
                    one.counted,
                    str(one.pipeline) if one.pipeline is not None else None,
                    one.partition,
                    one.silent,
                )
                for one in completion.emissions
            ),
            reported_by=reported_by,
        )
    )


def read_completion(value: bytes) -> AssetCompletion | Unreadable:
    """Read the value of the state of an asset. Never raises."""
    return read_stored(value, _completion_of, most=bounds.ASSET_COMPLETION, what="the state of an asset")


def _completion_of(value: bytes) -> AssetCompletion:
    found = _decode(value)
    if not found.emissions:
        raise ValueError("it has no emissions; expected one at least")
    return completion_of(
        found.event,
        [
            Emission(
                PipelineRef.parse(one.pipeline) if one.pipeline is not None else None,
                one.partition,
                one.run_id,
                as_utc(one.since),
                as_utc(one.newest),
                one.told,
                one.counted,
                as_utc(one.silent) if one.silent is not None else None,
            )
            for one in found.emissions
        ],
    )


def readiness_of(view: View, asset: Target, *, without: Container[Target] = ()) -> Readiness:
    """How ready an asset is in a partition: as its producers are.

    Where a producer has run again, and no event of that has come, it is one of three: the event is still on its way,
    the run has failed before it emitted any, so that the asset is out of date, or it emits none, which the leader
    notes after a while (:func:`silent_since`).

    :param asset: the pipeline that stands for it, in the partition.
    :param without: producers that do not count.
    """
    known = readable_state(view.state(asset))
    if not isinstance(known, AssetCompletion):
        return Readiness.SETTLED  # nobody knows who will emit it
    found = set()
    for producer in known.producers:
        if producer in without:
            continue
        found.add(view.readiness(producer))
        if (run := _run_since(view, known, producer)) is not None:
            found.add(Readiness.STUCK if run.state is State.FAILED else Readiness.BUSY)
    for one in (Readiness.BUSY, Readiness.STUCK):
        if one in found:
            return one
    return Readiness.SETTLED


def producer_of(seen: SeenState | None) -> Target | None:
    """The pipeline, and the partition of its run, that has emitted an asset last; ``None``: no run has, or nobody knows
    which, or it is the state of no asset."""
    completion = readable_state(seen)
    if not isinstance(completion, AssetCompletion) or not completion.emissions:
        return None
    return completion.emissions[0].producer


def failed_producers(facts: Facts, completion: AssetCompletion) -> Iterator[Target]:
    """Those whose runs have failed before they emitted it again."""
    for producer in completion.producers:
        run = _run_since(facts, completion, producer)
        if run is not None and run.state is State.FAILED:
            yield producer


def _run_since(facts: Facts, completion: AssetCompletion, producer: Target) -> RunState | None:
    """The run of a producer that has ended, and began after its newest event; ``None``: there is none, or it is known
    to have emitted nothing."""
    run = readable_state(facts.state(producer))
    began = run.attempt.queued_at if run is not None and run.state.is_terminal else None
    if run is None or began is None or began == run.ended_at:
        return None
    emitted = [one for one in completion.emissions if one.producer == producer]
    if any(began <= one.newest or (one.silent == began and run.state is not State.FAILED) for one in emitted):
        return None
    return run
