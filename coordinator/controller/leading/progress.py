"""How far this watcher has got in reading etcd, for its presence key.

A watcher is *warm* when it has read and decided everything, so that it could lead at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from coordinator.store.port import Changes
from coordinator.store.presence import PresentFile, Progress
from coordinator.store.reflector import Snapshot


class ProgressOfReading:
    """Written by the deciding thread, read by the candidate's.

    :param signs_of_life: prefixes of keys that are only signs of life, and no news (``Keys.signs_of_life``).
    :param environments: that are configured.
    """

    def __init__(self, signs_of_life: tuple[str, ...], environments: Iterable[str] = ()) -> None:
        self._signs_of_life = signs_of_life
        self._news = 0
        self.present = Progress(revision=0, news=0, warm=False, environments=tuple(environments))

    def note(self, messages: Iterable[object]) -> None:
        """These have been taken in."""
        for message in messages:
            match message:
                case Snapshot(listing):
                    self._news = listing.revision
                case Changes(changes):
                    newest = (change for change in reversed(changes) if not change.key.startswith(self._signs_of_life))
                    if (change := next(newest, None)) is not None:
                        self._news = change.revision

    def stand_at(self, revision: int, *, warm: bool) -> bool:
        """Everything that was noted has been decided about, too. Returns whether the watcher has become warm by it."""
        before, self.present = self.present, replace(self.present, revision=revision, news=self._news, warm=warm)
        return warm and not before.warm

    def has_found(self, file: PresentFile | None, problems: Mapping[str, str], unknown: Mapping[str, str]) -> bool:
        """Note what its dependencies file is, its other findings, and its unanswered questions. Returns whether any of
        them is new."""
        before, self.present = self.present, replace(self.present, file=file, problems=problems, unknown=unknown)
        return (file, problems, unknown) != (before.file, before.problems, before.unknown)
