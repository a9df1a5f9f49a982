"""Turns: two lines, and a turn for each: what is fresh does not wait behind what has piled up, nor the other way."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Turns(Generic[T]):
    """Each line in the order in which it came; what is put first goes before both."""

    def __init__(self) -> None:
        self._first: deque[T] = deque()
        self._fresh: deque[T] = deque()
        self._old: deque[T] = deque()
        self._old_next = False

    def __len__(self) -> int:
        return len(self._first) + len(self._fresh) + len(self._old)

    def count(self, *, fresh: bool) -> int:
        return len(self._fresh if fresh else self._old)

    def __iter__(self) -> Iterator[T]:
        yield from self._first
        yield from self._fresh
        yield from self._old

    def add(self, item: T, *, fresh: bool) -> None:
        (self._fresh if fresh else self._old).append(item)

    def put_first(self, item: T) -> None:
        """It has had its turn already, and comes back."""
        self._first.append(item)

    def pop(self) -> T:
        """Whose turn it is. :raises IndexError: nobody waits."""
        if self._first:
            return self._first.popleft()
        line = self._old if self._old and (self._old_next or not self._fresh) else self._fresh
        self._old_next = line is self._fresh
        return line.popleft()

    def remove(self, item: T) -> None:
        """:raises ValueError: it does not wait."""
        for line in (self._first, self._fresh, self._old):
            if item in line:
                line.remove(item)
                return
        raise ValueError("it does not wait")

    def clear(self) -> None:
        for line in (self._first, self._fresh, self._old):
            line.clear()
