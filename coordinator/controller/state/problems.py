"""Problems, for people and programs: counted exactly, and shown in part.

Whoever may write keys may write hundreds of thousands of foreign ones. They must neither fill memory nor hide other
problems.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from coordinator.model import bounds
from coordinator.model.stored import Unreadable
from coordinator.store.keys import Keys

SHOWN = 20
"""Problems of each kind that are shown."""

_FOREIGN = "not a key of the coordinator; it is ignored"
_FOREIGN_KEYS = "keys that are not the coordinator's"


class KeyProblems(Mapping[str, str]):
    """Problems with keys: the reason, by key. Only a few of the foreign keys are kept.

    Changed by one thread; :meth:`shown` may be asked from any.

    :ivar count: how many keys have a problem, including those that are not kept.
    """

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._of: dict[str, dict[str, str]] = {}
        self._foreign: dict[str, str] = {}
        self._foreign_count = 0

    def __getitem__(self, key: str) -> str:
        of_kind = self._of.get(self._keys.kind(key), {})
        return of_kind[key] if key in of_kind else self._foreign[key]

    def __iter__(self) -> Iterator[str]:
        for of_kind in self._of.values():
            yield from of_kind
        yield from self._foreign

    def __len__(self) -> int:
        return sum(map(len, self._of.values())) + len(self._foreign)

    @property
    def count(self) -> int:
        return sum(map(len, list(self._of.values()))) + self._foreign_count

    def note(self, key: str, reason: str) -> None:
        """A key of the coordinator has a problem."""
        self._of.setdefault(self._keys.kind(key), {})[key] = reason

    def note_value(self, key: str, value: object) -> None:
        """A key of the coordinator was read: it has a problem if its value is unreadable."""
        if isinstance(value, Unreadable):
            self.note(key, value.reason)
        else:
            self.settle(key)

    def settle(self, key: str) -> None:
        """A key has no problem any more."""
        if self._of and (of_kind := self._of.get(self._keys.kind(key))) is not None:
            of_kind.pop(key, None)

    def note_foreign(self, key: str, *, is_new: bool) -> None:
        """There is a foreign key. :param is_new: it was not there before."""
        self._foreign_count += is_new
        if len(self._foreign) < SHOWN:
            self._foreign[_printable(key)] = _FOREIGN

    def settle_foreign(self, key: str) -> None:
        """A foreign key was deleted."""
        self._foreign_count = max(0, self._foreign_count - 1)
        self._foreign.pop(_printable(key), None)

    def take_over(self, others: KeyProblems) -> None:
        """Add the problems with other keys."""
        for kind, of_kind in others._of.items():
            self._of.setdefault(kind, {}).update(of_kind)
        self._foreign.update(others._foreign)
        self._foreign_count += others._foreign_count

    def clear(self) -> None:
        self._of.clear()
        self._foreign.clear()
        self._foreign_count = 0

    def by_kind(self, most: int) -> Iterator[tuple[str, dict[str, str], int]]:
        """For each kind: its name, some of its problems, and how many there are."""
        # Each copy is made in one go, whatever the other thread changes meanwhile.
        for kind, of_kind in list(self._of.items()):
            yield f"keys under {kind}/", dict(list(islice(of_kind.items(), most))), len(of_kind)
        yield _FOREIGN_KEYS, dict(list(islice(self._foreign.items(), most))), self._foreign_count


@dataclass(frozen=True, slots=True)
class ProblemsShown:
    """Some of the problems.

    :ivar some: by place; problems of the service come before problems with keys.
    :ivar count: how many problems there are.
    :ivar more: how many more there are of each kind.
    """

    some: dict[str, str]
    count: int
    more: dict[str, int]

    def in_words(self) -> Iterator[str]:
        """One line for each, for people."""
        yield from (f"{place}: {what}" for place, what in self.some.items())
        yield from (f"and {count:,} more {kind}" for kind, count in self.more.items())

    def as_json(self) -> dict[str, object]:
        """The same for programs, as part of a JSON document."""
        return {"problems": self.some, "problems_count": self.count, "problems_not_shown": self.more}


def shown(own: Mapping[str, str], of_keys: KeyProblems | None = None, *, most: int = SHOWN) -> ProblemsShown:
    """Some problems of each kind.

    :param own: problems of the service and of the systems that it uses, by place; the first word of a place is the
        kind.
    :param of_keys: problems with keys.
    :param most: how many of each kind.
    """
    own_by_kind: dict[str, dict[str, str]] = {}
    for place, what in own.items():
        own_by_kind.setdefault(re.split(r"[/ @]", place, maxsplit=1)[0], {})[place] = what
    groups = [
        (f"about {kind}", dict(islice(all_of.items(), most)), len(all_of)) for kind, all_of in own_by_kind.items()
    ]
    if of_keys is not None:
        groups += of_keys.by_kind(most)
    return ProblemsShown(
        some={place: what for _, some, _ in groups for place, what in some.items()},
        count=sum(count for _, _, count in groups),
        more={kind: count - len(some) for kind, some, count in groups if count > len(some)},
    )


def in_a_line(problems: Sequence[str]) -> str:
    """The first of them, and how many more there are."""
    more = [f"and {len(problems) - SHOWN:,} more"] if len(problems) > SHOWN else []
    return "; ".join([*problems[:SHOWN], *more])


def _printable(key: str) -> str:
    """A key that can be shown: the store keeps bytes that are not UTF-8 as surrogates, which no terminal takes."""
    return key.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")[: bounds.REASON]
