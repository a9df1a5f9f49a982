"""Upstreams that are probably misspelled: no entry declares them, and their names are very similar to others.

Any name may be right, because a DAG need not have an entry. So only names that differ by a letter or by separators are
reported, and never names that differ by a number: ``etl_1`` and ``etl_2`` are two pipelines.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Set

from coordinator.model.assets.bridges import without_bridges
from coordinator.model.conditions import leaves
from coordinator.model.dependencies import Document
from coordinator.model.publishing.never_met import NeverMet
from coordinator.model.references import PipelineRef

_WORD = re.compile(r"[^\W_]+")
_NUMBER = re.compile(r"[0-9]+")
_LONG_ENOUGH = 4
"""A word in which a letter is missing, doubled or swapped is at least as long: ``eu`` and ``us`` are two words."""
_LONG_ENOUGH_FOR_ANOTHER_LETTER = 6
"""A word with another letter: ``cost`` and ``post`` are two words."""


def misspelled(document: Document) -> Iterator[NeverMet]:
    """Upstreams of entries that are probably misspelled."""
    document = without_bridges(document)
    named_by = {
        pipeline: dict.fromkeys(leaf.pipeline for leaf in leaves(entry.condition))
        for pipeline, entry in document.items()
    }
    times = Counter(upstream for upstreams in named_by.values() for upstream in upstreams)
    alike = _Alike({*document, *times})
    for pipeline, upstreams in named_by.items():
        for upstream in upstreams:
            if upstream in document:
                continue
            meant = [one for one in alike.to(upstream) if one in document or times[one] > times[upstream]]
            if meant:
                yield _slip(pipeline, upstream, meant)


def is_slip(one: str, other: str) -> bool:
    """Whether two names differ by a typing error."""
    if one == other or _NUMBER.findall(one) != _NUMBER.findall(other):
        return False
    words, others = _words(one), _words(other)
    if "".join(words) == "".join(others):
        return True
    differing = [pair for pair in zip(words, others, strict=False) if pair[0] != pair[1]]
    return len(words) == len(others) and len(differing) == 1 and _is_slip_in_word(*differing[0])


def _is_slip_in_word(one: str, other: str) -> bool:
    shorter, longer = sorted((one, other), key=len)
    if len(longer) < _LONG_ENOUGH or len(longer) - len(shorter) > 1:
        return False
    if len(longer) > len(shorter):
        return shorter in _with_one_less(longer)
    places = [place for place in range(len(one)) if one[place] != other[place]]
    if len(places) == 1:
        return len(one) >= _LONG_ENOUGH_FOR_ANOTHER_LETTER
    first, last = places[0], places[-1]
    return len(places) == 2 and last == first + 1 and one[first : last + 1] == other[last] + other[first]


class _Alike:
    """Finds names that differ by a typing error. Names are indexed by their numbers and by their letters without one of
    them, so that ten thousand names need not be compared with each other."""

    def __init__(self, pipelines: Set[PipelineRef]) -> None:
        numbered = Counter(numbers_in(pipeline) for pipeline in pipelines)
        self._alone = {numbers for numbers, count in numbered.items() if count == 1}
        self._by_rest: dict[tuple[tuple[str, ...], str], list[PipelineRef]] = {}
        for pipeline in sorted(pipelines):
            for rest in self._rests(pipeline):
                self._by_rest.setdefault(rest, []).append(pipeline)

    def to(self, pipeline: PipelineRef) -> list[PipelineRef]:
        found = dict.fromkeys(one for rest in self._rests(pipeline) for one in self._by_rest.get(rest, ()))
        return [one for one in found if is_slip(str(one), str(pipeline))]

    def _rests(self, pipeline: PipelineRef) -> Iterator[tuple[tuple[str, ...], str]]:
        numbers = numbers_in(pipeline)
        if numbers not in self._alone:
            letters = _NUMBER.sub("", "".join(_words(str(pipeline))))
            for rest in (letters, *_with_one_less(letters)):
                yield numbers, rest


def numbers_in(pipeline: PipelineRef) -> tuple[str, ...]:
    """The numbers in a name: pipelines with different numbers are different."""
    return tuple(_NUMBER.findall(str(pipeline)))


def _with_one_less(word: str) -> set[str]:
    return {word[:place] + word[place + 1 :] for place in range(len(word))}


def _words(name: str) -> list[str]:
    return _WORD.findall(name.casefold())


def _slip(pipeline: PipelineRef, upstream: PipelineRef, meant: list[PipelineRef]) -> NeverMet:
    names = " or ".join(map(str, meant))
    reason = f"no entry declares {upstream}, and its name is very like that of others: did you mean {names}?"
    return NeverMet(pipeline, reason, f"where {upstream} is meant, nothing need be done")
