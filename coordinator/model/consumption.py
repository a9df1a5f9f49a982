"""Consumption: the completions that a trigger has used, stored compactly.

A completion is *used* by the run that it starts; once that run is known to exist, it is *consumed*, and not new any
more. The newest :data:`NAMED` completions are kept in full, for people and for requests. Of every other one, a 32-bit
*fingerprint* is kept: a hash of its attempt and state. That answers the one question of the rule: is this the
completion that was used? A count and a greatest revision would not be enough. An hour that is set to failed and back
under one attempt has a greater revision and is the same completion; an hour that was missing when its day ran without
it has a lower revision and is a new one.

A hash is compared only with the one kept for the same input. So the probability that a new completion is mistaken for
the used one is 1 in 4,294,967,296. Then it starts nothing until the next completion of that input or another one; there
is no other consequence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b

import msgspec

from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import Attempt, RunState, State

NAMED = 32
"""Completions of a record that are kept in full."""


class Consumed(msgspec.Struct, frozen=True, gc=False):
    """A completion that a trigger has used.

    :ivar as_newest: it was used as the newest completion of its pipeline (``latest``, ``fixed_key``), not as the one of
        its partition: the next one replaces it.
    """

    revision: int
    attempt: Attempt
    state: State
    as_newest: bool = False

    def is_same(self, state: RunState, revision: int) -> bool:
        """Whether a present completion is this one. The same attempt and state, put again, is the same completion. Of
        an asset, whatever was counted up to there was used."""
        if state.completed_revision is not None and state.completed_revision <= self.revision:
            return True
        return self.revision == revision or (self.state is state.state and self.attempt.same_as(state.attempt))


class Fingerprint(int):
    """32 bits that identify a completion."""

    __slots__ = ()

    def is_same(self, state: RunState, revision: int) -> bool:
        """Whether a present completion has this fingerprint."""
        attempt = state.attempt
        if self == _hash(attempt.run_id, _identity(attempt, revision), state.state):
            return True
        # If a report has both, either may match: the consumed one may have had only its number.
        if attempt.queued_at is None or attempt.number is None:
            return False
        return self == _hash(attempt.run_id, attempt.number, state.state)

    @classmethod
    def of(cls, one: Consumed) -> Fingerprint:
        return cls(_hash(one.attempt.run_id, _identity(one.attempt, one.revision), one.state))


def _identity(attempt: Attempt, revision: int) -> float | int | str:
    """What distinguishes an attempt from others of its run; without it, every put is another completion."""
    if attempt.queued_at is not None:
        return attempt.queued_at.timestamp()
    return attempt.number if attempt.number is not None else f"revision {revision}"


def _hash(run_id: str | None, identity: float | int | str, state: State) -> int:
    text = f"{run_id!r} {identity!r} {state.value}"
    return int.from_bytes(blake2b(text.encode(), digest_size=4).digest())


Inputs = Mapping[Target, Consumed]
"""The completions that a decision uses, each in full."""


def same_inputs(one: Inputs, other: Inputs) -> bool:
    """Whether two decisions use the same completions."""
    return one.keys() == other.keys() and all(
        mine.is_same(RunState(other[target].state, other[target].attempt), other[target].revision)
        for target, mine in one.items()
    )


@dataclass(frozen=True, slots=True)
class Window:
    """Completions of one pipeline of which only fingerprints are kept.

    :ivar revision: the greatest etcd revision among them.
    """

    revision: int
    fingerprints: Mapping[str, Fingerprint]


class Consumption(msgspec.Struct, frozen=True, gc=False):
    """The completions that a trigger has used. Immutable.

    :ivar named: those that are kept in full.
    :ivar windows: the others, by pipeline; no partition of them is also named.
    """

    named: Inputs = {}
    windows: Mapping[PipelineRef, Window] = {}

    @classmethod
    def of(cls, inputs: Inputs) -> Consumption:
        """The consumption of these completions."""
        return _bounded(dict(inputs), {})

    def __len__(self) -> int:
        return len(self.named) + self.more

    @property
    def more(self) -> int:
        """How many are kept as fingerprints only."""
        return sum(len(window.fingerprints) for window in self.windows.values())

    def targets(self) -> Iterator[Target]:
        """Every input whose completion was used."""
        yield from self.named
        for pipeline, window in self.windows.items():
            for partition in window.fingerprints:
                yield Target(pipeline, partition)

    def get(self, target: Target) -> Consumed | Fingerprint | None:
        """The used completion of an input, in full or as a fingerprint; ``None``: none was used."""
        if (named := self.named.get(target)) is not None or not self.windows:
            return named
        window = self.windows.get(target.pipeline)
        return window.fingerprints.get(target.partition) if window is not None else None

    def knows(self, target: Target, state: RunState, revision: int) -> bool:
        """Whether a present completion is the one that was used."""
        used = self.get(target)
        return used is not None and used.is_same(state, revision)

    def is_made_of(self, inputs: Inputs) -> bool:
        """Whether it consists of exactly these completions."""
        return len(inputs) == len(self) and all(
            self.knows(target, RunState(one.state, one.attempt), one.revision) for target, one in inputs.items()
        )

    def as_newest_of(self, pipeline: PipelineRef) -> Iterator[Target]:
        """The partitions that were used as the newest completion of a pipeline."""
        return (target for target, one in self.named.items() if one.as_newest and target.pipeline == pipeline)

    @property
    def pipelines(self) -> set[PipelineRef]:
        return {target.pipeline for target in self.named} | self.windows.keys()

    def newest_revision(self, of: Iterable[PipelineRef] | None = None) -> int:
        """The greatest etcd revision among its completions; 0: there are none.

        :param of: of these pipelines; ``None``: of all.
        """
        wanted = self.pipelines if of is None else set(of)
        named = (one.revision for target, one in self.named.items() if target.pipeline in wanted)
        windows = (window.revision for pipeline, window in self.windows.items() if pipeline in wanted)
        return max((*named, *windows), default=0)

    def and_then(self, later: Consumption) -> Consumption:
        """The consumption after another start has used these.

        Of completions used as the newest one of their pipeline, two are kept: the one used last, and the one with the
        greatest revision. If the newest one is deleted, an older one becomes the newest again, and must not count as
        new.
        """
        named = {target: one for target, one in self.named.items() if later.get(target) is None}
        for pipeline in {target.pipeline for target, one in later.named.items() if one.as_newest}:
            replaced = [*self.as_newest_of(pipeline)]
            newest = max(replaced, key=lambda target: self.named[target].revision, default=None)
            for target in replaced:
                if target is not newest or self.named[target].revision < later.newest_revision((pipeline,)):
                    named.pop(target, None)
        named |= later.named
        windows = {
            pipeline: Window(
                window.revision,
                {one: it for one, it in window.fingerprints.items() if later.get(Target(pipeline, one)) is None},
            )
            for pipeline, window in self.windows.items()
        }
        for pipeline, window in later.windows.items():
            windows[pipeline] = _together(windows.get(pipeline), window.revision, window.fingerprints)
        return _bounded(named, windows)


NOTHING = Consumption()


def _bounded(named: dict[Target, Consumed], windows: dict[PipelineRef, Window]) -> Consumption:
    """A consumption with the newest completions in full, and fingerprints of the rest."""
    if len(named) > NAMED:
        rest = sorted(
            (target for target, one in named.items() if _can_be_hashed(one)),
            key=lambda target: (named[target].revision, target),
        )[: len(named) - NAMED]
        hashed: dict[PipelineRef, dict[str, Consumed]] = {}
        for target in rest:
            hashed.setdefault(target.pipeline, {})[target.partition] = named.pop(target)
        for pipeline, found in hashed.items():
            revision = max(one.revision for one in found.values())
            fingerprints = {partition: Fingerprint.of(one) for partition, one in found.items()}
            windows[pipeline] = _together(windows.get(pipeline), revision, fingerprints)
    return Consumption(named, {pipeline: window for pipeline, window in windows.items() if window.fingerprints})


def _can_be_hashed(one: Consumed) -> bool:
    """Whether a fingerprint is enough: not if the completion has two identities, or is replaced by the next one."""
    return not one.as_newest and (one.attempt.queued_at is None or one.attempt.number is None)


def _together(before: Window | None, revision: int, fingerprints: Mapping[str, Fingerprint]) -> Window:
    if before is None:
        return Window(revision, fingerprints)
    return Window(max(before.revision, revision), {**before.fingerprints, **fingerprints})
