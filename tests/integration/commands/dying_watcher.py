"""A watcher that kills itself at a point that a test names, in place of ``python -m coordinator.cli``:

    python -m tests.integration.commands.dying_watcher FILE watch --config ...

FILE holds the name of the point. The service knows nothing of this: its methods are wrapped here, from outside.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from coordinator.cli import main
from coordinator.runners.command import runner
from coordinator.runners.command.run_files import RunFiles
from coordinator.runners.command.runner import CommandRunner

POINTS = [
    "start: before",
    "permit: after",
    "publish: before",
    "publish: after",
    "spawn: before",
    "communicate: before",
    "communicate: after",
    "spawn: after",
    "start: after",
]
"""In the order of a start: from before anything is there, to before the outcome is written."""


def around(owner: Any, name: str, point: str, file: Path) -> None:
    """Die before or after a method, if that is the point."""
    original: Callable[..., Any] = getattr(owner, name)

    def wrapped(*arguments: Any, **named: Any) -> Any:
        _pass_by(f"{point}: before", file)
        result = original(*arguments, **named)
        _pass_by(f"{point}: after", file)
        return result

    setattr(owner, name, wrapped)


def _pass_by(point: str, file: Path) -> None:
    if file.read_text() == point:
        file.write_text("")
        os.kill(os.getpid(), signal.SIGKILL)


def wrap(file: Path) -> None:
    around(CommandRunner, "start", "start", file)
    around(RunFiles, "_publish", "publish", file)
    around(runner, "spawn", "spawn", file)
    around(subprocess.Popen, "communicate", "communicate", file)
    create = RunFiles.create

    def with_permit(self: RunFiles, dag_id: str, run_id: str, request: Any, permit: Callable[[], None]) -> bool:
        def permitted() -> None:
            permit()
            _pass_by("permit: after", file)

        return create(self, dag_id, run_id, request, permitted)

    RunFiles.create = with_permit  # type: ignore[method-assign]


if __name__ == "__main__":
    wrap(Path(sys.argv.pop(1)))
    main()
