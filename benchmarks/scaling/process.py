"""A measurement in a separate process, so that only its own memory counts."""

from __future__ import annotations

import importlib
import json
import logging
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from coordinator.cli.gc_tuning import RareCollections

PATIENCE = 1800.0
"""Seconds, at most, for one measurement."""

Answer = dict[str, float]


def alone(module: str, **arguments: int) -> Answer:
    """Call ``module.run(**arguments)`` in a fresh process.

    :raises RuntimeError: it failed; the message contains its standard error.
    """
    command = [sys.executable, "-m", __name__, module, json.dumps(arguments)]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    if finished.returncode:
        raise RuntimeError(f"{module} {arguments} failed with {finished.returncode}:\n{finished.stderr[-4000:]}")
    answer: Answer = json.loads(finished.stdout.splitlines()[-1])
    return answer


@contextmanager
def like_the_service() -> Iterator[None]:
    """Collect garbage as rarely as ``coordinator watch`` does, and log as little as possible."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with RareCollections():
        yield


def resident() -> int:
    """Bytes of memory that this process has now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


def most_resident() -> int:
    """The peak memory of this process in bytes.

    Not ``ru_maxrss``, which includes the parent's memory if the parent was larger when it started this process.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


if __name__ == "__main__":
    with like_the_service():
        answer = importlib.import_module(sys.argv[1]).run(**json.loads(sys.argv[2]))
    print(json.dumps(answer))
