"""A fuzz target: a name, a check that must pass for any bytes, and the bounds in which it must do so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Target:
    """:ivar check: takes any bytes, and raises when something that is promised does not hold.
    :ivar words: for the fuzzer's dictionary.
    :ivar max_length: of an input, in bytes.
    """

    name: str
    check: Callable[[bytes], None]
    words: tuple[str, ...] = ()
    max_length: int = 4096

    @property
    def corpus(self) -> Path:
        return HERE / "corpus" / self.name

    @property
    def found(self) -> Path:
        return HERE / "found" / self.name


SECONDS = 10
"""The longest that one input may take."""

MEGABYTES = 2048
"""The most memory that a process may take, its interpreter included."""
