"""Commands that people are told to type: they may paste them into a shell."""

from __future__ import annotations

import shlex


def command(*words: object) -> str:
    """A command of ours, quoted for a shell: anybody may have chosen the names in it."""
    return shlex.join(("coordinator", *map(str, words)))
