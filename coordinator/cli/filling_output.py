"""The output of ``fill`` while it works, and at the end."""

from __future__ import annotations

from typing import Any

from coordinator.cli.output import say
from coordinator.commands.fill import Ended, LeftAlone, Ordered
from coordinator.model.references import Target
from coordinator.model.runstate import State


class Progress:
    """The progress, printed line by line.

    :ivar failed: targets whose runs did not succeed.
    """

    def __init__(self, of: int, *, quiet: bool) -> None:
        self._of = of
        self._quiet = quiet
        self._ordered: dict[Target, int] = {}
        self._ended: dict[Target, State | None] = {}
        self._left_alone: list[Target] = []

    @property
    def failed(self) -> list[Target]:
        return [target for target, state in self._ended.items() if state is not State.SUCCESS]

    def note(self, step: Ordered | LeftAlone | Ended) -> None:
        match step:
            case Ordered(target, revision):
                self._ordered[target] = revision
                said = f"{target}: ordered ({len(self._ordered)} of {self._of})"
            case LeftAlone(target):
                self._left_alone.append(target)
                said = f"{target}: left alone, something has happened there meanwhile"
            case Ended(target, state):
                self._ended[target] = state
                said = f"{target}: {state or 'taken back, or its run has vanished'}"
        if not self._quiet:
            say(said)

    def in_words(self) -> str:
        parts = [f"{len(self._ordered)} of {self._of} ordered"]
        if self._ended:
            parts.append(f"{len(self._ended)} ended, {len(self.failed)} of them without success")
        if self._left_alone:
            parts.append(f"{len(self._left_alone)} left alone")
        return ", ".join(parts)

    def as_json(self) -> dict[str, Any]:
        return {
            "ordered": [
                {
                    "pipeline": str(target.pipeline),
                    "partition": target.partition,
                    "revision": revision,
                    "ended": target in self._ended,
                    "state": str(state) if (state := self._ended.get(target)) is not None else None,
                }
                for target, revision in self._ordered.items()
            ],
            "left_alone": [{"pipeline": str(one.pipeline), "partition": one.partition} for one in self._left_alone],
        }
