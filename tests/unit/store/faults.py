"""A store between a test and a :class:`MemoryStore`, on which the test lets things go wrong."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType

from coordinator.store.memory import MemoryEtcd, MemoryStore, MemoryWatch
from coordinator.store.port import Changes, Committed, Page, StoreError, StoreUnavailable, Transaction


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class FaultyWatch(MemoryWatch):
    """A watch that the test can break, silence or put on another cluster."""

    def __init__(self, server: MemoryEtcd, prefix: str, from_revision: int, store: FaultyStore) -> None:
        super().__init__(server, prefix, from_revision)
        self.from_revision = from_revision
        self.closed = False
        self._store = store

    def receive(self, timeout: float) -> Changes | None:
        if self._store.watch_errors:
            raise self._store.watch_errors.popleft()
        return None if self._store.silent else super().receive(timeout)

    def close(self) -> None:
        self.closed = True
        super().close()

    def __enter__(self) -> FaultyWatch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class FaultyStore(MemoryStore):
    """:ivar down: nothing can be reached. :ivar lose_answers: so many commits are done, and say they may not be.
    :ivar between_pages: called when a page has been read, and worked in.
    """

    def __init__(self, server: MemoryEtcd) -> None:
        super().__init__(server)
        self.down = False
        self.silent = False
        self.lose_answers = 0
        self.commits = 0
        self.lists = 0
        self.between_pages: Callable[[], object] = lambda: None
        self.watch_errors: deque[StoreError] = deque()
        self.watches: list[FaultyWatch] = []

    def pages(self, prefix: str, *, pinned: bool = False) -> Iterator[Page]:
        self.lists += 1
        for page in super().pages(prefix, pinned=pinned):
            yield page
            self.between_pages()

    def commit(self, transaction: Transaction) -> Committed:
        answer = super().commit(transaction)
        self.commits += 1
        if self.lose_answers:
            self.lose_answers -= 1
            raise StoreUnavailable("the answer was lost")
        return answer

    def watch(self, prefix: str, *, from_revision: int) -> FaultyWatch:
        stream = FaultyWatch(self._reached(), prefix, from_revision, self)
        self.watches.append(stream)
        return stream

    def _reached(self) -> MemoryEtcd:
        if self.down:
            raise StoreUnavailable("etcd is down")
        return super()._reached()
