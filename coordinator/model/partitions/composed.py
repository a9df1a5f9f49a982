"""Mappings made of others.

``Chain``    one after the other: what the first one gives is what the next one reads
``Product``  one for each part of a key such as ``eu|2026-11-20``

With exact members they are exact, and both directions are computed: a chain follows its members back, a product maps
each part back. A member that is open towards upstream (``start_of_*``, and ``fixed_key`` as a part of a key) makes them
*gather* (:func:`gathers`): which partitions will come is not known beforehand.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, TypeAlias

from coordinator.model.partitions.assets import Assets
from coordinator.model.partitions.calendar import Period, start_of, time_zone
from coordinator.model.partitions.named_keys import AllowedKey, Segments
from coordinator.model.partitions.offsets import Offset
from coordinator.model.partitions.refusal import MappingError
from coordinator.model.partitions.same_instant import SameInstant
from coordinator.model.partitions.spelling import spelling
from coordinator.model.partitions.untimed import FixedKey, Identity, Latest
from coordinator.model.partitions.windows import ALL, MEMBER_LIMIT, MOST_MEMBERS, FanOut, Rollup, StartOf

Member: TypeAlias = (
    "Identity | SameInstant | StartOf | Rollup | FanOut | Offset | AllowedKey | Segments | FixedKey | Chain | Product"
)

DELIMITER: Final = "|"

_MOMENTS: Final = tuple(datetime(2026, month, 20, 10, 42, 15, tzinfo=UTC) for month in (7, 11))
"""In summer and in winter."""

_SAMPLES: Final = 5000


@dataclass(frozen=True, slots=True)
class Chain:
    """Airflow's ``ChainMapper``: the first member reads the upstream's partitions, the last one gives the downstream's.

    :ivar mappers: two or more.
    :raises MappingError: there are fewer; a member can have no place in a chain; a member gives nothing that the next
        one reads; or a partition would have too many inputs.
    """

    mappers: tuple[Member, ...]

    def __post_init__(self) -> None:
        _require_members(self.mappers)
        for at, member in enumerate(self.mappers):
            if isinstance(member, FixedKey):
                remedy = "write that alone; for some upstream partitions only, write 'segments' with 'wait' 1"
                raise MappingError("mappers", f"a chain with 'fixed_key' says no more than it; {remedy}", at=at)
        given: tuple[str, ...] | None = None
        for at, member in enumerate(self.mappers):
            found = _given_by(member, given)
            if given and not found:
                reason = f"reads nothing of what the one before gives, such as {given[0]!r}"
                remedy = "let both name the same partitions ('timezone', formats, keys)"
                raise MappingError("mappers", f"{reason}; {remedy}", at=at)
            given = found

    def upstreams(self, downstream: str) -> tuple[str, ...]:
        """The upstream partitions that a downstream partition needs. Not for one that gathers."""
        return _through_chain(self, downstream, True)

    def downstreams(self, upstream: str) -> tuple[str, ...]:
        """The downstream partitions that an upstream partition feeds."""
        return _through_chain(self, upstream, False)

    def __str__(self) -> str:
        return f"chain of ({'), then ('.join(map(str, self.mappers))})"


@dataclass(frozen=True, slots=True)
class Product:
    """Airflow's ``ProductMapper``: a key of several parts, each mapped by a member of its own.

    :ivar mappers: two or more, one for each part.
    :ivar delimiter: between the parts. A key of another number of parts belongs to nothing.
    :raises MappingError: there are fewer; a member can have no place in a product; a member gives keys with the
        delimiter in them; or a partition would have too many inputs.
    """

    mappers: tuple[Member, ...]
    delimiter: str = DELIMITER

    def __post_init__(self) -> None:
        if not self.delimiter:
            raise MappingError("delimiter", "expected a text between the parts of a key; found an empty one")
        _require_members(self.mappers)
        if all(isinstance(member, FixedKey) for member in self.mappers):
            key = self.delimiter.join(one.downstream_key for one in self.mappers if isinstance(one, FixedKey))
            raise MappingError("mappers", f"a product of fixed keys alone; write 'fixed_key' with {key!r}")
        for at, member in enumerate(self.mappers):
            samples = (*_samples_of(member), *_divided_by(member))
            divided = next((key for key in samples if self.delimiter in key), None)
            if divided is not None:
                reason = f"the delimiter {self.delimiter!r} is in its keys, such as {divided!r}"
                raise MappingError("mappers", f"{reason}; write another 'delimiter', or another format", at=at)

    def upstreams(self, downstream: str) -> tuple[str, ...]:
        """The upstream partitions that a downstream partition needs. Not for one that gathers."""
        return self._mapped(downstream, lambda member, part: _up(member, part))

    def downstreams(self, upstream: str) -> tuple[str, ...]:
        """The downstream partitions that an upstream partition feeds."""
        return self._mapped(upstream, lambda member, part: member.downstreams(part))

    def _mapped(self, key: str, mapped: Callable[[Member, str], tuple[str, ...]]) -> tuple[str, ...]:
        parts = key.split(self.delimiter)
        if len(parts) != len(self.mappers):
            return ()
        found = itertools.product(*(mapped(member, part) for member, part in zip(self.mappers, parts, strict=True)))
        keys = ((self.delimiter.join(one), one) for one in found)
        # A part that has the delimiter in it would be read as two.
        return tuple(joined for joined, one in keys if tuple(joined.split(self.delimiter)) == one)

    def __str__(self) -> str:
        between = "" if self.delimiter == DELIMITER else f", divided by {self.delimiter!r}"
        return f"product of ({') and ('.join(map(str, self.mappers))}){between}"


def gathers(mapping: object) -> bool:
    """Whether the inputs of a partition are known only as they arrive: all that come within it count."""
    match mapping:
        case StartOf() | Assets():
            return True
        case Chain(mappers) | Product(mappers):
            return any(isinstance(member, FixedKey) or gathers(member) for member in mappers)
        case _:
            return False


def rolls_up(mapping: object) -> bool:
    """Whether a partition needs all of its inputs, or as many as its ``wait`` says; otherwise it needs one."""
    match mapping:
        case Rollup() | Segments():
            return True
        case Chain(mappers) | Product(mappers):
            return not gathers(mapping) and any(rolls_up(member) for member in mappers)
        case _:
            return False


def most_inputs(mapping: object) -> int:
    """The most upstream partitions that a downstream partition has by an exact mapping."""
    match mapping:
        case Rollup(window=window, every=every):
            return MOST_MEMBERS[window][every]
        case Segments(segments):
            return len(segments)
        case Chain(mappers) | Product(mappers):
            return math.prod(most_inputs(member) for member in mappers)
        case _:
            return 1


def _most_fed(mapping: object) -> int:
    """The most downstream partitions that an upstream partition feeds."""
    match mapping:
        case FanOut(window=window, every=every):
            return MOST_MEMBERS[window][every]
        case Chain(mappers) | Product(mappers):
            return math.prod(_most_fed(member) for member in mappers)
        case _:
            return 1


def _require_members(mappers: tuple[object, ...]) -> None:
    if len(mappers) < 2:
        raise MappingError("mappers", f"expected two mappings or more; found {len(mappers)}")
    for at, member in enumerate(mappers):
        if isinstance(member, Latest):
            reason = "'latest' names no partition that could be mapped on; write it alone"
            raise MappingError("mappers", reason, at=at)
        if isinstance(member, Rollup | Segments) and member.wait != ALL:
            reason = "a roll-up among other mappings waits for all; leave its 'wait' out, or write it alone"
            raise MappingError("mappers", f"{reason}, with a pipeline in between", at=at)
    for at, member in enumerate(mappers):
        if (gathers(member) or isinstance(member, FixedKey)) and any(map(rolls_up, mappers)):
            reason = "names no inputs, so that a roll-up beside it cannot wait for all of them"
            raise MappingError("mappers", f"{reason}; map in two steps, with a pipeline in between", at=at)
    for most in (math.prod(map(most_inputs, mappers)), math.prod(map(_most_fed, mappers))):
        if most > MEMBER_LIMIT:
            reason = f"a partition would have up to {most} others; expected at most {MEMBER_LIMIT}"
            raise MappingError("mappers", f"{reason}; map in two steps, with a pipeline in between")


def _up(member: Member, key: str) -> tuple[str, ...]:
    assert not isinstance(member, StartOf | FixedKey), "its inputs are known only as they arrive"
    return member.upstreams(key)


@lru_cache(maxsize=4096)
def _through_chain(chain: Chain, key: str, back: bool) -> tuple[str, ...]:
    keys: Iterable[str] = (key,)
    for member in reversed(chain.mappers) if back else chain.mappers:
        keys = dict.fromkeys(
            mapped for one in keys for mapped in (_up(member, one) if back else member.downstreams(one))
        )
    return tuple(keys)


def _given_by(member: Member, given: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Some of the downstream partitions of a mapping; ``None``: there may be any.

    :param given: some of the upstream partitions.
    """
    if given is None:
        return _samples_of(member) or None
    found = dict.fromkeys(one for key in given for one in member.downstreams(key))
    return tuple(itertools.islice(found, _SAMPLES))


def _samples_of(member: Member) -> tuple[str, ...]:
    """Some downstream partitions of a mapping, if it says itself what they look like."""
    match member:
        case AllowedKey(keys):
            return keys
        case FixedKey(key) | Segments(_, key):
            return (key,)
        case Identity():
            return ()
        case Chain(mappers):
            return _samples_of(mappers[-1])
        case Product(mappers, delimiter):
            parts = [_samples_of(one) for one in mappers]
            return tuple(delimiter.join(one) for one in itertools.islice(itertools.product(*parts), _SAMPLES))
        case StartOf(period) | Rollup(period):
            return _spelled(member, period)
        case FanOut(_, every):
            return _spelled(member, every)
        case SameInstant() | Offset():
            return _spelled(member, None)


def _divided_by(member: Member) -> tuple[str, ...]:
    """What stands between the parts of the keys that it reads or gives."""
    match member:
        case Product(_, delimiter):
            return (delimiter,)
        case Chain(mappers):
            return (*_divided_by(mappers[0]), *_divided_by(mappers[-1]))
        case _:
            return ()


def _spelled(member: StartOf | Rollup | FanOut | SameInstant | Offset, period: Period | None) -> tuple[str, ...]:
    """How it spells moments around which longer and longer periods begin: starts of the period, or any."""
    zone, names = time_zone(member.timezone), spelling(member.output_format, member.timezone)
    moments = [*_MOMENTS, *(start_of(longer, one, zone) for one in _MOMENTS for longer in Period)]
    found = (names.key(one if period is None else start_of(period, one, zone)) for one in moments)
    return tuple(dict.fromkeys(key for key in found if key is not None))
