"""Finding many exact names with lists that Airflow only filters by prefix.

``*_prefix_pattern`` (Airflow 3.3, ``api_fastapi/common/parameters.py``) takes several terms separated by ``|``, and
becomes ``column >= term AND column < next`` for each: case-sensitive, without wildcards, answered from an index. The
older ``*_pattern`` is ``ILIKE '%term%'`` instead, which scans the whole table.

A prefix finds more than was asked for (``x__1`` also finds ``x__10``; trailing characters other than letters and digits
are dropped), and an older Airflow ignores an unknown filter and answers with everything. So an answer is compared name
by name, and a missing name is asked for separately: the filter only affects the number of requests.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar
from urllib.parse import quote

from coordinator.runners.airflow.answers import Answer
from coordinator.runners.airflow.deadline import Deadline

if TYPE_CHECKING:
    from coordinator.runners.airflow.client import AirflowClient

PAGE = 100
"""Airflow's own ``[api] maximum_page_limit``: asking for more changes nothing."""

MAX_TERMS = 6000
"""Characters of filters in one address: proxies take 8 KiB by default, and the rest needs room too."""

_USABLE = re.compile(r"(?=.*[A-Za-z0-9])[!-{}~]+")

_Name = TypeVar("_Name")
_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Page(Generic[_Name, _Item]):
    """The entries in one answer, and how many entries there are in all."""

    items: Mapping[_Name, _Item]
    length: int
    total: int


def usable_as_prefix(name: str) -> bool:
    """Whether Airflow reads the name as one term: no ``|``, no blanks, a letter or digit to compare."""
    return _USABLE.fullmatch(name) is not None


def pattern(names: Iterable[str]) -> str:
    """The terms for a ``*_prefix_pattern``."""
    return "|".join(sorted(set(names)))


def batches(names: Iterable[_Name], parts: Callable[[_Name], Sequence[str]]) -> Iterator[list[_Name]]:
    """Group names into batches whose terms fit into one address, and whose exact matches fit into one page.

    If a name has several parts, each has a filter of its own, and the answer contains every combination of them: there
    may be a run of each of these DAGs with each of these run ids. So the combinations must fit into a page.

    :param parts: the terms of a name, always equally many; a term that is in the batch already costs nothing.
    """
    batch: list[_Name] = []
    terms: list[set[str]] = []
    size = 0
    for name in names:
        added = parts(name)
        if not batch or not _fits(added, terms, size):
            if batch:
                yield batch
            batch, terms, size = [], [set() for _ in added], 0
        batch.append(name)
        for term, known in zip(added, terms, strict=True):
            size += 0 if term in known else _cost(term)
            known.add(term)
    if batch:
        yield batch


def _fits(added: Sequence[str], terms: Sequence[set[str]], size: int) -> bool:
    new = [term not in known for term, known in zip(added, terms, strict=True)]
    size += sum(_cost(term) for term, is_new in zip(added, new, strict=True) if is_new)
    combinations = math.prod(len(known) + is_new for known, is_new in zip(terms, new, strict=True))
    return size <= MAX_TERMS and combinations <= PAGE


def _cost(term: str) -> int:
    """Characters of an address."""
    return len(quote(term, safe="")) + 3


def gather(
    client: AirflowClient,
    path: str,
    filters: Mapping[str, str],
    *,
    wanted: Iterable[_Name],
    read: Callable[[Answer], Page[_Name, _Item]],
    deadline: Deadline,
) -> dict[_Name, _Item]:
    """The entries of the list among ``wanted``, read page by page as long as that is cheaper than asking one by one.

    A name that is missing from the result may exist nevertheless: entries move between pages while they are read.

    :param read: validates an answer; may raise.
    """
    found: dict[_Name, _Item] = {}
    missing = set(wanted)
    offset = 0
    while missing:
        answer = client.get(path, query={**filters, "limit": PAGE, "offset": offset}, deadline=deadline)
        page = read(answer)
        for name in missing & page.items.keys():
            found[name] = page.items[name]
        missing -= found.keys()
        offset += page.length
        if page.length == 0 or offset >= page.total:
            break
        pages_left = -(-(page.total - offset) // page.length)
        if pages_left > len(missing):
            break
    return found
