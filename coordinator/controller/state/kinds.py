"""Kinds of keys: what the cache does with a key of each kind, other than states and trigger records.

A kind says in one place what becomes of a key that is put, that is deleted, and that is about to be listed again. Most
kinds are tables: their values are read and kept, by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Generic, Protocol, TypeVar

from coordinator.controller.state.changed import Touched
from coordinator.model.stored import Unreadable
from coordinator.store.port import KeyValue

Name = TypeVar("Name")
Value = TypeVar("Value")


class Kind(Protocol):
    """A kind of keys. A key is passed as :meth:`Keys.parse` returns it."""

    def put(self, key: Any, item: KeyValue, touched: Touched, /) -> object:
        """A key was put. Returns what was read; an ``Unreadable`` is a problem of the key."""

    def delete(self, key: Any, touched: Touched, /) -> None:
        """A key was deleted."""

    def clear(self) -> None:
        """Everything is about to be listed again."""


def as_it_is(found: Any, revision: int) -> Any:
    """Keep what was read, also if it is unreadable."""
    del revision
    return found


def if_readable(found: Any, revision: int) -> Any:
    """Keep what was read, if it is readable."""
    del revision
    return None if isinstance(found, Unreadable) else found


class Table(dict[Name, Value], Generic[Name, Value]):
    """Keys that are read and kept: the values, by name.

    :param name: the attribute of a key that is its name; ``None``: there is only one such key, named ``None``.
    :param read: reads a value; never raises.
    :param keep: returns what is kept of what was read, given its mod revision; ``None``: nothing.
    :param note: notes that the key of a name was put, or (``True``) deleted.
    """

    def __init__(
        self,
        name: str | None,
        read: Callable[[bytes], object],
        keep: Callable[[Any, int], Value | None] = as_it_is,
        note: Callable[[Touched, Any, bool], object] = lambda *_: None,
    ) -> None:
        super().__init__()
        self._name_of: Callable[[Any], Any] = attrgetter(name) if name is not None else lambda _: None
        self._read = read
        self._keep = keep
        self._note = note

    def put(self, key: Any, item: KeyValue, touched: Touched, /) -> object:
        """A key was put. Returns what was read."""
        name, found = self._name_of(key), self._read(item.value)
        kept = self._keep(found, item.mod_revision)
        if kept is None:
            self.pop(name, None)
        else:
            self[name] = kept
        self._note(touched, name, False)
        return found

    def delete(self, key: Any, touched: Touched, /) -> None:
        """A key was deleted."""
        name = self._name_of(key)
        self.pop(name, None)
        self._note(touched, name, True)


@dataclass(frozen=True, slots=True)
class Handlers:
    """A kind that is more than a table: functions that do what :class:`Kind` says."""

    put: Callable[[Any, KeyValue, Touched], object]
    delete: Callable[[Any, Touched], None]
    clear: Callable[[], None]


NOT_KEPT = Handlers(lambda *_: None, lambda *_: None, lambda: None)
"""Keys of the coordinator of which the cache keeps nothing."""
