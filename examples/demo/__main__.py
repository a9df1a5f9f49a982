"""``make demo``: starts everything, runs the steps of the demo, ends everything.

Exit code 0: everything happened exactly once. 1: something did not happen; stderr names it, and the directory of the
logs. 2: it could not begin. 130: Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
import traceback
from contextlib import suppress
from pathlib import Path

import structlog

from coordinator.errors import ConfigurationError, CoordinatorError
from examples.demo.interruption import Interrupted, heed, note_signals, pause
from examples.demo.parts import Parts, started
from examples.demo.story import ENVIRONMENTS, play, read_dependencies

_REPOSITORY = Path(__file__).parent.parent.parent


def main() -> int:
    """:return: the exit code."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--environments", type=int, choices=range(1, len(ENVIRONMENTS) + 1), default=1)
    parser.add_argument("--keep", action="store_true", help="stay up until Ctrl-C")
    arguments = parser.parse_args()
    note_signals()
    directory = Path(tempfile.mkdtemp(prefix="coordinator-demo-"))
    began = time.monotonic()
    with (directory / "demo.log").open("a", encoding="utf-8", buffering=1) as log:
        structlog.configure(logger_factory=structlog.PrintLoggerFactory(log))
        try:
            code = _run(directory, arguments.environments, keep=arguments.keep)
        except ConfigurationError as error:
            print(f"✗ {error}", file=sys.stderr)
            code = 2
    if code == 1:
        print(f"The logs are kept: {directory}", file=sys.stderr)
    else:
        _remove(directory)
    print(f"Everything has ended, after {time.monotonic() - began:.0f} s.", flush=True)
    return code


def _run(directory: Path, environments: int, *, keep: bool) -> int:
    dependencies, upstreams = read_dependencies(_REPOSITORY / "dependencies.json", environments)
    try:
        with started(
            directory, dags=_REPOSITORY / "dags", dependencies=dependencies, pipelines=list(upstreams)
        ) as parts:
            play(parts, upstreams)
            if keep:
                _stay(parts)
    except Interrupted:
        return 130
    except Exception as error:  # noqa: BLE001 - whatever it is, it is printed, and the logs are kept
        try:
            heed()  # what failed because of Ctrl-C is no failure
        except Interrupted:
            return 130
        print(f"✗ {error}" if isinstance(error, CoordinatorError) else traceback.format_exc(), file=sys.stderr)
        return 1
    return 0


def _stay(parts: Parts) -> None:
    """Until Ctrl-C."""
    parts.run_by_the_clock()
    print(
        f"\n01_pipeline now runs every minute, and the others after it. Look around, in Airflow or with\n"
        f"  export COORDINATOR_CONFIG={parts.config}\n"
        f"  coordinator status --all\n"
        f"The watcher publishes {parts.directory}/dependencies.json again when you edit it. Ctrl-C ends everything.",
        flush=True,
    )
    with suppress(Interrupted):
        while True:
            parts.check()
            pause(0.5)


def _remove(directory: Path) -> None:
    """Remove the directory. A process that was just killed may still write its last file."""
    for _ in range(20):
        shutil.rmtree(directory, ignore_errors=True)
        if not directory.exists():
            return
        time.sleep(0.1)
    print(f"{directory} could not be removed", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
