"""Starts the supervisor of an attempt, so that it outlives this process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from coordinator.model import bounds
from coordinator.model.printable import printable
from coordinator.runners.command.run_files import Attempt
from coordinator.runners.command.settings import OURS, Command
from coordinator.runners.port import EnvironmentUnavailable

INHERITED = ("HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "PATH", "SHELL", "TMPDIR", "TZ", "USER")
"""The watcher's variables that every command gets. Others may hold credentials."""


def spawn(attempt: Attempt, command: Command, *, environment: str, timeout: float) -> None:
    """Make sure that an attempt has a supervisor. There is never more than one.

    :param environment: the environment's name.
    :param timeout: seconds.
    :raises EnvironmentUnavailable: it is not known whether it has one now.
    """
    what = {
        "argv": command.argv,
        "working_directory": str(command.working_directory),
        "env": variables(attempt, command, environment=environment),
        "timeout": command.timeout.total_seconds() if command.timeout is not None else None,
    }
    failed = f"environments.{environment}: the supervisor of {attempt.directory}"
    try:
        done = subprocess.run(
            # -P: the working directory may contain a file called json.py
            [sys.executable, "-P", "-m", "coordinator.runners.command.supervisor", str(attempt.directory)],
            input=json.dumps(what).encode(),
            capture_output=True,
            timeout=timeout,
            cwd="/",
            start_new_session=True,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise EnvironmentUnavailable(f"{failed} did not begin within {timeout:.1f} s") from None
    except (OSError, ValueError) as error:
        raise EnvironmentUnavailable(f"{failed} cannot be started: {error}") from error
    if done.returncode != 0:
        said = printable((done.stdout + done.stderr).decode(errors="replace").strip(), limit=bounds.DETAIL)
        raise EnvironmentUnavailable(f"{failed} has not begun: {said or f'it ended with {done.returncode}'}")


def variables(
    attempt: Attempt, command: Command, *, environment: str, environ: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """The variables of a command: some of the watcher's, its own, and those that say what it is to do."""
    ours = attempt.request.conf.get("coordinator", {})
    said: tuple[Any, ...] = (
        environment,
        attempt.dag_id,
        attempt.run_id,
        attempt.number,
        attempt.request.partition,
        ours.get("wave", ""),
        attempt.file,
    )
    inherited = {name: environ[name] for name in (*INHERITED, *command.pass_env) if name in environ}
    return {**inherited, **command.env, **dict(zip(OURS, map(str, said), strict=True))}
