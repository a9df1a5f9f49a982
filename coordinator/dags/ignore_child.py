"""The process in which patterns of .airflowignore are matched: ``python -P -m coordinator.dags.ignore_child``.

On stdin it gets one JSON object: the rules, each a pattern and the directory that it is about, and directories with
their entries and the numbers of the rules that count there. It answers, of each entry, whether it is ignored.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath
from typing import Any, Final

from coordinator.dags.limits import limit_memory, limit_processor

_MEMORY_LIMIT: Final = 1 << 30
"""In bytes."""
_PROCESSOR_LIMIT: Final = 60
"""Seconds: more than whoever has started it waits. If that one was killed, a pattern that does not end is ended too."""

_Rule = Callable[[PurePosixPath, bool], bool | None]
"""Of a path below the first directory, and whether that is one: ignored, taken back, or no word about it."""


def main() -> None:
    """Answer what stdin asks."""
    limit_memory(_MEMORY_LIMIT)
    limit_processor(_PROCESSOR_LIMIT)
    json.dump(answer(json.load(sys.stdin.buffer)), sys.stdout)


def answer(work: dict[str, Any]) -> dict[str, Any]:
    """Match every entry. ``wrong``: the number of a rule that is no pattern, with the reason."""
    rules: list[_Rule] = []
    for number, (pattern, base) in enumerate(work["rules"]):
        try:
            rules.append(_regexp(pattern) if work["regexp"] else _glob(pattern, base))
        except (re.error, ValueError, OverflowError, RecursionError) as error:
            return {"wrong": number, "reason": str(error)}
    return {"ignored": [_of_folder(folder, rules) for folder in work["folders"]]}


def _of_folder(folder: dict[str, Any], rules: Sequence[_Rule]) -> list[bool]:
    here = [rules[number] for number in folder["rules"]]
    return [_is_ignored(PurePosixPath(path), here, is_directory) for path, is_directory in folder["entries"]]


def _is_ignored(path: PurePosixPath, rules: Sequence[_Rule], is_directory: bool) -> bool:
    said = [verdict for rule in rules if (verdict := rule(path, is_directory)) is not None]
    return bool(said) and said[-1]  # a later pattern can take back an earlier one


def _regexp(pattern: str) -> _Rule:
    expression = re.compile(pattern)
    return lambda path, _: True if expression.search(str(path)) else None


def _glob(pattern: str, base: str) -> _Rule:
    from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

    spec = GitIgnoreSpecPattern(pattern)
    is_of_place = "/" in pattern.rstrip("/")
    is_of_directories = pattern.lstrip("!").rstrip().endswith("/")

    def rule(path: PurePosixPath, is_directory: bool) -> bool | None:
        if is_of_directories and not is_directory:
            return None
        name = str(path.relative_to(base)) if is_of_place else path.name
        return spec.include if spec.match_file(f"{name}/" if is_directory else name) is not None else None

    return rule


if __name__ == "__main__":
    main()
