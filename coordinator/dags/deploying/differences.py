"""What stands in the target in place of a file that is to be deployed."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from coordinator.dags.deploying.deploy import Deployment
from coordinator.dags.deploying.source import read_file
from coordinator.dags.deploying.target import Target

MOST_FILES: Final = 20
MOST_LINES: Final = 100
"""Of the diff of a file."""


def differences(shown: Deployment, directory: Path, target: Target) -> Iterator[tuple[str, list[str]]]:
    """The refused files that are in the target, each with the lines of a diff from the source to what is there.

    At most ``MOST_FILES`` of them, and ``MOST_LINES`` of each.
    """
    paths = [one.path for one in shown.plan.refused if one.before][:MOST_FILES]
    there = target.read(paths)
    for path in paths:
        source = read_file(directory, path) if path in shown.source else b""
        lines = difflib.unified_diff(
            _lines(source),
            _lines(there.get(path, b"")),
            str(directory / path) if path in shown.source else "/dev/null",
            f"{target.name}/{path}",
            lineterm="",
        )
        first = list(islice(lines, MOST_LINES))
        more = sum(1 for _ in lines)
        yield path, [*first, *([f"... and {more:,} more lines"] if more else [])]


def _lines(content: bytes) -> list[str]:
    return content.decode(errors="replace").splitlines()
