"""A consumption in a trigger record: JSON for the completions in full, packed columns for the rest.

``names`` are pipelines and partitions, each partition without the beginning that it shares with the one before it,
compressed: the 8,784 hours of a year are 1 KB. ``hashes`` are four bytes for each of them, in the same order. Both are
in Base64.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from struct import iter_unpack, pack
from typing import Annotated, Final

import msgspec
from pydantic import Field, TypeAdapter

from coordinator.model.bounds import MIB
from coordinator.model.consumption import NOTHING, Consumed, Consumption, Fingerprint, Inputs, Window
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import Attempt, Revision, State
from coordinator.model.stored import WrittenRevision, WrittenTime, as_utc

UNPACKED: Final = 16 * MIB
"""Characters of all names together, decompressed: ten times the limit of etcd. A few compressed bytes could have
more."""


class InputDocument(msgspec.Struct, omit_defaults=True, gc=False):
    """A completion that is named."""

    pipeline: str
    partition: str
    revision: WrittenRevision
    state: State
    run_id: str | None = None
    queued_at: WrittenTime | None = None
    attempt: int | None = None
    as_newest: bool = False
    task: str = ""


class MoreDocument(msgspec.Struct, gc=False):
    """Completions that are not named. ``count`` is for people."""

    count: int
    names: str
    hashes: str


_TASK: Final = "\n"
"""Stands between a pipeline and its task: no name in a document of dependencies has it."""

_Shortened = tuple[Annotated[int, Field(ge=0)], str]
_NAMES = TypeAdapter(list[tuple[str, Revision, list[_Shortened]]])


def dump_named(inputs: Inputs) -> list[InputDocument]:
    return [
        InputDocument(
            pipeline=_spelled(target.pipeline.whole),
            task=target.pipeline.task,
            partition=target.partition,
            revision=consumed.revision,
            state=consumed.state,
            run_id=consumed.attempt.run_id,
            queued_at=consumed.attempt.queued_at,
            attempt=consumed.attempt.number,
            as_newest=consumed.as_newest,
        )
        for target, consumed in inputs.items()
    ]


def dump_more(windows: Mapping[PipelineRef, Window]) -> MoreDocument | None:
    """The packed fingerprints; ``None``: there are none."""
    if not windows:
        return None
    names: list[tuple[str, int, list[_Shortened]]] = []
    fingerprints: list[Fingerprint] = []
    for pipeline, window in sorted(windows.items()):
        partitions = sorted(window.fingerprints)
        names.append((_spelled(pipeline), window.revision, list(_shortened(partitions))))
        fingerprints += (window.fingerprints[partition] for partition in partitions)
    return MoreDocument(
        count=len(fingerprints),
        names=base64.b64encode(zlib.compress(_NAMES.dump_json(names), 9)).decode(),
        hashes=base64.b64encode(pack(f">{len(fingerprints)}I", *fingerprints)).decode(),
    )


Named = tuple[Target, Consumed]
"""A completion that is kept in full, and its target."""


def load_named(one: InputDocument) -> Named:
    """:raises ValueError: a name or a time is invalid."""
    target = Target(load_pipeline(spelling_of(one)), one.partition)
    return target, Consumed(
        one.revision, Attempt(one.run_id, as_utc(one.queued_at), one.attempt), one.state, one.as_newest
    )


def load(
    named: Sequence[InputDocument],
    more: MoreDocument | None,
    load_one: Callable[[InputDocument], Named] = load_named,
) -> Consumption:
    """Read a consumption.

    :param load_one: reads a completion that is kept in full.
    :raises ValueError: the packed data is inconsistent; ``pydantic.ValidationError`` is a ValueError too.
    """
    if not named and more is None:
        return NOTHING
    return Consumption(dict(map(load_one, named)), _windows(more) if more is not None else {})


def _windows(more: MoreDocument) -> dict[PipelineRef, Window]:
    hashes = base64.b64decode(more.hashes, validate=True)
    names = _NAMES.validate_json(_decompressed(base64.b64decode(more.names, validate=True)))
    count = sum(len(shortened) for _, _, shortened in names)
    if len(hashes) != 4 * count:
        raise ValueError(f"{count} completions have {len(hashes)} bytes of hashes; expected 4 for each")
    fingerprints = (Fingerprint(one) for (one,) in iter_unpack(">I", hashes))
    room, windows = UNPACKED, {}
    for pipeline, revision, shortened in names:
        partitions = []
        for partition in _in_full(shortened):
            room -= len(partition)
            if room < 0:
                raise ValueError(f"the names of its completions have more than {UNPACKED} characters")
            partitions.append(partition)
        found = dict(zip(partitions, islice(fingerprints, len(partitions)), strict=True))
        windows[load_pipeline(pipeline)] = Window(revision, found)
    return windows


def _decompressed(packed: bytes) -> bytes:
    unpacking = zlib.decompressobj()
    try:
        unpacked = unpacking.decompress(packed, UNPACKED)
    except zlib.error as error:
        raise ValueError(f"the names of its completions cannot be unpacked: {error}") from error
    if not unpacking.eof:
        raise ValueError(f"the names of its completions are cut off, or have more than {UNPACKED} bytes")
    return unpacked


def _shortened(partitions: Sequence[str]) -> Iterator[_Shortened]:
    """Each partition as the length of the beginning shared with the one before, and the rest."""
    before = ""
    for partition in partitions:
        shared = _shared(before, partition)
        yield shared, partition[shared:]
        before = partition


def _shared(one: str, other: str) -> int:
    """The length of the common beginning."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (mine, its) in pairs if mine != its), min(len(one), len(other)))


def _in_full(shortened: Sequence[_Shortened]) -> Iterator[str]:
    partition = ""
    for shared, rest in shortened:
        partition = partition[:shared] + rest
        yield partition


@lru_cache(maxsize=1 << 15)
def load_pipeline(text: str) -> PipelineRef:
    """A pipeline, cached because records name few pipelines many times. :raises ValueError: it is no reference."""
    pipeline, _, task = text.partition(_TASK)
    return PipelineRef.parse(pipeline)._replace(task=task)


def spelling_of(one: InputDocument) -> str:
    """The pipeline or task of a completion, as :func:`load_pipeline` reads it."""
    return f"{one.pipeline}{_TASK}{one.task}" if one.task else one.pipeline


def _spelled(pipeline: PipelineRef) -> str:
    task = f"{_TASK}{pipeline.task}" if pipeline.task else ""
    return f"{pipeline.environment}/{pipeline.dag_id}{task}"
