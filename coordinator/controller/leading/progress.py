"""How far this watcher has got in reading etcd, for its presence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from coordinator.store.port import Changes
from coordinator.store.presence import PresentFile, Progress
from coordinator.store.reflector import Snapshot


class ProgressOfReading:
    """Written by the deciding thread, read by the candidate's.

    :param signs_of_life: what the keys begin with that are no news (``Keys.signs_of_life``).
    """

    def __init__(self, signs_of_life: tuple[str, ...]) -> None:
        self._signs_of_life = signs_of_life
        self._news = 0
        self.present = Progress(revision=0, news=0, warm=False)

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
        """All that was noted has been decided about, too. Whether the watcher has become warm by it."""
        before, self.present = self.present, replace(self.present, revision=revision, news=self._news, warm=warm)
        return warm and not before.warm

    def has_found(self, file: PresentFile | None, problems: Mapping[str, str], unknown: Mapping[str, str]) -> bool:
        """Note what its dependencies file is, and what else it has found out or asked. Whether that is something
        new."""
        before, self.present = self.present, replace(self.present, file=file, problems=problems, unknown=unknown)
        return (file, problems, unknown) != (before.file, before.problems, before.unknown)
