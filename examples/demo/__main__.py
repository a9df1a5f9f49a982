"""``make demo``: starts everything, runs the steps of the demo, ends everything.

Exit code 0: everything happened exactly once. 1: something did not happen; stderr names it, and the directory of the
logs. 2: it could not begin. 130: Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from examples.demo.parts import Parts, started
from examples.demo.running import run, stay
from examples.demo.story import ENVIRONMENTS, play, read_dependencies

_REPOSITORY = Path(__file__).parent.parent.parent


def main() -> int:
    """:return: the exit code."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--environments", type=int, choices=range(1, len(ENVIRONMENTS) + 1), default=1)
    parser.add_argument("--keep", action="store_true", help="stay up until Ctrl-C")
    arguments = parser.parse_args()
    return run("coordinator-demo", lambda directory: _play(directory, arguments.environments, keep=arguments.keep))


def _play(directory: Path, environments: int, *, keep: bool) -> None:
    dependencies, upstreams = read_dependencies(_REPOSITORY / "dependencies.json", environments)
    with started(directory, dags=_REPOSITORY / "dags", dependencies=dependencies, pipelines=list(upstreams)) as parts:
        play(parts, upstreams)
        if keep:
            _stay(parts)


def _stay(parts: Parts) -> None:
    parts.run_by_the_clock()
    print(
        f"\n01_pipeline now runs every minute, and the others after it. Look around, in Airflow or with\n"
        f"  export COORDINATOR_CONFIG={parts.config}\n"
        f"  coordinator status --all\n"
        f"The watcher publishes {parts.directory}/dependencies.json again when you edit it. Ctrl-C ends everything.",
        flush=True,
    )
    stay(parts)


if __name__ == "__main__":
    sys.exit(main())
